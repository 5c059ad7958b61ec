"""What a reviewer's task is given: A2I's InputContent."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from firnline.documents.layers import Layer, LayersDocument
from firnline.geometry import LABELS, simplified
from firnline.limits import MAX_TASK_BYTES
from firnline.review.axes import Axes

FINEST_TOLERANCE_PX = 0.35
"""Finer than a hand can place, and coarse enough to leave out most vertices of a line that was traced pixel by pixel."""


def polyline(layer: Layer, tolerance_px: float) -> dict[str, Any]:
    """A layer as crowd-polyline has it, pixels to a tenth; no row moves by more than `tolerance_px` before that."""
    line = np.array([(vertex.x, vertex.y) for vertex in layer.vertices])
    kept = line[simplified([line], tolerance_px)[0]]
    return {"label": layer.label, "vertices": [{"x": round(x, 1), "y": round(y, 1)} for x, y in kept.tolist()]}


def input_content(
    predicted: LayersDocument,
    *,
    revision: str,
    reason: str,
    model_output_image: str,
    labeled_image: str,
    unlabeled_image: str,
    polarity: str | None = None,
    annotation: LayersDocument | None = None,
    axes: Axes | None = None,
    limit: int = MAX_TASK_BYTES,
) -> dict[str, Any]:
    """InputContent of the task that reviews a prediction; the images are s3:// addresses.

    `polarity` is what to tell of how an uploaded picture was read, if it was one, `annotation` the lines that came with
    the frame, and `axes` what its picture measures.

    Where the lines would make it longer than `limit` characters, they are simplified, twice as coarsely each time,
    until it fits; `simplified_px` says how far a row may have moved.
    """
    content: dict[str, Any] = {
        "frame_id": predicted.frame_id,
        "revision": revision,
        "model_version": predicted.source.model_version,
        "confidence": predicted.confidence,
        "reason": reason,
        "image": predicted.image.model_dump(),
        "labels": list(LABELS),
        "model_output_image": model_output_image,
        "labeled_image": labeled_image,
        "unlabeled_image": unlabeled_image,
    }
    if polarity:
        content["polarity"] = polarity
    if axes:
        content["axes"] = axes
    content["line_confidence"] = [layer.confidence for layer in predicted.layers]
    shown = {"a2i_json": predicted} | ({"annotation_json": annotation} if annotation else {})

    def simplified_by(tolerance: float) -> dict[str, Any]:
        return content | {
            name: {"polylines": [polyline(layer, tolerance) for layer in document.layers]}
            for name, document in shown.items()
        }

    return fitting(simplified_by, limit, predicted.image.height)


def fitting(simplified_by: Callable[[float], dict[str, Any]], limit: int, coarsest: float) -> dict[str, Any]:
    """What a task shows with lines simplified by a tolerance in rows, twice as coarsely each time until it has `limit`
    characters at most; `simplified_px` says by how much. Beyond `coarsest`, where lines have their ends alone, it stays as it is.
    """
    tolerance = FINEST_TOLERANCE_PX
    while True:
        content = simplified_by(tolerance) | {"simplified_px": tolerance}
        if len(json.dumps(content)) <= limit or tolerance > coarsest:
            return content
        tolerance *= 2
