"""Surface and bed: one path each through the echogram (Viterbi 1967, as Crandall et al. 2012 use it for ice boundaries),
along which the network's log-probability and what the echo itself says add up.

The network draws either boundary well, but a handful of frames to train on may swap their names: a transmitter's line
for the surface, a shelf's base or a multiple for the bed. The echo tells them apart by physics: nothing attenuates
the surface's return, so it is the first that is as bright as any in its trace, or nearly; and below the bed there is
only noise.
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from echogram_input import brightest_before, prominence
from lines import Piece, sub_pixel, supported
from scipy.ndimage import uniform_filter1d


class BoundarySettings(NamedTuple):
    """What a surface and a bed look like. *Half ranges* are half the range of grey from a frame's 2nd to its 98th
    percentile; costs and gains are in natural logarithms of probability. docs/decisions.md tells how the weights were
    chosen on maps of real frames, where half and twice as much gave the same.
    """

    present: float = 0.25
    """Probability, on average over `averaged`, along a boundary. Low, since a surface between two bright returns is faint in
    the map."""
    averaged: int = 9
    """Columns of that average: a single faint one does not end a boundary."""
    unseen: float = 1e-3
    """Probability where the map shows nothing: a boundary may still pass there, if the echo says so."""
    seen: float = 0.25
    """Share of columns in which the map must see a boundary, for the echo alone to carry it on elsewhere."""
    below_surface: float = -100.0
    """Gain of a bed above the surface: none is worth it."""
    thinnest: int = 2
    """Rows from surface to bed: a bed may lie on the surface where there is no ice."""

    brightest: float = 20.0
    """What the surface's path pays for each half range by which it is darker than the brightest of its trace."""
    first: float = 2.0
    """What it pays where something as bright lies above: untuned models' surfaces within 3 px went from 0.93 to 0.98."""
    as_bright: float = 0.3
    """Half ranges by which that may be darker to count."""
    surface_smoothing: int = 5
    """Columns over which the echo is averaged before a surface is sought: it is smooth."""
    surface_step: float = 2.0
    """What the surface's path pays for a row up or down."""
    surface_plain: float = -6.0
    """Evidence, on average, along a surface that the echo alone carries."""

    last: float = 2.0
    """What the bed's path gains for each half range by which it stands out."""
    below: int = 48
    """Rows below a bed that it is compared with: long, since below it there is nothing but noise."""
    above: int = 6
    """Rows above it: short, since above it there may be layers."""
    own: int = 3
    """Rows either way that belong to its own echo."""
    above_weight: float = 1.2
    """What standing out against what is above counts, compared with what is below."""
    bed_smoothing: int = 3
    """Columns over which the echo is averaged before a bed is sought: fewer than for a surface, since beds are rough."""
    bed_step: float = 0.1
    """What the bed's path pays for a row up or down: 8 rows in 10 traces is common."""
    bed_plain: float = 1.0
    """Evidence, on average, along a bed that the echo alone carries."""
    faintest: float = 0.4
    """Half ranges by which a bed is brighter than what lies below it, in its best tenth of columns. A layer deep in the snow,
    below which a radar sees nothing more, looks like a bed to the network, but stands out by 0.30; the beds of 20 real
    transects stand out by 0.58 or more."""
    misnamed: int = 16
    """Rows below the surface from which on what the map calls a surface counts as a bed: where the antenna lies on the ice, the bed
    may be the brightest return of its trace, as a surface is to a radar in the air."""
    at_its_best: float = 90.0
    """Percentile of the columns that stands for the best tenth."""

    jump: int = 3
    """A path goes up or down by 1 + 2 + ... + `jump` rows at most from one pair of columns to the next."""
    to_ridge: int = 2
    """Rows to the map's ridge, to which the path, found on pairs of columns, is moved."""


BOUNDARIES = BoundarySettings()


class Boundary(NamedTuple):
    """What tells one boundary from the other: `step`, what going up or down a row costs; `evidence`, a function of
    brightness; `plain`, the evidence, on average, along a boundary that the echo alone carries.
    """

    step: float
    evidence: Callable[[np.ndarray, BoundarySettings], np.ndarray]
    plain: float


def find_boundaries(
    probability: np.ndarray,
    brightness: Optional[np.ndarray],
    gap: int,
    shortest: int,
    settings: BoundarySettings = BOUNDARIES,
) -> Tuple[List[Piece], List[Piece], np.ndarray]:
    """The pieces of surface and bed, and the map (rows, columns) of the internal layers: a bed that does not stand out is
    one of them.

    Parameters
    ----------
    probability : (3, rows, columns) float32 array: surface, internal layer, bed
    brightness : (rows, columns) float array in half ranges of grey, or None: the map alone decides
    gap, shortest : columns; shorter gaps are bridged, shorter pieces dropped
    """
    surface_image, layers, bed_image = probability
    a_surface = Boundary(settings.surface_step, surface_evidence, settings.surface_plain)
    a_bed = Boundary(settings.bed_step, bed_evidence, settings.bed_plain)
    surface, above = _boundary(surface_image, layers, brightness, a_surface, None, gap, shortest, settings)
    echo = brightness if _seen(bed_image, settings) else None
    if above is not None and _columns_shown(bed_image, settings) >= shortest:
        bed_image = _with_misnamed(bed_image, surface_image, above, settings)
    bed, _ = _boundary(bed_image, layers, echo, a_bed, above, gap, shortest, settings)
    if not bed or brightness is None or _stands_out(bed, brightness, settings):
        return surface, bed, layers
    return surface, [], np.maximum(layers, bed_image)


def _boundary(
    image: np.ndarray,
    layers: np.ndarray,
    brightness: Optional[np.ndarray],
    kind: Boundary,
    above: Optional[np.ndarray],
    gap: int,
    shortest: int,
    settings: BoundarySettings,
) -> Tuple[List[Piece], Optional[np.ndarray]]:
    """Pieces of one boundary, and the rows (columns,) of its whole path; below the path `above`, if there is one."""
    if _columns_shown(image, settings) < shortest:
        return [], None
    gain = np.log(np.maximum(image, np.float32(settings.unseen)))
    evidence = None
    if brightness is not None and _seen(image, settings):
        evidence = kind.evidence(brightness, settings)
        gain += evidence
    if above is not None:
        gain[np.arange(len(gain))[:, None] < above + settings.thinnest] = settings.below_surface
    path = best_path(gain, kind.step, settings.jump)
    return _along(path, image, layers, evidence, kind.plain, gap, shortest, settings), path


def _columns_shown(image: np.ndarray, settings: BoundarySettings) -> int:
    """In how many columns the map (rows, columns) shows a boundary."""
    return int((image.max(axis=0, initial=0.0) > settings.present).sum())


def _seen(image: np.ndarray, settings: BoundarySettings) -> bool:
    """Whether that is enough for the echo alone to carry the boundary on."""
    return _columns_shown(image, settings) > settings.seen * image.shape[1]


def _with_misnamed(bed: np.ndarray, surface: np.ndarray, above: np.ndarray, settings: BoundarySettings) -> np.ndarray:
    """The map of the bed with what the map of the surface shows well below the surface's path `above` (columns,): there is one
    surface, so a second one is the bed.
    """
    below = np.arange(len(bed))[:, None] > above + settings.misnamed
    return np.where(below, np.maximum(bed, surface), bed)


def _stands_out(bed: Sequence[Piece], brightness: np.ndarray, settings: BoundarySettings) -> bool:
    """Whether the pieces of a bed are anywhere brighter than mere noise below them."""
    smooth = uniform_filter1d(brightness, settings.bed_smoothing, axis=1, mode="nearest")
    rows = np.rint(np.concatenate([piece.rows for piece in bed])).astype(int)
    columns = np.concatenate([piece.first + np.arange(piece.rows.size) for piece in bed])
    excess = prominence(smooth, settings.below, settings.above, settings.own, 0.0)
    there = excess[np.clip(rows, 0, len(smooth) - 1), columns]
    return bool(np.percentile(there, settings.at_its_best) >= settings.faintest)


def surface_evidence(brightness: np.ndarray, settings: BoundarySettings = BOUNDARIES) -> np.ndarray:
    """Log-likelihood of a surface, (rows, columns), up to a constant in each column: how near it is to the brightest of
    its trace, and whether it is the first that is so bright.
    """
    smooth = uniform_filter1d(brightness, settings.surface_smoothing, axis=1, mode="nearest")
    smooth -= smooth.min()
    above = (brightest_before(smooth) - smooth) / np.float32(settings.as_bright)
    above += 1
    smooth -= smooth.max(axis=0)
    smooth *= np.float32(settings.brightest)
    return smooth - np.float32(settings.first) * np.minimum(np.maximum(above, 0), 1)


def bed_evidence(brightness: np.ndarray, settings: BoundarySettings = BOUNDARIES) -> np.ndarray:
    """Log-likelihood of a bed, (rows, columns): how it stands out against what lies below it, where there is nothing but
    noise, and just above it.
    """
    smooth = uniform_filter1d(brightness, settings.bed_smoothing, axis=1, mode="nearest")
    out = prominence(smooth, settings.below, settings.above, settings.own, settings.above_weight)
    return np.float32(settings.last) * out


def best_path(gain: np.ndarray, cost: float, jump: int = BOUNDARIES.jump) -> np.ndarray:
    """Rows (columns,) float of the path with the largest sum of gains (rows, columns).

    The path is sought on pairs of columns, the stronger of each standing for both. Going d rows up or down costs
    `cost * d`; 1 + 2 + ... + `jump` rows at most from pair to pair.
    """
    height, width = gain.shape
    pairs = gain[:, ::2].copy()
    np.maximum(pairs[:, : width // 2], gain[:, 1::2], out=pairs[:, : width // 2])
    gain = np.ascontiguousarray(pairs.T, np.float32)
    furthest = jump * (jump + 1) // 2
    reached = np.full((len(gain), height + 2 * furthest), -np.inf, np.float32)
    scores = reached[:, furthest:-furthest]
    best, paid = gain[0].copy(), np.empty(height, np.float32)
    scores[0] = best
    # Shifts by 1, 2, ... rows, each taken or not, make every shift up to their sum: the same maximum, half the work.
    shifts = [(np.float32(cost * d), best[d:], paid[:-d], best[:-d], paid[d:]) for d in range(1, jump + 1)]
    for score, column in zip(scores[1:], gain[1:]):
        for fee, lower, paid_above, upper, paid_below in shifts:
            np.subtract(best, fee, paid)
            np.maximum(lower, paid_above, lower)
            np.maximum(upper, paid_below, upper)
        np.add(best, column, best)
        score[:] = best
    fees = np.float32(cost) * np.abs(np.arange(-furthest, furthest + 1))
    path = [int(best.argmax())]
    for score in reached[-2::-1]:
        path.append(path[-1] - furthest + int((score[path[-1] : path[-1] + fees.size] - fees).argmax()))
    path.reverse()
    return np.interp(np.arange(width), np.arange(len(gain)) * 2 + 0.5, path)


def _along(
    path: np.ndarray,
    image: np.ndarray,
    layers: np.ndarray,
    evidence: Optional[np.ndarray],
    plain: float,
    gap: int,
    shortest: int,
    settings: BoundarySettings,
) -> List[Piece]:
    """The path, moved to the nearest ridge of the map `image` in every column, cut where neither the map supports it nor
    the echo, if the map sees such a boundary in the frame at all.

    A path that is more of an internal layer, by the map `layers`, than a boundary has no support by the map.
    """
    columns = np.arange(path.size)
    path = _on_ridge(image, path, settings.to_ridge)
    rows, support = sub_pixel(image, path, columns)

    def average(values: np.ndarray) -> np.ndarray:
        return uniform_filter1d(values, settings.averaged, mode="nearest")

    averaged = average(support)
    present = (averaged > settings.present) & (averaged > average(layers[path, columns]))
    if evidence is not None:
        present |= average(evidence[path, columns]) > plain
    return supported(Piece(0, rows, support), present, gap, shortest)


def _on_ridge(image: np.ndarray, rows: np.ndarray, reach: int) -> np.ndarray:
    """Whole rows (columns,) of the highest pixel within `reach` rows of `rows` in each column."""
    columns = np.arange(rows.size)
    around = np.rint(rows).astype(int) + np.arange(-reach, reach + 1)[:, None]
    around = np.clip(around, 0, image.shape[0] - 1)
    return around[image[around, columns].argmax(axis=0), columns]
