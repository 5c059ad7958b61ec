"""From a hand-drawn polyline to a layer: one row at every trace, from left to right."""

import numpy as np

from firnline.errors import Refused

EDGE_SLACK_PX = 1.0
"""An editor may put a vertex on the image's outer edge, this far beyond the last pixel's centre."""


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
    x, y = np.clip(vertices, 0, last).round(2).T
    traces, where = np.unique(x, return_inverse=True)
    if len(traces) < 2:
        return None
    rows = np.bincount(where, weights=y) / np.bincount(where)
    return np.column_stack([traces, rows.round(2)])
