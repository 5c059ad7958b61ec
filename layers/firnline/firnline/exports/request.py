"""What an export in the cloud is asked for: a document beside its products, which each of its steps reads."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from firnline.errors import Refused
from firnline.exports.forms import NOT_IN_CLOUD, WRITERS_IN_CLOUD
from firnline.exports.selection import Wanted
from firnline.limits import MAX_PROFILE_KNOTS
from firnline.products.accumulation import AnnualLayers, GapRule
from firnline.products.credits import Credits
from firnline.products.frame_product import Assumptions, Numbering, Status
from firnline.products.physics import Medium
from firnline.products.track import Box
from firnline.products.uncertainty import MediumError

_SENTENCE = 300
EXPORT_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$"
"""An export's name: of an execution and of a folder."""


def _of_the_cloud(form: str) -> str:
    if form not in WRITERS_IN_CLOUD:
        raise ValueError(f"'{form}' is not written in the cloud")
    return form


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MediumAsked(_Part):
    """A `Medium`, knot by knot: its numbers come back as they were."""

    depth_m: tuple[float, ...] = Field(min_length=1, max_length=MAX_PROFILE_KNOTS)
    density_kg_m3: tuple[float, ...] = Field(min_length=1, max_length=MAX_PROFILE_KNOTS)
    statement: str = Field(max_length=_SENTENCE)


class AnnualAsked(_Part):
    surface_year: float
    first_layer_year: float
    gaps: GapRule


class CreditsAsked(_Part):
    creator: str = Field("", max_length=_SENTENCE)
    creator_email: str = Field("", max_length=_SENTENCE)
    creator_url: str = Field("", max_length=_SENTENCE)
    institution: str = Field("", max_length=_SENTENCE)
    licence: str = Field("", max_length=_SENTENCE)


class ExportRequest(_Part):
    """`which`, `statuses`, `box` and `numbering` as `Wanted` has them; the rest as `Assumptions` and `Credits` do."""

    schema_name: Literal["firnline.export-request/1"] = Field("firnline.export-request/1", alias="schema")
    command: str = Field(max_length=10_000)
    forms: tuple[Annotated[str, AfterValidator(_of_the_cloud)], ...] = Field(min_length=1)
    which: tuple[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], ...] = Field(max_length=10_000)
    statuses: tuple[Status, ...] = Field(min_length=1)
    box: Box | None
    numbering: Numbering
    medium: MediumAsked
    index_sigma: float = Field(ge=0)
    density_sigma_kg_m3: float = Field(ge=0)
    reviewer_rows: float = Field(ge=0)
    ground: bool
    annual: AnnualAsked | None
    credits: CreditsAsked

    @classmethod
    def of(cls, wanted: Wanted, forms: Sequence[str], physics: Assumptions, credits: Credits, command: str) -> Self:
        """Raises `Refused` where a form is written on a machine only, or the medium has too many knots."""
        for form in forms:
            if form in NOT_IN_CLOUD:
                raise Refused(
                    f"{form} is not written in the cloud: {NOT_IN_CLOUD[form]}. Export it with `firnline export` on a machine, or "
                    f"choose from {', '.join(WRITERS_IN_CLOUD)}."
                )
        medium, annual = physics.medium, physics.annual
        if medium.depth_m.size > MAX_PROFILE_KNOTS:
            raise Refused(
                f"The density profile has {medium.depth_m.size} points; in the cloud at most {MAX_PROFILE_KNOTS} are taken."
            )
        asked = {
            "schema": "firnline.export-request/1", "command": command, "forms": tuple(dict.fromkeys(forms)),
            "which": wanted.which, "statuses": wanted.statuses, "box": wanted.box, "numbering": wanted.numbering,
            "medium": MediumAsked(
                depth_m=tuple(medium.depth_m.tolist()), density_kg_m3=tuple(medium.density_kg_m3.tolist()),
                statement=medium.statement,
            ),
            "index_sigma": physics.error.index, "density_sigma_kg_m3": physics.error.density_kg_m3,
            "reviewer_rows": physics.reviewer_rows, "ground": physics.ground,
            "annual": annual and AnnualAsked(
                surface_year=annual.surface_year, first_layer_year=annual.first_layer_year, gaps=annual.gaps
            ),
            "credits": CreditsAsked(
                creator=credits.creator, creator_email=credits.creator_email, creator_url=credits.creator_url,
                institution=credits.institution, licence=credits.licence,
            ),
        }  # fmt: skip
        return cls.model_validate(asked)

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True, indent=1).encode()

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.which, self.statuses, self.box, self.numbering)

    @property
    def physics(self) -> Assumptions:
        asked = self.medium
        medium = Medium(np.array(asked.depth_m), np.array(asked.density_kg_m3), asked.statement)
        annual = None
        if self.annual is not None:
            annual = AnnualLayers.of(self.annual.surface_year, self.annual.first_layer_year, self.annual.gaps)
        error = MediumError(self.index_sigma, self.density_sigma_kg_m3)
        return Assumptions(medium, error, self.reviewer_rows, annual, self.ground)

    @property
    def whose(self) -> Credits:
        return Credits(**self.credits.model_dump())
