"""A scripted corrector: what a careful person would do to a proposal in the review page's editor, counted by kind.

It knows the truth as a person who sees the layers does, but every line comes from the editor's means alone: live-wire
between clicks that snap to the crest, straight lines between clicks, deleting a line or what lies in a box, joining,
relabelling. A hand strays from where it aims. Rows are dense: (layers, traces) float, NaN in gaps.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from firnline.geometry import runs, simplified
from firnline.learning import scoring

from .live_wire import NO_LINES, Place, crest, guide, ridge_path

HAND_PX = 0.8
"""Standard deviation of a click, along and across the track."""
SEEN_PX = 2.0
"""A line that is off by more is corrected."""
SHORTEST = 8
"""Traces of a fault that a person still mends."""
OWNED = 0.3
"""Share of a line's traces that lie on some layer, below which it is deleted rather than mended."""
STRAYS = 0.02
"""Share of a live-wire's traces that may be off; with more, the person clicks nearer."""
NEAREST = 6
"""Traces from click to click below which a person takes what the editor offers."""
SIMPLIFIED_PX = 0.35
"""As the editor leaves out vertices of a traced line."""


class Drawn(NamedTuple):
    """Lines on an echogram: `rows` (lines, traces) and their `labels`."""

    rows: np.ndarray
    labels: list[str]


class Corrected(NamedTuple):
    """The corrected lines, and how often each of the editor's operations was used."""

    lines: Drawn
    operations: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.operations.values())


def correct(
    grey: np.ndarray, proposal: Drawn, truth: Drawn, rng: np.random.Generator, complete: bool = True
) -> Corrected:
    """Correct a proposal on an echogram (rows, traces) uint8 towards the truth.

    `complete`: whatever is no layer of the truth is false, and goes; of a partial truth the other lines stay.
    """
    hand = _Hand(grey, rng)
    mended: list[np.ndarray] = []
    labels, taken = [], np.zeros(len(proposal.rows), bool)
    owner = _owners(proposal.rows, truth.rows)
    for layer, (row, label) in enumerate(zip(truth.rows, truth.labels, strict=True)):
        own = np.flatnonzero(owner == layer)
        taken[own] = True
        later = proposal.rows[owner > layer] if complete else proposal.rows[(owner > layer) | (owner < 0)]
        hand.beside = np.vstack([*mended, *later]) if len(mended) + len(later) else NO_LINES
        mended.append(hand.layer(row, proposal.rows[own], [proposal.labels[i] for i in own], label))
        labels.append(label)
    for line in np.flatnonzero(~taken & np.isfinite(proposal.rows).any(axis=1)):
        if complete:
            hand.do("click", "delete_line")
        else:
            mended.append(proposal.rows[line])
            labels.append(proposal.labels[line])
    width = grey.shape[1]
    rows = np.array(mended) if mended else np.empty((0, width))
    return Corrected(Drawn(rows, labels), dict(hand.operations))


def _owners(proposed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(lines,) int: the layer that each proposed line is mended to be part of, -1 where it follows none."""
    owners = np.full(len(proposed), -1)
    if not len(truth):
        return owners
    for number, row in enumerate(proposed):
        with np.errstate(invalid="ignore"):
            on = (np.abs(truth - row) <= SEEN_PX).sum(axis=1)
        if on.max() >= max(1, OWNED * np.isfinite(row).sum()):
            owners[number] = on.argmax()
    return owners


@dataclass
class _Hand:
    """Works on one frame with the editor's means."""

    grey: np.ndarray
    rng: np.random.Generator
    beside: np.ndarray = field(default_factory=lambda: NO_LINES)
    """The other lines that are drawn, (lines, traces)."""
    operations: Counter[str] = field(default_factory=Counter)

    def do(self, *kinds: str) -> None:
        self.operations.update(kinds)

    def layer(self, truth: np.ndarray, lines: np.ndarray, labels: list[str], label: str) -> np.ndarray:
        """One layer's row (traces,), from the proposed lines that are pieces of it."""
        drawn: np.ndarray = np.full(len(truth), np.nan)
        for line, its in zip(lines, labels, strict=True):
            if its != label:
                self.do("click", "relabel")
            drawn = np.where(np.isnan(drawn), line, drawn)
        for start, end in _stretches(np.isnan(truth) & np.isfinite(drawn)):
            self.do("key", "erase")
            drawn[start:end] = np.nan
        for start, end in _stretches(_off(drawn, truth) | (np.isnan(drawn) & np.isfinite(truth))):
            self._mend(drawn, truth, start, end)
        return drawn

    def _mend(self, drawn: np.ndarray, truth: np.ndarray, start: int, end: int) -> None:
        """Draw the stretch [start, end) of a layer anew, from the good traces beside it where there are any."""
        first, last = max(start - 1, 0), min(end, len(truth) - 1)
        first = first if np.isfinite(truth[first]) else start
        last = last if np.isfinite(truth[last]) else end - 1
        if last <= first:
            return
        if self._joined(drawn, truth, start, end):
            return
        truth = _bridged(truth)
        if np.isfinite(drawn).any():
            self.do("click")  # selects the line
        self.do("key")  # N, M or E: draw, mend or extend
        at, where = first, self._click(first, truth)
        self.do("click")
        line = [where]
        reach = last - first
        while at < last:
            to, stretch = self._next(where, at, min(at + reach, last), truth)
            at, reach = to, 2 * (to - at)
            line += stretch
            where = stretch[-1]
        self.do("key")  # Enter
        drawn[first : last + 1] = np.interp(np.arange(first, last + 1), *_thinned(line).T)

    def _joined(self, drawn: np.ndarray, truth: np.ndarray, start: int, end: int) -> bool:
        """Fill a gap between two pieces by J, if that follows the layer; a person sees beforehand that it will not."""
        if not 0 < start < end < len(truth) or not np.isnan(drawn[start:end]).all():
            return False
        a, b = Place(start - 1, drawn[start - 1]), Place(end, drawn[end])
        if not (np.isfinite(a.y) and np.isfinite(b.y)):
            return False
        filled = _dense([a, *self._between(a, b), b])[1:-1]
        if _strays(filled, truth[start:end]):
            return False
        self.do("click", "click", "join")
        drawn[start:end] = filled
        return True

    def _next(self, where: Place, at: int, last: int, truth: np.ndarray) -> tuple[int, list[Place]]:
        """The farthest click whose line, shown before the click, follows the layer, by live-wire or, with Shift, as the lines
        beside it run, or, with Alt, straight: (its trace, the line there). Tried from `last` on nearer and nearer.
        """
        reach = last - at
        while True:
            to = at + reach
            aim = self._click(to, truth)
            known = truth[at : at + reach + 1]
            ways = {"live_wire": self._between(where, aim), "parallel": self._parallel(where, aim), "click": []}
            for kind, between in ways.items():
                if reach <= NEAREST or not _strays(_dense([where, *between, aim]), known):
                    self.do(kind)
                    return to, [*between, aim]
            reach = max(reach // 2, 1)

    def _between(self, a: Place, b: Place) -> list[Place]:
        return [Place(int(x), float(y)) for x, y in zip(*ridge_path(self.grey, a, b, self.beside), strict=True)]

    def _parallel(self, a: Place, b: Place) -> list[Place]:
        traces = np.arange(int(a.x) + 1, int(b.x))
        return [Place(int(x), float(y)) for x, y in zip(traces, guide(self.beside, a, b, traces), strict=True)]

    def _click(self, trace: int, truth: np.ndarray) -> Place:
        """Where a click on the layer lands: the hand strays, the click snaps to the crest."""
        dx, dy = self.rng.normal(0, HAND_PX, 2)
        landed = int(np.clip(round(trace + dx), 0, len(truth) - 1))
        y = truth[landed] if np.isfinite(truth[landed]) else truth[trace]
        aimed = Place(trace, float(np.clip(y + dy, 0, len(self.grey) - 1)))
        snapped = crest(self.grey, aimed)
        # A person who sees the click jump to a neighbouring line holds Ctrl.
        return snapped if abs(snapped.y - truth[trace]) <= SEEN_PX else aimed


def _bridged(row: np.ndarray) -> np.ndarray:
    """A layer's row with its gaps filled straight: what is aimed at where two faults are mended as one across a gap."""
    known = np.flatnonzero(np.isfinite(row))
    return np.interp(np.arange(len(row)), known, row[known])


def _off(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(drawn - truth) > SEEN_PX


def _stretches(faulty: np.ndarray) -> list[tuple[int, int]]:
    """Faults [start, end) long enough to be mended; those with little between them are mended as one."""
    merged: list[tuple[int, int]] = []
    for start, end in runs(faulty):
        if merged and start - merged[-1][1] < SHORTEST:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return [(start, end) for start, end in merged if end - start >= SHORTEST]


def _dense(line: list[Place]) -> np.ndarray:
    """Rows at the whole traces of a line whose ends lie at whole traces."""
    x, y = zip(*line, strict=True)
    return np.interp(np.arange(x[0], x[-1] + 1), x, y)


def _strays(line: np.ndarray, truth: np.ndarray) -> bool:
    known = np.isfinite(truth)
    return bool(known.any() and np.mean(np.abs(line - truth)[known] > SEEN_PX) > STRAYS)


def _thinned(line: list[Place]) -> np.ndarray:
    """The vertices (n, 2) that the editor keeps of a line."""
    vertices = np.array(line, float)
    return vertices[simplified([vertices], SIMPLIFIED_PX)[0]]


def share_right(drawn: Drawn, truth: Drawn) -> float:
    """Share of the truth's traces that have a line within `SEEN_PX`, each line used once in a trace."""
    pairs, _ = scoring.match_points(drawn.rows, truth.rows, SEEN_PX)
    return float(pairs.sum() / max(1, np.isfinite(truth.rows).sum()))
