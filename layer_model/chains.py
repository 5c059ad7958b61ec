"""From a map of internal layers to lines: ridge points, joined to chains, and chains linked across gaps."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from lines import Piece, parted, sub_pixel
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


class ChainSettings(NamedTuple):
    """What makes a chain, and what a link between two. Where no other reason stands, a value was found by trial on simulated
    campaigns that the benchmark does not score.
    """

    clearance: float = 3.5
    """Rows that an internal layer keeps from surface and bed, whose flanks the map shows as layers, too."""
    reach: float = 2.6
    """Rows by which the next column's point may miss where a point's slope leads."""
    fewest_points: int = 3
    """Points of a chain: fewer have no course to be carried on."""
    loose: int = 8
    """Traces at either end of a chain: its last points are the ones that go astray, so links may start before them."""
    miss: float = 4.0
    """Rows by which the ends of a gap, carried on, may miss each other."""
    miss_per_column: float = 0.06
    """Rows more for each column of the gap, since a course gets less sure with every step."""
    worth: float = 8.0
    """What a link gains, in rows of mismatch: any that is allowed is worth making."""
    column_cost: float = 0.05
    """Rows of mismatch that a column of a gap costs: of two links that meet alike the shorter is made."""
    straight_over: int = 7
    """Columns, at most, that tell a chain's direction at its end, where it is carried straight on."""
    trusted: float = 12.0
    """Columns of a chain whose direction counts in full; a shorter one's less, in proportion."""


CHAINS = ChainSettings()
_BETWEEN_COLUMNS = 64.0
"""Rows between the end of one column and the start of the next where columns are laid end to end: more than `reach` and
the steepest slope together, so that no point is near one of another column."""


class RidgePoints(NamedTuple):
    """Sub-pixel maxima along the columns of a map, (n,) each, sorted by column, then row."""

    columns: np.ndarray
    rows: np.ndarray
    support: np.ndarray
    slope: np.ndarray


class Chain(NamedTuple):
    """Ridge points in consecutive columns, (n,) each."""

    columns: np.ndarray
    rows: np.ndarray
    support: np.ndarray


class Strand(NamedTuple):
    """n chains laid end to end, and where their links may start and end."""

    columns: np.ndarray
    """(points,), as `rows` and `support`: those of all chains, one after the other."""
    rows: np.ndarray
    support: np.ndarray
    first: np.ndarray
    """(n,) place of each chain's first point, and of its `last`."""
    last: np.ndarray
    loose: np.ndarray
    """(n,) columns inside a chain, at either end, at which its links start and end."""
    ahead: np.ndarray
    """(2, steps + 1, n) rows from there on, to the right: along the slope field, and straight."""
    back: np.ndarray
    """The same to the left from each chain's start."""

    @property
    def sizes(self) -> np.ndarray:
        return self.last - self.first + 1


class Links(NamedTuple):
    """Links between chains, (links,) each: from the end of chain `left` over `distance` columns to the start of chain
    `right`, along that `course` of a `Strand` on which the two miss each other least, by `mismatch` rows.
    """

    left: np.ndarray
    right: np.ndarray
    distance: np.ndarray
    course: np.ndarray
    mismatch: np.ndarray

    def taken(self, which: np.ndarray) -> Links:
        return Links(*(values[which] for values in self))


def ridge_points(
    image: np.ndarray,
    slope: np.ndarray,
    surface: np.ndarray,
    bed: np.ndarray,
    low: float,
    settings: ChainSettings = CHAINS,
) -> RidgePoints:
    """Ridge points of an internal-layer map (rows, columns), above `low`, below the surface and above the bed where these,
    (columns,), are known.
    """
    inner = image[1:-1]
    peak = (inner > low) & (inner >= image[:-2]) & (inner > image[2:])
    columns, whole = np.nonzero(peak.T)
    rows, support = sub_pixel(image, whole + 1, columns)
    with np.errstate(invalid="ignore"):
        clear = ~(rows < surface[columns] + settings.clearance) & ~(rows > bed[columns] - settings.clearance)
    return RidgePoints(columns[clear], rows[clear], support[clear], slope[(whole[clear] + 1) // 2, columns[clear] // 2])


def join_points(points: RidgePoints, height: int, ridge: float, settings: ChainSettings = CHAINS) -> List[Chain]:
    """Chains of the points of a map of `height` rows, each point joined to the one in the next column that is nearest to
    where its slope leads, if that is mutual. Only chains that reach `ridge`.
    """
    columns, rows, support, slope = points
    if not columns.size:
        return []
    pitch = height + _BETWEEN_COLUMNS
    position = columns * pitch + rows
    after = _nearest(position, position + pitch + slope, settings.reach)
    before = _nearest(position, position - pitch - slope, settings.reach)
    at = np.flatnonzero(after >= 0)
    at = at[before[after[at]] == at]
    graph = coo_matrix((np.ones(at.size, bool), (at, after[at])), shape=(columns.size, columns.size))
    number, member = connected_components(graph, directed=False)
    order = np.argsort(member, kind="stable")
    sizes = np.bincount(member, minlength=number)
    strongest = np.maximum.reduceat(support[order], np.cumsum(sizes) - sizes)
    wanted = (strongest >= ridge) & (sizes >= settings.fewest_points)
    order = order[np.repeat(wanted, sizes)]
    return [Chain(*chain) for chain in parted([columns[order], rows[order], support[order]], sizes[wanted])]


def _nearest(position: np.ndarray, wanted: np.ndarray, reach: float) -> np.ndarray:
    """Index of the position nearest to each wanted one, -1 beyond `reach`."""
    right = np.minimum(np.searchsorted(position, wanted), position.size - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(position[left] - wanted) <= np.abs(position[right] - wanted), left, right)
    return np.where(np.abs(position[nearest] - wanted) <= reach, nearest, -1)


def join_chains(
    chains: Sequence[Chain],
    image: np.ndarray,
    slope: np.ndarray,
    gap: int,
    loose: int = CHAINS.loose,
    settings: ChainSettings = CHAINS,
) -> List[Piece]:
    """Chains linked across gaps of up to `gap` columns: lines without gaps.

    Both ends of a gap are carried on, straight or along the slope that the layers about them show, whichever meets
    better: so a link follows its neighbours where the layer itself has faded. A link costs by how far either end misses
    the other, and by its length. Which links are made is decided for all chains together (min-cost path cover as in
    Zhang et al. 2008, solved as an assignment). A link starts and ends up to `loose` columns inside its chains, so chains
    that overlap there can be linked too. Support in the gap is what the map says there.
    """
    if not chains:
        return []
    strand = carried_on(chains, slope, gap + 2 * loose, loose, settings)
    links = cheapest_links(possible_links(strand, gap, settings), len(chains), settings)
    return strung_together(strand, links, image)


def carried_on(
    chains: Sequence[Chain], slope: np.ndarray, steps: int, loose: int, settings: ChainSettings = CHAINS
) -> Strand:
    """The chains as a `Strand`, their ends carried on for `steps` columns."""
    columns, rows, support = (np.concatenate(parts) for parts in zip(*chains))
    sizes = np.array([chain.columns.size for chain in chains])
    last = np.cumsum(sizes) - 1
    first = last - sizes + 1
    inside = np.minimum(loose, (sizes - 1) // 2)
    courses = np.array(
        [
            courses_of(columns, rows, first, last, inside, slope, steps),
            straight_courses(rows, first, last, inside, steps, settings),
        ]
    )
    return Strand(columns, rows, support, first, last, inside, courses[:, 0], courses[:, 1])


def possible_links(strand: Strand, gap: int, settings: ChainSettings = CHAINS) -> Links:
    """Every link over a gap of up to `gap` columns whose ends do not miss each other by too much."""
    starts = strand.columns[strand.first] + strand.loose
    ends = strand.columns[strand.last] - strand.loose
    distances = starts[None, :] - ends[:, None]
    within = (distances >= 1) & (distances <= gap + strand.loose[None, :] + strand.loose[:, None])
    left, right = np.nonzero(within)
    distance = distances[left, right]
    ahead, back = strand.ahead, strand.back
    mismatches = 0.5 * (
        np.abs(ahead[:, distance, left] - back[:, 0, right]) + np.abs(back[:, distance, right] - ahead[:, 0, left])
    )
    links = Links(left, right, distance, mismatches.argmin(axis=0), mismatches.min(axis=0))
    return links.taken(np.flatnonzero(links.mismatch <= settings.miss + settings.miss_per_column * distance))


def cheapest_links(links: Links, count: int, settings: ChainSettings = CHAINS) -> Links:
    """Of the links among `count` chains those that together cost least, each chain having one at either end at most."""
    cost, pair = np.zeros((count, count)), np.full((count, count), -1)
    pair[links.left, links.right] = np.arange(links.left.size)
    cost[links.left, links.right] = links.mismatch + settings.column_cost * links.distance - settings.worth
    made = pair[linear_sum_assignment(cost)]
    return links.taken(made[made >= 0])


def strung_together(strand: Strand, links: Links, image: np.ndarray) -> List[Piece]:
    """The lines that chains and the links between them make; what supports a link is the `image` (rows, columns)."""
    count, (left, right, distance) = len(strand.first), links[:3]
    bridges = _bridges(strand, links, image)
    # A line is a chain, its link, the next chain, its link, ...: chain i is part i, its link part `count` + i.
    part_first, part_size = np.zeros(2 * count, int), np.zeros(2 * count, int)
    part_first[:count], part_size[:count] = strand.first, strand.sizes
    part_first[right] += strand.loose[right]
    part_size[right] -= strand.loose[right]
    part_size[left] -= strand.loose[left]
    part_size[count + left] = distance - 1
    part_first[count + left] = strand.columns.size + np.cumsum(distance - 1) - (distance - 1)
    follower: Dict[int, int] = dict(zip(left.tolist(), right.tolist()))
    order: List[int] = []
    line_sizes: List[int] = []
    for here in sorted(set(range(count)) - set(right.tolist())):
        line = [here]
        while here in follower:
            line += [count + here, follower[here]]
            here = follower[here]
        order += line
        line_sizes.append(int(part_size[line].sum()))
    at = _ranges(part_first[order], part_size[order])
    laid = [np.concatenate(both)[at] for both in zip((strand.columns, strand.rows, strand.support), bridges)]
    return [Piece(int(columns[0]), rows, support) for columns, rows, support in parted(laid, line_sizes)]


def _bridges(strand: Strand, links: Links, image: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows and support in the gaps, one link after the other: from the course of the left chain to that of the
    right one.
    """
    distance = links.distance
    ahead, back = strand.ahead[links.course, :, links.left], strand.back[links.course, :, links.right]
    ends = strand.columns[strand.last] - strand.loose
    link = np.repeat(np.arange(distance.size), distance - 1)
    step, whole = _ranges(np.ones_like(distance), distance - 1), distance[link]
    share = step / whole
    rows = (1 - share) * ahead[link, step] + share * back[link, whole - step]
    columns = ends[links.left][link] + step
    at = np.minimum(np.maximum(np.rint(rows), 0), image.shape[0] - 1).astype(np.intp)
    return columns, rows, image[at, columns]


def _ranges(first: np.ndarray, size: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... (size[0] of them), first[1], first[1] + 1, ..., as one array."""
    return np.arange(size.sum()) + np.repeat(first - np.cumsum(size) + size, size)


def straight_courses(
    rows: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    loose: np.ndarray,
    steps: int,
    settings: ChainSettings = CHAINS,
) -> Tuple[np.ndarray, np.ndarray]:
    """Rows (steps + 1, n) of n chains carried straight on from `loose` (n,) columns before their ends, and the same
    backwards from so many after their starts; the less so, the shorter they are. Chain i is `rows` from `first[i]` to
    `last[i]`.
    """
    far = np.arange(steps + 1)[:, None]
    sizes = last - first + 1
    head, tail = first + loose, last - loose
    reach = np.minimum(settings.straight_over, sizes - 1 - loose)
    trust = np.minimum(1.0, sizes / settings.trusted) / reach
    after = trust * (rows[tail] - rows[tail - reach])
    before = trust * (rows[head + reach] - rows[head])
    return rows[tail] + far * after, rows[head] - far * before


def courses_of(
    columns: np.ndarray,
    rows: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    loose: np.ndarray,
    slope: np.ndarray,
    steps: int,
) -> Tuple[np.ndarray, np.ndarray]:
    """As `straight_courses`, but over the loose columns the chain's own rows, and then on along the slope field."""
    far = np.arange(steps + 1)[:, None]
    both, direction = np.concatenate([last, first]), np.repeat([1, -1], first.size)
    ahead, back = np.split(carried(rows[both], columns[both], slope, steps, direction), 2, axis=1)
    number, inside = np.arange(first.size), far < loose
    own, outside = np.minimum(far - loose, 0), np.maximum(far - loose, 0)
    return (
        np.where(inside, rows[last + own], ahead[outside, number]),
        np.where(inside, rows[first - own], back[outside, number]),
    )


def carried(rows: np.ndarray, columns: np.ndarray, slope: np.ndarray, steps: int, direction: np.ndarray) -> np.ndarray:
    """(steps + 1, n) rows of n points that follow the slope field for so many columns, each in its `direction` (n,), 1 or
    -1.
    """
    path = np.empty((steps + 1, rows.size))
    path[0] = rows
    blocks, pairs = slope.shape
    at = (columns + direction * np.arange(steps)[:, None] - (direction < 0)) // 2
    at = np.minimum(np.maximum(at, 0), pairs - 1)
    for step in range(steps):
        here = np.minimum(np.maximum(np.rint(path[step]), 0), 2 * blocks - 1).astype(np.intp)
        path[step + 1] = path[step] + direction * slope[here // 2, at[step]]
    return path
