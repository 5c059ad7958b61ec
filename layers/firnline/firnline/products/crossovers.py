"""Where flight lines cross, and by how much the depths of one layer differ there: a check that needs no labels.

Tracks are crossed in the polar stereographic projection of their hemisphere, in which the few metres between two traces are
as straight as on the ellipsoid, to a millimetre. Depths of both lines are counted from their own surfaces through the same
medium. What that may be off by is the same for both, and is no part of a difference's uncertainty; picks and surfaces are.
Of a model's picks on both lines only the part counts that is not the same for both (`uncertainty.of_repetition`).
Between two seasons layers sink as snow falls, which is no error: the days between are told.
"""

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely
from pydantic import TypeAdapter
from pyproj import Transformer

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.errors import Refused
from firnline.products.files import PART, Unfinished
from firnline.products.frame_product import Assumptions, FrameProduct, Numbering, Provenance, frame_product
from firnline.products.segment import matches
from firnline.products.track import projection_of
from firnline.products.uncertainty import ONE_SIGMA, TWO_SIGMA, MediumError, Spread, depth_spread

LEAST_ANGLE_DEG = 5.0
"""Lines that meet at less are flown along each other, or one is the other's continuation."""
_DIRECTION_TRACES = 5
_SECONDS_A_DAY = 86_400.0
_PRODUCTS_HELD = 16
COLUMNS = (
    "crossing", "latitude", "longitude", "angle_deg", "days_between", "frame_a", "trace_a", "status_a", "source_a", "frame_b",
    "trace_b", "status_b", "source_b", "horizon_a", "horizon_b", "match_confidence", "depth_a_m", "depth_b_m", "difference_m",
    "difference_sigma_m", "difference_95_m", "elevation_a_m", "elevation_b_m", "surface_difference_m",
)  # fmt: skip
"""Differences are of b less a; `sigma` and `95` half widths that hold 68 and 95 % of the errors."""


@dataclass(frozen=True)
class Crossing:
    """Frames `one` and `other` cross at these fractional traces, at `angle_deg` from 0 to 90."""

    one: str
    other: str
    trace: float
    other_trace: float
    latitude: float
    longitude: float
    angle_deg: float


@dataclass(frozen=True)
class Difference:
    """A layer where two lines cross: its depth on both, m, and the half widths that hold 68 and 95 % of the differences that
    errors of picks make. `confidence`: that both are the same layer; of surface and bed there is one each.
    """

    horizon: str
    other_horizon: str
    confidence: float
    depth_m: float
    other_depth_m: float
    sigma_m: float
    wide_m: float

    @property
    def difference_m(self) -> float:
        return self.other_depth_m - self.depth_m


def crossings(positions: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[Crossing]:
    """Where tracks cross, in the order of their names; not where a frame crosses itself.

    positions : of each frame (latitude, longitude), (traces,) degrees each, NaN where unknown
    """
    found: list[Crossing] = []
    for projection in sorted({projection_of(latitude) for latitude, _ in positions.values() if _known(latitude)}):
        there = {name: one for name, one in positions.items() if _known(one[0]) and projection_of(one[0]) == projection}
        found += _crossings_in(there, projection)
    return sorted(found, key=lambda one: (one.one, one.other, one.trace))


def _known(latitude: np.ndarray) -> bool:
    return bool(np.isfinite(latitude).sum() >= 2)


def _crossings_in(positions: Mapping[str, tuple[np.ndarray, np.ndarray]], projection: str) -> list[Crossing]:
    to_plane = Transformer.from_crs("EPSG:4326", projection, always_xy=True)
    tracks = [_Track.of(name, *positions[name], to_plane) for name in sorted(positions)]
    lines = [track.line for track in tracks]
    tree = shapely.STRtree(lines)
    found = []
    for first, second in tree.query(lines, predicate="intersects").T.tolist():
        if first >= second:
            continue
        for point in shapely.get_parts(shapely.intersection(lines[first], lines[second])):
            if point.geom_type != "Point":
                continue
            one, other = tracks[first], tracks[second]
            trace, other_trace = one.trace_at(point), other.trace_at(point)
            angle = _angle(one.direction_at(trace), other.direction_at(other_trace))
            if angle >= LEAST_ANGLE_DEG:
                longitude, latitude = to_plane.transform(point.x, point.y, direction="INVERSE")
                found.append(Crossing(one.name, other.name, trace, other_trace, latitude, longitude, angle))
    return found


@dataclass(frozen=True)
class _Track:
    """A frame's track in the plane: `trace` (points,) of its known positions, `xy` (points, 2) m."""

    name: str
    trace: np.ndarray
    xy: np.ndarray
    line: shapely.LineString

    @classmethod
    def of(cls, name: str, latitude: np.ndarray, longitude: np.ndarray, to_plane: Transformer) -> "_Track":
        known = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
        xy = np.column_stack(to_plane.transform(longitude[known], latitude[known]))
        return cls(name, known, xy, shapely.linestrings(xy))

    def trace_at(self, point: shapely.Point) -> float:
        """The fractional trace of a point on the track."""
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.xy, axis=0).T))])
        return float(np.interp(self.line.project(point), along, self.trace))

    def direction_at(self, trace: float) -> np.ndarray:
        place = int(np.searchsorted(self.trace, trace))
        first, last = max(0, place - _DIRECTION_TRACES), min(len(self.trace) - 1, place + _DIRECTION_TRACES)
        return np.asarray(self.xy[last] - self.xy[first])


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees, 0 to 90, between two directions."""
    lengths = float(np.hypot(*one) * np.hypot(*other))
    return float(np.degrees(np.arccos(min(1.0, abs(float(one @ other)) / lengths)))) if lengths else 0.0


def differences(one: FrameProduct, trace: float, other: FrameProduct, other_trace: float) -> list[Difference]:
    """What two frames say of the same place: each layer that both show, and the bed."""
    here, there = _Place.of(one, trace), _Place.of(other, other_trace)
    layers, others = here.rows("layer"), there.rows("layer")
    matched = matches(here.below[layers], here.off[layers], there.below[others], there.off[others]) or []
    pairs = [(layers[line], others[again], confidence) for line, again, confidence in matched]
    pairs += [(bed, again, 1.0) for bed in here.rows("bed") for again in there.rows("bed")]
    found = []
    for row, again, confidence in pairs:
        spread = here.spread(row, other) + there.spread(again, one)
        sigma, wide = (float(spread.half_width(share)) for share in (ONE_SIGMA, TWO_SIGMA))
        found.append(
            Difference(
                one.horizons[row].name, other.horizons[again].name, confidence, float(here.depth[row]), float(there.depth[again]),
                sigma, wide,
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class _Place:
    """A frame at a fractional trace: (lines,) depth m, two-way s below the surface and its standard deviation, NaN where a line
    is not drawn on both sides of it.
    """

    product: FrameProduct
    nearest: int
    depth: np.ndarray
    below: np.ndarray
    off: np.ndarray

    @classmethod
    def of(cls, product: FrameProduct, trace: float) -> "_Place":
        left = min(int(np.floor(trace)), product.frame.file_traces - 2)
        share, nearest = trace - left, round(trace)

        def between(values: np.ndarray) -> np.ndarray:
            return np.asarray(values[:, left] * (1 - share) + values[:, left + 1] * share)

        below = product.twtt_s - product.surface_twtt_s
        off = np.hypot(
            product.pick_error_s.standard_deviation[:, nearest], product.surface_error_s.standard_deviation[:, nearest]
        )
        return cls(product, nearest, between(product.depth_m), between(below), off)

    def rows(self, label: str) -> list[int]:
        """The lines of a kind that are drawn here, from above to below."""
        drawn = np.flatnonzero((self.product.labels == label) & np.isfinite(self.depth) & (self.below > 0))
        return [int(row) for row in drawn[np.argsort(self.below[drawn], kind="stable")]]

    def spread(self, row: int, other: FrameProduct) -> Spread:
        """Error, m, of a line's depth here, the medium's apart, and what `other` shares of it."""
        own, of_surface = self.product.repetition_error_s(other)
        pick, surface = (
            Spread(*(part[:, line, self.nearest] for part in np.broadcast_arrays(error.sigma, error.weight)))
            for error, line in ((own, row), (of_surface, 0))
        )
        medium = self.product.assumptions.medium
        return depth_spread(pick, surface, medium, MediumError(), np.array(self.depth[row]))


class Crossovers:
    """`crossovers.csv`: a row for each layer and bed where two frames cross.

    Positions of all frames are held in memory; their lines wait on the disk until it is known which of them cross.
    """

    def __init__(self, folder: Path, assumptions: Assumptions) -> None:
        self._file = Unfinished(folder / "crossovers.csv")
        self._waiting = folder / f"{PART}crossovers"
        shutil.rmtree(self._waiting, ignore_errors=True)
        self._waiting.mkdir(parents=True)
        self._assumptions = assumptions
        self._positions: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._places: dict[str, int] = {}
        self.sentences: list[str] = []

    def add(self, product: FrameProduct) -> None:
        if not _known(product.latitude) or not _known(product.longitude):
            raise Refused("it has no two traces with a position, so it crosses nothing")
        self._positions[product.frame_id] = product.latitude, product.longitude
        self._places[product.frame_id] = len(self._places)
        waiting = _Waiting(
            product.frame, product.document, product.provenance, product.numbering,
            [(horizon.number, float(np.nan_to_num(horizon.join, nan=-1.0))) for horizon in product.horizons],
        )  # fmt: skip
        self._path(product.frame_id).write_bytes(_WAITING.dump_json(waiting, by_alias=True))

    def close(self) -> list[Path]:
        product = lru_cache(maxsize=_PRODUCTS_HELD)(self._product)
        found = crossings(self._positions)
        told: list[Difference] = []
        with self._file.part.open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for number, crossing in enumerate(found, start=1):
                one, other = product(crossing.one), product(crossing.other)
                for difference in differences(one, crossing.trace, other, crossing.other_trace):
                    writer.writerow(_row(number, crossing, one, other, difference))
                    told.append(difference)
        shutil.rmtree(self._waiting)
        self.sentences = [_summary(len(found), told)]
        return [self._file.finish()]

    def _path(self, frame_id: str) -> Path:
        return self._waiting / f"{self._places[frame_id]}.json"

    def _product(self, frame_id: str) -> FrameProduct:
        waiting = _WAITING.validate_json(self._path(frame_id).read_bytes())
        product = frame_product(waiting.document, waiting.frame, waiting.provenance, self._assumptions)
        horizons = [
            horizon.along(number, np.nan if join < 0 else join)
            for horizon, (number, join) in zip(product.horizons, waiting.numbers, strict=True)
        ]
        return replace(product, horizons=horizons, numbering=waiting.numbering)


@dataclass(frozen=True)
class _Waiting:
    """What a frame's product is made of again; `numbers` of each horizon its number and the join's confidence, -1 for none."""

    frame: FrameDocument
    document: LayersDocument
    provenance: Provenance
    numbering: Numbering
    numbers: list[tuple[int, float]]


_WAITING = TypeAdapter(_Waiting)


def _row(
    number: int, crossing: Crossing, one: FrameProduct, other: FrameProduct, difference: Difference
) -> list[str | int]:
    surfaces = [
        float(np.interp(trace, np.arange(product.surface_m.size), product.surface_m))
        for product, trace in ((one, crossing.trace), (other, crossing.other_trace))
    ]
    times = [
        float(np.nanmedian(product.utc_s)) if np.isfinite(product.utc_s).any() else np.nan for product in (one, other)
    ]
    return [
        number, f"{crossing.latitude:.7f}", f"{crossing.longitude:.7f}", f"{crossing.angle_deg:.1f}",
        _text((times[1] - times[0]) / _SECONDS_A_DAY, 2),
        one.frame_id, f"{crossing.trace:.2f}", one.provenance.status, one.provenance.source,
        other.frame_id, f"{crossing.other_trace:.2f}", other.provenance.status, other.provenance.source,
        difference.horizon, difference.other_horizon, f"{difference.confidence:.4f}",
        f"{difference.depth_m:.4f}", f"{difference.other_depth_m:.4f}", f"{difference.difference_m:.4f}",
        f"{difference.sigma_m:.4f}", f"{difference.wide_m:.4f}", _text(surfaces[0] - difference.depth_m, 3),
        _text(surfaces[1] - difference.other_depth_m, 3), _text(surfaces[1] - surfaces[0], 3),
    ]  # fmt: skip


def _text(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else ""


def _summary(crossed: int, told: Sequence[Difference]) -> str:
    if not told:
        return f"flight lines cross {crossed} times, and nowhere do both lines of a crossing show the same layer"
    apart = np.abs([one.difference_m for one in told])
    within = [float(np.mean(apart <= [getattr(one, name) for one in told])) for name in ("sigma_m", "wide_m")]
    return (
        f"flight lines cross {crossed} times; {len(told)} depths of layers and beds differ there by {np.median(apart):.2f} m in the "
        f"median, {within[0]:.0%} within their 68 % and {within[1]:.0%} within their 95 %"
    )
