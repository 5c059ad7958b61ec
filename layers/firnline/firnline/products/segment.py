"""Which lines of the frames of a flight segment are one layer, and what number it has along the whole segment.

Frames are taken in the order of flight. What is known of the layers so far is a stack, by depth; the lines of the next frame
are assigned to it so that their order is kept. Below a seam a layer lies where it lay above it, but for the pick. Across
frames that are missing it may have sunk or risen, but the pattern of the layers' thicknesses stays: each is stretched
about as much as the one above it. How much, and how alike neighbours are, is measured on the segment's own lines, and a
Kalman filter down the layers follows it. Of all
assignments that keep the order the probability of each pair is summed (forward and backward over the lattice of pairs, as
in hidden Markov models; Durbin et al. 1998, Biological Sequence Analysis, 4.4), and those pairs are joined that are the
most probable together. A join's confidence is its probability.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from pyproj import Geod
from scipy.optimize import isotonic_regression
from scipy.special import logsumexp

from firnline.errors import Refused
from firnline.products.track import distance_along

_ELLIPSOID = Geod(ellps="WGS84")

_EDGE_TRACES = 5
"""Traces over which the place and the slope of a line at its end are taken."""
_AT_EDGE = 3
"""Traces within which it may begin to be there at the frame's edge."""
_LAGS = (0.0, 1 / 64, 1 / 16, 1 / 4, 0.5, 0.9)
"""Shares of a frame's length over which it is measured how layers stretch; at least one trace. What one trace shows is the
picks' jitter, which the others have, too."""
_PLACES = 8
"""Pairs of traces of a frame that this is measured at."""
_GROWTH = (0.3, 1.0)
"""Least and greatest power by which the stretch grows with distance, where it was not measured."""
_LEAST_DISTANCE = 1.0
"""m."""
_LEAST_DRIFT, _MOST_DRIFT = 0.002, 0.6
_MOST_MEMORY = 0.95
_NO_LINES_DRIFT, _NO_LINES_MEMORY = 0.14, 0.5
"""Of a segment whose lines are too few or too short to measure it on: at a kilometre."""
_KILOMETRE = 1000.0

_SEEN_AGAIN, _FORGOTTEN, _LEAST_SEEN = 0.8, 0.6, 0.05
"""Probability that a layer of the frame before is drawn in the next, by how much less for each frame that it was not
drawn in, and at least."""
_SHORT_SEEN = 0.5
"""How much less probable that is for a layer that was drawn in hardly a trace."""
_NEW_PER_LAYER, _SHORT_NEW = 0.15, 2.0
"""Lines that are of no known layer, for each layer; and how much more of the shortest."""
_TAIL_SHARE, _TAIL_WIDTH = 0.1, 4.0
"""Some lines are off by more than is said: their share, and by how many times."""
_MOST_SKIPPED = 8
"""Layers between two neighbouring lines that may be missing."""
_WORTH_JOINING = 0.5
"""Probability below which a pair is rather left apart."""
_RULED_OUT = -1e6
"""Logarithm of a probability that is none."""
_SAME_PIECE = 0.3
"""Of the way to the next line by which pieces of one layer in a frame may be apart, carried to the same trace."""

_LEAST_SUPPORT, _ENOUGH_FRAMES = 0.35, 3
"""A layer is numbered if it is drawn in that share of the traces of the frames that show it or a deeper one, if those are so
many."""


@dataclass(frozen=True)
class Stretch:
    """How layers stretch between two places: the standard deviation of the logarithm of a layer's `thickness`, and `memory`,
    its correlation with that of the layer above.
    """

    thickness: float
    memory: float

    @property
    def step(self) -> float:
        """Standard deviation beyond what the layer above tells."""
        return self.thickness * float(np.sqrt(1 - self.memory**2))


@dataclass(frozen=True)
class Drift:
    """How layers stretch with distance: `thickness` (lags,) as of `Stretch`, at distances `lag_m` (lags,)."""

    lag_m: np.ndarray
    thickness: np.ndarray
    memory: float

    def at(self, distance_m: float) -> Stretch:
        """At a distance: a power of it through what was measured."""
        return Stretch(_grown(self.lag_m, self.thickness, distance_m), self.memory)


@dataclass(frozen=True)
class FrameLines:
    """What a frame shows to its neighbours. Lines are by depth; those of several pieces count once.

    name : of the frame
    pieces : of each line, which of the frame's rows it consists of
    begins, ends : (lines,) two-way s below the surface at the frame's first and last trace
    begins_off, ends_off : (lines,) their standard deviations, s
    share : (lines,) of the frame's traces that each is drawn in
    first, last : (latitude, longitude) of the first and last trace with a position, NaN where there is none
    lags, thickness, neighbours : (lags,) distances, m, and mean squares that `Drift` is made of: of the logarithm by which a
        thickness changes over them, and of the product of two such, one layer below the other; NaN where nothing was measured
    """

    name: str
    pieces: tuple[tuple[int, ...], ...]
    begins: np.ndarray
    ends: np.ndarray
    begins_off: np.ndarray
    ends_off: np.ndarray
    share: np.ndarray
    first: tuple[float, float]
    last: tuple[float, float]
    lags: np.ndarray
    thickness: np.ndarray
    neighbours: np.ndarray

    def line_of(self, row: int) -> int | None:
        """The line that a row of the frame belongs to."""
        return next((line for line, pieces in enumerate(self.pieces) if row in pieces), None)


@dataclass(frozen=True)
class Join:
    """Line `line` of `frame` is the layer that was last drawn as line `before_line` of `before`.

    confidence : probability that this is right; 1 where a person said so
    said : whether a person did
    """

    before: str
    before_line: int
    frame: str
    line: int
    confidence: float
    said: bool = False


@dataclass(frozen=True)
class Said:
    """What a person said of two lines, (frame, line) each: that they are the same layer, or not."""

    one: tuple[str, int]
    other: tuple[str, int]
    same: bool


@dataclass(frozen=True)
class SegmentLayers:
    """numbers : of each frame by name, (lines,) from 1 by depth along the whole segment; 0 of lines that are in too few frames
    to be counted
    joins : in the order of flight
    """

    numbers: dict[str, np.ndarray]
    joins: list[Join]


@dataclass
class _Layer:
    """One layer of the stack: where it would lie at the end of the last frame, and where it was drawn."""

    below: float
    off: float
    share: float
    seen: list[tuple[int, int]] = field(default_factory=list)
    """(frame, line)."""


# ---------------------------------------------------------------------------------------------------- of one frame


def frame_lines(
    name: str, below_s: np.ndarray, off_s: np.ndarray, latitude: np.ndarray, longitude: np.ndarray
) -> FrameLines:
    """What a frame shows to its neighbours.

    Parameters
    ----------
    below_s : (rows, traces) two-way s below the surface of its internal layers, by depth, NaN where a row is not drawn
    off_s : (rows,) standard deviation of each
    latitude, longitude : (traces,) degrees, NaN where unknown
    """
    distance = distance_along(latitude, longitude)
    along = distance if np.isfinite(distance).sum() >= 2 else np.arange(below_s.shape[1], dtype=float)
    known = np.flatnonzero(np.isfinite(along))
    along = np.interp(np.arange(along.size), known, along[known])
    rows = np.flatnonzero(np.isfinite(below_s).any(axis=1))
    drawn = below_s[rows]
    lags, thickness, neighbours = _measured(drawn, along)
    drift = _fitted(lags, thickness, neighbours)
    at_begin = _at_edge(drawn, off_s[rows], along, drift, first=True)
    at_end = _at_edge(drawn, off_s[rows], along, drift, first=False)
    under = (at_begin[0] > 0) & (at_end[0] > 0)
    rows, drawn = rows[under], drawn[under]
    at_begin, at_end = ((places[under], off[under]) for places, off in (at_begin, at_end))
    groups = _grouped(drawn, at_begin[0])
    length = np.isfinite(drawn).sum(axis=1)
    groups.sort(key=lambda group: max(group, key=lambda piece: length[piece]))
    begins, begins_off = _of_groups(groups, *at_begin)
    ends, ends_off = _of_groups(groups, *at_end)
    share = np.array([np.isfinite(drawn[group]).any(axis=0).mean() for group in groups])
    placed = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
    edge = [(float(latitude[at]), float(longitude[at])) for at in placed[[0, -1]]] if placed.size else []
    first, last = edge or [(np.nan, np.nan)] * 2
    return FrameLines(
        name, tuple(tuple(int(rows[piece]) for piece in group) for group in groups), begins, ends, begins_off, ends_off,
        share, first, last, lags, thickness, neighbours,
    )  # fmt: skip


def _measured(below: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lags,) distances, and mean squares of how layers stretch over them; NaN where no two places show the same layers."""
    traces = below.shape[1]
    lags, thickness, neighbours = (np.full(len(_LAGS), np.nan) for _ in range(3))
    for place, share in enumerate(_LAGS):
        lag = max(1, round(share * (traces - 1)))
        squares, products, apart = [], [], []
        for start in np.unique(np.linspace(0, traces - 1 - lag, _PLACES).astype(int)).tolist():
            one, two = below[:, start], below[:, start + lag]
            both = np.flatnonzero((one > 0) & (two > 0))
            change = _stretches(np.append(0.0, one[both]), np.append(0.0, two[both]))
            squares.append(change[np.isfinite(change)] ** 2)
            product = change[1:] * change[:-1]
            products.append(product[np.isfinite(product)])
            apart.append(along[start + lag] - along[start])
        if (of_one := np.concatenate(squares)).size and (of_two := np.concatenate(products)).size:
            lags[place] = float(np.mean(apart))
            thickness[place], neighbours[place] = float(of_one.mean()), float(of_two.mean())
    return lags, thickness, neighbours


def _stretches(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Logarithms by which the thicknesses between lines grow from one place to the other; NaN where lines meet."""
    above, below = np.diff(one), np.diff(two)
    sound = (above > 0) & (below > 0)
    return np.asarray(np.log(np.where(sound, below, np.nan) / np.where(sound, above, np.nan)))


def _fitted(lags: np.ndarray, thickness: np.ndarray, neighbours: np.ndarray) -> Drift:
    known = np.isfinite(lags) & (lags > 0)
    if known.sum() < 2:
        return Drift(np.array([_KILOMETRE]), np.array([_NO_LINES_DRIFT]), _NO_LINES_MEMORY)
    squares, products = (values[known][1:] - values[known][0] for values in (thickness, neighbours))  # less the jitter
    total = float(np.maximum(squares, 0.0).sum())
    memory = float(np.clip(products.sum() / total, 0.0, _MOST_MEMORY)) if total > 0 else _NO_LINES_MEMORY
    return Drift(lags[known][1:], np.sqrt(np.maximum(squares, 0.0)), memory)


def _grown(lags: np.ndarray, measured: np.ndarray, distance_m: float) -> float:
    """What was measured, at a distance: straight between logarithms, and beyond them a power of the distance."""
    x, y = np.log(lags), np.log(np.clip(np.maximum.accumulate(measured), _LEAST_DRIFT, _MOST_DRIFT))
    at = np.log(max(distance_m, _LEAST_DISTANCE))
    slopes = np.clip(np.diff(y) / np.diff(x), *_GROWTH) if lags.size > 1 else np.full(1, np.mean(_GROWTH))
    found = np.interp(at, x, y) + slopes[0] * min(at - x[0], 0.0) + slopes[-1] * max(at - x[-1], 0.0)
    return float(np.clip(np.exp(found), _LEAST_DRIFT, _MOST_DRIFT))


def _at_edge(
    below: np.ndarray, off: np.ndarray, along: np.ndarray, drift: Drift, *, first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) where each row lies at the first or last trace, and how far that may be off.

    A row that ends before is carried there between the rows that do not: as far from one to the other as where it ended.
    """
    traces = below.shape[1]
    if not first:
        below = below[:, ::-1]
        along = along[-1] - along[::-1]
    edge, found, widths = np.full(len(below), np.nan), np.full(len(below), np.nan), off.copy()
    begins = np.array([int(np.flatnonzero(np.isfinite(row))[0]) for row in below], dtype=int)
    for row, begin in enumerate(begins.tolist()):
        edge[row] = _straight_on(below[row, begin : begin + _EDGE_TRACES])
    here = begins < min(_AT_EDGE, traces)
    found[here] = edge[here]
    for row in np.argsort(begins, kind="stable")[int(here.sum()) :].tolist():
        begin = int(begins[row])
        anchors = np.flatnonzero(np.isfinite(found) & np.isfinite(below[:, begin]))
        there, to = below[anchors, begin], found[anchors]
        found[row] = float(carried(edge[[row]], there, to, drift.memory)[0])
        stretch = drift.at(float(along[begin] - along[0]))
        widths[row] = np.hypot(off[row], _carried_off(edge[[row]], there, stretch)[0])
    return found, widths


def _straight_on(near: np.ndarray) -> float:
    """Where a line lies at the first of some traces, of which it is drawn at that: by a straight line through them."""
    drawn = np.flatnonzero(np.isfinite(near))
    return float(near[0]) if drawn.size < 3 else float(np.polyfit(drawn, near[drawn], 1)[1])


def carried(below: np.ndarray, there: np.ndarray, here: np.ndarray, memory: float = 1.0) -> np.ndarray:
    """Where layers at `below` would lie if others that lay `there` lie `here`: straight between them and the surface, and below
    the last stretched as the one above it, as far as the stretch of one layer tells that of the next (`memory`, 0 to 1).
    """
    order = np.argsort(there, kind="stable")
    knots, values = np.append(0.0, there[order]), np.maximum.accumulate(np.append(0.0, here[order]))
    apart = (knots[-1] - knots[-2], values[-1] - values[-2]) if knots.size > 1 else (0.0, 0.0)
    stretch = (apart[1] / apart[0]) ** memory if min(apart) > 0 else 1.0
    return np.where(below > knots[-1], values[-1] + (below - knots[-1]) * stretch, np.interp(below, knots, values))


def _carried_off(below: np.ndarray, there: np.ndarray, stretch: Stretch) -> np.ndarray:
    """Standard deviations of what `carried` tells: between two others the nearest of them tells most, below the last none."""
    anchors = np.append(0.0, there)
    nearest = np.abs(below[:, None] - anchors).min(axis=1)
    return np.asarray(np.where(below > anchors.max(), stretch.thickness, stretch.step) * nearest)


def _grouped(below: np.ndarray, begins: np.ndarray) -> list[list[int]]:
    """Rows that are pieces of one line: on no trace together, and carried to the same trace near each other."""
    drawn = np.isfinite(below)
    groups: list[list[int]] = []
    for row in range(len(below)):
        others = np.abs(begins - begins[row])
        shared = (drawn & drawn[row]).any(axis=1)
        room = float(np.min(others, initial=np.inf, where=shared & (np.arange(len(begins)) != row)))
        room = min(room, float(begins[row]))
        fits = [
            group for group in groups
            if not any(shared[piece] for piece in group)
            and abs(float(np.mean(begins[group])) - begins[row]) <= _SAME_PIECE * room
        ]  # fmt: skip
        if fits:
            min(fits, key=lambda group: abs(float(np.mean(begins[group])) - begins[row])).append(row)
        else:
            groups.append([row])
    return groups


def _of_groups(groups: list[list[int]], places: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lines,) of each group the place of its surest piece, in order: where two would cross, the surer one moves less."""
    best = [min(group, key=lambda piece: float(off[piece])) for group in groups]
    if not best:
        return np.zeros(0), np.zeros(0)
    found = isotonic_regression(places[best], weights=off[best] ** -2.0).x
    return found, np.hypot(off[best], found - places[best])


# ---------------------------------------------------------------------------------------------------- of the segment


def layers_of_segment(frames: Sequence[FrameLines], said: Sequence[Said] = ()) -> SegmentLayers:
    """The layers of a segment's frames, which come in the order of flight; `said` overrules what would be found.

    Raises `Refused` where what people said cannot be together.
    """
    drift = _fitted(*_pooled(frames))
    places = {frame.name: place for place, frame in enumerate(frames)}
    stack: list[_Layer] = []
    joins: list[Join] = []
    for place, frame in enumerate(frames):
        distance = _gap(frames[place - 1], frame) if place else 0.0
        wanted = _wanted(stack, place, frame.name, said, places)
        matched = _matched(stack, frame, place, drift.at(distance), wanted)
        for layer, line, confidence in matched:
            before, before_line = stack[layer].seen[-1]
            by_person = wanted.must.get(line) == layer
            joins.append(Join(frames[before].name, before_line, frame.name, line, confidence, by_person))
        _carry_on(stack, frame, place, {line: layer for layer, line, _ in matched}, drift)
    return SegmentLayers(_numbered(stack, frames), joins)


def _pooled(frames: Sequence[FrameLines]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lags,) distances and mean squares of all frames."""
    if not frames:
        return (np.zeros(0),) * 3
    all_of = [np.array([getattr(frame, name) for frame in frames]) for name in ("lags", "thickness", "neighbours")]
    known = np.isfinite(all_of[0])
    count = np.maximum(known.sum(axis=0), 1)
    lags, thickness, neighbours = (
        np.where(known.any(axis=0), np.where(known, values, 0).sum(axis=0) / count, np.nan) for values in all_of
    )
    return lags, thickness, neighbours


def _gap(before: FrameLines, frame: FrameLines) -> float:
    """Metres from the end of one frame to the beginning of the next; nothing where positions are unknown."""
    (south, west), (north, east) = before.last, frame.first
    if not np.isfinite([south, west, north, east]).all():
        return 0.0
    return float(_ELLIPSOID.inv(west, south, east, north)[2])


@dataclass(frozen=True)
class _Wanted:
    """What people said of a frame's lines: `must`, line → place in the stack; `never`, (place in the stack, line)."""

    must: dict[int, int]
    never: frozenset[tuple[int, int]]


def _wanted(stack: list[_Layer], place: int, name: str, said: Sequence[Said], places: dict[str, int]) -> _Wanted:
    said = [one for one in said if name in (one.one[0], one.other[0])]
    owner = {seen: layer for layer, known in enumerate(stack) for seen in known.seen} if said else {}
    must: dict[int, int] = {}
    never = set()
    for one in said:
        for mine, other in ((one.one, one.other), (one.other, one.one)):
            if mine[0] != name or places.get(other[0], place) >= place:
                continue
            layer = owner[places[other[0]], other[1]]
            if not one.same:
                never.add((layer, mine[1]))
            elif must.setdefault(mine[1], layer) != layer:
                raise Refused(
                    f"Line {mine[1]} of {name} was said to be two layers that are not the same: take one of these joins back."
                )
    ordered = [layer for _, layer in sorted(must.items())]
    if any(below <= above for above, below in pairwise(ordered)):
        raise Refused(f"What was said of {name} would make layers cross: take one of its joins back.")
    return _Wanted(must, frozenset(never))


def _matched(
    stack: list[_Layer], frame: FrameLines, place: int, stretch: Stretch, wanted: _Wanted
) -> list[tuple[int, int, float]]:
    """(place in the stack, line, confidence) of the pairs that are joined."""
    unseen = np.array([place - 1 - layer.seen[-1][0] for layer in stack])
    faint = _SHORT_SEEN + (1 - _SHORT_SEEN) * np.array([layer.share for layer in stack])
    seen_again = np.maximum(_LEAST_SEEN, _SEEN_AGAIN * _FORGOTTEN**unseen * faint)
    above, above_off = np.array([[layer.below, layer.off] for layer in stack]).reshape(-1, 2).T
    matched = matches(
        above,
        above_off,
        frame.begins,
        frame.begins_off,
        stretch,
        seen_again,
        _NEW_PER_LAYER * (1 + _SHORT_NEW * (1 - frame.share)),
        must=wanted.must,
        never=wanted.never,
    )
    if matched is None:
        raise Refused(f"What was said of {frame.name} cannot be together: take one of its joins back.")
    return matched


_SAME_PLACE = Stretch(_LEAST_DRIFT, 0.0)


def matches(
    above: np.ndarray,
    above_off: np.ndarray,
    below: np.ndarray,
    below_off: np.ndarray,
    stretch: Stretch = _SAME_PLACE,
    seen_again: np.ndarray | float = _SEEN_AGAIN,
    new: np.ndarray | float = _NEW_PER_LAYER,
    *,
    must: Mapping[int, int] | None = None,
    never: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int, float]] | None:
    """(layer, line, confidence) of the pairs of known layers and lines that are the same, in order of depth.

    None where what was decided cannot be together.

    Parameters
    ----------
    above, above_off : (n,) where the known layers lie, two-way s below the surface, and standard deviations
    below, below_off : (m,) of the lines
    stretch : from one to the other; of one place if nothing is said
    seen_again : (n,) probability that a known layer is drawn again
    new : (m,) how often there is a line of no known layer, for each layer
    must, never : line -> layer, and (layer, line), that were decided before
    """
    n, m = len(above), len(below)
    if not n or not m:
        return []
    must = must or {}
    drawn = np.broadcast_to(np.asarray(seen_again, float), n)
    log_pair = np.broadcast_to(np.log(drawn)[:, None], (n, m)).copy()
    for line, layer in must.items():
        kept = log_pair[layer, line]
        log_pair[layer, :], log_pair[:, line] = -np.inf, -np.inf
        log_pair[layer, line] = kept
    for layer, line in never:
        log_pair[layer, line] = -np.inf
    log_missing = np.log1p(-drawn)
    log_missing[list(must.values())] = -np.inf
    spacing = max(float(below[-1]) / m, np.finfo(float).tiny)
    log_new = np.log(np.broadcast_to(np.asarray(new, float), m) / spacing)
    log_new[list(must)] = -np.inf
    chance = pair_chances(above, above_off, below, below_off, stretch, log_pair, log_missing, log_new)
    if chance is None:
        return None
    return [(layer, line, float(chance[layer, line])) for layer, line in best_pairs(chance - _WORTH_JOINING)]


def pair_chances(
    above: np.ndarray,
    above_off: np.ndarray,
    below: np.ndarray,
    below_off: np.ndarray,
    stretch: Stretch,
    log_pair: np.ndarray,
    log_missing: np.ndarray,
    log_new: np.ndarray,
) -> np.ndarray | None:
    """(n, m) the probability of each pair of a known layer and a line, summed over all assignments that keep the order.

    None where all assignments are ruled out. A layer is expected below the last one as far as its thickness, stretched by what
    the layers above it were stretched by, the nearest most: a Kalman filter down the layers (`_Followed`).

    Parameters
    ----------
    above, above_off : (n,) where the known layers lie, two-way s below the surface, and standard deviations
    below, below_off : (m,) of the lines
    stretch : of the layers from one to the other
    log_pair : (n, m) logarithm of a layer's probability to be drawn, -inf where the pair is ruled out
    log_missing : (n,) that it is not
    log_new : (m,) logarithm of the density, per s, of lines that are of no known layer
    """
    n, m = len(above), len(below)
    a, b = np.append(0.0, above), np.append(0.0, below)
    noise = np.append(0.0, above_off)[:, None] ** 2 + np.append(0.0, below_off)[None, :] ** 2
    missing, new = (
        np.append(0.0, np.cumsum(np.maximum(each, _RULED_OUT))) for each in (log_missing, log_new)
    )  # of infinities no differences could be made
    followed = _Followed.from_surface(n + 1, m + 1, stretch)
    forward = np.full((n + 1, m + 1), -np.inf)
    forward[0, 0] = 0.0
    steps: list[tuple[np.ndarray, np.ndarray]] = []
    later = np.arange(m + 1)[:, None] < np.arange(1, m + 1)[None, :]
    for i in range(1, n + 1):
        before = np.unique(np.append(0, np.arange(max(0, i - _MOST_SKIPPED - 1), i)))
        expected = followed.down(before, a[i] - a[before], i - before, stretch)
        apart = b[None, None, 1:] - expected.depth[:, :, None]
        width = np.sqrt(expected.depth_var[:, :, None] + noise[i, 1:])
        skipped = (missing[i - 1] - missing[before])[:, None, None] + (new[None, None, :-1] - new[None, :, None])
        weight = _log_density(apart, width) + skipped + log_pair[i - 1]
        weight = np.where(later, weight, -np.inf)
        weight[before == 0, 1:, :] = -np.inf  # the surface is the surface
        if before[0] == 0:
            weight[1:, 0, :] = -np.inf
        steps.append((before, weight))
        reached = forward[before][:, :, None] + weight
        forward[i, 1:] = _summed(reached, (0, 1))
        followed.learn(i, expected, reached, apart, noise[i, 1:])
    ending = (missing[-1] - missing)[:, None] + (new[-1] - new)[None, :]
    ending[0, 1:] = ending[1:, 0] = -np.inf
    backward = ending.copy()
    for i, (before, weight) in reversed(list(enumerate(steps, start=1))):
        onward = _summed(weight + backward[i, 1:][None, None, :], (2,))
        backward[before] = np.logaddexp(backward[before], onward)
    total = float(_summed(forward + ending, (0, 1)))
    if total < _RULED_OUT / 2:
        return None
    with np.errstate(invalid="ignore"):
        chance = np.exp(forward + backward - total)
    return np.asarray(np.nan_to_num(chance[1:, 1:]))


@dataclass
class _Followed:
    """Of each pair of a layer and a line, (n, m) each, what the pairs down to it tell: the layer's depth, s, the logarithm
    by which layers stretch there, and their variances and covariance (Kalman 1960).
    """

    depth: np.ndarray
    stretch: np.ndarray
    depth_var: np.ndarray
    covariance: np.ndarray
    stretch_var: np.ndarray

    @classmethod
    def from_surface(cls, n: int, m: int, stretch: Stretch) -> "_Followed":
        depth, found, depth_var, covariance = np.zeros((4, n, m))
        return cls(depth, found, depth_var, covariance, np.full((n, m), stretch.thickness**2))

    def down(self, before: np.ndarray, thickness: np.ndarray, layers: np.ndarray, stretch: Stretch) -> "_Followed":
        """From the layers `before` by a thickness and a number of layers, (before,) each."""
        kept = (stretch.memory**layers)[:, None]
        found = kept * self.stretch[before]
        var = kept**2 * self.stretch_var[before] + (1 - kept**2) * stretch.thickness**2
        grown = thickness[:, None] * np.exp(found)
        covariance = kept * self.covariance[before]
        return _Followed(
            self.depth[before] + grown, found, self.depth_var[before] + 2 * grown * covariance + grown**2 * var,
            covariance + grown * var, var,
        )  # fmt: skip

    def learn(self, i: int, expected: "_Followed", reached: np.ndarray, apart: np.ndarray, noise: np.ndarray) -> None:
        """Of layer `i` with each line, coming from the most probable of the pairs above."""
        lines = np.arange(reached.shape[2])
        k, above = np.unravel_index(reached.reshape(-1, lines.size).argmax(axis=0), reached.shape[:2])
        var, covariance = expected.depth_var[k, above], expected.covariance[k, above]
        to_depth, to_stretch = var / (var + noise), covariance / (var + noise)
        off = apart[k, above, lines]
        self.depth[i, 1:] = expected.depth[k, above] + to_depth * off
        self.stretch[i, 1:] = expected.stretch[k, above] + to_stretch * off
        self.depth_var[i, 1:] = (1 - to_depth) * var
        self.covariance[i, 1:] = (1 - to_depth) * covariance
        self.stretch_var[i, 1:] = expected.stretch_var[k, above] - to_stretch * covariance


def best_pairs(gain: np.ndarray) -> list[tuple[int, int]]:
    """Of the pairs (n, m) those in order that gain the most together: dynamic programming."""
    n, m = gain.shape
    best = np.zeros((n + 1, m + 1))
    for i in range(n):
        taken = best[i, :-1] + np.maximum(gain[i], 0.0)
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], taken))
    pairs, i, j = [], n, m
    while i and j:
        if best[i, j] == best[i, j - 1]:
            j -= 1
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def _log_density(apart: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Logarithm of the density of lines that lie `apart` from where they are expected: two bell curves, one of them wide."""
    square = (apart / width) ** 2
    core = np.log1p(-_TAIL_SHARE) - square / 2
    tail = np.log(_TAIL_SHARE / _TAIL_WIDTH) - square / (2 * _TAIL_WIDTH**2)
    return np.asarray(np.logaddexp(core, tail) - np.log(width) - 0.5 * np.log(2 * np.pi))


def _summed(weights: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(logsumexp(weights, axis=axes))


def _carry_on(stack: list[_Layer], frame: FrameLines, place: int, layer_of: dict[int, int], drift: Drift) -> None:
    """Move the stack to the end of a frame, and put in the lines that are of no known layer, each where it lies."""
    lines = sorted(layer_of)
    known = np.array([stack[layer_of[line]].below for line in lines])
    at_begin = carried(np.array([layer.below for layer in stack]), known, frame.begins[lines], drift.memory)
    at_end = carried(at_begin, frame.begins, frame.ends, drift.memory)
    through = _ELLIPSOID.inv(frame.first[1], frame.first[0], frame.last[1], frame.last[0])[2]
    off = _carried_off(at_begin, frame.begins, drift.at(float(through) if np.isfinite(through) else 0.0))
    for layer, end, more in zip(stack, at_end.tolist(), off.tolist(), strict=True):
        layer.below, layer.off = end, float(np.hypot(layer.off, more))
    found = list(zip(stack, at_begin.tolist(), strict=True))
    for line, owner in layer_of.items():
        stack[owner].below, stack[owner].off = float(frame.ends[line]), float(frame.ends_off[line])
        stack[owner].share = float(frame.share[line])
        stack[owner].seen.append((place, line))
    new: list[tuple[int, _Layer]] = []
    for line in range(len(frame.begins)):
        if line in layer_of:
            continue
        lowest = max((layer_of[above] + 1 for above in lines if above < line), default=0)
        highest = min((layer_of[under] for under in lines if under > line), default=len(found))
        depth = float(frame.begins[line])
        where = next((at for at in range(lowest, highest) if found[at][1] > depth), highest)
        new.append(
            (
                where,
                _Layer(float(frame.ends[line]), float(frame.ends_off[line]), float(frame.share[line]), [(place, line)]),
            )
        )
    for where, layer in reversed(new):  # from below, so that the places above stay; lines of one place stay by depth
        stack.insert(where, layer)


def _numbered(stack: list[_Layer], frames: Sequence[FrameLines]) -> dict[str, np.ndarray]:
    """Of each frame the numbers of its lines; 0 of those that are in too few frames."""
    deepest = np.full(len(frames), -1)
    for place, layer in enumerate(stack):
        for frame, _ in layer.seen:
            deepest[frame] = max(deepest[frame], place)
    numbers = {frame.name: np.zeros(len(frame.begins), int) for frame in frames}
    count = 0
    for place, layer in enumerate(stack):
        seen = {frame for frame, _ in layer.seen}
        shown = len(seen | set(np.flatnonzero(deepest > place).tolist()))
        drawn = sum(float(frames[frame].share[line]) for frame, line in layer.seen)
        if shown >= _ENOUGH_FRAMES and drawn < _LEAST_SUPPORT * shown:
            continue
        count += 1
        for frame, line in layer.seen:
            numbers[frames[frame].name][line] = count
    return numbers
