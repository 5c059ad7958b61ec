"""From probability maps to ordered polylines.

1. Surface and bed: one path each through their map (Viterbi 1967, as Crandall et al. 2012 use it for ice boundaries),
   kept where the map supports it.
2. Internal layers: ridge points (sub-pixel maxima along each column, with hysteresis, Canny 1986) joined to chains
   between columns, each along the slope that its surroundings show; chains joined across gaps by the cheapest set of
   links (min-cost path cover as in Zhang et al. 2008, solved as an assignment).
3. Layers made consistent with one another (never crossing), short spurs dropped, ordered by depth.
4. Vertices: Ramer-Douglas-Peucker within half a pixel, all layers at once.

No loop goes over pixels; loops go over columns (1), chains and layers.
"""

# ruff: noqa: B905 - zip's `strict` came after Python 3.8

import heapq

import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

RIDGE, WEAK = 0.65, 0.45
"""Least probability at a layer's best point, and the share of it that suffices elsewhere along the layer."""
PRESENT = 0.25
MAX_GAP_TRACES = 24
MIN_LENGTH_TRACES = 24
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
    boundaries = boundary_pieces(probability[[0, 2]], gap, shortest)
    surface, bed = (dense(pieces, probability.shape[2]) for pieces in boundaries)
    points = ridge_points(probability[1], surface, bed, WEAK * ridge)
    chains = _strongest(join_points(points, probability.shape[1], ridge), MAX_CHAINS)
    candidates = [("surface", *piece) for piece in boundaries[0]] + [("bed", *piece) for piece in boundaries[1]]
    candidates += [("layer", *chain) for chain in _strongest(join_chains(chains, gap), MAX_LAYERS)]
    kept = consistent(candidates, probability.shape[2], shortest)
    return by_depth([_in_traces(layer, width, stride) for layer in kept])


def boundary_pieces(maps, gap, shortest, jump=6, cost=0.35):
    """The best path through each map (B, rows, columns), cut where the map does not support it.

    A step of d rows between columns costs `cost * d`, `jump` rows at most. Returns for each map a list of
    (first column, rows, support).
    """
    count, height, width = maps.shape
    gain = np.log(maps + 0.01)
    score = gain[:, :, 0].copy()
    origin = np.zeros((width, count, height), np.int8)
    shifts = np.arange(-jump, jump + 1)
    padded = np.full((count, height + 2 * jump), -np.inf, np.float32)
    # sliding_window_view came with NumPy 1.20; SageMaker's MXNet images have 1.19.
    strides = padded.strides + padded.strides[1:]
    windows = np.lib.stride_tricks.as_strided(padded, (count, height, 2 * jump + 1), strides, writeable=False)
    fee = (cost * np.abs(shifts)).astype(np.float32)
    for column in range(1, width):
        padded[:, jump : jump + height] = score
        reach = windows - fee
        best = reach.argmax(axis=2)
        origin[column] = shifts[best]
        score = np.take_along_axis(reach, best[:, :, None], axis=2)[:, :, 0] + gain[:, :, column]
    path = np.empty((width, count), int)
    path[-1] = score.argmax(axis=1)
    which = np.arange(count)
    for column in range(width - 1, 0, -1):
        path[column - 1] = path[column] + origin[column, which, path[column]]
    return [_supported(maps[i], path[:, i], gap, shortest) for i in range(count)]


def _strongest(chains, count):
    """The `count` chains (columns or first column, rows, support) with the largest summed support."""
    return sorted(chains, key=lambda chain: -float(chain[2].sum()))[:count]


def _supported(image, path, gap, shortest):
    columns = np.arange(path.size)
    rows, support = sub_pixel(image, path, columns)
    present = uniform_filter1d(support, 9, mode="nearest") > PRESENT
    pieces = []
    runs = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    starts, ends = list(runs[::2]), list(runs[1::2])
    for i in range(len(starts) - 1, 0, -1):
        if starts[i] - ends[i - 1] <= gap:
            ends[i - 1] = ends[i]
            del starts[i], ends[i]
    for start, end in zip(starts, ends):
        if end - start >= shortest:
            pieces.append((start, rows[start:end], support[start:end]))
    return pieces


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


def slopes(image, steepest=6, block=4, flatness=0.02):
    """Local slope of the ridges, (rows, columns) float32, in rows per column: the shift between neighbouring columns
    under which they agree best, over blocks of `block` pixels and their neighbours (block matching).

    Each row of slope costs the share `flatness` of the agreement, so that what shows no slope is flat.
    """
    height, width = (-(-size // block) for size in image.shape)
    padded = np.zeros((height * block + 2 * steepest, width * block + 1), np.float32)
    padded[steepest : steepest + image.shape[0], : image.shape[1]] = image
    here = padded[steepest : steepest + height * block, :-1]
    shifts = np.arange(-steepest, steepest + 1)
    agreement = np.empty((shifts.size, height, width), np.float32)
    for at, shift in zip(agreement, shifts):
        there = padded[steepest + shift : steepest + shift + height * block, 1:]
        at[:] = (here * there).reshape(height, block, width, block).sum(axis=(1, 3)) * (1 - flatness * abs(shift))
    agreement = uniform_filter(agreement, (0, 3, 3), mode="constant")
    best = agreement.argmax(axis=0)
    neighbours = (np.clip(best + step, 0, shifts.size - 1)[None] for step in (-1, 0, 1))
    before, at_best, after = (np.take_along_axis(agreement, index, 0)[0] for index in neighbours)
    bend = before - 2 * at_best + after
    part = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    coarse = uniform_filter(shifts[best] + np.clip(part, -0.5, 0.5), 3).astype(np.float32)
    return coarse.repeat(block, axis=0).repeat(block, axis=1)[: image.shape[0], : image.shape[1]]


def smoothed_along(image, slope):
    """`image` averaged over three columns along its slope."""
    total = image.copy()
    rows = np.arange(image.shape[0])[:, None]
    for step, ours, theirs in ((1, slice(0, -1), slice(1, None)), (-1, slice(1, None), slice(0, -1))):
        at = np.clip(rows + step * slope[:, ours], 0, image.shape[0] - 1.001)
        upper = at.astype(np.intp)
        part = at - upper
        other = np.ascontiguousarray(image[:, theirs])
        columns = np.arange(other.shape[1])
        total[:, ours] += (1 - part) * other[upper, columns] + part * other[upper + 1, columns]
        edge = -1 if step == 1 else 0
        total[:, edge] += image[:, edge]
    return total / 3


def ridge_points(image, surface, bed, low):
    """Sub-pixel maxima along the columns of an internal-layer map, above `low`, below the surface and above the bed
    where these are known.

    Returns (columns, rows, support, slope), sorted by column, then row.
    """
    slope = slopes(image)
    smooth = smoothed_along(image, slope)
    inner = smooth[1:-1]
    peak = (inner > low) & (inner >= smooth[:-2]) & (inner > smooth[2:])
    columns, whole = np.nonzero(peak.T)
    rows, support = sub_pixel(smooth, whole + 1, columns)
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


def join_chains(chains, gap, slope_columns=8):
    """Chains linked across gaps of up to `gap` columns: list of (first column, rows, support), gaps filled by
    straight lines.

    A link costs by the mismatch in row between the two ends, each carried on along its own slope to the middle of the
    gap, and by the gap's length. Which links are made is decided for all chains together.
    """
    if not chains:
        return []
    starts = np.array([columns[0] for columns, _, _ in chains])
    ends = np.array([columns[-1] for columns, _, _ in chains])
    head, head_slope = np.array(
        [_end(columns[:slope_columns], rows[:slope_columns], 0) for columns, rows, _ in chains]
    ).T
    tail, tail_slope = np.array(
        [_end(columns[-slope_columns:], rows[-slope_columns:], -1) for columns, rows, _ in chains]
    ).T
    distance = starts[None, :] - ends[:, None]
    half = distance / 2.0
    mismatch = np.abs(head[None, :] - head_slope[None, :] * half - tail[:, None] - tail_slope[:, None] * half)
    direct = np.abs(head[None, :] - tail[:, None])
    allowed = (
        (distance >= 1) & (distance <= gap) & (mismatch <= 2.0 + 0.06 * distance) & (direct <= 3.0 + 0.4 * distance)
    )
    cost = np.where(allowed, mismatch + 0.05 * distance - 8.0, 0.0)
    left, right = linear_sum_assignment(cost)
    follows = {a: b for a, b in zip(left, right) if allowed[a, b]}
    joined = []
    for first in sorted(set(range(len(chains))) - set(follows.values())):
        members = [first]
        while members[-1] in follows:
            members.append(follows[members[-1]])
        columns, rows, support = (np.concatenate([chains[i][part] for i in members]) for part in range(3))
        whole = np.arange(columns[0], columns[-1] + 1)
        evidence = np.zeros(whole.size)
        evidence[columns - columns[0]] = support
        joined.append((int(columns[0]), np.interp(whole, columns, rows), evidence))
    return joined


def _end(columns, rows, at):
    """Row and slope of a chain at one end, by a straight line through its last points."""
    if columns.size < 4:
        return rows[at], 0.0
    x, y = columns - columns.mean(), rows - rows.mean()
    slope = float((x * y).sum() / (x * x).sum())
    return rows.mean() + slope * x[at], slope * min(1.0, columns.size / 12.0)


def consistent(candidates, width, shortest):
    """Candidates (label, first, rows, support) that do not cross, best supported first; where one would cross or
    touch a better one it is cut, and its longest free stretch stays. Returns `Layer` objects in columns.
    """
    order = sorted(candidates, key=lambda c: (c[0] == "layer", -float(c[3].sum())))
    kept, rows_of, rank_of = [], np.full((len(order), width), np.nan), []
    for label, first, rows, support in order:
        rows = _smooth(rows)
        last = first + rows.size
        others = rows_of[: len(kept), first:last]
        with np.errstate(invalid="ignore"):
            below = rows - others
            near = np.abs(below) < MIN_SPACING
            majority = (np.sign(below) * support).copy()
            majority[~np.isfinite(majority)] = 0.0
            side = np.where(majority.sum(axis=1) >= 0, 1.0, -1.0)[:, None]
            if label == "layer" and rank_of:
                side = np.where(np.array(rank_of)[:, None] == 0, side, np.array(rank_of)[:, None])
            conflict = (near | (below * side < 0)).any(axis=0)
        free = np.flatnonzero(np.diff(np.concatenate([[0], (~conflict).astype(np.int8), [0]])))
        if not free.size:
            continue
        lengths = free[1::2] - free[::2]
        best = lengths.argmax()
        start, end = free[2 * best], free[2 * best + 1]
        if end - start < shortest or support[start:end].mean() < PRESENT:
            continue
        rows_of[len(kept), first + start : first + end] = rows[start:end]
        rank_of.append({"surface": 1.0, "bed": -1.0, "layer": 0.0}[label])
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
    return uniform_filter1d(rows, 3, mode="nearest")


def simplify(layers, tolerance=TOLERANCE):
    """Fewest-vertex lines within `tolerance` rows of each layer (Ramer 1972; Douglas & Peucker 1973), all layers at
    once.

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
    lines = []
    for layer, start, end in zip(layers, ends - sizes, ends):
        x = np.flatnonzero(vertex[start:end])
        lines.append((x + layer.first, layer.rows[x]))
    return lines
