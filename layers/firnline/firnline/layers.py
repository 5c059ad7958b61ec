"""The layers document, the one form in which layers travel (`firnline.layers/1`)."""

from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Label = Literal["surface", "layer", "bed"]
LABELS: tuple[Label, ...] = ("surface", "layer", "bed")
KINDS: dict[str, int] = {label: kind for kind, label in enumerate(LABELS)}

MAX_LAYERS = 1_000
MAX_VERTICES = 20_000
MAX_DOCUMENT_BYTES = 6_291_456
CROSSING_TOLERANCE_PX = 0.5
"""Rounding by an editor may push touching layers past each other by this much without anyone having crossed them."""

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
    depth = [np.nanmean(row) if np.isfinite(row).any() else layers[i].vertices[0].y for i, row in enumerate(rows)]
    above: dict[int, set[int]] = {index: set() for index in range(len(layers))}
    for upper in range(len(layers)):
        difference = rows - rows[upper]
        shared = np.isfinite(difference)
        sums = np.where(shared, difference, 0).sum(axis=1)
        for lower in np.flatnonzero(shared.any(axis=1) & (sums > 0)):
            above[int(lower)].add(upper)
    sorter = TopologicalSorter(above)
    try:
        sorter.prepare()
    except CycleError:
        return [layers[i] for i in np.argsort(depth, kind="stable")]
    ordered: list[int] = []
    ready: list[int] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        ready.sort(key=lambda index: depth[index])
        ordered.append(ready.pop(0))
        sorter.done(ordered[-1])
    return [layers[i] for i in ordered]
