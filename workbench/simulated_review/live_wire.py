"""The review page's live-wire (portal/editor/live_wire.js), for a corrector without a browser.

Between two places the line follows the echogram by dynamic programming from trace to trace (after Mortensen & Barrett
1995): the crest of a bright reflection, and what looks along a trace as it does at the two places. Every number is the
page's; tests hold the two against each other.
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
LEAST_SPREAD = 1e-6
SNAP_PX = 3


class Place(NamedTuple):
    """x: trace, y: row; zero at the centre of the first pixel."""

    x: float
    y: float


def ridge_path(grey: np.ndarray, a: Place, b: Place) -> tuple[np.ndarray, np.ndarray]:
    """The way from a to b, a.x < b.x, that suits an echogram (rows, traces) best: traces (n,) int and rows (n,) float at
    every whole trace between them; both empty where there is no way.
    """
    traces = np.arange(int(np.ceil(a.x + 0.5)), int(np.floor(b.x - 0.5)) + 1)
    if not traces.size:
        return traces, np.empty(0)
    margin = _rounded(min(max((b.x - a.x) / 3, 12), 120))
    tops = np.array([_rounded(a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x)) for x in traces]) - margin
    suits = fitness(grey, traces, tops, 2 * margin + 1, a, b)
    rows = _cheapest(suits, tops, a.y, b.y)
    if rows is None:
        return traces[:0], np.empty(0)
    found = [tops[c] + r + _peak(suits[c], r) for c, r in enumerate(rows)]
    return traces, np.clip(found, 0, len(grey) - 1)


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
