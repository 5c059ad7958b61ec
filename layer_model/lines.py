"""What a tracker finds: layers along the track, and pieces of lines without gaps.

Imports none of its siblings: the benchmark's classical trackers use it in another environment.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from firnline.geometry import bridged, depth_order, runs, simplified

TOLERANCE_PX = 0.5
"""By which a vertex less may move a line's rows: half a row, which nobody sees."""
_NO_LOG_OF_ZERO = 1e-4
_BENT = 1e-6
"""Curvature below which three points have no peak between them."""


class Piece(NamedTuple):
    """A line without gaps: `rows` (n,) float in the columns from `first` on, and the map's probability along it."""

    first: int
    rows: np.ndarray
    support: np.ndarray


class Layer:
    """One tracked layer: `first` trace, `rows` (n,) float in consecutive traces, `support` (n,) probability along it,
    `label`.
    """

    __slots__ = ("first", "label", "rows", "support")

    def __init__(self, label: str, first: int, rows: np.ndarray, support: np.ndarray) -> None:
        self.label, self.first, self.rows, self.support = label, first, rows, support

    @property
    def traces(self) -> np.ndarray:
        return np.arange(self.first, self.first + self.rows.size)


def parted(arrays: Sequence[np.ndarray], sizes: Sequence[int] | np.ndarray) -> List[Tuple[np.ndarray, ...]]:
    """Tuples of the parts, of `sizes` one after the other, of arrays (sum of sizes,) each."""
    ends = np.cumsum(sizes).tolist()
    return [tuple(array[start:end] for array in arrays) for start, end in zip([0, *ends], ends)]


def supported(line: Piece, wanted: np.ndarray, gap: int, shortest: int) -> List[Piece]:
    """The pieces of a line in each run of `wanted` (n,) bool, gaps of up to `gap` columns bridged, of `shortest` columns
    or more.
    """
    return [
        Piece(line.first + start, line.rows[start:end], line.support[start:end])
        for start, end in runs(bridged(wanted, gap))
        if end - start >= shortest
    ]


def dense(pieces: Sequence[Piece], width: int) -> np.ndarray:
    """Rows (width,) of the pieces of one line, NaN in gaps."""
    rows = np.full(width, np.nan)
    for piece in pieces:
        rows[piece.first : piece.first + piece.rows.size] = piece.rows
    return rows


def sub_pixel(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Row and height of the ridge at integer (rows, columns): the vertex of the parabola through three log-
    probabilities.
    """
    inner = np.clip(rows, 1, image.shape[0] - 2)
    above, here, below = (np.log(image[inner + d, columns] + _NO_LOG_OF_ZERO) for d in (-1, 0, 1))
    bend = above - 2 * here + below
    shift = np.where(bend < -_BENT, 0.5 * (above - below) / np.where(bend < -_BENT, bend, -1.0), 0.0)
    shift = np.where(inner == rows, np.clip(shift, -0.5, 0.5), 0.0)
    return rows + shift, image[rows, columns]


def rows_of(layers: Sequence[Layer], width: int) -> np.ndarray:
    """Rows (layers, width) of tracked layers, NaN where they have none."""
    rows = np.full((len(layers), width), np.nan)
    for row, layer in zip(rows, layers):
        row[layer.first : layer.first + layer.rows.size] = layer.rows
    return rows


def by_depth(layers: Sequence[Layer]) -> List[Layer]:
    """Layers from top to bottom, as `firnline.geometry.depth_order` has them."""
    width = max((layer.first + layer.rows.size for layer in layers), default=0)
    return [layers[index] for index in depth_order(rows_of(layers, width))]


def simplify(layers: Sequence[Layer], tolerance: float = TOLERANCE_PX) -> List[Tuple[np.ndarray, np.ndarray]]:
    """Few vertices within `tolerance` rows of each layer; see `firnline.geometry.simplified`.

    Returns for each layer (x, y): int traces, strictly increasing, and float rows.
    """
    places = simplified([np.column_stack([layer.traces, layer.rows]) for layer in layers], tolerance, thinned=True)
    return [(layer.first + place, layer.rows[place]) for layer, place in zip(layers, places)]
