"""Polylines with fewer vertices, where there are more than a layers document can hold."""

import numpy as np

from firnline.errors import Refused
from firnline.limits import MAX_DOCUMENT_VERTICES, MAX_VERTICES

FINEST_TOLERANCE_PX, COARSEST_TOLERANCE_PX = 0.02, 1.5
"""Tolerances, px: from what nobody can see to what a hand misses."""
_LONGEST_PART = 256
_MOST_TO_SIMPLIFY = 20
"""Lines with more than this many times the vertices that they may have are not even tried: that would take too long."""


def fitting(
    polylines: list[np.ndarray], each: int = MAX_VERTICES, together: int = MAX_DOCUMENT_VERTICES
) -> list[np.ndarray]:
    """Polylines of at most `each` vertices, and `together` of all, as near to those given as that allows.

    Parameters
    ----------
    polylines : (K, 2) arrays of x, y with x strictly increasing, K >= 2

    Returns
    -------
    (M, 2) arrays of their vertices, first and last kept, in the same order. Polylines that fit are not changed.
    Otherwise no row of a line moves by more than a tolerance, which is doubled until they fit. Raises `Refused` where that takes more
    than `COARSEST_TOLERANCE_PX`.

    A line is halved until each part is as straight as the tolerance asks, which leaves a few more vertices than
    Douglas & Peucker's splitting at the farthest one does, but takes n log n steps whatever the line.
    """
    count = sum(map(len, polylines))
    if max(map(len, polylines), default=0) <= each and count <= together:
        return polylines
    if count > _MOST_TO_SIMPLIFY * together:
        raise _too_many(count, together)
    errors = [_chord_errors(line) for line in polylines]
    tolerance = FINEST_TOLERANCE_PX
    while tolerance <= COARSEST_TOLERANCE_PX:
        kept = [_ends(levels, len(line), tolerance) for levels, line in zip(errors, polylines, strict=True)]
        if max(map(len, kept)) <= each and sum(map(len, kept)) <= together:
            return [line[places] for places, line in zip(kept, polylines, strict=True)]
        tolerance *= 2
    raise _too_many(count, together)


def _too_many(count: int, together: int) -> Refused:
    return Refused(
        f"The lines have {count} vertices, and are too rough to be drawn with the {together} that can be taken; smooth "
        "them, or leave some out."
    )


def _chord_errors(line: np.ndarray) -> list[np.ndarray]:
    """How far, in rows, a line lies from the chord of each of its parts of 2, 4, 8, ... steps."""
    x, y = line.T
    last = len(line) - 1
    steps = np.arange(len(line))
    levels, size = [], 2
    while size < min(2 * last, 2 * _LONGEST_PART):
        starts = np.arange(0, last, size)
        ends = np.minimum(starts + size, last)
        slopes = (y[ends] - y[starts]) / (x[ends] - x[starts])
        part = np.minimum(steps // size, len(starts) - 1)
        off = np.abs(y - y[starts][part] - slopes[part] * (x - x[starts][part]))
        levels.append(np.maximum.reduceat(off, starts))
        size *= 2
    return levels


def _ends(levels: list[np.ndarray], count: int, tolerance: float) -> np.ndarray:
    """The places of the vertices that remain: the ends of the longest parts that are straight."""
    last = count - 1
    keep = np.ones(count, dtype=bool)
    for level, errors in enumerate(levels):
        size = 2 ** (level + 1)
        inner = np.repeat(errors <= tolerance, size)[:last]
        middle = np.arange(last) % size != 0
        keep[:last] &= ~(inner & middle)
    return np.flatnonzero(keep)
