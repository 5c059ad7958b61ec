"""The layers document, the one form in which layers travel (`firnline.layers/1`)."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.geometry import Label, dense_rows, depth_order, first_crossing
from firnline.limits import MAX_LAYERS, MAX_PICKS, MAX_VERTICES

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


def order_by_depth(layers: list[Layer], width: int) -> list[Layer]:
    """Sort layers by depth: a layer goes before every layer that lies below it, on average, on the traces that they
    share.

    Layers that share no trace, directly or through others, are in the order of their mean rows. Layers that cross stay
    for `LayersDocument` to refuse.
    """
    rows = dense_rows([[(v.x, v.y) for v in layer.vertices] for layer in layers], width)
    return [layers[index] for index in depth_order(rows)]
