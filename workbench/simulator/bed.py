"""The bed of a sounder's frame: its echo, and the clutter of what lies beside the track."""

import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter1d
from scipy.signal import lfilter

from .reflectors import hyperbolas, linear, place, pulse
from .scene import Scene

_PULSE_ROWS, _SIDELOBES_DB = 1.2, 30.0
_VISIBLE_DB = 3.5
"""By which the bed must stand out of what surrounds it for an expert to draw it."""
_MULTIPLE_DB = 52
"""By which the surface's multiple is weaker than the surface."""


def bed_echo(scene: Scene, bed: np.ndarray, fade: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Echo (samples, columns) of the bed with its trailing clutter, and where (columns,) it can be seen."""
    grid, ground, rng = scene.grid, scene.ground, scene.rng
    scale, traces = grid.scale, grid.traces
    depth = (bed - scene.surface) / scale
    offset = ground.uniform(-3, 3)
    power_db = scene.campaign.bed_power + offset + 4.5 * fade - 0.12 * (depth - np.mean(scene.campaign.thickness_rows))
    # Steep faces scatter the energy away from the antenna.
    steepness = np.abs(np.gradient(gaussian_filter1d(bed, 2 * grid.along))) * grid.along / scale
    power_db = power_db - 4.0 * np.minimum(steepness, 2.5) - 22 * scene.crevassed
    echo = place(bed[None], linear(power_db)[None], grid)
    fuzz = grid.held(rng.exponential(1.6 * scale, (3, traces)))
    echo += place(bed + fuzz, linear(power_db - 4)[None] * grid.held(rng.exponential(1, (3, traces))), grid)
    echo = convolve1d(echo, pulse(_PULSE_ROWS * scale, _SIDELOBES_DB), axis=0, mode="constant")
    decay = np.exp(-1 / (5.0 * scale))
    tail = lfilter([1.0], [1.0, -decay], echo, axis=0) * 0.02
    at_bed = background[grid.sample_of(bed), np.arange(bed.size)]
    drawn = 10 * np.log10(1 + linear(power_db) / at_bed) > _VISIBLE_DB
    return echo + tail, drawn & (bed < grid.samples - grid.above - 1)


def clutter(scene: Scene, bed: np.ndarray) -> np.ndarray:
    """(samples, columns): hyperbolas of points on the bed, streaks of crevasses at the surface, the surface's multiple."""
    grid, campaign = scene.grid, scene.campaign
    rows, strength = _points(scene, bed)
    if streaks := _streaks(scene):
        rows, strength = np.vstack([rows, streaks[0]]), np.vstack([strength, streaks[1]])
    rows = np.vstack([rows, 2 * scene.surface])
    strength = np.vstack([strength, np.full((1, bed.size), linear(campaign.surface_power - _MULTIPLE_DB))])
    return convolve1d(
        place(rows, strength, grid), pulse(_PULSE_ROWS * grid.scale, _SIDELOBES_DB), axis=0, mode="constant"
    )


def _points(scene: Scene, bed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and power, both (points, columns), of the echoes of points on the bed."""
    grid, rng = scene.grid, scene.rng
    points = int(rng.integers(8, 45))
    at = rng.integers(0, grid.traces, points)
    apex = bed[grid.column_of(at)] + rng.uniform(0, 10, points) * grid.scale
    rows = hyperbolas(apex, at.astype(float), rng.uniform(1.0, 5.0, points) * grid.scale, grid)
    reach = rng.uniform(3, 14, points)[:, None]
    fall = np.exp(-np.abs(grid.trace - at[:, None]) / reach)
    return rows, linear(scene.campaign.bed_power - rng.uniform(6, 16, points))[:, None] * fall


def _streaks(scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and power, both (streaks, columns), of the echoes of crevasses at the surface, to one side of each."""
    grid, rng = scene.grid, scene.rng
    streaks = rng.poisson(0.7 + 40 * scene.crevassed.mean())
    if not streaks:
        return None
    start = rng.integers(0, grid.traces, streaks)
    weight = linear(rng.uniform(2, 14, streaks))[:, None]
    side = np.where(rng.random(streaks) < 0.5, 1, -1)[:, None]
    distance = (grid.trace - start[:, None]) * side
    apex = scene.surface[grid.column_of(start)][:, None]
    rows = np.hypot(apex, rng.uniform(2, 6, streaks)[:, None] * grid.scale * distance)
    return rows, np.where(distance > 0, weight * np.exp(-distance / rng.uniform(10, 50, (streaks, 1))), 0)
