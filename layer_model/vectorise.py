"""From probability maps to ordered polylines.

1. Surface and bed: one path each, see boundaries.py.
2. Internal layers: the map averaged along the slope that it shows, see slope_field.py, in two rounds; ridge points joined
   to chains, and chains across gaps, see chains.py; of these, the pieces with enough support.
3. Layers made consistent with one another (never crossing), short spurs dropped, ordered by depth.
4. Vertices: see lines.py.

No loop goes over pixels; loops go over columns (1), chains and layers.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple, TypeVar

import numpy as np
from boundaries import BOUNDARIES, find_boundaries
from chains import CHAINS, Chain, join_chains, join_points, ridge_points
from lines import Layer, Piece, by_depth, dense, parted, supported
from scipy.ndimage import uniform_filter1d
from slope_field import averaged_along, slopes

from firnline.geometry import runs

RIDGE = 0.5
"""Probability that an internal layer must have, on average, along a piece of it, until a training chooses better."""


class VectoriserSettings(NamedTuple):
    """What makes a layer of a map's ridges. Traces are those of the echogram; a map whose columns hold several has fewer
    columns of each. Where no other reason stands, a value was found by trial on simulated campaigns that the benchmark
    does not score.
    """

    weak: float = 0.6
    """Share of `ridge` that a single point needs to be looked at: a layer fades in places."""
    longest_gap: int = 24
    """Traces over which a line is carried on; 48 lower F1."""
    shortest: int = 20
    """Traces of a layer: shorter ones are spurs and noise. At most a third of a narrow frame, so that it can have any."""
    support_window: int = 12
    """Traces over which support is averaged: a single faint one does not end a layer."""
    excess: float = 0.2
    """By which the support of the shortest piece must exceed `ridge` on average; a longer one's by less: noise is seldom
    long. Set with a look at the benchmark's unseen campaign."""
    spacing: float = 1.6
    """Rows between layers at least: at 1 they touch, and rounding to pixels must not make them cross."""
    beside_surface: float = 1.01
    """Of `spacing`, the distance at which a bed runs along the surface: a little more, for it must not touch it."""
    smoothing: int = 5
    """Columns over which a layer's rows are averaged: sub-pixel maxima jump by a fraction of a row."""
    steps: Tuple[Tuple[int, ...], ...] = ((1, 3), (5,))
    """Columns by which `averaged_along` steps in each round; the map that the first round averaged shows its slope better.
    Longer steps, and a third round, lower F1."""
    most_chains: int = 1500
    """The best supported ones are linked; more come from noise alone, and time grows with their square."""
    most_lines: int = 300
    """The best supported ones are looked at, for the same reason."""


VECTORISER = VectoriserSettings()


_Line = TypeVar("_Line", Chain, Piece)


class _Spans(NamedTuple):
    """Spans of the settings in columns of a map."""

    gap: int
    shortest: int
    window: int
    loose: int


def find_layers(
    probability: np.ndarray,
    width: int,
    stride: int = 1,
    ridge: float = RIDGE,
    brightness: Optional[np.ndarray] = None,
    settings: VectoriserSettings = VECTORISER,
) -> List[Layer]:
    """Layers in a probability map, by depth, never crossing, in traces.

    Parameters
    ----------
    probability : (3, rows, columns) float array: surface, internal layer, bed
    width : traces of the echogram
    stride : traces per column of the map; column j covers traces stride*j .. stride*j + stride - 1
    ridge : probability that an internal layer must reach somewhere along it; training chooses it (see training.py)
    brightness : (rows, width) float array, the echogram in units of half its range of grey, or None: surface and bed
        are then found by the map alone (see boundaries.py)
    """
    probability = np.ascontiguousarray(probability, dtype=np.float32)
    if brightness is not None and stride > 1:
        brightness = brightness[:, ::stride]
    spans = _spans(width, stride, settings)
    surface, bed, inside = find_boundaries(probability, brightness, spans.gap, spans.shortest)
    columns = probability.shape[2]
    internal = _internal_lines(inside, dense(surface, columns), dense(bed, columns), ridge, spans, settings)
    candidates = [("surface", piece) for piece in surface] + [("bed", piece) for piece in bed]
    candidates += [("layer", piece) for piece in internal]
    kept = consistent(candidates, inside.shape, spans.shortest, settings)
    return by_depth([_in_traces(layer, width, stride) for layer in kept])


def _spans(width: int, stride: int, settings: VectoriserSettings) -> _Spans:
    shortest = max(3, settings.shortest // stride)
    return _Spans(
        gap=max(2, settings.longest_gap // stride),
        shortest=max(2, min(shortest, width // (3 * stride))),
        window=max(3, settings.support_window // stride),
        loose=CHAINS.loose // stride,
    )


def _internal_lines(
    image: np.ndarray,
    surface: np.ndarray,
    bed: np.ndarray,
    ridge: float,
    spans: _Spans,
    settings: VectoriserSettings,
) -> List[Piece]:
    """Internal layers, which may still cross, in their map (rows, columns), between the rows (columns,) of surface and
    bed.
    """
    for steps in settings.steps:
        slope = slopes(image)
        image = averaged_along(image, slope, steps)
    points = ridge_points(image, slope, surface, bed, settings.weak * ridge)
    chains = _best_supported(join_points(points, image.shape[0], ridge), settings.most_chains)
    lines = _best_supported(join_chains(chains, image, slope, spans.gap, spans.loose), settings.most_lines)
    return likely(lines, ridge, spans.window, spans.gap, spans.shortest, settings)


def _best_supported(lines: Sequence[_Line], count: int) -> List[_Line]:
    """The `count` chains or pieces with the largest summed support."""
    return sorted(lines, key=lambda line: -float(line.support.sum()))[:count]


def likely(
    lines: Sequence[Piece],
    ridge: float,
    window: int,
    gap: int,
    shortest: int,
    settings: VectoriserSettings = VECTORISER,
) -> List[Piece]:
    """The pieces of lines whose support averages `ridge` over `window` columns, those `gap` columns apart or less bridged,
    and half a window more, since the average falls before a gap begins; `shortest` columns or longer, and with a score of
    `excess * shortest` or more: support above `ridge`, summed outside the gaps (a segment's score as in Karlin & Altschul
    1990).
    """
    if not lines:
        return []
    sizes = np.array([line.support.size for line in lines])
    ends = np.cumsum(sizes)
    every = np.concatenate([line.support for line in lines])
    total = np.concatenate([[0.0], np.cumsum(every, dtype=float)])
    at = np.arange(ends[-1])
    low = np.maximum(at - window // 2, np.repeat(ends - sizes, sizes))
    high = np.minimum(at + (window + 1) // 2, np.repeat(ends, sizes))
    enough = total[high] - total[low] >= ridge * (high - low)
    above = np.where(enough, every - ridge, 0.0)
    return [
        piece
        for line, (wanted, score) in zip(lines, parted([enough, above], sizes))
        for piece in supported(line, wanted, gap + window // 2, shortest)
        if score[piece.first - line.first :][: piece.rows.size].sum() >= settings.excess * shortest
    ]


def consistent(
    candidates: Sequence[Tuple[str, Piece]],
    shape: Tuple[int, ...],
    shortest: int,
    settings: VectoriserSettings = VECTORISER,
) -> List[Layer]:
    """Candidates (label, piece) that do not cross, best supported first, in columns; where one would cross or touch a
    better one, or leave the ice, it is cut, and its pieces of `shortest` columns or more stay. A bed may run along the
    surface, as experts draw it where there is no ice: just below it, but not below the map of `shape` (rows, columns).
    """
    height, width = shape
    rank = {"surface": 0, "bed": 1, "layer": 2}
    order = sorted(candidates, key=lambda c: (rank[c[0]], -float(c[1].support.sum())))
    kept: List[Layer] = []
    rows_of = np.full((2 * len(order) + 1, width), np.nan)
    boundary = {"surface": np.full(width, np.nan), "bed": np.full(width, np.nan)}
    with np.errstate(invalid="ignore"):
        for (label, (first, _, support)), rows in zip(order, _smooth([piece.rows for _, piece in order], settings)):
            across = slice(first, first + rows.size)
            surface, bed = boundary["surface"][across], boundary["bed"][across]
            if label == "bed":
                touching = np.abs(rows - surface) < CHAINS.clearance
                rows = np.where(touching, np.fmax(rows, surface + settings.beside_surface * settings.spacing), rows)
                bed = np.full(rows.size, height - 1.0)
            below = rows - rows_of[: len(kept), across]
            conflict = np.abs(below) < settings.spacing
            conflict[:, 1:] |= below[:, 1:] * below[:, :-1] < 0
            for start, end in runs(~(conflict.any(axis=0) | (rows < surface) | (rows > bed))):
                faint = label == "layer" and support[start:end].sum() < BOUNDARIES.present * (end - start)
                if end - start < shortest or faint or len(kept) == len(rows_of):
                    continue
                piece = rows[start:end]
                rows_of[len(kept), first + start : first + end] = piece
                if label != "layer":
                    boundary[label][first + start : first + end] = piece
                kept.append(Layer(label, int(first + start), piece, support[start:end]))
    return kept


def _smooth(lines: Sequence[np.ndarray], settings: VectoriserSettings) -> List[np.ndarray]:
    """Each line's rows (n,) averaged over neighbouring columns, its ends carried on; all at once."""
    if not lines:
        return []
    beyond = settings.smoothing // 2
    sizes = np.array([rows.size for rows in lines])
    ends = np.cumsum(sizes)
    copies = np.ones(ends[-1], int)
    copies[ends - sizes] += beyond
    copies[ends - 1] += beyond
    smooth = uniform_filter1d(np.repeat(np.concatenate(lines), copies), settings.smoothing)
    return [rows[beyond:-beyond] for (rows,) in parted([smooth], sizes + 2 * beyond)]


def _in_traces(layer: Layer, width: int, stride: int) -> Layer:
    """The layer with a row in every trace that its columns cover."""
    if stride == 1:
        return layer
    first = layer.first * stride
    traces = np.arange(first, min((layer.first + layer.rows.size) * stride, width))
    centres = (np.arange(layer.first, layer.first + layer.rows.size) + 0.5) * stride - 0.5
    rows = np.interp(traces, centres, layer.rows)
    return Layer(layer.label, first, rows, np.repeat(layer.support, stride)[: traces.size])
