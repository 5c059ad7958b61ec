"""Pictures too large for one request: cut along the track with overlap, and their layers put together without a seam."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firnline.documents.layer_lines import as_layers
from firnline.documents.layers import ImageSize, Layer, LayersDocument, order_by_depth
from firnline.geometry import dense_rows, first_crossing
from firnline.limits import MAX_LAYERS, MAX_PICKS, TILE_PIXELS

OVERLAP = 192
"""Columns that neighbouring tiles share: more than the network sees along the track on one side of a pixel."""

_SAME_LINE_PX = 4.0
_SHARED_COLUMNS = 24


@dataclass(frozen=True)
class Tile:
    """Columns `left` up to, but not including, `right` of a picture."""

    left: int
    right: int


def tiles(rows: int, columns: int, pixels: int = TILE_PIXELS) -> list[Tile]:
    """Overlapping tiles of at most `pixels` each, as even as possible, over a picture of rows x columns."""
    if rows * columns <= pixels:
        return [Tile(0, columns)]
    wide = pixels // rows
    overlap = min(OVERLAP, wide // 3)
    if overlap < _SHARED_COLUMNS:
        raise ValueError(f"a picture of {rows} rows is too tall to be cut into tiles of {pixels} pixels")
    count = -(-(columns - overlap) // (wide - overlap))
    starts = np.linspace(0, columns - wide, count).astype(int)
    return [Tile(int(start), int(start) + wide) for start in starts]


@dataclass(frozen=True)
class _Line:
    """A layer of one tile or of several; `row` (width,), NaN where there is no line."""

    layer: Layer
    row: np.ndarray

    @property
    def columns(self) -> int:
        return int(np.isfinite(self.row).sum())


def stitched(parts: Sequence[tuple[Tile, LayersDocument]], width: int) -> LayersDocument:
    """The layers of a picture of `width` columns from those of its tiles, given from left to right.

    Lines of two tiles that keep close to each other where the tiles overlap are one line, and pass over from one to the
    other along the overlap. All else is kept as the tiles have it; where lines of two tiles cross, the shorter gives
    way. Of more lines than a document of that width may have (`MAX_LAYERS`, `MAX_PICKS`) the longest are kept.
    """
    if len(parts) == 1:
        return parts[0][1]
    most = min(MAX_LAYERS, MAX_PICKS // width)
    joined: list[_Line] = []
    before: Tile | None = None
    for tile, document in parts:
        lines = _lines(tile, document, width, most)
        joined = lines if before is None else _joined(joined, lines, slice(tile.left, before.right))
        before = tile
    height = parts[0][1].image.height
    pieces = [layer for line in joined for layer in as_layers(line.row, line.layer)]
    layers = _longest(_in_order(_longest(pieces, most), width), most)
    return LayersDocument(
        frame_id=parts[0][1].frame_id,
        image=ImageSize(width=width, height=height),
        source=parts[0][1].source,
        coverage=parts[0][1].coverage,
        confidence=_mean([(document.confidence, tile.right - tile.left) for tile, document in parts]),
        layers=order_by_depth(layers, width),
    )


def _lines(tile: Tile, document: LayersDocument, width: int, most: int) -> list[_Line]:
    found = []
    for layer in _longest(document.layers, most):
        row = np.full(width, np.nan)
        row[tile.left : tile.right] = dense_rows([[(v.x, v.y) for v in layer.vertices]], tile.right - tile.left)[0]
        found.append(_Line(layer, row))
    return found


def _longest(layers: list[Layer], most: int) -> list[Layer]:
    """At most so many of the layers, surface and bed before all others, then the longest; their order is kept."""
    if len(layers) <= most:
        return layers
    length = [layer.vertices[-1].x - layer.vertices[0].x + 1e9 * (layer.label != "layer") for layer in layers]
    kept = set(np.argsort(length)[-most:].tolist())
    return [layer for number, layer in enumerate(layers) if number in kept]


def _joined(left: list[_Line], right: list[_Line], shared: slice) -> list[_Line]:
    pairs = _pairs(left, right, shared)
    weight = np.linspace(0, 1, shared.stop - shared.start + 2)[1:-1]
    joined = []
    for number, line in enumerate(left):
        if number not in pairs:
            joined.append(line)
            continue
        other = right[pairs[number]]
        row = np.where(np.isfinite(line.row), line.row, other.row)
        blend = (1 - weight) * line.row[shared] + weight * other.row[shared]
        row[shared] = np.where(np.isfinite(blend), blend, row[shared])
        longer = line if line.columns >= other.columns else other
        confidence = _mean([(line.layer.confidence, line.columns), (other.layer.confidence, other.columns)])
        joined.append(_Line(longer.layer.model_copy(update={"confidence": confidence}), row))
    taken = set(pairs.values())
    return joined + [line for number, line in enumerate(right) if number not in taken]


def _pairs(left: list[_Line], right: list[_Line], shared: slice) -> dict[int, int]:
    """Pairs of lines that are one, as the number on the right by that on the left. The closest lines pair first, and no two
    pairs cross.
    """
    if not left or not right:
        return {}
    here = np.array([line.row[shared] for line in left])
    there = np.array([line.row[shared] for line in right])
    difference = np.abs(here[:, None] - there[None])
    enough = np.isfinite(difference).sum(axis=2) >= _SHARED_COLUMNS
    distance = np.full(enough.shape, np.inf)
    distance[enough] = np.nanmean(difference[enough], axis=1)
    pairs: dict[int, int] = {}
    for flat in np.argsort(distance, axis=None):
        a, b = (int(index) for index in np.unravel_index(flat, distance.shape))
        if distance[a, b] > _SAME_LINE_PX:
            break
        if a in pairs or b in pairs.values() or any((a - c) * (b - d) < 0 for c, d in pairs.items()):
            continue
        pairs[a] = b
    return pairs


def _in_order(layers: list[Layer], width: int) -> list[Layer]:
    """The layers by depth; where two cross, the shorter loses the columns in which it lies on the wrong side."""
    while True:
        layers = order_by_depth(layers, width)
        rows = dense_rows([[(vertex.x, vertex.y) for vertex in layer.vertices] for layer in layers], width)
        crossing = first_crossing(rows)
        if crossing is None:
            return layers
        upper, lower, _ = crossing
        shorter = min((upper, lower), key=lambda number: int(np.isfinite(rows[number]).sum()))
        with np.errstate(invalid="ignore"):
            wrong = rows[upper] > rows[lower]
        parts = as_layers(np.where(wrong, np.nan, rows[shorter]), layers[shorter])
        layers = [layer for number, layer in enumerate(layers) if number != shorter] + parts


def _mean(weighted: list[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    total = sum(weight for _, weight in known)
    return round(sum(value * weight for value, weight in known) / total, 4) if total else None
