"""Two classical layer trackers, as good as they get without learning, to measure the networks against.

- `ridge_tracker`: an oriented ridge filter (elongated second derivatives of Gaussians in many directions and two widths,
  cf. Freeman & Adelson 1991; Frangi et al. 1998), its response linked to layers by dynamic programming.
- `canny_tracker`: Canny edges (Canny 1986); a layer lies between the edge of its upper and that of its lower flank;
  linked by the same dynamic programming.

Surface and bed are one Viterbi path each (Crandall et al. 2012). The few constants were chosen on frames of the training
campaigns by `tune.py`; the unseen campaign was not looked at. What makes a surface and a bed was decided with real frames in
view, which favours these trackers; on real frames their constants are chosen anew on each fold's training transects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft
from scipy.ndimage import binary_dilation, gaussian_filter, gaussian_filter1d, uniform_filter1d
from skimage.feature import canny

from layer_model.echogram_input import normalise, prominence
from layer_model.lines import Layer, by_depth, simplify, sub_pixel
from workbench.benchmark.measures import Points, ridge_points

WALL = -1e4
"""Gain where a layer lies already, or none can: no path is worth crossing it."""
START = 127
"""Origin of a path's first trace; larger than any step."""


FAINTEST = 1.5
"""Ridge response of the faintest points that the response is judged by: what noise shows everywhere."""


@dataclass(frozen=True)
class Linking:
    """How a response becomes layers; gains per trace are `clip(response - threshold, -gap, most)`."""

    threshold: float
    gap: float
    """What a trace without response costs."""
    most: float
    least: float
    """Gain that a whole layer must have."""
    step_cost: float
    """Per row by which a step strays from the slope of the response."""
    steepest: int = 3
    """Rows per trace."""
    clearance: int = 4
    """Rows between layers."""
    longest_gap: int = 20
    shortest: int = 24
    most_layers: int = 80


@dataclass(frozen=True)
class Boundaries:
    """What makes a surface and a bed. Windows in rows; costs per row by which the path steps, against grey levels in units
    of half the frame's range.
    """

    surface_cost: float
    below: int
    above: int
    above_weight: float
    """How much a bed must stand out against what is above it, compared with what is below it."""
    bed_cost: float
    thinnest: int = 10
    """Rows of ice, at least."""


@dataclass(frozen=True)
class Filter:
    widths: tuple[float, ...] = (1.2, 2.0)
    """Standard deviations across the ridge, rows."""
    length: float = 6.0
    """Standard deviation along it, traces."""
    steepest: float = 3.0
    slope_step: float = 0.25


@dataclass(frozen=True)
class Edges:
    sigma: float
    low: float
    high: float
    widest: int
    """Rows between the two edges of a layer."""


RIDGE_LINKING = Linking(threshold=2.5, gap=1.0, most=2.0, least=15.0, step_cost=1.0)
CANNY_LINKING = Linking(threshold=0.4, gap=0.35, most=1.0, least=24.0, step_cost=0.1)
FILTER = Filter()
EDGES = Edges(sigma=1.0, low=0.15, high=0.6, widest=10)
BOUNDARIES = Boundaries(surface_cost=0.2, below=48, above=6, above_weight=1.2, bed_cost=0.1)


@dataclass(frozen=True)
class Tracked:
    """`document`: layers document without confidences; `points`: what the response map shows before linking."""

    document: dict
    points: Points


def ridge_tracker(
    grey: np.ndarray, bed: bool, linking: Linking = RIDGE_LINKING, settings: Boundaries = BOUNDARIES
) -> Tracked:
    """Track an echogram (rows, traces) uint8; `bed`: whether the radar reaches it."""
    overall, local = normalise(grey, 2)
    response, slope = ridge_response(local)
    boundaries = find_boundaries(overall, bed, None, settings)
    lines = link(response, slope, boundaries, linking)
    columns = [np.arange(first, first + rows.size) for first, rows in lines]
    lines = [
        (first, sub_pixel(np.exp(response / 4), rows, x)[0]) for x, (first, rows) in zip(columns, lines, strict=True)
    ]
    return Tracked(_document(boundaries, lines, grey.shape), ridge_points(response, FAINTEST))


def canny_tracker(
    grey: np.ndarray,
    bed: bool,
    linking: Linking = CANNY_LINKING,
    edges: Edges = EDGES,
    settings: Boundaries = BOUNDARIES,
) -> Tracked:
    """Track an echogram (rows, traces) uint8; `bed`: whether the radar reaches it."""
    overall, local = normalise(grey, 2)
    points = canny_ridges(local, edges)
    response = np.zeros(grey.shape, np.float32)
    response[points.rows, points.columns] = 1.0
    response = np.minimum(gaussian_filter1d(response, 0.7, axis=0) * np.float32(0.7 * np.sqrt(2 * np.pi)), 1.0)
    near_edge = binary_dilation(canny(overall, edges.sigma, edges.low, edges.high), np.ones((7, 1)))
    boundaries = find_boundaries(overall, bed, near_edge, settings)
    lines = link(response, None, boundaries, linking)
    return Tracked(
        _document(boundaries, lines, grey.shape), canny_ridges(local, Edges(edges.sigma, 0.02, 0.04, edges.widest))
    )


TRACKERS: dict[str, Callable[[np.ndarray, bool], Tracked]] = {"ridge": ridge_tracker, "canny": canny_tracker}


def ridge_response(image: np.ndarray, settings: Filter = FILTER) -> tuple[np.ndarray, np.ndarray]:
    """The largest response over all widths and directions, and the slope of that direction.

    Parameters
    ----------
    image : (rows, traces) float array

    Returns
    -------
    response : (rows, traces) float32, in standard deviations of what white noise of unit variance gives
    slope : (rows, traces) float32, rows per trace
    """
    height, width = image.shape
    margin = min(int(3 * settings.length), height - 1, width - 1)
    padded = np.pad(image, margin, mode="reflect")
    shape = (fft.next_fast_len(padded.shape[0], real=True), fft.next_fast_len(padded.shape[1], real=True))
    spectrum = fft.rfft2(padded, shape)
    response = np.full(image.shape, -np.inf, np.float32)
    slope = np.zeros(image.shape, np.float32)
    for kernel, direction in _kernels(shape, settings):
        here = fft.irfft2(spectrum * kernel, shape)[margin : margin + height, margin : margin + width]
        better = here > response
        response[better] = here[better]
        slope[better] = direction
    return response, slope


@lru_cache(maxsize=4)
def _kernels(shape: tuple[int, int], settings: Filter) -> list[tuple[np.ndarray, float]]:
    down, along = (fft.fftfreq(size)[:, None] * size for size in shape)
    kernels = []
    for across in settings.widths:
        for slope in np.arange(-settings.steepest, settings.steepest + 1e-6, settings.slope_step):
            offset = (down - slope * along.T) / across
            kernel = (1 - offset**2) * np.exp(-0.5 * offset**2 - 0.5 * (along.T / settings.length) ** 2)
            kernel -= kernel.mean()
            kernels.append((fft.rfft2((kernel / np.sqrt((kernel**2).sum())).astype(np.float32)), float(slope)))
    return kernels


def canny_ridges(image: np.ndarray, settings: Edges) -> Points:
    """Midway between the edges of an upper flank and of the lower flank below it; strength: their mean gradient."""
    edges = canny(image, settings.sigma, settings.low, settings.high)
    gradient = gaussian_filter(image, settings.sigma, order=(1, 0))
    columns, rows = np.nonzero(edges.T)
    rise = gradient[rows, columns]
    pair = (columns[:-1] == columns[1:]) & (rise[:-1] > 0) & (rise[1:] < 0) & (np.diff(rows) <= settings.widest)
    upper, lower = np.flatnonzero(pair), np.flatnonzero(pair) + 1
    return Points((rows[upper] + rows[lower]) // 2, columns[upper], (rise[upper] - rise[lower]) / 2)


def viterbi(
    gain: np.ndarray, slope: np.ndarray | None, steepest: int, step_cost: float, local: bool
) -> tuple[int, np.ndarray, float]:
    """The path along the track with the largest sum of gains, less `step_cost` for each row by which a step strays from
    the slope.

    Parameters
    ----------
    gain : (rows, traces) array
    slope : (rows, traces) array, rows per trace; None: flat
    steepest : rows by which a path may climb or fall from one trace to the next
    local : the path may begin and end anywhere (as alignments in Smith & Waterman 1981), else it crosses the whole image

    Returns
    -------
    first trace, (traces of the path,) int rows, sum
    """
    height, width = gain.shape
    steps = np.arange(-steepest, steepest + 1)
    gains = np.ascontiguousarray(gain.T, np.float32)
    slopes = np.zeros((width, 1), np.float32) if slope is None else np.ascontiguousarray(slope.T, np.float32)
    padded = np.full(height + 2 * steepest, -np.inf, np.float32)
    reach_of = sliding_window_view(padded, height)
    origin = np.full((width, height), START, np.int8)
    score = gains.copy()
    every = np.arange(height)
    for trace in range(1, width):
        padded[steepest : steepest + height] = score[trace - 1]
        reach = reach_of - np.float32(step_cost) * np.abs(steps[:, None] + slopes[trace])
        best = reach.argmax(axis=0)
        before = reach[best, every]
        origin[trace] = steps[best]
        if local:
            origin[trace][before <= 0] = START
            before = np.maximum(before, 0)
        score[trace] += before
    trace = int(score.max(axis=1).argmax()) if local else width - 1
    row = int(score[trace].argmax())
    total, path = float(score[trace, row]), [row]
    while origin[trace, row] != START:
        row += int(origin[trace, row])
        trace -= 1
        path.append(row)
    return trace, np.array(path[::-1]), total


def link(
    response: np.ndarray, slope: np.ndarray | None, boundaries: dict[str, np.ndarray], settings: Linking
) -> list[tuple[int, np.ndarray]]:
    """Internal layers, the best supported first: the best path through the response, then the best one that keeps clear
    of those before it, and so on, until none has support enough. Cut where longer gaps show no response.

    Returns (first trace, rows) of each.
    """
    gain = np.clip(response - settings.threshold, -settings.gap, settings.most)
    depth, clearance = np.arange(len(gain))[:, None], settings.clearance
    gain[depth < boundaries["surface"] + clearance] = WALL
    if "bed" in boundaries:
        gain[depth > boundaries["bed"] - clearance] = WALL
    lines: list[tuple[int, np.ndarray]] = []
    for _ in range(settings.most_layers):
        first, rows, total = viterbi(gain, slope, settings.steepest, settings.step_cost, local=True)
        if total < settings.least:
            break
        traces = np.arange(first, first + rows.size)
        supported = np.flatnonzero(gain[rows, traces] > -settings.gap / 2)
        for offset in range(-clearance, clearance + 1):
            gain[np.clip(rows + offset, 0, len(gain) - 1), traces] = WALL
        for piece in np.split(supported, np.flatnonzero(np.diff(supported) > settings.longest_gap) + 1):
            if piece.size and piece[-1] - piece[0] + 1 >= settings.shortest:
                lines.append((first + int(piece[0]), rows[piece[0] : piece[-1] + 1]))
    return lines


def find_boundaries(
    image: np.ndarray,
    bed: bool,
    near_edge: np.ndarray | None = None,
    settings: Boundaries = BOUNDARIES,
) -> dict[str, np.ndarray]:
    """Rows (traces,) of the surface, and of the bed if asked for.

    The surface is the brightest path of all; the bed, below it, the one that is brightest against what lies below it, where
    there is nothing but noise, and above.

    Parameters
    ----------
    image : (rows, traces) float array, bright = strong
    near_edge : (rows, traces) bool, where a boundary may lie, or None: anywhere
    """
    allowed = 1.0 if near_edge is None else near_edge.astype(np.float32)
    surface = viterbi(image * allowed, None, 4, settings.surface_cost, local=False)[1]
    found = {"surface": surface.astype(float)}
    if bed:
        evidence = prominence(image, settings.below, settings.above, 3, settings.above_weight)
        evidence = np.where(np.arange(len(image))[:, None] < surface + settings.thinnest, WALL, evidence * allowed)
        found["bed"] = viterbi(evidence, None, 6, settings.bed_cost, local=False)[1].astype(float)
    return found


def _document(boundaries: dict[str, np.ndarray], lines: list[tuple[int, np.ndarray]], shape: tuple[int, int]) -> dict:
    layers = [Layer(label, 0, rows, np.ones(rows.size)) for label, rows in boundaries.items()]
    layers += [Layer("layer", first, rows.astype(float), np.ones(rows.size)) for first, rows in lines]
    for layer in layers:
        layer.rows = uniform_filter1d(layer.rows, 5, mode="nearest")
    layers = by_depth(layers)
    return {
        "image": {"height": shape[0], "width": shape[1]},
        "coverage": "complete",
        "layers": [
            {"label": layer.label, "vertices": [{"x": int(a), "y": float(b)} for a, b in zip(x, y, strict=True)]}
            for layer, (x, y) in zip(layers, simplify(layers), strict=True)
        ],
    }
