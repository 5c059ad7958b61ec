"""How well several people's drawings of one echogram agree, and what they agree on.

A drawing is dense rows with labels: (lines, traces), the row of each line in each trace in pixels, NaN where it has none.
Two lines of the same label agree where they lie within `WITHIN_PX` of each other. NumPy and SciPy only: no files, no
table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

WITHIN_PX = 2.0
AGREED_SHARE = 0.8
"""Of the traces that two lines share, those within `WITHIN_PX`, from which on they are the same layer."""
SETTLED_SHARE = 0.8
"""Of the traces of one layer that anybody drew, those where a majority did or did not, from which on it is agreed on."""
SHARED_SHARE = 0.5
"""Of the traces of the shorter line, those that the other has too, from which on they can be the same layer."""


@dataclass(frozen=True)
class Lines:
    rows: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Line `first` of one drawing and line `second` of another; `shared` traces, `within` of them close together."""

    first: int
    second: int
    shared: int
    within: int

    @property
    def share(self) -> float:
        """Of the shared traces, those within `WITHIN_PX`."""
        return self.within / self.shared if self.shared else 0.0


@dataclass(frozen=True)
class LayerAgreement:
    """Of a layer in one of two drawings or in both: `share` is None where only one has it."""

    label: str
    share: float | None
    traces: int


@dataclass(frozen=True)
class Consensus:
    """`agreed` are the lines that a majority drew alike and about equally far, at the median of their rows, from above to below.

    The other lines, as (drawing, line), are `outvoted` if a majority drew none of them and nothing else in their place; else
    they are `disputed`.
    """

    agreed: Lines
    disputed: tuple[tuple[int, int], ...]
    outvoted: tuple[tuple[int, int], ...]


def pairs(first: Lines, second: Lines) -> list[Pair]:
    """Lines that belong together, each in one pair at most: of all ways to pair lines of equal labels, one with the most
    traces within `WITHIN_PX` (Kuhn 1955, as SciPy solves it). Lines that are nowhere that close are in none.
    """
    if not len(first.rows) or not len(second.rows):
        return []
    shared, within = _overlaps(first, second)
    left, right = linear_sum_assignment(within, maximize=True)
    return [
        Pair(int(i), int(j), int(shared[i, j]), int(within[i, j]))
        for i, j in zip(left, right, strict=True)
        if within[i, j]
    ]


def agreement(first: Lines, second: Lines) -> float:
    """How much of two drawings is the same, 0 to 1: twice the traces within `WITHIN_PX` in pairs of lines, by the traces of
    both. It is symmetric, 1 for a drawing with itself, and 1 for two empty ones; a line that only one has lowers it.
    """
    drawn = int(np.isfinite(first.rows).sum() + np.isfinite(second.rows).sum())
    return 2 * sum(pair.within for pair in pairs(first, second)) / drawn if drawn else 1.0


def mean_agreement(drawings: Sequence[Lines]) -> float | None:
    """The mean over all pairs of drawings; None where there is no pair."""
    found = [agreement(first, second) for first, second in combinations(drawings, 2)]
    return float(np.mean(found)) if found else None


def by_layer(first: Lines, second: Lines) -> list[LayerAgreement]:
    """Agreement of each layer of two drawings: the pairs, then what only the first has, then what only the second has."""
    found = pairs(first, second)
    left, right = {pair.first for pair in found}, {pair.second for pair in found}
    alone = [(first, i) for i in range(len(first.rows)) if i not in left]
    alone += [(second, j) for j in range(len(second.rows)) if j not in right]
    return [LayerAgreement(first.labels[pair.first], pair.share, pair.shared) for pair in found] + [
        LayerAgreement(lines.labels[index], None, int(np.isfinite(lines.rows[index]).sum())) for lines, index in alone
    ]


def consensus(drawings: Sequence[Lines]) -> Consensus:
    """What drawings of one echogram agree on; the order in which they are given says nothing."""
    ordered = sorted(range(len(drawings)), key=lambda number: _content(drawings[number]))
    groups = _groups([drawings[number] for number in ordered])
    agreed: list[tuple[np.ndarray, str]] = []
    left: list[tuple[int, int]] = []
    ambiguous = False
    for group in groups:
        members = [(ordered[number], line) for number, line in group]
        people = {number for number, _ in members}
        rows = np.stack([drawings[number].rows[line] for number, line in members])
        if len(people) == len(members) and 2 * len(people) > len(drawings) and _is_settled(rows, len(drawings)):
            agreed.append((_median(rows, len(drawings)), drawings[members[0][0]].labels[members[0][1]]))
        else:
            left += members
            ambiguous |= len(people) < len(members)
    # Lines of three people that agree with nobody's may be one layer that each sees elsewhere: no vote against it.
    settled = not ambiguous and 2 * len({number for number, _ in left}) < len(drawings)
    disputed, outvoted = ([], left) if settled else (left, [])
    agreed.sort(key=lambda line: float(np.nanmean(line[0])) if np.isfinite(line[0]).any() else np.inf)
    width = drawings[0].rows.shape[1] if drawings else 0
    rows = np.array([row for row, _ in agreed]).reshape(-1, width)
    return Consensus(Lines(rows, tuple(label for _, label in agreed)), tuple(sorted(disputed)), tuple(sorted(outvoted)))


def _overlaps(first: Lines, second: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Traces that lines of equal labels share, and those of them within `WITHIN_PX`: two (lines, lines) int arrays."""
    shared = np.zeros((len(first.rows), len(second.rows)), dtype=int)
    within = np.zeros_like(shared)
    for i, (row, label) in enumerate(zip(first.rows, first.labels, strict=True)):
        alike = np.array([other == label for other in second.labels])
        off = np.abs(second.rows - row)
        shared[i] = np.where(alike, np.isfinite(off).sum(axis=1), 0)
        with np.errstate(invalid="ignore"):
            within[i] = np.where(alike, (off <= WITHIN_PX).sum(axis=1), 0)
    return shared, within


def _groups(drawings: Sequence[Lines]) -> list[list[tuple[int, int]]]:
    """(drawing, line) of all lines, those together that agree, directly or through others."""
    leader = {
        (number, line): (number, line) for number, lines in enumerate(drawings) for line in range(len(lines.rows))
    }

    def lead(node: tuple[int, int]) -> tuple[int, int]:
        while leader[node] != node:
            node = leader[node]
        return node

    lengths = [np.isfinite(lines.rows).sum(axis=1) for lines in drawings]
    for (a, first), (b, second) in combinations(enumerate(drawings), 2):
        for pair in pairs(first, second):
            shorter = min(lengths[a][pair.first], lengths[b][pair.second])
            if pair.share >= AGREED_SHARE and pair.shared >= SHARED_SHARE * shorter:
                leader[lead((b, pair.second))] = lead((a, pair.first))
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for node in leader:
        groups.setdefault(lead(node), []).append(node)
    return list(groups.values())


def _is_settled(rows: np.ndarray, people: int) -> bool:
    """Whether a majority of all people decides where a layer is: of two, one who goes on alone is none."""
    drawn = np.isfinite(rows).sum(axis=0)
    somewhere = drawn > 0
    return bool((2 * drawn[somewhere] != people).mean() >= SETTLED_SHARE) if somewhere.any() else True


def _median(rows: np.ndarray, people: int) -> np.ndarray:
    """The median row (traces,) of lines (members, traces), where more than half of all people drew one."""
    drawn = np.isfinite(rows).sum(axis=0)
    enough = 2 * drawn > people
    middle = np.full(rows.shape[1], np.nan)
    if enough.any():
        middle[enough] = np.nanmedian(rows[:, enough], axis=0)
    return middle


def _content(lines: Lines) -> tuple[bytes, tuple[str, ...]]:
    return np.ascontiguousarray(lines.rows, dtype=float).tobytes(), lines.labels
