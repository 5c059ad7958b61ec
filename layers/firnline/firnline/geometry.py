"""Lines along the track: polylines, rows, and what their order and their crossings are.

A *polyline* is a (K, 2) array of x, y: trace and row in pixels, fractional, with x strictly increasing. *Rows* are a
(lines, traces) float array, the row of each line in each trace, NaN where it has none.

The model's code is shipped with this module (`firnline.SHARED_WITH_MODEL`): NumPy only, Python 3.8 syntax.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Literal, get_args

import numpy as np

Label = Literal["surface", "layer", "bed"]
LABELS: tuple[Label, ...] = get_args(Label)
"""What a line can be. In arrays its kind stands for it, the place in this tuple."""
SURFACE, LAYER, BED = range(len(LABELS))
KINDS: dict[str, int] = {label: kind for kind, label in enumerate(LABELS)}

CROSSING_TOLERANCE_PX = 0.5
"""Rounding by an editor may push touching lines past each other by this much without anyone having crossed them."""
BEYOND_ITS_END = 0.5
"""Traces by which a line reaches beyond its first and last vertex: to the edge of a trace whose centre it misses."""
SHORTEST_PIECE = 2
"""Traces of a line; one alone has no direction, and a polyline needs two vertices."""

FINEST_TOLERANCE_PX, COARSEST_TOLERANCE_PX = 0.02, 1.5
"""From what nobody can see to what a hand misses."""
_LONGEST_PART = 256
_MOST_TO_SIMPLIFY = 20
"""Lines with more than this many times the vertices that they may have are not even tried: that would take too long."""

_TRACES_AT_ONCE = 2_048
_ROUNDING = 1e-12
_COMPARISONS = 200_000_000


# ------------------------------------------------------------------------------------------------ polylines and rows


def dense_rows(polylines: Sequence[Sequence[tuple[float, float]] | np.ndarray], width: int) -> np.ndarray:
    """Rows (lines, width) of polylines, linear between their vertices.

    A line has a row in each trace between its first and its last vertex, and in those whose centre it misses by
    `BEYOND_ITS_END` at most: there the row of that vertex. A polyline without vertices has none.
    """
    rows = np.full((len(polylines), width), np.nan)
    traces = np.arange(width, dtype=float)
    for row, polyline in zip(rows, polylines):
        if len(polyline):
            x, y = np.asarray(polyline, dtype=float).T
            inside = (traces >= x[0] - BEYOND_ITS_END) & (traces <= x[-1] + BEYOND_ITS_END)
            row[inside] = np.interp(traces[inside], x, y)
    return rows


def pieces(row: np.ndarray, longest_gap: int = 0) -> list[np.ndarray]:
    """Traces of each piece of a line's row (width,), which gaps of more than `longest_gap` traces part.

    A piece of fewer than `SHORTEST_PIECE` traces is no line, and left out.
    """
    traces = np.flatnonzero(np.isfinite(row))
    parts = np.split(traces, np.flatnonzero(np.diff(traces) > longest_gap + 1) + 1)
    return [part for part in parts if part.size >= SHORTEST_PIECE]


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of each run of True in a (n,) bool array; `end` is the first place after it."""
    padded = np.zeros(mask.size + 2, bool)
    padded[1:-1] = mask
    edges = (padded[1:] != padded[:-1]).nonzero()[0].tolist()
    return list(zip(edges[::2], edges[1::2]))


def bridged(mask: np.ndarray, gap: int) -> np.ndarray:
    """A (n,) bool array without its inner runs of False of `gap` places or fewer."""
    mask = mask.copy()
    for start, end in runs(~mask):
        if start > 0 and end < mask.size and end - start <= gap:
            mask[start:end] = True
    return mask


def along_track(vertices: np.ndarray) -> np.ndarray:
    """Vertices (K, 2) in any order as a polyline; those at the same x become one at their mean row."""
    traces, where = np.unique(vertices[:, 0], return_inverse=True)
    return np.column_stack([traces, np.bincount(where, weights=vertices[:, 1]) / np.bincount(where)])


def kinds_of(labels: Iterable[str]) -> np.ndarray:
    """Kinds (n,) int of n labels."""
    return np.array([KINDS[label] for label in labels], dtype=int)


# ------------------------------------------------------------------------------------------------ fewer vertices


def simplified(polylines: Sequence[np.ndarray], tolerance: float, thinned: bool = False) -> list[np.ndarray]:
    """Places (M,) int of the vertices, between which straight lines stay within `tolerance` rows of each polyline.

    A line is split where it strays most (Ramer 1972; Douglas & Peucker 1973, with the distance taken along the rows,
    since a line is a function of the trace); all polylines at once, for each has few vertices and NumPy likes many.
    `thinned` also drops vertices that later splits made needless, in four passes over every second one.
    """
    if not polylines:
        return []
    sizes = np.array([len(line) for line in polylines])
    x, y = np.concatenate(polylines).astype(float).T
    ends = np.cumsum(sizes)
    fixed = np.zeros(ends[-1], bool)
    fixed[ends - 1] = fixed[ends - sizes] = True
    vertex = fixed.copy()
    first, last = ends - sizes, ends - 1
    while first.size:
        longer = last - first > 1
        first, last = first[longer], last[longer]
        off, middle = _farthest(x, y, first, last)
        astray = off > tolerance
        middle = middle[astray]
        vertex[middle] = True
        first, last = np.concatenate([first[astray], middle]), np.concatenate([middle, last[astray]])
    for parity in (0, 1, 0, 1) if thinned else ():  # no two neighbours at once
        tried = np.flatnonzero(vertex)[parity::2]
        tried = tried[~fixed[tried]]
        without = vertex.copy()
        without[tried] = False
        others = np.flatnonzero(without)
        after = np.searchsorted(others, tried)
        off, _ = _farthest(x, y, others[after - 1], others[after])
        vertex[tried[off <= tolerance]] = False
    places = np.flatnonzero(vertex)
    counts = np.add.reduceat(vertex, ends - sizes, dtype=int)
    return np.split(places - np.repeat(ends - sizes, counts), np.cumsum(counts)[:-1])


def _farthest(x: np.ndarray, y: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far, in rows, the points of each stretch `first[i]` to `last[i]` lie from the straight line between these two,
    at most, and the place of the first that lies so far: (n,) each.
    """
    if not first.size:
        return np.zeros(0), np.zeros(0, int)
    sizes = last - first
    starts = np.cumsum(sizes) - sizes
    place = np.arange(sizes.sum()) + np.repeat(first - starts, sizes)
    rise = np.repeat((y[last] - y[first]) / (x[last] - x[first]), sizes)
    off = np.abs(y[place] - (rise * (x[place] - np.repeat(x[first], sizes)) + np.repeat(y[first], sizes)))
    worst = np.maximum.reduceat(off, starts)
    hits = np.flatnonzero(off == np.repeat(worst, sizes))
    return worst, place[hits[np.searchsorted(hits, starts)]]


def corners(line: np.ndarray) -> np.ndarray:
    """The places in a polyline at which it changes its direction: the other vertices lie exactly on it."""
    slopes = np.diff(line[:, 1]) / np.diff(line[:, 0])
    return np.flatnonzero(np.concatenate(([True], np.diff(slopes) != 0, [True])))


def halved(polylines: list[np.ndarray], each: int, together: int) -> list[np.ndarray] | None:
    """Polylines of at most `each` vertices, and `together` of all, as near to those given as that allows; None where it
    takes more than `COARSEST_TOLERANCE_PX`, or too long to find out.

    Vertices of theirs, first and last kept, in the same order. What fits is not changed. Else no row of a line moves by
    more than a tolerance, which is doubled until they fit.

    A line is halved until each part is as straight as the tolerance asks, which leaves a few more vertices than
    `simplified` does, but takes n log n steps whatever the line, and anybody may have drawn it.
    """
    count = sum(map(len, polylines))
    if max(map(len, polylines), default=0) <= each and count <= together:
        return polylines
    if count > _MOST_TO_SIMPLIFY * together:
        return None
    errors = [_chord_errors(line) for line in polylines]
    tolerance = FINEST_TOLERANCE_PX
    while tolerance <= COARSEST_TOLERANCE_PX:
        kept = [_straight_parts(levels, len(line), tolerance) for levels, line in zip(errors, polylines)]
        if max(map(len, kept)) <= each and sum(map(len, kept)) <= together:
            return [line[places] for places, line in zip(kept, polylines)]
        tolerance *= 2
    return None


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


def _straight_parts(levels: list[np.ndarray], count: int, tolerance: float) -> np.ndarray:
    """The places of the vertices that remain: the ends of the longest parts that are straight."""
    last = count - 1
    keep = np.ones(count, dtype=bool)
    for level, errors in enumerate(levels):
        size = 2 ** (level + 1)
        inner = np.repeat(errors <= tolerance, size)[:last]
        middle = np.arange(last) % size != 0
        keep[:last] &= ~(inner & middle)
    return np.flatnonzero(keep)


# ------------------------------------------------------------------------------------------------ order and crossing


def first_crossing(rows: np.ndarray, tolerance: float = CROSSING_TOLERANCE_PX) -> tuple[int, int, int] | None:
    """The first (upper line, lower line, trace) at which an upper line lies below a lower one by more than `tolerance`
    rows.

    Every pair of lines is compared, not only neighbours, since a gap may hide a crossing.
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


def depth_order(rows: np.ndarray) -> list[int]:
    """The order of lines from above to below: a line goes before every line that lies below it, on average, on the
    traces that they share.

    Lines that share no trace, directly or through others, are in the order of their mean rows. The sums of all pairs'
    differences are two products of matrices, in blocks of traces: 1,000 lines of 8,000 traces take seconds, and no more
    memory than the rows.
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
    # A sum of differences this small is the rounding of sums, and says nothing of the order.
    rounding = _ROUNDING * np.maximum(np.abs(sums), np.abs(sums.T))
    return _sorted((sums.T - sums > rounding) & (shared > 0), depth)


def majority_order(rows: np.ndarray) -> list[int]:
    """The order of lines from above to below that most of their traces tell, however far single picks stray."""
    drawn = np.isfinite(rows)
    counts = drawn.sum(axis=1)
    sums = np.where(drawn, rows, 0.0).sum(axis=1)
    depth = np.divide(sums, counts, out=np.full(len(rows), np.inf), where=counts > 0)
    return _sorted(mostly_below(rows) > 0, depth)


def mostly_below(rows: np.ndarray) -> np.ndarray:
    """(lines, lines): on how many more traces j lies below i than above it, in [i, j].

    Where there are very many pairs, traces that lie evenly stand for all.
    """
    rows = rows[:, :: max(1, len(rows) * rows.size // _COMPARISONS)]
    below = np.empty((len(rows), len(rows)))
    with np.errstate(invalid="ignore"):
        for index, row in enumerate(rows):
            below[index] = (rows > row).sum(axis=1) - (rows < row).sum(axis=1)
    return below


def _sorted(above: np.ndarray, depth: np.ndarray) -> list[int]:
    """An order in which i comes before j wherever `above[i, j]`, and else the lesser depth first; by depth alone if
    there is none. Lines that do not cross have one (Guibas & Yao 1980).
    """
    waiting = above.sum(axis=0)
    ready = [(float(depth[index]), int(index)) for index in np.flatnonzero(waiting == 0)]
    heapify(ready)
    ordered: list[int] = []
    while ready:
        ordered.append(heappop(ready)[1])
        freed = np.flatnonzero(above[ordered[-1]])
        waiting[freed] -= 1
        for index in freed[waiting[freed] == 0]:
            heappush(ready, (float(depth[index]), int(index)))
    return ordered if len(ordered) == len(depth) else np.argsort(depth, kind="stable").tolist()
