"""How far a product may be off: from the pixel, the pick, the refractive index and the density.

Errors of picks are no bell curves: most lie within half a row, and a few on a neighbouring layer. They are described as
Gaussian scale mixtures, which stay such when they are scaled and added, so that the widths that hold 68 and 95 % of
the errors can be told apart. Errors of the medium are the same for all lines of a frame, and cancel in part in a
thickness.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import erf, ndtri

from firnline.ice import LIGHT_SPEED_M_S
from firnline.products.physics import ICE_DENSITY_KG_M3, KOVACS_M3_KG, WATER_DENSITY_KG_M3, Medium

ONE_SIGMA, TWO_SIGMA = 0.6827, 0.95
"""Shares of errors that the two stated half widths hold."""

PIXEL_ROWS = 1 / np.sqrt(12)
"""Standard deviation, in rows, of a line that can be drawn to the pixel only."""
REVIEWER_ROWS = 1.0
"""Of a person's line, where nobody else drew it too: an assumption, which one may change."""
UNKNOWN_CONFIDENCE = 0.5
"""Of a model's line that has none."""

_CONFIDENCE = (0.0, 0.5, 0.8, 0.9, 0.95, 0.975, 1.0)
_CORE_ROWS = (0.50, 0.50, 0.50, 0.50, 0.45, 0.40, 0.25)
_TAIL_SHARE = (0.30, 0.21, 0.17, 0.12, 0.08, 0.05, 0.015)
_TAIL_ROWS = 5.5
"""Errors of the model in the box, by the confidence of a line, in rows of the picture: fitted by expectation maximisation
to 321,000 traces of simulated lines, of 17 campaigns, that follow one true layer over most of their length."""
NEIGHBOURS_CORRELATION = 0.45
"""Of the errors of the model's lines one below the other, on the same traces: they share the roughness of the snow. What
both are off by, the thickness is not. Chosen, as a tenth was taken off the core's width, so that 68 % of these lines'
errors lie within what is said."""

_AGAIN_CORE_ROWS = (0.26, 0.26, 0.28, 0.265, 0.245, 0.24, 0.215)
_AGAIN_TAIL_SHARE = (0.05, 0.05, 0.06, 0.04, 0.02, 0.006, 0.001)
_AGAIN_TAIL_ROWS = 1.65
_AGAIN_SURFACE_ROWS = 0.10
_AGAIN_BED = (0.27, 0.04, 6.0)
"""The part of these errors that another flight of the same radar over the same ice does not share, of layers by their
confidence (knots as above), of the surface, and of the bed (core, tail's share, tail). The rest comes from the ice: what it
holds beside a layer, and its bends. Fitted by maximum likelihood to differences of the model's lines of two simulated flights
over the same ice: 10,000 pairs of lines that follow one true layer, of 30 campaigns that no test of this uses. Errors of the
two flights correlate there by 0.9, and by 0.87 if the other radar has a wider pulse, fewer looks and higher sidelobes."""
_ANOTHER_RADAR = 1.2
"""How much greater that part is then."""

_HALVINGS = 22
_WIDEST = 6.0


@dataclass(frozen=True)
class Spread:
    """An error of mean zero: with probability `weight[k]` a Gaussian one of standard deviation `sigma[k]`.

    Both are (k, ...) arrays; what follows the first axis broadcasts over lines and traces.
    """

    sigma: np.ndarray
    weight: np.ndarray

    @classmethod
    def normal(cls, sigma: np.ndarray | float) -> "Spread":
        sigma = np.asarray(sigma, float)[None]
        return cls(np.abs(sigma), np.ones_like(sigma))

    def scaled(self, by: np.ndarray | float) -> "Spread":
        return Spread(self.sigma * np.abs(by), self.weight)

    def __add__(self, other: "Spread") -> "Spread":
        """The error of a sum of two whose errors have nothing to do with each other."""
        return self.less(other, 0.0)

    def less(self, other: "Spread", correlation: float) -> "Spread":
        """The error of the difference of two whose errors are correlated."""
        pairs = list(product(zip(self.sigma, self.weight, strict=True), zip(other.sigma, other.weight, strict=True)))
        sigma = [np.sqrt(one**2 + two**2 - 2 * correlation * one * two) for (one, _), (two, _) in pairs]
        weight = [one * two for (_, one), (_, two) in pairs]
        return Spread(np.stack(np.broadcast_arrays(*sigma)), np.stack(np.broadcast_arrays(*weight)))

    @property
    def standard_deviation(self) -> np.ndarray:
        return np.asarray(np.sqrt((self.weight * self.sigma**2).sum(axis=0)))

    def half_width(self, share: float) -> np.ndarray:
        """Half the width around zero that holds `share` of the errors: by halving, to a millionth of the widest part."""
        sigma, weight = np.broadcast_arrays(self.sigma, self.weight)
        if len(sigma) == 1:
            return np.asarray(sigma[0] * ndtri((1 + share) / 2))
        low, high = np.zeros(sigma.shape[1:]), _WIDEST * sigma.max(axis=0)
        scale = np.maximum(sigma, np.finfo(float).tiny) * np.sqrt(2)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            within = (weight * erf(middle / scale)).sum(axis=0)
            low, high = np.where(within < share, middle, low), np.where(within < share, high, middle)
        return np.where(np.isfinite(sigma.sum(axis=0)), (low + high) / 2, np.nan)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count, ...) errors at random."""
        sigma, weight = np.broadcast_arrays(self.sigma, self.weight)
        chosen = (rng.random((count, *sigma.shape[1:])) > np.cumsum(weight, axis=0)[:-1, None]).sum(axis=0)
        picked = np.take_along_axis(sigma[:, None], chosen[None], axis=0)[0]
        return np.asarray(picked * rng.standard_normal(picked.shape))


def of_confidence(confidence: np.ndarray) -> Spread:
    """Errors, in rows of the picture, of the model's lines of a confidence, of any shape."""
    known = np.where(np.isfinite(confidence), confidence, UNKNOWN_CONFIDENCE)
    tail = np.interp(known, _CONFIDENCE, _TAIL_SHARE)
    core = np.interp(known, _CONFIDENCE, _CORE_ROWS)
    return Spread(np.stack([core, np.full_like(core, _TAIL_ROWS)]), np.stack([1 - tail, tail]))


def of_repetition(confidence: np.ndarray, labels: np.ndarray, *, same_radar: bool) -> Spread:
    """Of the errors of the model's lines, rows of the picture, the part that another flight over the same ice does not share.

    In a difference of two correlated quantities only what they do not share is left (JCGM 100:2008, 5.2.2 and F.1.2.3); so
    those of two flights can be added as independent ones are.

    Parameters
    ----------
    confidence : (lines, traces)
    labels : (lines,) surface, layer or bed
    same_radar : whether the other flight had the same radar
    """
    known = np.where(np.isfinite(confidence), confidence, UNKNOWN_CONFIDENCE)
    core, share = (np.interp(known, _CONFIDENCE, each) for each in (_AGAIN_CORE_ROWS, _AGAIN_TAIL_SHARE))
    tail = np.full_like(core, _AGAIN_TAIL_ROWS)
    core[labels == "surface"], share[labels == "surface"] = _AGAIN_SURFACE_ROWS, 0.0
    bed = labels == "bed"
    core[bed], share[bed], tail[bed] = _AGAIN_BED
    return Spread(np.stack([core, tail]), np.stack([1 - share, share])).scaled(1.0 if same_radar else _ANOTHER_RADAR)


def of_person(rows: float = REVIEWER_ROWS) -> Spread:
    """Errors, in rows, of a line that a person drew to the pixel, and that another would draw `rows` beside it."""
    return Spread.normal(np.hypot(rows, PIXEL_ROWS))


def disagreement(lines: Sequence[np.ndarray]) -> float:
    """Standard deviation, in rows, of one person's line where several people drew the same: pooled over its traces.

    lines : of each person, rows (traces,), NaN where that one drew nothing. NaN if nowhere two people drew.
    """
    drawn = np.array(lines, float)
    counts = np.isfinite(drawn).sum(axis=0)
    shared = drawn[:, counts >= 2]
    if not shared.size:
        return np.nan
    freedom = (counts[counts >= 2] - 1).sum()
    return float(np.sqrt(np.nansum((shared - np.nanmean(shared, axis=0)) ** 2) / freedom))


def nearest_lines(rows: np.ndarray, lines: np.ndarray, farthest: float) -> np.ndarray:
    """(lines, traces): of one person's `rows` (n, traces) those of the line nearest to each of `lines`, on average over the
    traces of both; NaN where none is nearer than `farthest` rows.
    """
    found = np.full(lines.shape, np.nan)
    for place, line in enumerate(lines):
        shared = np.isfinite(rows) & np.isfinite(line)
        apart = np.where(shared, np.abs(rows - line), 0.0).sum(axis=1)
        counts = shared.sum(axis=1)
        mean = np.divide(apart, counts, out=np.full(len(rows), np.inf), where=counts > 0)
        if mean.size and mean.min() < farthest:
            found[place] = rows[int(mean.argmin())]
    return found


@dataclass(frozen=True)
class MediumError:
    """How far the medium may be off: standard deviations of the index at a density, everywhere alike, and of the density at
    the surface, which fades as the firn becomes ice, whose density is known.
    """

    index: float = 0.0
    density_kg_m3: float = 0.0

    def of_depth(self, medium: Medium, depth_m: np.ndarray) -> np.ndarray:
        """(2, ...) by how much depths grow when the index, or the density, is one standard deviation greater."""
        by_index = -self.index * depth_m
        by_density = -KOVACS_M3_KG * self.density_kg_m3 * _firn_above(medium, depth_m)
        return np.asarray(np.stack([by_index, by_density]) / medium.index_at(depth_m))

    def of_mass(self, medium: Medium, depth_m: np.ndarray) -> np.ndarray:
        """As `of_depth`, of the mass, kg/m2, above a reflector that lies at that depth by its travel time.

        A greater density makes what is there heavier, but the depth that the travel time stands for smaller.
        """
        growth = medium.density_at(depth_m) * self.of_depth(medium, depth_m)
        growth[1] += self.density_kg_m3 * _firn_above(medium, depth_m)
        return np.asarray(growth)


def _firn_above(medium: Medium, depth_m: np.ndarray) -> np.ndarray:
    """Metres above depths, each counted by how far it is from ice: 1 at the surface, 0 in ice."""
    ice = max(ICE_DENSITY_KG_M3, float(medium.density_kg_m3[-1]))
    missing = ice - float(medium.density_kg_m3[0])
    if missing <= 0:
        return np.zeros_like(depth_m)
    return np.asarray((ice * depth_m - medium.mass(depth_m)) / missing)


def depth_spread(pick_s: Spread, surface_s: Spread, medium: Medium, error: MediumError, depth_m: np.ndarray) -> Spread:
    """Error, m, of depths below a surface that was picked, too; `pick_s` and `surface_s` are errors of two-way times."""
    per_second = LIGHT_SPEED_M_S / (2 * medium.index_at(depth_m))
    of_medium = np.hypot(*error.of_depth(medium, depth_m))
    return (pick_s + surface_s).scaled(per_second) + Spread.normal(of_medium)


@dataclass(frozen=True)
class Pair:
    """Two lines, one below the other: their depths, m, and the errors of their two-way times, s.

    surface_s : error of the surface's time, from which both depths are counted; of the upper line itself, if that is
        the surface, it must be nothing
    correlation : of the errors of the two lines
    """

    upper_m: np.ndarray
    lower_m: np.ndarray
    upper_s: Spread
    lower_s: Spread
    surface_s: Spread
    correlation: float = 0.0

    def thickness(self, medium: Medium, error: MediumError) -> Spread:
        """Error, m, of the thickness between them."""
        above, below = (LIGHT_SPEED_M_S / (2 * medium.index_at(depth)) for depth in (self.upper_m, self.lower_m))
        return self._between(above, below, error.of_depth(medium, self.lower_m) - error.of_depth(medium, self.upper_m))

    def water_equivalent(self, medium: Medium, error: MediumError) -> Spread:
        """Error, m of water, of the mass between them."""
        above, below = (
            medium.density_at(depth) / WATER_DENSITY_KG_M3 * LIGHT_SPEED_M_S / (2 * medium.index_at(depth))
            for depth in (self.upper_m, self.lower_m)
        )
        of_medium = error.of_mass(medium, self.lower_m) - error.of_mass(medium, self.upper_m)
        return self._between(above, below, of_medium / WATER_DENSITY_KG_M3)

    def _between(self, above: np.ndarray, below: np.ndarray, of_medium: np.ndarray) -> Spread:
        """Error of what grows by `above` and `below` with each second of the lines.

        The surface's error moves both, and counts only as far as these two differ.
        """
        picks = self.lower_s.scaled(below).less(self.upper_s.scaled(above), self.correlation)
        common = self.surface_s.standard_deviation * (below - above)
        return picks + Spread.normal(np.hypot(common, np.hypot(*of_medium)))
