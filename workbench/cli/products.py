"""`firnline export`: depths, thicknesses and accumulation in the files that scientists' tools open."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from firnline.errors import Refused
from workbench.cli import terminal
from workbench.cli.terminal import console, fail, last_words

commands = terminal.Group("Frames")


class Form(StrEnum):
    csv = "csv"
    geoparquet = "geoparquet"
    bedmap = "bedmap"
    horizons = "horizons"
    opr = "opr"
    netcdf = "netcdf"
    geopackage = "geopackage"
    geojson = "geojson"
    crossovers = "crossovers"
    layers_csv = "layers-csv"
    layers_json = "layers-json"
    layers_mat = "layers-mat"


class Status(StrEnum):
    accepted = "accepted"
    reviewed = "reviewed"
    unreviewed = "unreviewed"
    imported = "imported"


class Gaps(StrEnum):
    leave_out = "leave-out"
    spread = "spread"


class Numbers(StrEnum):
    segment = "segment"
    frame = "frame"


_SURE = "For the physics"


@commands.command()
def export(
    out: Annotated[Path, typer.Option(file_okay=False, help="a folder, new or empty, for what is written")],
    which: Annotated[
        list[str] | None, typer.Argument(help="<campaign>, <campaign>/<segment> or a frame; all frames without it")
    ] = None,
    to: Annotated[list[Form] | None, typer.Option(help="a form; may be given again. csv if none is")] = None,
    status: Annotated[
        list[Status] | None, typer.Option(help="whose lines; may be given again. accepted and reviewed if none is")
    ] = None,
    box: Annotated[str | None, typer.Option(help="west,south,east,north in degrees: frames that pass through it")] = None,
    numbers: Annotated[
        Numbers, typer.Option(help="whether a layer keeps its number along the segment, or is counted in each frame by itself")
    ] = Numbers.segment,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what an earlier export left in that folder")] = False,
    index: Annotated[
        float | None, typer.Option(help="a constant refractive index; that of ice, 1.78, if nothing is said", rich_help_panel=_SURE)
    ] = None,
    firn_correction: Annotated[
        float | None, typer.Option(help="m that ice lies deeper for its firn, with a constant index", rich_help_panel=_SURE)
    ] = None,
    density: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, rich_help_panel=_SURE,
                                  help="a CSV of depth_m,density_kg_m3: a profile instead of a constant index")
    ] = None,
    herron_langway: Annotated[
        str | None, typer.Option(rich_help_panel=_SURE, help="surface density kg/m3, accumulation m w.e./a, mean temperature C, "
                                 "as 350,0.25,-30: Herron and Langway's firn")
    ] = None,
    index_sigma: Annotated[float, typer.Option(min=0, help="one sigma of the index", rich_help_panel=_SURE)] = 0.01,
    density_sigma: Annotated[
        float | None, typer.Option(min=0, rich_help_panel=_SURE,
                                   help="one sigma of the density, kg/m3; 30 of a profile, 0 of a constant index")
    ] = None,
    reviewer_rows: Annotated[
        float, typer.Option(min=0, rich_help_panel=_SURE, help="rows that people's lines are within, where one person drew")
    ] = 1.0,
    ground: Annotated[
        bool, typer.Option("--ground", rich_help_panel=_SURE,
                           help="the antenna lay on the ice: the surface is at time zero where none is drawn")
    ] = False,
    surface_year: Annotated[
        float | None, typer.Option(rich_help_panel=_SURE, help="the surface's time, as 2012.25: says that layers are annual")
    ] = None,
    first_layer_year: Annotated[
        float | None, typer.Option(rich_help_panel=_SURE, help="when the first layer was the surface; a year before it")
    ] = None,
    gaps: Annotated[
        Gaps, typer.Option(rich_help_panel=_SURE, help="accumulation where annual layers are missing: none, or their mean")
    ] = Gaps.leave_out,
) -> None:  # fmt: skip
    """Write the layers with depth, thickness and accumulation, and how sure they are, as tables, maps or layer files.

    `firnline models export` writes the network.
    """
    from workbench import exporting
    from workbench.progress import Stages

    try:
        assumptions = exporting.assumptions(
            exporting.Physics(
                index, firn_correction, density, herron_langway, index_sigma, density_sigma, reviewer_rows
            ),
            exporting.annual(surface_year, first_layer_year, gaps.value),
            ground,
        )
        wanted = exporting.Wanted.of(which or [], [one.value for one in status or []], box, numbers.value)
        exporting.check_folder(out, overwrite)
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    connection, shown = terminal.connect(), console()
    with (
        last_words(lambda: f"{out} holds what was finished; files named part-… are not whole"),
        Stages(shown) as stages,
    ):
        exported = exporting.export(
            connection,
            wanted,
            [one.value for one in to or [Form.csv]],
            assumptions,
            out,
            stages,
            terminal.command_line(),
        )
    for sentence in exported.sentences:
        shown.print(sentence, markup=False, soft_wrap=True)
    if not exported.frames:
        raise fail("Nothing was exported.")
