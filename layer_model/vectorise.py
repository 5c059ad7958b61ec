"""From probability maps to ordered polylines.

1. Surface and bed: one path each, see boundaries.py.
2. Internal layers: the map averaged along the slope that it shows (as in predictive painting, Fomel 2010), in two
   rounds; ridge points (sub-pixel maxima along each column, with hysteresis, Canny 1986) joined to chains between
   columns, each along the slope that its surroundings show; chains joined across gaps, and where their ends overlap, by
   the cheapest set of links (min-cost path cover as in Zhang et al. 2008, solved as an assignment); of these, the
   pieces with enough support.
3. Layers made consistent with one another (never crossing), short spurs dropped, ordered by depth.
4. Vertices: Ramer-Douglas-Peucker within half a pixel, all layers at once, see lines.py.

No loop goes over pixels; loops go over columns (1), chains and layers.
"""

import numpy as np
from boundaries import PRESENT, find_boundaries
from lines import Layer, by_depth, dense, parted, pieces, sub_pixel
from scipy.ndimage import uniform_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from firnline.geometry import runs

RIDGE, WEAK = 0.5, 0.6
"""Least probability, on average, along a piece of a layer, and the share of it that a single point needs to be looked at."""
MAX_GAP_TRACES = 24
MIN_LENGTH_TRACES = 20
LOOSE_TRACES = 8
"""At either end of a chain: its last points are the ones that go astray, so links may start before them."""
MISS, MISS_PER_COLUMN = 4.0, 0.06
"""Rows by which the ends of a gap, carried on, may miss each other, and more for each column of the gap."""
SUPPORT_TRACES = 12
EXCESS = 0.2
"""By which the support of the shortest piece must exceed `ridge` on average; a longer one's by less: noise is seldom long."""
MIN_SPACING = 1.6
CLEARANCE = 3.5
STEEPEST = 5.0
"""Rows per column."""
STEPS = ((1, 3), (5,))
"""Steps of `averaged_along` in each round: the map that the first one averaged shows its slope better."""
GAUSSIAN = np.exp(-0.5 * np.arange(-3.0, 4.0) ** 2)
GAUSSIAN /= GAUSSIAN.sum()
MAX_CHAINS, MAX_LAYERS = 1500, 300
"""The best supported ones are looked at; more come from noise alone, and time grows with their square."""


def find_layers(probability, width, stride=1, ridge=RIDGE, brightness=None):
    """Layers in a probability map, by depth, never crossing.

    Parameters
    ----------
    probability : (3, rows, columns) float array: surface, internal layer, bed
    width : traces of the echogram
    ridge : probability that an internal layer must reach somewhere along it; training chooses it (see training.py)
    stride : traces per column of the map; column j covers traces stride*j .. stride*j + stride - 1
    brightness : (rows, width) float array, the echogram in units of half its range of grey, or None: surface and bed
        are then found by the map alone (see boundaries.py)

    Returns
    -------
    list of `Layer`, in traces
    """
    probability = np.ascontiguousarray(probability, dtype=np.float32)
    gap, shortest = max(2, MAX_GAP_TRACES // stride), max(3, MIN_LENGTH_TRACES // stride)
    shortest = max(2, min(shortest, width // (3 * stride)))
    window, loose = max(3, SUPPORT_TRACES // stride), LOOSE_TRACES // stride
    if brightness is not None and stride > 1:
        brightness = brightness[:, ::stride]
    *boundaries, inside = find_boundaries(probability, brightness, gap, shortest)
    surface, bed = (dense(lines, probability.shape[2]) for lines in boundaries)
    slope = None
    for steps in STEPS:
        slope = slopes(inside)
        inside = averaged_along(inside, slope, steps)
    points = ridge_points(inside, slope, surface, bed, WEAK * ridge)
    chains = _strongest(join_points(points, probability.shape[1], ridge), MAX_CHAINS)
    candidates = [("surface", *piece) for piece in boundaries[0]] + [("bed", *piece) for piece in boundaries[1]]
    linked = _strongest(join_chains(chains, inside, slope, gap, loose), MAX_LAYERS)
    candidates += [("layer", *piece) for piece in _likely(linked, ridge, window, gap, shortest)]
    kept = consistent(candidates, probability.shape[1:], shortest)
    return by_depth([_in_traces(layer, width, stride) for layer in kept])


def _strongest(chains, count):
    """The `count` chains (columns or first column, rows, support) with the largest summed support."""
    return sorted(chains, key=lambda chain: -float(chain[2].sum()))[:count]


def _likely(lines, ridge, window, gap, shortest):
    """The pieces of lines (first column, rows, support) whose support averages `ridge` over `window` columns, those
    `gap` columns apart or less bridged, and half a window more, since the average falls before a gap begins; `shortest`
    columns or longer, and with a score of `EXCESS * shortest` or more: support above `ridge`, summed outside the gaps (a
    segment's score as in Karlin & Altschul 1990).
    """
    if not lines:
        return []
    sizes = np.array([support.size for _, _, support in lines])
    ends = np.cumsum(sizes)
    every = np.concatenate([support for _, _, support in lines])
    total = np.concatenate([[0.0], np.cumsum(every, dtype=float)])
    at = np.arange(ends[-1])
    low = np.maximum(at - window // 2, np.repeat(ends - sizes, sizes))
    high = np.minimum(at + (window + 1) // 2, np.repeat(ends, sizes))
    likely = total[high] - total[low] >= ridge * (high - low)
    excess = np.where(likely, every - ridge, 0.0)
    return [
        piece
        for line, (wanted, above) in zip(lines, parted([likely, excess], sizes))
        for piece in pieces(*line, wanted, gap + window // 2, shortest)
        if above[piece[0] - line[0] :][: piece[1].size].sum() >= EXCESS * shortest
    ]


def slopes(image, window=15):
    """Local slope of the ridges of an image (rows, columns), in rows per column, one for each block of 2 x 2 pixels:
    across the direction in which the map changes most, by its structure tensor (Bigun & Granlund 1987) over `window`
    blocks, an odd number, of one column.

    Tall, since layers above one another are nearly parallel: steep neighbours outvote a level ghost between them. Narrow,
    since their slope changes along the track.

    Returns (ceil(rows / 2), ceil(columns / 2)) float32.
    """
    height, width = image.shape
    smooth = _weighted(_weighted(image, GAUSSIAN, 0), GAUSSIAN, 1)
    down = np.zeros((height + height % 2, width + width % 2), smooth.dtype)
    along = np.zeros_like(down)
    np.subtract(smooth[2:], smooth[:-2], out=down[1 : height - 1, :width])
    np.subtract(smooth[:, 2:], smooth[:, :-2], out=along[:height, 1 : width - 1])
    product = np.empty_like(down)
    pairs = ((along, along), (along, down), (down, down))
    tensor = np.stack([_blocks(np.multiply(one, other, out=product)) for one, other in pairs])
    across, both, upright = _weighted(tensor, np.full(window, 1.0 / window), 1)
    stretch, shear = across - upright, 2.0 * both
    level = np.sqrt(stretch * stretch + shear * shear) - stretch
    return np.minimum(np.maximum(-shear / np.maximum(level, 1e-12), -STEEPEST), STEEPEST)


def _weighted(images, weights, axis):
    """Sums of neighbours along an axis, weighted by an odd number of symmetric weights; edges mirrored, as
    `scipy.ndimage.correlate1d` does, which sums one pixel after the other in float64 and takes four times as long.
    """
    reach, size = len(weights) // 2, images.shape[axis]
    padded = np.pad(images, [(reach, reach) if a == axis else (0, 0) for a in range(images.ndim)], mode="symmetric")
    shifted = [padded[(slice(None),) * axis + (slice(start, start + size),)] for start in range(len(weights))]
    total = shifted[reach] * np.float32(weights[reach])
    pair = np.empty_like(total)
    for offset in range(1, reach + 1):
        np.add(shifted[reach - offset], shifted[reach + offset], out=pair)
        pair *= np.float32(weights[reach + offset])
        total += pair
    return total


def _blocks(image):
    """Sums over blocks of 2 x 2 pixels."""
    rows = image[::2] + image[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def averaged_along(image, slope, steps):
    """`image` (rows, columns) float32 averaged over the columns about it along the slope field (see `slopes`): joins
    what noise tore apart, and levels the stairs by which a network draws a steep layer.

    Each of `steps`, odd numbers of columns, averages what the one before it gave with what lies so many columns to the
    left and right, on paths that follow the slope round its bends, as predictive painting (Fomel 2010) does.

    A block of the slope field moves as one: its two rows lie between three rows of the image, and its two columns are
    read at once, as the parts of one complex number. So a step reads 3 numbers for 4 pixels, instead of 8.
    """
    height, width = image.shape
    blocks, pairs = slope.shape
    aside = max(steps)
    beyond = int(aside * STEEPEST) + 2
    line = pairs + aside
    block = (2 * np.arange(blocks)[:, None] + beyond) * line + np.arange(pairs)
    # All steps share these: fresh memory of this size takes longer to get than to fill.
    share, at = np.empty((blocks, 2 * pairs), np.float32), np.empty_like(block)
    read = np.empty((3, blocks, pairs), np.complex64)
    upper, middle, lower = read.view(np.float32)
    for reach in steps:
        padded = np.pad(image, ((beyond, beyond + height % 2), (aside, 2 * line - width - aside)), mode="edge")
        parts = padded.view(np.complex64).ravel()
        total = padded[beyond:, aside:][: 2 * blocks, : 2 * pairs].copy()
        for step in (-reach, reach):
            rise = rise_along(slope, step)
            whole = np.floor(rise)
            rise -= whole
            share[:, ::2] = share[:, 1::2] = rise
            at[:] = whole
            at *= line
            at += block
            at += (step + aside) // 2
            for row, values in enumerate(read):
                parts[row * line :].take(at, out=values, mode="clip")
            lower -= middle
            lower *= share
            lower += middle
            total[1::2] += lower
            middle -= upper
            middle *= share
            middle += upper
            total[::2] += middle
        total /= np.float32(3)
        image = total[:height, :width]
    return image


def rise_along(slope, step):
    """Rows (as `slope`) by which a path along the slope field from each of its blocks rises over `step` columns, an odd
    number, negative to the left: the slope half way, where the path's own slope leads (Runge's midpoint method).
    """
    blocks, pairs = slope.shape
    ahead = int(np.rint(step / 4.0))
    rows = np.rint(np.arange(blocks, dtype=np.float32)[:, None] + np.float32(ahead) * slope).astype(np.intp)
    np.minimum(np.maximum(rows, 0, out=rows), blocks - 1, out=rows)
    rows *= pairs
    rows += np.minimum(np.maximum(np.arange(pairs) + ahead, 0), pairs - 1)
    return np.float32(step) * slope.ravel().take(rows)


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
    return columns[clear], rows[clear], support[clear], slope[(whole[clear] + 1) // 2, columns[clear] // 2]


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
    sizes = np.bincount(member, minlength=number)
    strongest = np.maximum.reduceat(support[order], np.cumsum(sizes) - sizes)
    wanted = (strongest >= ridge) & (sizes >= 3)
    order = order[np.repeat(wanted, sizes)]
    return parted([columns[order], rows[order], support[order]], sizes[wanted])


def _nearest(position, wanted, reach):
    """Index of the position nearest to each wanted one, -1 beyond `reach`."""
    right = np.minimum(np.searchsorted(position, wanted), position.size - 1)
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
    steps, count = gap + 2 * loose, len(chains)
    columns, rows, support = (np.concatenate(parts) for parts in zip(*chains))
    sizes = np.array([chain[0].size for chain in chains])
    last = np.cumsum(sizes) - 1
    first = last - sizes + 1
    loose = np.minimum(loose, (sizes - 1) // 2)
    starts, ends = columns[first] + loose, columns[last] - loose
    distance = starts[None, :] - ends[:, None]
    within = (distance >= 1) & (distance <= gap + loose[None, :] + loose[:, None])
    left, right = np.nonzero(within)
    distance = distance[left, right]
    courses = np.array([courses_of(columns, rows, first, last, loose, field, steps) for field in (slope, None)])
    ahead, back = courses[:, 0], courses[:, 1]
    mismatches = 0.5 * (
        np.abs(ahead[:, distance, left] - back[:, 0, right]) + np.abs(back[:, distance, right] - ahead[:, 0, left])
    )
    course, mismatch = mismatches.argmin(axis=0), mismatches.min(axis=0)
    allowed = np.flatnonzero(mismatch <= MISS + MISS_PER_COLUMN * distance)
    cost, pair = np.zeros((count, count)), np.full((count, count), -1)
    pair[left[allowed], right[allowed]] = allowed
    cost[left[allowed], right[allowed]] = (mismatch + 0.05 * distance - 8.0)[allowed]
    made = pair[linear_sum_assignment(cost)]
    made = made[made >= 0]
    left, right, distance, course = left[made], right[made], distance[made], course[made]
    links = _links(image, ends[left], ahead[course, :, left], back[course, :, right], distance)
    # A line is a chain, its link, the next chain, its link, ...: chain i is part i, its link part `count` + i.
    part_first, part_size = np.zeros(2 * count, int), np.zeros(2 * count, int)
    part_first[:count], part_size[:count] = first, sizes
    part_first[right] += loose[right]
    part_size[right] -= loose[right]
    part_size[left] -= loose[left]
    part_size[count + left] = distance - 1
    part_first[count + left] = columns.size + np.cumsum(distance - 1) - (distance - 1)
    follower = dict(zip(left.tolist(), right.tolist()))
    order, line_size = [], []
    for here in sorted(set(range(count)) - set(right.tolist())):
        line = [here]
        while here in follower:
            line += [count + here, follower[here]]
            here = follower[here]
        order += line
        line_size.append(part_size[line].sum())
    at = _ranges(part_first[order], part_size[order])
    line = [np.concatenate(both)[at] for both in zip((columns, rows, support), links)]
    return [(int(columns[0]), rows, support) for columns, rows, support in parted(line, line_size)]


def _ranges(first, size):
    """first[0], first[0] + 1, ... (size[0] of them), first[1], first[1] + 1, ..., as one array."""
    return np.arange(size.sum()) + np.repeat(first - np.cumsum(size) + size, size)


def _links(image, columns, ahead, back, distance):
    """(columns, rows, support) between pairs of ends, one link after the other: from `columns` (n,) `distance` (n,) on,
    from the course `ahead` (n, steps + 1) of the one to the course `back` of the other.
    """
    link = np.repeat(np.arange(distance.size), distance - 1)
    step, whole = _ranges(np.ones_like(distance), distance - 1), distance[link]
    share = step / whole
    rows = (1 - share) * ahead[link, step] + share * back[link, whole - step]
    columns = columns[link] + step
    at = np.minimum(np.maximum(np.rint(rows), 0), image.shape[0] - 1).astype(np.intp)
    return columns, rows, image[at, columns]


def courses_of(columns, rows, first, last, loose, slope, steps):
    """(2, steps + 1, n): rows of n chains from `loose` (n,) columns before their ends on, and the same backwards from so
    many after their starts: their own rows, then on along the slope field; if it is None, straight on from the first
    of these columns (the less so, the shorter they are). Chain i is `columns` and `rows` from `first[i]` to `last[i]`.
    """
    far = np.arange(steps + 1)[:, None]
    if slope is None:
        sizes = last - first + 1
        head, tail, reach = first + loose, last - loose, np.minimum(7, sizes - 1 - loose)
        trust = np.minimum(1.0, sizes / 12.0) / reach
        after = trust * (rows[tail] - rows[tail - reach])
        before = trust * (rows[head + reach] - rows[head])
        return rows[tail] + far * after, rows[head] - far * before
    both, direction = np.concatenate([last, first]), np.repeat([1, -1], first.size)
    ahead, back = np.split(carried(rows[both], columns[both], slope, steps, direction), 2, axis=1)
    number, inside = np.arange(first.size), far < loose
    own, outside = np.minimum(far - loose, 0), np.maximum(far - loose, 0)
    return (
        np.where(inside, rows[last + own], ahead[outside, number]),
        np.where(inside, rows[first - own], back[outside, number]),
    )


def carried(rows, columns, slope, steps, direction):
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


def consistent(candidates, shape, shortest):
    """Candidates (label, first, rows, support) that do not cross, best supported first; where one would cross or
    touch a better one, or leave the ice, it is cut, and its pieces of `shortest` columns or more stay. A bed may run along
    the surface, as experts draw it where there is no ice: just below it, but not below the map of `shape` (rows,
    columns). Returns `Layer` objects in columns.
    """
    height, width = shape
    order = sorted(candidates, key=lambda c: (("surface", "bed", "layer").index(c[0]), -float(c[3].sum())))
    kept, rows_of = [], np.full((2 * len(order) + 1, width), np.nan)
    boundary = {"surface": np.full(width, np.nan), "bed": np.full(width, np.nan)}
    with np.errstate(invalid="ignore"):
        for (label, first, _, support), rows in zip(order, _smooth([rows for _, _, rows, _ in order])):
            across = slice(first, first + rows.size)
            surface, bed = boundary["surface"][across], boundary["bed"][across]
            if label == "bed":
                touching = np.abs(rows - surface) < CLEARANCE
                rows = np.where(touching, np.fmax(rows, surface + 1.01 * MIN_SPACING), rows)
                bed = np.full(rows.size, height - 1.0)
            below = rows - rows_of[: len(kept), across]
            conflict = np.abs(below) < MIN_SPACING
            conflict[:, 1:] |= below[:, 1:] * below[:, :-1] < 0
            for start, end in runs(~(conflict.any(axis=0) | (rows < surface) | (rows > bed))):
                faint = label == "layer" and support[start:end].sum() < PRESENT * (end - start)
                if end - start < shortest or faint or len(kept) == len(rows_of):
                    continue
                piece = rows[start:end]
                rows_of[len(kept), first + start : first + end] = piece
                if label != "layer":
                    boundary[label][first + start : first + end] = piece
                kept.append(Layer(label, int(first + start), piece, support[start:end]))
    return kept


def _smooth(lines):
    """Each line's rows (n,) averaged over 5 columns, its ends carried on; all at once."""
    if not lines:
        return []
    sizes = np.array([rows.size for rows in lines])
    ends = np.cumsum(sizes)
    copies = np.ones(ends[-1], int)
    copies[ends - sizes] += 2
    copies[ends - 1] += 2
    smooth = uniform_filter1d(np.repeat(np.concatenate(lines), copies), 5)
    return [rows[2:-2] for (rows,) in parted([smooth], sizes + 4)]


def _in_traces(layer, width, stride):
    """The layer with a row in every trace that its columns cover."""
    if stride == 1:
        return layer
    first = layer.first * stride
    traces = np.arange(first, min((layer.first + layer.rows.size) * stride, width))
    centres = (np.arange(layer.first, layer.first + layer.rows.size) + 0.5) * stride - 0.5
    rows = np.interp(traces, centres, layer.rows)
    return Layer(layer.label, first, rows, np.repeat(layer.support, stride)[: traces.size])
