"""Options that several commands share: whose lines, of which frames, through what medium."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from firnline.products.frame_product import Assumptions


class Status(StrEnum):
    accepted = "accepted"
    reviewed = "reviewed"
    unreviewed = "unreviewed"
    imported = "imported"


class Gaps(StrEnum):
    leave_out = "leave-out"
    spread = "spread"


_SURE = "For the physics"
# fmt: off
Which = Annotated[
    list[str] | None, typer.Argument(help="<campaign>, <campaign>/<segment> or a frame; all frames without it")
]
Statuses = Annotated[
    list[Status] | None, typer.Option("--status", help="whose lines; may be given again. accepted and reviewed if none is")
]
InBox = Annotated[str | None, typer.Option("--box", help="west,south,east,north in degrees: frames that pass through it")]
Index = Annotated[
    float | None, typer.Option(help="a constant refractive index; that of ice, 1.78, if nothing is said", rich_help_panel=_SURE)
]
FirnCorrection = Annotated[
    float | None, typer.Option(help="m that ice lies deeper for its firn, with a constant index", rich_help_panel=_SURE)
]
FirnDepth = Annotated[
    float | None, typer.Option(min=0, help="m over which the firn correction grows; 100 if nothing is said", rich_help_panel=_SURE)
]
Density = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, rich_help_panel=_SURE,
                              help="a CSV of depth_m,density_kg_m3: a profile instead of a constant index")
]
HerronLangway = Annotated[
    str | None, typer.Option(rich_help_panel=_SURE, help="surface density kg/m3, accumulation m w.e./a, mean temperature C, "
                             "as 350,0.25,-30: Herron and Langway's firn")
]
IndexSigma = Annotated[float, typer.Option(min=0, help="one sigma of the index", rich_help_panel=_SURE)]
DensitySigma = Annotated[
    float | None, typer.Option(min=0, rich_help_panel=_SURE,
                               help="one sigma of the density, kg/m3; 30 of a profile, 0 of a constant index")
]
ReviewerRows = Annotated[
    float, typer.Option(min=0, rich_help_panel=_SURE, help="rows that people's lines are within, where one person drew")
]
Ground = Annotated[
    bool, typer.Option("--ground", rich_help_panel=_SURE,
                       help="the antenna lay on the ice: the surface is at time zero where none is drawn")
]
SurfaceYear = Annotated[
    float | None, typer.Option(rich_help_panel=_SURE, help="the surface's time, as 2012.25: says that layers are annual")
]
FirstLayerYear = Annotated[
    float | None, typer.Option(rich_help_panel=_SURE, help="when the first layer was the surface; a year before it")
]
GapRule = Annotated[
    Gaps, typer.Option(rich_help_panel=_SURE, help="accumulation where annual layers are missing: none, or their mean")
]
# fmt: on


@dataclass(frozen=True)
class PhysicsOptions:
    """What a command was given of the options for the physics."""

    index: float | None
    firn_correction: float | None
    firn_depth: float | None
    density: Path | None
    herron_langway: str | None
    index_sigma: float
    density_sigma: float | None
    reviewer_rows: float
    ground: bool
    surface_year: float | None
    first_layer_year: float | None
    gaps: Gaps

    def assumptions(self) -> "Assumptions":
        """Raises `Refused` where they make no sense together."""
        from workbench import exporting

        return exporting.assumptions(
            exporting.Physics(
                self.index,
                self.firn_correction,
                self.firn_depth,
                self.density,
                self.herron_langway,
                self.index_sigma,
                self.density_sigma,
                self.reviewer_rows,
            ),
            exporting.annual(self.surface_year, self.first_layer_year, self.gaps.value),
            self.ground,
        )
