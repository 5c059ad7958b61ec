"""Speckle, by which the interference of many scatterers multiplies a mean power: gamma distributed, of mean 1."""

import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter1d
from scipy.stats import gamma, norm

from .campaigns import Campaign
from .grid import Grid

_WHITE = 2 * np.sqrt(np.pi)
"""White noise becomes as quiet by an average over this many standard deviations of a Gaussian filter as by the filter."""
_FARTHEST = 6.0
"""Standard deviations to which a table of the distribution reaches."""


def coarse_speckle(rng: np.random.Generator, looks: float, shape: tuple[int, int]) -> np.ndarray:
    """(samples, traces) float32: independent from trace to trace, nearly so from sample to sample."""
    speckle = rng.standard_gamma(looks, shape).astype(np.float32) / looks
    return convolve1d(speckle, [0.2, 0.6, 0.2], axis=0, mode="nearest")


def fine_speckle(rng: np.random.Generator, campaign: Campaign, grid: Grid, shape: tuple[int, int]) -> np.ndarray:
    """(samples, columns) float32: correlated over the pulse, as in any record that is limited to the pulse's band, and
    along the track over the columns that share an aperture. Averaged over many samples and a whole trace it is as strong
    as `coarse_speckle`, so that the ice is as hard to trace.

    A Gaussian field of that correlation, each value of which is replaced by the gamma distribution's at the same quantile
    (a translation process, Grigoriu 1984).
    """
    # The intensity correlates as the pulse's own power does: as white noise after a Gaussian filter of 0.85 half widths.
    pulse = campaign.pulse_rows / np.sqrt(2 * np.log(2))
    looks = campaign.looks * _WHITE * pulse
    field = rng.standard_normal(shape, dtype=np.float32)
    for axis, width in ((0, pulse * grid.scale), (1, grid.along / _WHITE)):
        impulse = np.zeros(2 * int(6 * width) + 9)
        impulse[impulse.size // 2] = 1
        quieter = np.sqrt((gaussian_filter1d(impulse, width) ** 2).sum())
        gaussian_filter1d(field, width, axis=axis, output=field, mode="reflect")
        field /= np.float32(quieter)
    level = np.linspace(-_FARTHEST, _FARTHEST, 4001)
    value = gamma.ppf(norm.cdf(level), looks) / looks
    return np.interp(field, level, value).astype(np.float32)
