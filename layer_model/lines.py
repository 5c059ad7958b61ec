"""Lines along the track: tracked layers, their order and vertices; pieces of lines, (first column, rows, support), without
gaps.

Imports none of its siblings: the benchmark's classical trackers use it in another environment.
"""

import numpy as np

from firnline.geometry import bridged, depth_order, runs, simplified

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


def parted(arrays, sizes):
    """Tuples of the parts, of `sizes` one after the other, of arrays (sum of sizes,) each."""
    ends = np.cumsum(sizes).tolist()
    return [tuple(array[start:end] for array in arrays) for start, end in zip([0, *ends], ends)]


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


def rows_of(layers, width):
    """Rows (layers, width) of tracked layers, NaN where they have none."""
    rows = np.full((len(layers), width), np.nan)
    for row, layer in zip(rows, layers):
        row[layer.first : layer.first + layer.rows.size] = layer.rows
    return rows


def by_depth(layers):
    """Layers from top to bottom, as `firnline.geometry.depth_order` has them."""
    width = max((layer.first + layer.rows.size for layer in layers), default=0)
    return [layers[index] for index in depth_order(rows_of(layers, width))]


def simplify(layers, tolerance=TOLERANCE):
    """Few vertices within `tolerance` rows of each layer; see `firnline.geometry.simplified`.

    Returns for each layer (x, y): int traces, strictly increasing, and float rows.
    """
    places = simplified([np.column_stack([layer.traces, layer.rows]) for layer in layers], tolerance, thinned=True)
    return [(layer.first + place, layer.rows[place]) for layer, place in zip(layers, places)]
