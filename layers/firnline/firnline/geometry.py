"""Rows along the track as polylines with few vertices."""

import numpy as np

from firnline.documents.layers import Layer, Vertex

SIMPLIFIED_PX = 0.25
_SHORTEST_PIECE = 2


def pieces(row: np.ndarray) -> list[np.ndarray]:
    """Columns of each piece of a line (width,) with NaN in its gaps; a single column is no line."""
    columns = np.flatnonzero(np.isfinite(row))
    parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return [part for part in parts if part.size >= _SHORTEST_PIECE]


def simplified(x: np.ndarray, y: np.ndarray, tolerance: float = SIMPLIFIED_PX) -> np.ndarray:
    """The values of `x` (n,), increasing, between which straight lines stay within `tolerance` of `y` (Douglas and Peucker
    1973, with the distance along y)."""
    kept = np.zeros(x.size, bool)
    kept[[0, -1]] = True
    pending = [(0, x.size - 1)]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        between = slice(first + 1, last)
        off = np.abs(y[between] - np.interp(x[between], x[[first, last]], y[[first, last]]))
        worst = first + 1 + int(np.argmax(off))
        if off[worst - first - 1] > tolerance:
            kept[worst] = True
            pending += [(first, worst), (worst, last)]
    return x[kept]


def as_layers(row: np.ndarray, like: Layer, tolerance: float = SIMPLIFIED_PX) -> list[Layer]:
    """A line (width,) as layers of the label and confidence of `like`, one for each of its pieces."""
    return [
        like.model_copy(
            update={
                "vertices": [
                    Vertex(x=float(x), y=round(float(row[x]), 3)) for x in simplified(piece, row[piece], tolerance)
                ]
            }
        )
        for piece in pieces(row)
    ]
