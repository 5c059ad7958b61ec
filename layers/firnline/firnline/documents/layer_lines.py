"""Lines as people draw them and as layers documents hold them: made of rows, cleaned, made to fit, or refused."""

import numpy as np

from firnline.documents.layers import Layer, Vertex
from firnline.errors import Refused
from firnline.geometry import along_track, halved, pieces, simplified
from firnline.limits import MAX_DOCUMENT_VERTICES, MAX_VERTICES

SIMPLIFIED_PX = 0.25
EDGE_SLACK_PX = 1.0
"""An editor may put a vertex on the image's outer edge, this far beyond the last pixel's centre."""


def as_layers(row: np.ndarray, like: Layer, tolerance: float = SIMPLIFIED_PX) -> list[Layer]:
    """A line's row (width,) as layers of the label and confidence of `like`, one for each of its pieces."""
    drawn = pieces(row)
    kept = simplified([np.column_stack([piece, row[piece]]) for piece in drawn], tolerance)
    return [
        like.model_copy(
            update={"vertices": [Vertex(x=float(x), y=round(float(row[x]), 3)) for x in piece[places].tolist()]}
        )
        for piece, places in zip(drawn, kept, strict=True)
    ]


def clean_polyline(vertices: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """Make a hand-drawn polyline run along the track.

    Parameters
    ----------
    vertices : (K, 2) array of x, y in the order of drawing, finite

    Returns
    -------
    (M, 2) array with x strictly increasing, inside the image, to a hundredth of a pixel; None if fewer than two traces
    remain. Vertices at the same x become one at their mean row. Raises `Refused` for a vertex more than
    `EDGE_SLACK_PX` outside.
    """
    if len(vertices) == 0:
        return None
    last = np.array([width - 1.0, height - 1.0])
    outside = np.flatnonzero(((vertices < -EDGE_SLACK_PX) | (vertices > last + EDGE_SLACK_PX)).any(axis=1))
    if outside.size:
        x, y = vertices[outside[0]]
        raise Refused(
            f"A vertex lies at x={x:g}, y={y:g}, outside the echogram of {width} x {height} pixels. "
            "Open the review again and draw inside the picture."
        )
    line = along_track(np.clip(vertices, 0, last).round(2))
    return line.round(2) if len(line) >= 2 else None


def fitting(
    polylines: list[np.ndarray], each: int = MAX_VERTICES, together: int = MAX_DOCUMENT_VERTICES
) -> list[np.ndarray]:
    """Polylines that a layers document can hold: `geometry.halved` of those given. Raises `Refused` where they are too
    rough.
    """
    fitted = halved(polylines, each, together)
    if fitted is None:
        raise Refused(
            f"The lines have {sum(map(len, polylines))} vertices, and are too rough to be drawn with the {together} that "
            "can be taken; smooth them, or leave some out."
        )
    return fitted
