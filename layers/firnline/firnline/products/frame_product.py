"""What one frame's layers tell: depth, elevation, thickness and accumulation of each line in each trace of the file, with
how sure they are and where they come from. All forms of export are made from it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.picks import on_file, two_way_times
from firnline.ice import LIGHT_SPEED_M_S
from firnline.products.accumulation import AnnualLayers, annual_accumulation
from firnline.products.horizons import Horizon, horizons_of
from firnline.products.physics import Medium, surface_elevation
from firnline.products.thickness import at_line, first_of, layer_thickness, next_below
from firnline.products.track import distance_along
from firnline.products.uncertainty import (
    NEIGHBOURS_CORRELATION,
    ONE_SIGMA,
    PIXEL_ROWS,
    REVIEWER_ROWS,
    TWO_SIGMA,
    MediumError,
    Pair,
    Spread,
    depth_spread,
    of_confidence,
    of_person,
    of_repetition,
)
from firnline.radar.time_units import gps_minus_utc

Status = Literal["accepted", "reviewed", "unreviewed", "imported"]
Numbering = Literal["frame", "segment"]
NUMBERING_MEANS: dict[Numbering, str] = {
    "frame": "a layer's number counts from the surface within its frame; layers of two frames are not matched",
    "segment": (
        "a layer keeps its number from frame to frame along the flight segment; lines in too few frames to be counted have none"
    ),
}
STATUS_MEANS: dict[Status, str] = {
    "accepted": "a model's, taken as they are by the review policy: nobody looked at them",
    "reviewed": "corrected or confirmed by a reviewer",
    "unreviewed": "a model's, waiting for a decision or a review",
    "imported": "a person's annotation, uploaded beside the frame or in its file",
}
"""What people may rely on, for each kind of layers. No product mixes them without saying which is which."""


@dataclass(frozen=True)
class Provenance:
    """Where the layers of a frame come from.

    model_version : of the model that drew them, or whose lines were corrected; None of annotations
    correction : the review that they are the outcome of, which is the correction's id; None of others
    reviewer_rows : rows by which several reviewers of it differ (`uncertainty.disagreement`); None where that is not known
    """

    status: Status
    date: datetime
    model_version: str | None = None
    correction: str | None = None
    reviewer_rows: float | None = None

    @property
    def source(self) -> str:
        if self.status == "reviewed":
            return f"reviewer, {self.correction}"
        return "annotation" if self.status == "imported" else f"model {self.model_version}"


@dataclass(frozen=True)
class Assumptions:
    """The physics that a product states: the medium, how far it may be off, how far people's lines may, annual layers.

    `ground`: the antenna lay on the surface, which is at time zero where a frame tells no other.
    """

    medium: Medium = field(default_factory=Medium.constant)
    error: MediumError = field(default_factory=MediumError)
    reviewer_rows: float = REVIEWER_ROWS
    annual: AnnualLayers | None = None
    ground: bool = False

    @property
    def statement(self) -> str:
        said = [
            f"{self.medium.statement} (one sigma: index {self.error.index:g}, density {self.error.density_kg_m3:g} kg/m3)",
            f"speed of light {LIGHT_SPEED_M_S:.0f} m/s, air n = 1",
            f"people's lines within {self.reviewer_rows:g} rows where no second person drew",
        ]
        said += ["surface at time zero where none is known: the antenna lay on it"] if self.ground else []
        return "; ".join(said + ([self.annual.statement] if self.annual else []))


class Interval(NamedTuple):
    """Half widths that hold 68 % and 95 % of the errors, in the value's unit; (lines, traces)."""

    sigma: np.ndarray
    wide: np.ndarray

    @classmethod
    def of(cls, spread: Spread, where: np.ndarray) -> "Interval":
        """The half widths where a value is; NaN elsewhere, at no cost."""
        widths = [np.full(where.shape, np.nan) for _ in range(2)]
        inside = Spread(
            *(np.broadcast_to(part, (len(part), *where.shape))[:, where] for part in (spread.sigma, spread.weight))
        )
        for width, share in zip(widths, (ONE_SIGMA, TWO_SIGMA), strict=True):
            width[where] = inside.half_width(share)
        return cls(*widths)


@dataclass(frozen=True)
class FrameProduct:
    """Lines are `horizons`, by depth; arrays are (lines, traces) or (traces,) of the uploaded file, NaN where unknown.

    `twtt_s` counts from the time zero of the file, `depth_m` from the surface: the drawn one, or where none is drawn the
    file's own. `elevation_m` and `platform_m` are above the WGS-84 ellipsoid, as far as the file's are.
    """

    frame: FrameDocument
    document: LayersDocument
    provenance: Provenance
    assumptions: Assumptions
    horizons: list[Horizon]
    gps_time_s: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    platform_m: np.ndarray
    surface_twtt_s: np.ndarray
    twtt_s: np.ndarray
    numbering: Numbering = "frame"

    # ------------------------------------------------------------------------------------------------ what it is called

    @property
    def frame_id(self) -> str:
        return self.frame.frame_id

    @property
    def campaign(self) -> str:
        return self.frame_id.split("/")[0]

    @property
    def segment(self) -> str:
        return self.frame_id.split("/")[1]

    @property
    def stem(self) -> str:
        return self.frame_id.split("/")[2]

    @property
    def by_model(self) -> bool:
        return self.provenance.status in ("accepted", "unreviewed")

    @property
    def labels(self) -> np.ndarray:
        return np.array([horizon.label for horizon in self.horizons], dtype=object)

    @property
    def numbers(self) -> np.ndarray:
        return np.array([horizon.number for horizon in self.horizons], dtype=int)

    # ------------------------------------------------------------------------------------------------ lines

    @cached_property
    def sample(self) -> np.ndarray:
        return _lines([horizon.sample for horizon in self.horizons], self.frame.file_traces)

    @cached_property
    def confidence(self) -> np.ndarray:
        return _lines([horizon.confidence for horizon in self.horizons], self.frame.file_traces)

    @cached_property
    def depth_m(self) -> np.ndarray:
        return self.assumptions.medium.depth(self.twtt_s - self.surface_twtt_s)

    @cached_property
    def surface_m(self) -> np.ndarray:
        """(traces,) elevation of the surface."""
        return surface_elevation(self.platform_m, self.surface_twtt_s)

    @property
    def elevation_m(self) -> np.ndarray:
        return np.asarray(self.surface_m - self.depth_m)

    @cached_property
    def distance_m(self) -> np.ndarray:
        return distance_along(self.latitude, self.longitude)

    @cached_property
    def utc_s(self) -> np.ndarray:
        """(traces,) seconds since 1970, UTC without leap seconds, as calendars count."""
        approximate = self.gps_time_s - gps_minus_utc(self.gps_time_s)
        return np.asarray(self.gps_time_s - gps_minus_utc(approximate))

    @property
    def date(self) -> datetime | None:
        """When the first trace with a time was recorded, UTC."""
        known = self.utc_s[np.isfinite(self.utc_s)]
        return datetime.fromtimestamp(float(known[0]), UTC) if known.size else None

    # ------------------------------------------------------------------------------------------------ what lies between

    @cached_property
    def thickness_m(self) -> np.ndarray:
        """From each line to the next below it in the trace."""
        return layer_thickness(self.depth_m)

    @cached_property
    def snow_depth_m(self) -> np.ndarray:
        """(traces,) down to the first internal layer."""
        return first_of(self.depth_m, self.numbers == 1)

    @cached_property
    def ice_thickness_m(self) -> np.ndarray:
        """(traces,) down to the bed."""
        return first_of(self.depth_m, self.labels == "bed")

    @cached_property
    def years(self) -> np.ndarray:
        """(lines,) when each line was the surface; NaN where nobody said that layers are annual."""
        annual = self.assumptions.annual
        return np.full(len(self.horizons), np.nan) if annual is None else annual.year(self.numbers)

    @cached_property
    def accumulation_m_we_a(self) -> np.ndarray:
        return self._accumulated[0]

    @cached_property
    def accumulation_years(self) -> np.ndarray:
        return self._accumulated[1]

    @cached_property
    def _accumulated(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        annual = self.assumptions.annual
        if annual is None:
            nothing = np.full(self.depth_m.shape, np.nan)
            return nothing, nothing, np.full(self.depth_m.shape, -1)
        found = annual_accumulation(self.depth_m, self.numbers, self.assumptions.medium, annual)
        return found.m_we_a, found.years, found.below

    # ------------------------------------------------------------------------------------------------ how sure

    @cached_property
    def pick_error_s(self) -> Spread:
        """Error of the lines' two-way times, s."""
        return self._in_seconds(self.pick_error_rows)

    def _in_seconds(self, rows: Spread) -> Spread:
        return rows.scaled(self.frame.framing.samples_per_row * (self.frame.dt_s or np.nan))

    def repetition_error_s(self, other: "FrameProduct") -> tuple[Spread, Spread]:
        """As `pick_error_s` and `surface_error_s`: the part that another product of the same ice does not share.

        The ice leads a model astray in the same way twice. Whatever a person drew shares nothing.
        """
        if not (self.by_model and other.by_model):
            return self.pick_error_s, self.surface_error_s
        rows = of_repetition(self.confidence, self.labels, same_radar=self.campaign == other.campaign)
        own = self._in_seconds(rows)
        return own, self._surface_error(own)

    @cached_property
    def pick_error_rows(self) -> Spread:
        """Error of the lines, rows of the picture."""
        if self.by_model:
            return of_confidence(self.confidence)
        known = self.provenance.reviewer_rows
        of_one = of_person(self.assumptions.reviewer_rows if known is None else known)
        return Spread(
            *(np.broadcast_to(part[:, None, None], (1, *self.twtt_s.shape)) for part in (of_one.sigma, of_one.weight))
        )

    @cached_property
    def depth_interval(self) -> Interval:
        surface = self.surface_error_s
        spread = depth_spread(
            self.pick_error_s, surface, self.assumptions.medium, self.assumptions.error, self.depth_m
        )  # fmt: skip
        found = Interval.of(spread, np.isfinite(self.depth_m))
        for width in found:  # the surface is where depths are counted from
            width[self.labels == "surface"] *= 0.0
        return found

    @cached_property
    def thickness_interval(self) -> Interval:
        pair = self._pair(next_below(self.depth_m))
        return Interval.of(
            pair.thickness(self.assumptions.medium, self.assumptions.error), np.isfinite(self.thickness_m)
        )

    @cached_property
    def accumulation_interval(self) -> Interval:
        value, years, below = self._accumulated
        of_mass = self._pair(below).water_equivalent(self.assumptions.medium, self.assumptions.error)
        return Interval.of(of_mass.scaled(1.0 / years), np.isfinite(value))

    def _pair(self, below: np.ndarray) -> Pair:
        """Each line, and in each trace the line `below` it."""
        upper, of_surface = self.pick_error_s, self.surface_error_s
        lower = Spread(*(np.stack([at_line(part, below) for part in parts]) for parts in (upper.sigma, upper.weight)))
        is_surface = (self.labels == "surface")[:, None]
        return Pair(
            upper_m=self.depth_m,
            lower_m=at_line(self.depth_m, below),
            upper_s=upper,
            lower_s=lower,
            surface_s=Spread(np.where(is_surface, 0.0, of_surface.sigma), of_surface.weight),
            correlation=NEIGHBOURS_CORRELATION if self.by_model else 0.0,
        )

    @cached_property
    def surface_error_s(self) -> Spread:
        """Error, s, of the surface's time in each trace, (k, 1, traces): of the drawn one, or a pixel's of the file's own."""
        return self._surface_error(self.pick_error_s)

    def _surface_error(self, drawn_s: Spread) -> Spread:
        own = self.frame.dt_s or np.nan
        pixel = own * PIXEL_ROWS * self.frame.framing.samples_per_row
        shape = (len(drawn_s.sigma), 1, self.frame.file_traces)
        sigma, weight = np.full(shape, pixel), np.full(shape, 1.0 / shape[0])
        for line in np.flatnonzero(self.labels == "surface"):
            drawn = np.isfinite(self.twtt_s[line])
            sigma[:, 0, drawn] = drawn_s.sigma[:, line, drawn]
            weight[:, 0, drawn] = drawn_s.weight[:, line, drawn]
        return Spread(sigma, weight)


def frame_product(
    document: LayersDocument, frame: FrameDocument, provenance: Provenance, assumptions: Assumptions | None = None
) -> FrameProduct:
    """The product of layers that lie on the picture of `frame`."""
    horizons = horizons_of(document, frame)
    sample = _lines([horizon.sample for horizon in horizons], frame.file_traces)
    twtt = two_way_times(sample, frame)
    surface = on_file(frame.surface_twtt_s, frame)
    for horizon, times in zip(horizons, twtt, strict=True):
        if horizon.label == "surface":
            surface = np.where(np.isfinite(times), times, surface)
    assumptions = assumptions or Assumptions()
    if assumptions.ground:
        surface = np.where(np.isfinite(surface), surface, 0.0)
    return FrameProduct(
        frame=frame,
        document=document,
        provenance=provenance,
        assumptions=assumptions,
        horizons=horizons,
        gps_time_s=on_file(frame.gps_time_s, frame),
        latitude=on_file(frame.latitude, frame),
        longitude=on_file(frame.longitude, frame),
        platform_m=on_file(frame.elevation_m, frame),
        surface_twtt_s=surface,
        twtt_s=twtt,
    )


def _lines(rows: list[np.ndarray], traces: int) -> np.ndarray:
    return np.array(rows, float).reshape(len(rows), traces)
