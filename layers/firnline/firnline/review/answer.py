"""From what a reviewer submitted to layers."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from firnline.documents.layer_lines import clean_polyline, fitting
from firnline.documents.layers import Finite, ImageSize, Layer, LayersDocument, Source, Vertex, order_by_depth
from firnline.errors import Refused
from firnline.geometry import Label
from firnline.limits import MAX_LAYERS, MAX_PICKS


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Vertex(_Lenient):
    x: Finite
    y: Finite


class _Polyline(_Lenient):
    label: Label
    vertices: list[_Vertex]


class _Drawing(_Lenient):
    inputImageProperties: ImageSize | None = None
    polylines: Annotated[list[_Polyline], Field(max_length=2 * MAX_LAYERS)]


class _Checkbox(_Lenient):
    on: bool


class AnswerContent(_Lenient):
    """`answerContent`: the drawing and crowd-checkbox's tick, each under its element's name.

    crowd-polyline gives the drawing as an object. layer-editor inside AWS's crowd-form gives it as the text of a hidden
    input, and so as JSON in a string.
    """

    annotatedResult: _Drawing
    all_layers_drawn: _Checkbox | None = None

    @field_validator("annotatedResult", mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("it is text, but not JSON") from None


@dataclass(frozen=True)
class Drawing:
    """`dropped` polylines had fewer than two vertices at different traces."""

    layers: list[Layer]
    coverage: Literal["complete", "partial"]
    dropped: int


def read_answer(content: Any, width: int, height: int) -> Drawing:
    """Check and clean one answer to a task on an echogram of `width` x `height` pixels.

    Raises `Refused` with a sentence for whatever cannot be used: no drawing, another picture's size, a vertex outside,
    crossing layers. Of more vertices than a document can hold, those that bend the lines most are kept. An answer
    without layers is valid if the reviewer says that nothing is missing.
    """
    try:
        answer = AnswerContent.model_validate(content)
    except ValidationError as error:
        raise Refused(f"The answer has not the form of a drawing: {first_problem(error)}.") from error
    size = answer.annotatedResult.inputImageProperties
    if size and (size.width, size.height) != (width, height):
        raise Refused(
            f"The answer was drawn on a picture of {size.width} x {size.height} pixels, "
            f"but the echogram has {width} x {height}."
        )
    polylines = answer.annotatedResult.polylines
    cleaned = [
        (line.label, clean_polyline(np.array([(v.x, v.y) for v in line.vertices]).reshape(-1, 2), width, height))
        for line in polylines
    ]
    lines = [(label, line) for label, line in cleaned if line is not None]
    most = min(MAX_LAYERS, MAX_PICKS // width)
    if len(lines) > most:
        raise Refused(f"The answer has {len(lines)} lines; at most {most} can be taken. Join or delete some.")
    layers = [
        Layer(label=label, vertices=[Vertex(x=x, y=y) for x, y in line.tolist()])
        for (label, _), line in zip(lines, fitting([line for _, line in lines]), strict=True)
    ]
    complete = answer.all_layers_drawn is None or answer.all_layers_drawn.on
    if not layers and (polylines or not complete):
        raise Refused(
            "The answer has no line to learn from. Draw at least one layer, or, if the echogram shows none, "
            "delete all lines and leave the box 'every visible layer has a line' checked."
        )
    drawing = Drawing(
        order_by_depth(layers, width), "complete" if complete else "partial", len(polylines) - len(layers)
    )
    as_document(drawing, "", width, height, Source(kind="human", created=datetime.now(UTC)))
    return drawing


def as_document(drawing: Drawing, frame_id: str, width: int, height: int, source: Source) -> LayersDocument:
    """The layers document of a drawing; `Refused` if its layers cross."""
    try:
        return LayersDocument(
            frame_id=frame_id, image=ImageSize(width=width, height=height), source=source,
            coverage=drawing.coverage, layers=drawing.layers,
        )  # fmt: skip
    except ValidationError as error:
        raise Refused(f"The drawing cannot be used: {first_problem(error)}.") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that Pydantic found wrong, in one line."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"].removeprefix("Value error, ")
