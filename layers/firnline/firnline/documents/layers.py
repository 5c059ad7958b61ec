"""The layers document, the one form in which layers travel (`firnline.layers/1`)."""

from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.limits import MAX_LAYERS, MAX_PICKS, MAX_VERTICES

Label = Literal["surface", "layer", "bed"]
LABELS: tuple[Label, ...] = ("surface", "layer", "bed")
KINDS: dict[str, int] = {label: kind for kind, label in enumerate(LABELS)}

CROSSING_TOLERANCE_PX = 0.5
"""Rounding by an editor may push touching layers past each other by this much; that is no crossing."""

_TRACES_AT_ONCE = 2_048
_ROUNDING = 1e-12
_COMPARISONS = 200_000_000

Finite = Annotated[float, Field(allow_inf_nan=False)]
Confidence = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Vertex(_Strict):
    """x = trace index, y = row index (fast time, downwards), zero-based pixel centres."""

    x: Finite
    y: Finite


class Layer(_Strict):
    label: Label
    confidence: Confidence | None = None
    vertices: Annotated[list[Vertex], Field(min_length=2, max_length=MAX_VERTICES)]

    @model_validator(mode="after")
    def _runs_along_the_track(self) -> "Layer":
        x = [vertex.x for vertex in self.vertices]
        if any(after <= before for before, after in pairwise(x)):
            raise ValueError(
                "the vertices of a layer must go from left to right, each at a greater x than the one before"
            )
        return self


class ImageSize(_Strict):
    width: Annotated[int, Field(ge=2, le=100_000)]
    height: Annotated[int, Field(ge=2, le=100_000)]


class Source(_Strict):
    kind: Literal["model", "human", "import"]
    model_version: str | None = None
    review: str | None = None
    created: datetime


class LayersDocument(_Strict):
    schema_: Literal["firnline.layers/1"] = Field(default="firnline.layers/1", alias="schema")
    frame_id: str
    image: ImageSize
    source: Source
    coverage: Literal["complete", "partial"]
    confidence: Confidence | None = None
    layers: Annotated[list[Layer], Field(max_length=MAX_LAYERS)]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=())

    @model_validator(mode="after")
    def _geometry(self) -> "LayersDocument":
        if len(self.layers) * self.image.width > MAX_PICKS:
            raise ValueError(
                f"{len(self.layers)} layers on {self.image.width} traces are too many; at most "
                f"{MAX_PICKS // self.image.width} can be taken on so wide an image"
            )
        for number, layer in enumerate(self.layers, start=1):
            for vertex in layer.vertices:
                if not (-0.5 <= vertex.x <= self.image.width - 0.5 and -0.5 <= vertex.y <= self.image.height - 0.5):
                    raise ValueError(
                        f"layer {number} has a vertex at x={vertex.x:g}, y={vertex.y:g}, outside the image of "
                        f"{self.image.width} x {self.image.height} pixels"
                    )
        crossing = first_crossing(self.rows())
        if crossing is not None:
            upper, lower, trace = crossing
            raise ValueError(
                f"layers {upper + 1} and {lower + 1} cross at trace {trace}; layers must be in order of depth"
            )
        return self

    def rows(self) -> np.ndarray:
        """The layers in dense form: (layers, width) float array of row indices, NaN where a layer has no line."""
        return dense_rows([[(v.x, v.y) for v in layer.vertices] for layer in self.layers], self.image.width)

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode()


def now() -> datetime:
    return datetime.now(UTC)


def dense_rows(polylines: list[list[tuple[float, float]]], width: int) -> np.ndarray:
    """Interpolate polylines at every trace.

    Parameters
    ----------
    polylines : lists of (x, y) with x strictly increasing

    Returns
    -------
    (len(polylines), width) float array of y, NaN outside each polyline's own x range (half a trace of slack at the
    ends).
    """
    rows = np.full((len(polylines), width), np.nan)
    traces = np.arange(width, dtype=float)
    for row, polyline in zip(rows, polylines, strict=True):
        x, y = np.asarray(polyline, dtype=float).T
        inside = (traces >= x[0] - 0.5) & (traces <= x[-1] + 0.5)
        row[inside] = np.interp(traces[inside], x, y)
    return rows


def first_crossing(rows: np.ndarray, tolerance: float = CROSSING_TOLERANCE_PX) -> tuple[int, int, int] | None:
    """The first (upper layer, lower layer, trace) at which an upper layer lies below a lower one by more than
    `tolerance` rows.

    `rows` is (layers, width) with NaN gaps; every pair is compared, not only neighbours, since a gap may hide a
    crossing.
    """
    deepest = np.full(rows.shape[1], -np.inf)
    owner = np.zeros(rows.shape[1], dtype=int)
    for index, row in enumerate(rows):
        drawn = ~np.isnan(row)
        crossed = np.flatnonzero(drawn & (row < deepest - tolerance))
        if crossed.size:
            return int(owner[crossed[0]]), index, int(crossed[0])
        deeper = drawn & (row >= deepest)
        deepest[deeper] = row[deeper]
        owner[deeper] = index
    return None


def order_by_depth(layers: list[Layer], width: int) -> list[Layer]:
    """Sort layers by depth: a layer goes before every layer that lies below it, on average, on the traces that they
    share.

    Layers that share no trace, directly or through others, are in the order of their mean rows. Layers that cross stay
    for `LayersDocument` to refuse.
    """
    rows = dense_rows([[(v.x, v.y) for v in layer.vertices] for layer in layers], width)
    return [layers[index] for index in depth_order(rows)]


def depth_order(rows: np.ndarray) -> list[int]:
    """The order of `rows`, (layers, width) with NaN in gaps, from above to below; `order_by_depth` says which that is.

    The sums of all pairs' differences are computed as two products of matrices, in blocks of traces. 1,000 layers of 8,000
    traces take seconds, and no more memory than the rows.
    """
    count = len(rows)
    sums, shared = np.zeros((count, count)), np.zeros((count, count), dtype=np.float32)
    depth = np.empty(count)
    for index, row in enumerate(rows):
        drawn = np.isfinite(row)
        depth[index] = row[drawn].mean() if drawn.any() else np.inf
    for start in range(0, rows.shape[1], _TRACES_AT_ONCE):
        block = rows[:, start : start + _TRACES_AT_ONCE]
        drawn = np.isfinite(block)
        mask = drawn.astype(float)
        sums += np.where(drawn, block, 0.0) @ mask.T
        shared += drawn.astype(np.float32) @ drawn.astype(np.float32).T
    # A sum of differences this small is a rounding error, and tells nothing of the order.
    return _sorted((sums.T - sums > _ROUNDING * np.maximum(sums, sums.T)) & (shared > 0), depth)


def majority_order(rows: np.ndarray) -> list[int]:
    """The order of `rows`, (layers, traces) with NaN in gaps, on most of their traces, however far single picks stray."""
    drawn = np.isfinite(rows)
    counts = drawn.sum(axis=1)
    sums = np.where(drawn, rows, 0.0).sum(axis=1)
    depth = np.divide(sums, counts, out=np.full(len(rows), np.inf), where=counts > 0)
    return _sorted(mostly_below(rows) > 0, depth)


def mostly_below(rows: np.ndarray) -> np.ndarray:
    """(layers, layers) array: in [i, j], on how many more traces j lies below i than above it.

    Where there are very many pairs, evenly spaced traces stand for all.
    """
    rows = rows[:, :: max(1, len(rows) * rows.size // _COMPARISONS)]
    below = np.empty((len(rows), len(rows)))
    with np.errstate(invalid="ignore"):
        for index, row in enumerate(rows):
            below[index] = (rows > row).sum(axis=1) - (rows < row).sum(axis=1)
    return below


def _sorted(above: np.ndarray, depth: np.ndarray) -> list[int]:
    """An order in which i comes before j wherever `above[i, j]`, and else the lesser depth first; by depth alone if
    there is none."""
    sorter = TopologicalSorter({index: set(np.flatnonzero(column).tolist()) for index, column in enumerate(above.T)})
    try:
        sorter.prepare()
    except CycleError:
        return np.argsort(depth, kind="stable").tolist()
    ordered: list[int] = []
    ready: list[tuple[float, int]] = []
    while sorter.is_active():
        for index in sorter.get_ready():
            heappush(ready, (float(depth[index]), index))
        ordered.append(heappop(ready)[1])
        sorter.done(ordered[-1])
    return ordered
