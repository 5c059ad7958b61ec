"""From probability maps to ordered polylines.

1. Surface and bed: one path each through their map (Viterbi 1967, as Crandall et al. 2012 use it for ice boundaries),
   kept where the map supports it.
2. Internal layers: the map averaged along the slope that it shows (as in predictive painting, Fomel 2010); ridge points
   (sub-pixel maxima along each column, with hysteresis, Canny 1986) joined to chains between columns, each along the
   slope that its surroundings show; chains joined across gaps, and where their ends overlap, by the cheapest set of
   links (min-cost path cover as in Zhang et al. 2008, solved as an assignment).
3. Layers made consistent with one another (never crossing), short spurs dropped, ordered by depth.
4. Vertices: Ramer-Douglas-Peucker within half a pixel, all layers at once.

No loop goes over pixels; loops go over columns (1), chains and layers.
"""

# ruff: noqa: B905 - zip's `strict` came after Python 3.8

import heapq

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter, uniform_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

RIDGE, WEAK = 0.5, 0.6
"""Least probability, on average, along a piece of a layer, and the share of it that a single point needs to be looked at."""
PRESENT = 0.25
MAX_GAP_TRACES = 24
MIN_LENGTH_TRACES = 20
LOOSE_TRACES = 8
"""At either end of a chain: its last points are the ones that go astray, so links may start before them."""
MISS, MISS_PER_COLUMN = 4.0, 0.06
"""Rows by which the ends of a gap, carried on, may miss each other, and more for each column of the gap."""
SUPPORT_TRACES = 12
SURFACE_COST, BED_COST = 0.35, 0.1
"""Of going up or down one row, against log-probabilities: beds are rough (8 rows in 10 traces is common)."""
UNSEEN = 0.03
"""What a boundary's path pays for ground where the map shows nothing: a gap in the bed is no reason to leave it."""
MIN_SPACING = 1.6
CLEARANCE = 3.5
TOLERANCE = 0.5
MAX_CHAINS, MAX_LAYERS = 1500, 300
"""The best supported ones are looked at; more come from noise alone, and time grows with their square."""


class Layer:
    """One tracked layer: `first` trace, `rows` (n,) float in consecutive traces, `support` (n,) probability along it,
    `label`.
    """

    __slots__ = ("first", "label", "rows", "support")

    def __init__(self, label, first, rows, support):
        self.label, self.first, self.rows, self.support = label, first, rows, support

    @property
    def traces(self):
        return np.arange(self.first, self.first + self.rows.size)


def find_layers(probability, width, stride=1, ridge=RIDGE):
    """Layers in a probability map, by depth, never crossing.

    Parameters
    ----------
    probability : (3, rows, columns) float array: surface, internal layer, bed
    width : traces of the echogram
    ridge : probability that an internal layer must reach somewhere along it; training chooses it (see training.py)
    stride : traces per column of the map; column j covers traces stride*j .. stride*j + stride - 1

    Returns
    -------
    list of `Layer`, in traces
    """
    probability = np.ascontiguousarray(probability, dtype=np.float32)
    gap, shortest = max(2, MAX_GAP_TRACES // stride), max(3, MIN_LENGTH_TRACES // stride)
    shortest = max(2, min(shortest, width // (3 * stride)))
    window, loose = max(3, SUPPORT_TRACES // stride), LOOSE_TRACES // stride
    boundaries = [
        boundary_pieces(image, probability[1], gap, shortest, cost)
        for image, cost in ((probability[0], SURFACE_COST), (probability[2], BED_COST))
    ]
    surface, bed = (dense(pieces, probability.shape[2]) for pieces in boundaries)
    slope = slopes(probability[1])
    inside = averaged_along(probability[1], slope)
    points = ridge_points(inside, slope, surface, bed, WEAK * ridge)
    chains = _strongest(join_points(points, probability.shape[1], ridge), MAX_CHAINS)
    candidates = [("surface", *piece) for piece in boundaries[0]] + [("bed", *piece) for piece in boundaries[1]]
    linked = _strongest(join_chains(chains, inside, slope, gap, loose), MAX_LAYERS)
    candidates += [("layer", *piece) for piece in _likely(linked, ridge, window, gap, shortest)]
    kept = consistent(candidates, probability.shape[2], shortest)
    return by_depth([_in_traces(layer, width, stride) for layer in kept])


def boundary_pieces(image, layers, gap, shortest, cost, jump=3):
    """The best path through a map (rows, columns), cut where the map does not support it or where it is more of an
    internal layer, by the map `layers`, than a boundary.

    The path is sought on pairs of columns, the stronger of each standing for both, and then moved to the nearest ridge
    in every column. Going d rows up or down costs `cost * d`; 1 + 2 + ... + `jump` rows at most from pair to pair.
    Returns a list of (first column, rows, support).
    """
    if image.max(initial=0.0) <= PRESENT:
        return []
    height, width = image.shape
    pairs = image[:, ::2].copy()
    np.maximum(pairs[:, : width // 2], image[:, 1::2], out=pairs[:, : width // 2])
    gain = np.log(np.maximum(pairs.T, np.float32(UNSEEN)))
    reached = np.empty((len(gain), height), np.float32)
    score = reached[0] = gain[0]
    best, paid = np.empty(height, np.float32), np.empty(height, np.float32)
    # Shifts by 1, 2, ... rows, each taken or not, make every shift up to their sum: the same maximum, half the work.
    shifts = [(d, np.float32(cost * d)) for d in range(1, jump + 1)]
    furthest = jump * (jump + 1) // 2
    for column in range(1, len(gain)):
        best[:] = score
        for d, fee in shifts:
            np.subtract(best, fee, out=paid)
            np.maximum(best[d:], paid[:-d], out=best[d:])
            np.maximum(best[:-d], paid[d:], out=best[:-d])
        score = np.add(best, gain[column], out=reached[column])
    path = np.empty(len(gain), int)
    path[-1] = score.argmax()
    fees = np.float32(cost) * np.abs(np.arange(-furthest, furthest + 1))
    for column in range(len(gain) - 1, 0, -1):
        low = max(0, path[column] - furthest)
        before = reached[column - 1, low : path[column] + furthest + 1]
        path[column - 1] = low + (before - fees[low - path[column] + furthest :][: before.size]).argmax()
    centres = np.arange(len(gain)) * 2 + 0.5
    return _supported(image, layers, _on_ridge(image, np.interp(np.arange(width), centres, path)), gap, shortest)


def _on_ridge(image, rows, reach=2):
    """Whole rows (columns,) of the highest pixel within `reach` rows of `rows` in each column."""
    columns = np.arange(rows.size)
    around = np.rint(rows).astype(int) + np.arange(-reach, reach + 1)[:, None]
    around = np.clip(around, 0, image.shape[0] - 1)
    return around[image[around, columns].argmax(axis=0), columns]


def _strongest(chains, count):
    """The `count` chains (columns or first column, rows, support) with the largest summed support."""
    return sorted(chains, key=lambda chain: -float(chain[2].sum()))[:count]


def _likely(lines, ridge, window, gap, shortest):
    """The pieces of lines (first column, rows, support) whose support averages `ridge` over `window` columns, those
    `gap` columns apart or less bridged, and half a window more, since the average falls before a gap begins; `shortest`
    columns or longer.
    """
    if not lines:
        return []
    sizes = np.array([support.size for _, _, support in lines])
    ends = np.cumsum(sizes)
    total = np.concatenate([[0.0], np.cumsum(np.concatenate([support for _, _, support in lines]), dtype=float)])
    at = np.arange(ends[-1])
    low = np.maximum(at - window // 2, np.repeat(ends - sizes, sizes))
    high = np.minimum(at + (window + 1) // 2, np.repeat(ends, sizes))
    likely = total[high] - total[low] >= ridge * (high - low)
    return [
        piece
        for line, wanted in zip(lines, np.split(likely, ends[:-1]))
        for piece in _pieces(*line, wanted, gap + window // 2, shortest)
    ]


def _pieces(first, rows, support, wanted, gap, shortest):
    """(first column, rows, support) of each run of `wanted` (columns,) bool, gaps bridged, of `shortest` columns or more."""
    return [
        (first + start, rows[start:end], support[start:end])
        for start, end in runs(_bridged(wanted, gap))
        if end - start >= shortest
    ]


def _bridged(mask, gap):
    """A (columns,) bool array without its inner runs of False of `gap` columns or fewer."""
    mask = mask.copy()
    for start, end in runs(~mask):
        if start > 0 and end < mask.size and end - start <= gap:
            mask[start:end] = True
    return mask


def runs(mask):
    """(start, end) of each run of True in a (n,) bool array."""
    padded = np.zeros(mask.size + 2, bool)
    padded[1:-1] = mask
    edges = (padded[1:] != padded[:-1]).nonzero()[0].tolist()
    return list(zip(edges[::2], edges[1::2]))


def _supported(image, layers, path, gap, shortest):
    columns = np.arange(path.size)
    rows, support = sub_pixel(image, path, columns)
    average = uniform_filter1d(support, 9, mode="nearest")
    present = (average > PRESENT) & (average > uniform_filter1d(layers[path, columns], 9, mode="nearest"))
    return _pieces(0, rows, support, present, gap, shortest)


def sub_pixel(image, rows, columns):
    """Row and height of the ridge at integer (rows, columns): the vertex of the parabola through three log-
    probabilities.
    """
    inner = np.clip(rows, 1, image.shape[0] - 2)
    above, here, below = (np.log(image[inner + d, columns] + 1e-4) for d in (-1, 0, 1))
    bend = above - 2 * here + below
    shift = np.where(bend < -1e-6, 0.5 * (above - below) / np.where(bend < -1e-6, bend, -1.0), 0.0)
    shift = np.where(inner == rows, np.clip(shift, -0.5, 0.5), 0.0)
    return rows + shift, image[rows, columns]


def dense(pieces, width):
    """Rows (width,) of the pieces of one line, NaN in gaps."""
    rows = np.full(width, np.nan)
    for first, piece, _ in pieces:
        rows[first : first + piece.size] = piece
    return rows


def slopes(image, window=(7, 3), steepest=5.0):
    """Local slope of the ridges, (rows, columns) float32, in rows per column: across the direction in which the map
    changes most, by its structure tensor (Bigun & Granlund 1987) over `window` (rows, columns) blocks of 2 x 2 pixels.

    The root of the map, so that a faint layer has a say beside strong ones. One slope for each block.
    """
    height, width = image.shape
    smooth = gaussian_filter(np.sqrt(np.maximum(image, 0.0)), 1.0, truncate=3.0)
    down = np.zeros((height + height % 2, width + width % 2), smooth.dtype)
    along = np.zeros_like(down)
    np.subtract(smooth[2:], smooth[:-2], out=down[1 : height - 1, :width])
    np.subtract(smooth[:, 2:], smooth[:, :-2], out=along[:height, 1 : width - 1])
    across, both, upright = (
        uniform_filter(_blocks(part), window) for part in (along * along, along * down, down * down)
    )
    stretch, shear = across - upright, 2.0 * both
    level = np.sqrt(stretch * stretch + shear * shear) - stretch
    slope = np.clip(-shear / np.maximum(level, 1e-12), -steepest, steepest)
    return slope.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def _blocks(image):
    """Sums over blocks of 2 x 2 pixels."""
    rows = image[::2] + image[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def averaged_along(image, slope, steps=((-1, 1), (-3, 3))):
    """`image` averaged over the columns about it along the slope field: joins what noise tore apart, and levels the
    stairs by which a network draws a steep layer.

    Each pair of `steps` averages what the one before it gave, so the average follows a bend, as predictive painting
    (Fomel 2010) does. Over longer stretches than these the slope's error costs more than the average gains.
    """
    height, width = image.shape
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width)
    # All steps share these: fresh memory of this size takes longer to get than to fill.
    at, whole, here, below = (np.empty(image.shape, np.float32) for _ in range(4))
    where = np.empty(image.shape, np.intp)
    for pair in steps:
        flat, total = image.ravel(), image.copy()
        for step in pair:
            np.multiply(slope, np.float32(step), out=at)
            at += rows
            np.clip(at, np.float32(0), np.float32(height - 1.001), out=at)
            np.floor(at, out=whole)
            at -= whole
            where[:] = whole
            where *= width
            where += np.clip(columns + step, 0, width - 1)
            flat.take(where, out=here, mode="clip")
            where += width
            flat.take(where, out=below, mode="clip")
            below -= here
            below *= at
            here += below
            total += here
        image = total / np.float32(1 + len(pair))
    return image


def ridge_points(image, slope, surface, bed, low):
    """Sub-pixel maxima along the columns of an internal-layer map, above `low`, below the surface and above the bed
    where these are known.

    Returns (columns, rows, support, slope), sorted by column, then row.
    """
    inner = image[1:-1]
    peak = (inner > low) & (inner >= image[:-2]) & (inner > image[2:])
    columns, whole = np.nonzero(peak.T)
    rows, support = sub_pixel(image, whole + 1, columns)
    with np.errstate(invalid="ignore"):
        clear = ~(rows < surface[columns] + CLEARANCE) & ~(rows > bed[columns] - CLEARANCE)
    return columns[clear], rows[clear], support[clear], slope[whole[clear] + 1, columns[clear]]


def join_points(points, height, ridge, reach=2.6):
    """Chains of ridge points in consecutive columns, each point joined to the one nearest to where its slope leads,
    if that is mutual.

    Returns a list of (columns, rows, support), only chains that reach `ridge`.
    """
    columns, rows, support, slope = points
    if not columns.size:
        return []
    pitch = height + 64.0
    position = columns * pitch + rows
    after = _nearest(position, position + pitch + slope, reach)
    before = _nearest(position, position - pitch - slope, reach)
    at = np.flatnonzero(after >= 0)
    at = at[before[after[at]] == at]
    graph = coo_matrix((np.ones(at.size, bool), (at, after[at])), shape=(columns.size, columns.size))
    number, member = connected_components(graph, directed=False)
    order = np.argsort(member, kind="stable")
    limits = np.cumsum(np.bincount(member, minlength=number))
    strongest = np.maximum.reduceat(support[order], np.concatenate([[0], limits[:-1]]))
    return [
        (columns[part], rows[part], support[part])
        for part, high in zip(np.split(order, limits[:-1]), strongest)
        if high >= ridge and part.size >= 3
    ]


def _nearest(position, wanted, reach):
    """Index of the position nearest to each wanted one, -1 beyond `reach`."""
    right = np.clip(np.searchsorted(position, wanted), 0, position.size - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(position[left] - wanted) <= np.abs(position[right] - wanted), left, right)
    return np.where(np.abs(position[nearest] - wanted) <= reach, nearest, -1)


def join_chains(chains, image, slope, gap, loose=LOOSE_TRACES):
    """Chains linked across gaps of up to `gap` columns: list of (first column, rows, support) without gaps.

    Both ends of a gap are carried on, straight or along the slope that the layers about them show, whichever meets
    better: so a link follows its neighbours where the layer itself has faded. A link costs by how far either end misses
    the other, and by its length. Which links are made is decided for all chains together. A link starts and ends up to
    `loose` columns inside its chains, so chains that overlap there can be linked too. Support in the gap is what the
    map says there.
    """
    if not chains:
        return []
    steps = gap + 2 * loose
    loose = np.array([min(loose, (columns.size - 1) // 2) for columns, _, _ in chains])
    starts = np.array([columns[0] for columns, _, _ in chains]) + loose
    ends = np.array([columns[-1] for columns, _, _ in chains]) - loose
    distance = starts[None, :] - ends[:, None]
    within = (distance >= 1) & (distance <= gap + loose[None, :] + loose[:, None])
    courses = [courses_of(chains, loose, field, steps) for field in (slope, None)]
    mismatches = np.stack([_mismatch(ahead, back, np.clip(distance, 0, steps)) for ahead, back in courses])
    course, mismatch = mismatches.argmin(axis=0), mismatches.min(axis=0)
    allowed = within & (mismatch <= MISS + MISS_PER_COLUMN * distance)
    cost = np.where(allowed, mismatch + 0.05 * distance - 8.0, 0.0)
    left, right = linear_sum_assignment(cost)
    follows = {a: b for a, b in zip(left, right) if allowed[a, b]}
    joined = []
    for first in sorted(set(range(len(chains))) - set(follows.values())):
        parts, here, skipped = [], first, 0
        while here in follows:
            after = follows[here]
            ahead, back = courses[course[here, after]]
            parts += [
                _inner(chains[here], skipped, loose[here]),
                _link(image, ends[here], ahead[:, here], back[:, after], distance[here, after]),
            ]
            here, skipped = after, loose[after]
        parts.append(_inner(chains[here], skipped, 0))
        columns, rows, support = (np.concatenate([part[i] for part in parts]) for i in range(3))
        joined.append((int(columns[0]), rows, support))
    return joined


def _inner(chain, head, tail):
    """A chain without its first `head` and last `tail` columns."""
    return [part[head : part.size - tail] for part in chain]


def courses_of(chains, loose, slope, steps):
    """(steps + 1, n) rows of n chains from `loose` (n,) columns before their ends on, and the same backwards from so
    many after their starts: their own rows, then on along the slope field; if it is None, straight on from the first
    of these columns (the less so, the shorter they are).
    """
    sizes = np.array([rows.size for _, rows, _ in chains])
    every_row, every_column = (np.concatenate([chain[part] for chain in chains]) for part in (1, 0))
    last = np.cumsum(sizes) - 1
    first = last - sizes + 1
    far = np.arange(steps + 1)[:, None]
    if slope is None:
        head, tail, reach = first + loose, last - loose, np.minimum(7, sizes - 1 - loose)
        trust = np.minimum(1.0, sizes / 12.0) / reach
        after = trust * (every_row[tail] - every_row[tail - reach])
        before = trust * (every_row[head + reach] - every_row[head])
        return every_row[tail] + far * after, every_row[head] - far * before
    ahead = carried(every_row[last], every_column[last], slope, steps, 1)
    back = carried(every_row[first], every_column[first], slope, steps, -1)
    number, inside = np.arange(len(chains)), far < loose
    own, outside = np.minimum(far - loose, 0), np.maximum(far - loose, 0)
    return (
        np.where(inside, every_row[last + own], ahead[outside, number]),
        np.where(inside, every_row[first - own], back[outside, number]),
    )


def _mismatch(ahead, back, distance):
    """(n, n) rows by which chain i carried on misses chain j, and j carried back misses i: their mean."""
    number = np.arange(len(distance))
    return 0.5 * (
        np.abs(ahead[distance, number[:, None]] - back[0]) + np.abs(back[distance, number] - ahead[0][:, None])
    )


def carried(rows, columns, slope, steps, direction):
    """(steps + 1, n) rows of n points that follow the slope field for so many columns, `direction` 1 or -1."""
    path = np.empty((steps + 1, rows.size))
    path[0] = rows
    height, width = slope.shape
    at = np.clip(columns + direction * np.arange(steps)[:, None] - (direction < 0), 0, width - 1)
    field = slope.ravel() * np.float32(direction)
    for step in range(steps):
        here = np.minimum(np.maximum(np.rint(path[step]), 0), height - 1).astype(np.intp)
        path[step + 1] = path[step] + field.take(here * width + at[step])
    return path


def _link(image, column, ahead, back, distance):
    """(columns, rows, support) between two ends, from the one's course to the other's."""
    steps = np.arange(1, distance)
    share = steps / float(distance)
    rows = (1 - share) * ahead[steps] + share * back[distance - steps]
    columns = column + steps
    return columns, rows, image[np.clip(np.rint(rows), 0, image.shape[0] - 1).astype(np.intp), columns]


def consistent(candidates, width, shortest):
    """Candidates (label, first, rows, support) that do not cross, best supported first; where one would cross or
    touch a better one, or leave the ice, it is cut, and its pieces of `shortest` columns or more stay. A bed may run along
    the surface, as experts draw it where there is no ice: just below it. Returns `Layer` objects in columns.
    """
    order = sorted(candidates, key=lambda c: (("surface", "bed", "layer").index(c[0]), -float(c[3].sum())))
    kept, rows_of, side_of = [], np.full((2 * len(order) + 1, width), np.nan), []
    surface = np.full(width, np.nan)
    for label, first, rows, support in order:
        rows = _smooth(rows)
        last = first + rows.size
        with np.errstate(invalid="ignore"):
            if label == "bed":
                touching = np.abs(rows - surface[first:last]) < CLEARANCE
                rows = np.where(touching, np.fmax(rows, surface[first:last] + 1.01 * MIN_SPACING), rows)
            below = rows - rows_of[: len(kept), first:last]
            conflict = (below * np.array(side_of)[:, None] < 0) | (np.abs(below) < MIN_SPACING)
            conflict[:, 1:] |= below[:, 1:] * below[:, :-1] < 0
        for start, end in runs(~conflict.any(axis=0)):
            if end - start < shortest or support[start:end].mean() < PRESENT or len(kept) == len(rows_of):
                continue
            here = slice(first + start, first + end)
            rows_of[len(kept), here] = rows[start:end]
            if label == "surface":
                surface[here] = rows[start:end]
            side_of.append({"surface": 1.0, "bed": -1.0, "layer": 0.0}[label])
            kept.append(Layer(label, int(first + start), rows[start:end], support[start:end]))
    return kept


def by_depth(layers):
    """Layers from top to bottom: wherever two share a trace the upper comes first; else by mean row.

    "Above" has no cycles among lines that do not cross, so a topological order exists (Guibas & Yao 1980).
    """
    if not layers:
        return []
    width = max(layer.first + layer.rows.size for layer in layers)
    rows = np.full((len(layers), width), np.nan)
    for row, layer in zip(rows, layers):
        row[layer.traces] = layer.rows
    with np.errstate(invalid="ignore"):
        above = np.stack([(row < rows).any(axis=1) for row in rows])
    waiting = above.sum(axis=0)
    mean = [layer.rows.mean() for layer in layers]
    ready = [(mean[i], i) for i in np.flatnonzero(waiting == 0)]
    heapq.heapify(ready)
    order = []
    while ready:
        _, i = heapq.heappop(ready)
        order.append(layers[i])
        for j in np.flatnonzero(above[i]):
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, (mean[j], j))
    return order


def _in_traces(layer, width, stride):
    """The layer with a row in every trace that its columns cover."""
    if stride == 1:
        return layer
    first = layer.first * stride
    traces = np.arange(first, min((layer.first + layer.rows.size) * stride, width))
    centres = (np.arange(layer.first, layer.first + layer.rows.size) + 0.5) * stride - 0.5
    rows = np.interp(traces, centres, layer.rows)
    return Layer(layer.label, first, rows, np.repeat(layer.support, stride)[: traces.size])


def _smooth(rows):
    return uniform_filter1d(rows, 5, mode="nearest")


def simplify(layers, tolerance=TOLERANCE):
    """Lines of few vertices within `tolerance` rows of each layer: split where they stray most (Ramer 1972; Douglas &
    Peucker 1973), then vertices dropped that later splits made needless; all layers at once.

    Returns for each layer (x, y): int traces, strictly increasing, and float rows.
    """
    if not layers:
        return []
    sizes = np.array([layer.rows.size for layer in layers])
    ends = np.cumsum(sizes)
    position = np.arange(ends[-1], dtype=float)
    rows = np.concatenate([layer.rows for layer in layers])
    vertex = np.zeros(ends[-1], bool)
    vertex[ends - 1] = vertex[ends - sizes] = True
    while True:
        corners = np.flatnonzero(vertex)
        off = np.abs(rows - np.interp(position, corners, rows[corners]))
        worst = np.maximum.reduceat(off, corners)
        wanted = np.repeat(worst, np.diff(np.append(corners, rows.size)))
        hits = np.flatnonzero((off > tolerance) & (off == wanted))
        if not hits.size:
            break
        segment = np.searchsorted(corners, hits, side="right")
        vertex[hits[np.unique(segment, return_index=True)[1]]] = True
    fixed = np.zeros(ends[-1], bool)
    fixed[ends - 1] = fixed[ends - sizes] = True
    for parity in (0, 1, 0, 1):  # no two neighbours at once
        corners = np.flatnonzero(vertex)
        tried = corners[parity::2]
        tried = tried[~fixed[tried]]
        without = vertex.copy()
        without[tried] = False
        corners = np.flatnonzero(without)
        off = np.abs(rows - np.interp(position, corners, rows[corners]))
        worst = np.maximum.reduceat(off, corners)
        vertex[tried[worst[np.searchsorted(corners, tried) - 1] <= tolerance]] = False
    lines = []
    for layer, start, end in zip(layers, ends - sizes, ends):
        x = np.flatnonzero(vertex[start:end])
        lines.append((x + layer.first, layer.rows[x]))
    return lines
