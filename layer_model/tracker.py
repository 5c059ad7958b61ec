"""From an echogram to its layers: the one path that serving, validation and calibration share."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from calibration import expected_share, frame_features, layer_features, unevenness
from echogram_input import MULTIPLE, normalise, pad
from lines import Layer, simplify
from vectorise import RIDGE, find_layers

from firnline.limits import MAX_LAYERS, MAX_PICKS

TILE_PIXELS = 1 << 20
TILE_ROWS = 2048
OVERLAP = 128
MOST_LAYERS = 150
"""Polylines that a frame may have: noise that looks like layers must not bury a reviewer, or the reader of the document."""
WIDE = 1536
"""Traces beyond which a frame may have more, in proportion: up to what a layers document holds (`firnline.limits`)."""


Forward = Callable[[np.ndarray], np.ndarray]


def most_layers(traces: int) -> int:
    """Polylines that a frame of so many traces may have."""
    return int(min(MOST_LAYERS * max(1.0, traces / float(WIDE)), MAX_LAYERS, MAX_PICKS // traces))


def probability_map(forward: Forward, grey: np.ndarray, channels: int, stride: int) -> np.ndarray:
    """Probabilities (3, rows, columns) of an echogram, computed in tiles if it is large.

    Neighbouring tiles overlap, and are blended with weights that fall to zero at their edges, so no seam shows.
    Memory is bounded by `TILE_PIXELS`, whatever the echogram's size.

    Parameters
    ----------
    forward : function (1, C, h, w) float32 array -> (1, 3, h, w / stride) array; h and w are multiples of 16
    grey : (rows, traces) uint8 array
    channels : input channels that the network takes
    stride : traces per column of the map
    """
    height, width = grey.shape
    image = pad(normalise(grey, channels))
    rows = _tiles(image.shape[1], TILE_ROWS)
    tile_traces = max(2 * OVERLAP, TILE_PIXELS // max(end - start for start, end in rows) // MULTIPLE * MULTIPLE)
    traces = _tiles(image.shape[2], tile_traces)
    if len(rows) == len(traces) == 1:
        return forward(image[None])[0][:, :height, : -(-width // stride)]
    total = np.zeros((3, image.shape[1], image.shape[2] // stride), np.float32)
    share = np.zeros(total.shape[1:], np.float32)
    for top, bottom in rows:
        for left, right in traces:
            part = forward(np.ascontiguousarray(image[None, :, top:bottom, left:right]))[0]
            weight = np.minimum(
                _ramp(top, bottom, image.shape[1])[:, None], _ramp(left, right, image.shape[2])[None, ::stride]
            ).astype(np.float32)
            columns = slice(left // stride, right // stride)
            total[:, top:bottom, columns] += part * weight
            share[top:bottom, columns] += weight
    return (total / share)[:, :height, : -(-width // stride)]


def _tiles(length: int, size: int) -> List[Tuple[int, int]]:
    """Overlapping (start, end) pieces of at most `size`, all bounds multiples of `MULTIPLE`."""
    if length <= size:
        return [(0, length)]
    count = -(-(length - OVERLAP) // (size - OVERLAP))
    step = (length - size) / float(count - 1)
    starts = [int(i * step) // MULTIPLE * MULTIPLE for i in range(count - 1)] + [length - size // MULTIPLE * MULTIPLE]
    return [(start, start + size // MULTIPLE * MULTIPLE) for start in starts]


def _ramp(start: int, end: int, length: int) -> np.ndarray:
    """Weights (end - start,) that rise over the overlap from each edge that has a neighbour."""
    at = np.arange(end - start) + 0.5
    rise = at if start > 0 else np.full(at.size, np.inf)
    fall = at[::-1] if end < length else np.full(at.size, np.inf)
    return np.minimum(np.minimum(rise, fall) / OVERLAP, 1.0) + 1e-3


def track(forward: Forward, grey: np.ndarray, channels: int, stride: int, ridge: float = RIDGE) -> List[Layer]:
    """Layers of an echogram by depth; parameters as of `probability_map` and `vectorise.find_layers`."""
    return track_map(probability_map(forward, grey, channels, stride), grey, stride, ridge)


def track_map(probability: np.ndarray, grey: np.ndarray, stride: int, ridge: float = RIDGE) -> List[Layer]:
    """Layers of an echogram (rows, traces) uint8 in its probability map, by depth."""
    layers = find_layers(probability, grey.shape[1], stride, ridge, normalise(grey, 1)[0])
    return strongest(layers, most_layers(grey.shape[1]))


def strongest(layers: Sequence[Layer], count: int) -> List[Layer]:
    """The `count` layers with the most support along their length, surface and bed before all others; order is kept."""
    weight = [layer.support.sum() + 1e9 * (layer.label != "layer") for layer in layers]
    kept = set(np.argsort(weight)[::-1][:count])
    return [layer for number, layer in enumerate(layers) if number in kept]


def layers_document(
    tracked: Sequence[Layer], shape: Tuple[int, ...], curves: Mapping[str, Any], source: Mapping[str, Any]
) -> Dict[str, Any]:
    """The layers document (``firnline.layers/1``) of a tracked echogram of `shape` (rows, traces)."""
    height, width = shape
    uneven = unevenness(tracked)
    confidences = expected_share(layer_features(tracked, uneven), curves["layer"]).tolist()
    layers = []
    for layer, confidence, (x, y) in zip(tracked, confidences, simplify(tracked)):
        y = np.minimum(np.maximum(y, 0.0), height - 1.0)
        layers.append(
            {
                "label": layer.label,
                "confidence": round(confidence, 4),
                "vertices": [{"x": a, "y": round(b, 2)} for a, b in zip(x.tolist(), y.tolist())],
            }
        )
    confidence = float(expected_share(frame_features(tracked, uneven), curves["frame"]))
    return {
        "schema": "firnline.layers/1",
        "frame_id": "",
        "image": {"width": int(width), "height": int(height)},
        "source": source,
        "coverage": "complete",
        "confidence": round(confidence, 4),
        "layers": layers,
    }
