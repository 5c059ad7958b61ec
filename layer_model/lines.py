"""Lines along the track: tracked layers, their order and vertices; pieces of lines, (first column, rows, support), without
gaps.

Imports none of its siblings: the benchmark's classical trackers use it in another environment.
"""

# ruff: noqa: B905 - zip's `strict` came after Python 3.8

import heapq

import numpy as np

TOLERANCE = 0.5


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


def runs(mask):
    """(start, end) of each run of True in a (n,) bool array."""
    padded = np.zeros(mask.size + 2, bool)
    padded[1:-1] = mask
    edges = (padded[1:] != padded[:-1]).nonzero()[0].tolist()
    return list(zip(edges[::2], edges[1::2]))


def parted(arrays, sizes):
    """Tuples of the parts, of `sizes` one after the other, of arrays (sum of sizes,) each."""
    ends = np.cumsum(sizes).tolist()
    return [tuple(array[start:end] for array in arrays) for start, end in zip([0, *ends], ends)]


def bridged(mask, gap):
    """A (columns,) bool array without its inner runs of False of `gap` columns or fewer."""
    mask = mask.copy()
    for start, end in runs(~mask):
        if start > 0 and end < mask.size and end - start <= gap:
            mask[start:end] = True
    return mask


def pieces(first, rows, support, wanted, gap, shortest):
    """(first column, rows, support) of each run of `wanted` (columns,) bool, gaps bridged, of `shortest` columns or more."""
    return [
        (first + start, rows[start:end], support[start:end])
        for start, end in runs(bridged(wanted, gap))
        if end - start >= shortest
    ]


def dense(lines, width):
    """Rows (width,) of the pieces of one line, NaN in gaps."""
    rows = np.full(width, np.nan)
    for first, piece, _ in lines:
        rows[first : first + piece.size] = piece
    return rows


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


def by_depth(layers):
    """Layers from top to bottom: of two that share traces the upper comes first; else by mean row.

    Lines that do not cross are told apart by any one trace: the middle of those they share. "Above" has no cycles among
    them, so a topological order exists (Guibas & Yao 1980).
    """
    if not layers:
        return []
    first = np.array([layer.first for layer in layers])
    last = first + np.array([layer.rows.size for layer in layers])
    rows = np.full((len(layers), last.max()), np.nan)
    for row, layer in zip(rows, layers):
        row[layer.first : layer.first + layer.rows.size] = layer.rows
    start, end = np.maximum(first, first[:, None]), np.minimum(last, last[:, None])
    number, middle = np.arange(len(layers)), np.where(start < end, (start + end) // 2, 0)
    with np.errstate(invalid="ignore"):
        above = (start < end) & (rows[number[:, None], middle] < rows[number, middle])
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
        vertex[hits[np.append(True, segment[1:] > segment[:-1])]] = True
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
    corners, counts = np.flatnonzero(vertex), np.add.reduceat(vertex, ends - sizes, dtype=int)
    aside = np.array([layer.first for layer in layers]) - (ends - sizes)
    return parted([corners + np.repeat(aside, counts), rows[corners]], counts)
