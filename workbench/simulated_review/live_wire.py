"""The review page's live-wire (portal/editor/live_wire.js), for a corrector without a browser.

Between two places the line follows the echogram by dynamic programming from trace to trace (after Mortensen & Barrett
1995): the crest of a bright reflection, and what looks along a trace as it does at the two places. Among lines that are
drawn it runs as they run, and not onto them. Every number is the page's; tests hold the two against each other.

Lines beside a way are dense: (lines, traces) rows, NaN where a line is not.
"""

from typing import NamedTuple

import numpy as np

REACH = 8
SIGMAS = (1.3, 2.6)
ACROSS = np.array([1, 2, 3, 2, 1]) / 9
STEEPEST = 4
"""Rows a trace, beside the slope of the chord."""
BEND = 0.12
"""What a step of one row costs; a pixel that does not suit at all costs 1."""
CREST_SHARE = 0.35
"""What the crest counts for in how well a pixel suits; the likeness to the two places counts for the rest."""
TOLD_PX = 160
"""Rows in which a line tells of the layers beside it."""
OWN_PX, TAKEN = 1.5, 0.5
"""Rows to each side that belong to a line, and by how much less a pixel there suits another one."""
ASTRAY, FARTHEST_PX = 0.01, 30
"""By how much less a pixel suits for each row that it lies from the guide, and the rows beyond which it is no less."""
LEAST_SPREAD = 1e-6
SNAP_PX = 3


class Place(NamedTuple):
    """x: trace, y: row; zero at the centre of the first pixel."""

    x: float
    y: float


NO_LINES = np.empty((0, 0))


def ridge_path(grey: np.ndarray, a: Place, b: Place, beside: np.ndarray = NO_LINES) -> tuple[np.ndarray, np.ndarray]:
    """The way from a to b, a.x < b.x, that suits an echogram (rows, traces) best: traces (n,) int and rows (n,) float at
    every whole trace between them; both empty where there is no way. `beside`: the other lines that are drawn.
    """
    traces = np.arange(int(np.ceil(a.x + 0.5)), int(np.floor(b.x - 0.5)) + 1)
    if not traces.size:
        return traces, np.empty(0)
    margin = _rounded(min(max((b.x - a.x) / 3, 12), 120))
    tops = np.array([_rounded(row) for row in guide(beside, a, b, traces)]) - margin
    alone = fitness(grey, traces, tops, 2 * margin + 1, a, b)
    suits = _among(alone, tops, beside[:, traces]) if len(beside) else alone
    rows = _cheapest(suits, tops, a.y, b.y)
    if rows is None:
        return traces[:0], np.empty(0)
    found = [tops[c] + r + _peak(alone[c], r) for c, r in enumerate(rows)]
    return traces, np.clip(found, 0, len(grey) - 1)


def guide(beside: np.ndarray, a: Place, b: Place, traces: np.ndarray) -> np.ndarray:
    """Rows (n,) at whole traces (n,) between a and b of a layer that runs as the lines beside it do."""
    chord = (b.y - a.y) / (b.x - a.x)
    there, back = np.empty(len(traces)), np.empty(len(traces))
    row = a.y
    for k, x in enumerate(traces):
        row += _fall(beside, x - 1, x, row, chord)
        there[k] = row
    row = b.y
    for k, x in reversed(list(enumerate(traces))):
        row += _fall(beside, x + 1, x, row, -chord)
        back[k] = row
    share = (traces - a.x) / (b.x - a.x)
    return (1 - share) * there + share * back


def _fall(beside: np.ndarray, start: int, end: int, row: float, chord: float) -> float:
    """By how many rows a layer at a row goes down from one trace to another: as the nearest line above and the nearest
    below do, the nearer the more, and as `chord` says where none is near.
    """
    if not (len(beside) and min(start, end) >= 0 and max(start, end) < beside.shape[1]):
        return chord
    at = beside[:, start]
    falls = beside[:, end] - at
    known = np.isfinite(falls)
    apart = np.abs(at - row)
    up = np.where(known & (at <= row), apart, np.inf)
    down = np.where(known & (at > row), apart, np.inf)
    above, below = int(up.argmin()), int(down.argmin())
    to_above, to_below = float(up[above]), float(down[below])
    share = float(np.isfinite(to_above))
    if share and np.isfinite(to_below):
        share = to_below / (to_above + to_below)
    trusted_above = share * max(0.0, 1 - to_above / TOLD_PX) if share else 0.0
    trusted_below = (1 - share) * max(0.0, 1 - to_below / TOLD_PX) if share < 1 else 0.0
    fall = (1 - trusted_above - trusted_below) * chord
    fall += trusted_above * falls[above] if trusted_above else 0
    fall += trusted_below * falls[below] if trusted_below else 0
    return float(fall)


def _among(suits: np.ndarray, tops: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """(traces, rows): how well pixels suit among the lines (lines, traces): less well on those, and far from the guide."""
    rows = np.arange(suits.shape[1])
    found = suits - ASTRAY * np.minimum(np.abs(rows - (len(rows) - 1) / 2), FARTHEST_PX)
    for line in beside:
        with np.errstate(invalid="ignore"):
            found -= TAKEN * (np.abs(tops[:, None] + rows - line[:, None]) <= OWN_PX)
    return found


def crest(grey: np.ndarray, place: Place) -> Place:
    """The crest nearest to a place that a click snaps to; the place itself where there is none."""
    top = _rounded(place.y) - SNAP_PX - 1
    response = ridge(grey, np.array([_rounded(place.x)]), np.array([top]), 2 * SNAP_PX + 3)[0]
    inner = np.arange(1, len(response) - 1)
    peak = (response[inner] > 0) & (response[inner] >= response[inner - 1]) & (response[inner] >= response[inner + 1])
    candidates = inner[peak & (np.abs(top + inner - place.y) <= SNAP_PX)]
    if not candidates.size:
        return place
    best = int(candidates[response[candidates].argmax()])
    return Place(place.x, float(np.clip(top + best + _peak(response, best), 0, len(grey) - 1)))


def ridge(grey: np.ndarray, traces: np.ndarray, tops: np.ndarray, rows: int) -> np.ndarray:
    """(traces, rows) float: how strongly the pixels of a band lie on the crest of a bright reflection; `tops` are the
    band's first rows. The falling second derivative along a trace at two widths, averaged over five traces along the band.
    """
    windows = _windows(_columns(grey, traces, tops - REACH, rows + 2 * REACH))
    return np.maximum(np.max([windows @ _kernel(sigma) for sigma in SIGMAS], axis=0), 0)


def fitness(grey: np.ndarray, traces: np.ndarray, tops: np.ndarray, rows: int, a: Place, b: Place) -> np.ndarray:
    """(traces, rows) float from 0 to 1: how well the pixels of a band suit a line from a to b."""
    crests = ridge(grey, traces, tops, rows)
    columns = _columns(grey, traces, tops - REACH, rows + 2 * REACH)
    first, last = (
        _columns(grey, np.array([_rounded(p.x)]), np.array([_rounded(p.y) - REACH]), 2 * REACH + 1)[0] for p in (a, b)
    )
    share = ((traces - a.x) / (b.x - a.x))[:, None]
    alike = _likeness(_windows(columns), (1 - share) * first + share * last)
    risen = (crests / (crests.mean() or 1)) ** 1.5
    return CREST_SHARE * (1 - 1 / (1 + risen)) + (1 - CREST_SHARE) * alike**2


def _columns(grey: np.ndarray, traces: np.ndarray, tops: np.ndarray, tall: int) -> np.ndarray:
    """(traces, tall) float32: the echogram from the rows `tops` on, averaged over five traces along the band."""
    height, width = grey.shape
    columns = np.zeros((len(traces), tall), np.float32)
    for dx, share in zip(range(-2, 3), ACROSS, strict=True):
        there = np.clip(traces + dx, 0, width - 1)
        moved = tops[np.clip(np.arange(len(traces)) + dx, 0, len(traces) - 1)]
        at = np.clip(moved[:, None] + np.arange(tall), 0, height - 1)
        columns += np.float32(share) * grey[at, there[:, None]]
    return columns


def _windows(columns: np.ndarray) -> np.ndarray:
    """(traces, rows, 2 REACH + 1): what lies around each row but the outermost."""
    return np.lib.stride_tricks.sliding_window_view(columns, 2 * REACH + 1, axis=1)


def _likeness(windows: np.ndarray, profiles: np.ndarray) -> np.ndarray:
    """(traces, rows): correlation, where it is positive, of each window with its trace's profile (traces, 2 REACH + 1)."""
    taps = profiles - profiles.mean(axis=1, keepdims=True)
    norms = np.sqrt((taps**2).sum(axis=1, keepdims=True))
    norms[norms == 0] = 1
    exact = windows.astype(float)
    squares = (exact**2).sum(axis=2) - exact.sum(axis=2) ** 2 / windows.shape[2]
    products = np.einsum("trk,tk->tr", exact, taps)
    return np.maximum(products / (np.sqrt(np.maximum(squares, LEAST_SPREAD)) * norms), 0)


def _kernel(sigma: float) -> np.ndarray:
    at = np.arange(-REACH, REACH + 1)
    taps = (1 - at**2 / sigma**2) * np.exp(-(at**2) / (2 * sigma**2))
    taps -= taps.mean()
    return taps / np.sqrt((taps**2).sum())


def _cheapest(suits: np.ndarray, tops: np.ndarray, first: float, last: float) -> np.ndarray | None:
    """Row in the band of each trace of the cheapest way, None if no way leads to the end."""
    count, rows = suits.shape
    cost = 1 - suits
    steps = np.arange(-STEEPEST, STEEPEST + 1)
    bends = BEND * np.abs(steps) ** 1.5
    inside = np.arange(rows)

    def end_cost(top: int, row: float) -> np.ndarray:
        off = np.abs(inside + top - row)
        return np.where(off > STEEPEST + 1, np.inf, BEND * off)

    sums = end_cost(tops[0], first) + cost[0]
    came = np.zeros((count, rows), int)
    padded = np.full(rows + 2 * STEEPEST, np.inf)
    for c in range(1, count):
        padded[STEEPEST : STEEPEST + rows] = sums
        ways = np.lib.stride_tricks.sliding_window_view(padded, len(steps)) + bends
        best = ways.argmin(axis=1)
        came[c] = steps[best]
        sums = ways[inside, best] + cost[c]
    sums = sums + end_cost(tops[-1], last)
    r = int(sums.argmin())
    if not np.isfinite(sums[r]):
        return None
    way = np.empty(count, int)
    for c in range(count - 1, -1, -1):
        way[c] = r
        r += came[c, r]
    return way


def _peak(response: np.ndarray, r: int) -> float:
    """Offset of the peak between three neighbouring values from the middle one, by a parabola."""
    if not 0 < r < len(response) - 1:
        return 0.0
    before, at, after = response[r - 1 : r + 2]
    curve = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve < 0 else 0.0


def _rounded(value: float) -> int:
    """As JavaScript rounds: a half goes up."""
    return int(np.floor(value + 0.5))
