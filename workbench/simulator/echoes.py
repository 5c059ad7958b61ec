"""What the radar records of the ice: mean echo power, then speckle, gain and dropped traces."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter1d, uniform_filter1d
from scipy.signal import lfilter

from .campaigns import Campaign
from .grid import Grid
from .speckle import coarse_speckle, fine_speckle
from .stratigraphy import Stratigraphy
from .track import TrackFields, generator

_SUBLAYERS = 2
_VISIBLE = 2.5
"""dB by which a layer must stand out of what surrounds it for an expert to draw it."""


@dataclass(frozen=True)
class Echoes:
    """`power` (samples, columns), linear, thermal noise = 1, NaN where dropped; `drawn` (surface + layers + bed, columns)
    bool: where an expert would draw the line."""

    power: np.ndarray
    drawn: np.ndarray


def _linear(decibels: np.ndarray | float) -> np.ndarray:
    return np.power(10.0, np.asarray(decibels) / 10)


def _place(rows: np.ndarray, power: np.ndarray, grid: Grid) -> np.ndarray:
    """Sum of point echoes (reflectors, columns), each shared between the two samples that it lies between."""
    traces, samples = rows.shape[-1], grid.samples
    rows, power = rows.reshape(-1, traces) + grid.above, power.reshape(-1, traces)
    inside = (rows >= 0) & (rows < samples - 1)
    column = np.broadcast_to(np.arange(traces), rows.shape)[inside]
    row, strength = rows[inside], power[inside]
    upper = row.astype(int)
    lower_share = row - upper
    flat = np.concatenate([upper * traces + column, (upper + 1) * traces + column])
    weights = np.concatenate([strength * (1 - lower_share), strength * lower_share])
    return np.bincount(flat, weights, samples * traces).reshape(samples, traces)


def _pulse(half_width: float, sidelobes: float) -> np.ndarray:
    """Power of the compressed pulse: main lobe, range sidelobes, and a short tail of scattering below the reflector."""
    reach = int(np.ceil(9 * half_width)) + 4
    offset = np.arange(-reach, reach + 1) / half_width
    main = np.exp(-np.log(2) * offset**2)
    lobes = _linear(-sidelobes) * np.exp(-np.abs(offset) / 4)
    tail = np.where(offset > 0, 0.12 * np.exp(-offset / 1.5), 0)
    return main + lobes + tail


def _hyperbolas(apex_row: np.ndarray, apex_trace: np.ndarray, steepness: np.ndarray, grid: Grid) -> np.ndarray:
    """(K, columns) rows of the echo of a point scatterer while the aircraft passes it."""
    distance = grid.trace - apex_trace[:, None]
    return np.hypot(apex_row[:, None], steepness[:, None] * distance)


def _runs_only(mask: np.ndarray, shortest_run: int, shortest_gap: int) -> np.ndarray:
    """Close gaps and then drop runs that are shorter than an expert would bother about; (traces,) bool."""
    for value, shortest in ((False, shortest_gap), (True, shortest_run)):
        edges = np.flatnonzero(np.diff(mask)) + 1
        bounds = [0, *edges, mask.size]
        mask = mask.copy()
        for start, end in pairwise(bounds):
            at_border = value is False and (start == 0 or end == mask.size)
            if mask[start] == value and end - start < shortest and not at_border:
                mask[start:end] = not value
    return mask


def record(campaign: Campaign, segment: int, number: int, ice: Stratigraphy, fields: TrackFields, grid: Grid) -> Echoes:
    """Echoes of one frame over `ice` (rows in samples from the frame's top). Fading belongs to the ground, speckle to the
    frame; what strays from trace to trace is the same on every grid.
    """
    ground, rng = generator(campaign, segment, 3), generator(campaign, segment, 4, number)
    scale = grid.scale
    surface, columns, traces = ice.surface, ice.surface.size, grid.traces
    count = len(ice.layers)
    depth = (grid.row - surface) / scale
    below = depth >= 0
    per_row = campaign.attenuation / 100 * ground.uniform(0.8, 1.25)

    sounder = campaign.kind == "sounder"
    fade = fields.draw(ground, count + 4, 2.0)
    crevassed = np.zeros(columns)
    if campaign.crevasses:
        threshold = np.sqrt(2) * 0.9 * (1 - campaign.crevasses)
        crevassed = 1 / (1 + np.exp(-(fields.draw(ground, 1, 2.4)[0] - threshold) * 6))

    # Reflectors
    layer_depth = (ice.layers - surface) / scale
    brightness = ground.normal(0, campaign.layer_scatter, count)[:, None] + campaign.fading * fade[:count]
    layer_db = campaign.layer_power + brightness - per_row * layer_depth - 25 * crevassed
    surface_db = campaign.surface_power + 1.5 * fade[-1]
    jitter = grid.held(rng.normal(0, campaign.incoherence * scale, (count, traces)))
    pulse = _pulse(campaign.pulse_rows * scale, campaign.sidelobes)
    power = _place(surface[None], _linear(surface_db)[None], grid) + _place(
        ice.layers + jitter, _linear(layer_db), grid
    )
    power = convolve1d(power, pulse, axis=0, mode="constant")
    strata = _stratification(campaign, ground, rng, ice, layer_db, fields, grid)
    strata = convolve1d(strata, pulse, axis=0, mode="constant")

    # Scattering in the volume, and the noise
    volume_db = campaign.volume_power + fade[-2] - per_row * depth * 1.1
    background = np.where(below, _linear(volume_db), 0.0)
    skirt = np.exp(-np.abs(depth) / (2.5 if sounder else 1.6)) * _linear(-26 if sounder else -18)
    background += skirt * _linear(surface_db)
    if sounder:
        # Crevasses scatter in stripes, since each trace sees others.
        scatter = campaign.volume_power + 4 - ground.uniform(0.06, 0.2) * depth - 16 * (1 - crevassed)
        stripes = 2.5 * grid.held(rng.standard_normal(traces)) + 3 * fields.draw(ground, 1, 1.0)[0]
        background += np.where(below & (crevassed > 0.02), _linear(scatter + stripes), 0)
        background += _ringing(campaign, ground, grid)
    noise_db = 0.8 * fade[-3] + (grid.held(rng.normal(0, 0.7, traces)) if sounder else 0.0)
    background += _linear(noise_db) + strata

    drawn = [np.ones(columns, bool)]
    for k in range(count):
        around = background[grid.sample_of(np.nan_to_num(ice.layers[k])), np.arange(columns)]
        contrast = 10 * np.log10(1 + uniform_filter1d(np.nan_to_num(_linear(layer_db[k])), 9) / around)
        drawn.append(contrast > _VISIBLE)
    power += background
    if ice.bed is not None:
        bed_power, bed_drawn = _bed(campaign, ground, rng, ice, ice.bed, fade[-4], crevassed, background, grid)
        power += bed_power
        drawn.append(bed_drawn)
        power += _clutter(campaign, rng, surface, ice.bed, crevassed, grid)

    power = grid.in_window(power, _linear(noise_db))
    speckle = coarse_speckle(rng, campaign.looks, (256 if grid.fine else grid.samples, traces))
    if grid.fine:
        speckle = fine_speckle(generator(campaign, segment, 6, number), campaign, grid, power.shape)
    power = power * speckle
    power *= _linear(grid.held(_gain(campaign, rng, traces)))
    power[:, grid.held(_dropped(campaign, rng, traces))] = np.nan
    smooth = np.array([_runs_only(gaussian_filter1d(mask.astype(float), 4) > 0.5, 24, 16) for mask in drawn])
    return Echoes(power, smooth)


def _stratification(
    campaign: Campaign,
    ground: np.random.Generator,
    rng: np.random.Generator,
    ice: Stratigraphy,
    layer_db: np.ndarray,
    fields: TrackFields,
    grid: Grid,
) -> np.ndarray:
    """Echoes of the thin strata between the layers, patchy along the track, which nobody draws."""
    top = np.vstack([ice.surface, ice.layers[:-1]])
    count = len(ice.layers)
    share = np.sort(ground.uniform(0.25, 0.8, (_SUBLAYERS, count, 1)), axis=0)
    stray = campaign.incoherence * (grid.scale if grid.fine else 1.0)
    rows = top + share * (ice.layers - top) + grid.held(rng.normal(0, stray, (_SUBLAYERS, count, grid.traces)))
    patches = fields.draw(ground, _SUBLAYERS * count, 1.6).reshape(rows.shape)
    return _place(rows, _linear(layer_db + campaign.sublayers + 3.5 * patches), grid)


def _ringing(campaign: Campaign, ground: np.random.Generator, grid: Grid) -> np.ndarray:
    """(samples, 1) bands at fixed fast time from the transmitter, above and around the surface."""
    row = grid.row * 256 / (256 * grid.scale)
    centre = ground.uniform(3, 26, 5)
    width = ground.uniform(0.6, 2.5, 5)
    power_db = campaign.ringing + ground.uniform(-14, 4, 5)
    return (_linear(power_db) * np.exp(-((row - centre) ** 2) / (2 * width**2))).sum(axis=1, keepdims=True)


def _bed(
    campaign: Campaign,
    ground: np.random.Generator,
    rng: np.random.Generator,
    ice: Stratigraphy,
    bed: np.ndarray,
    fade: np.ndarray,
    crevassed: np.ndarray,
    background: np.ndarray,
    grid: Grid,
) -> tuple[np.ndarray, np.ndarray]:
    """Echo (samples, columns) of the bed with its trailing clutter, and where (columns,) it can be seen."""
    scale, traces = grid.scale, grid.traces
    depth = (bed - ice.surface) / scale
    offset = ground.uniform(-3, 3)
    power_db = campaign.bed_power + offset + 4.5 * fade - 0.12 * (depth - np.mean(campaign.thickness_rows))
    # Steep faces scatter the energy away from the antenna.
    steepness = np.abs(np.gradient(gaussian_filter1d(bed, 2 * grid.along))) * grid.along / scale
    power_db = power_db - 4.0 * np.minimum(steepness, 2.5) - 22 * crevassed
    echo = _place(bed[None], _linear(power_db)[None], grid)
    fuzz = grid.held(rng.exponential(1.6 * scale, (3, traces)))
    echo += _place(bed + fuzz, _linear(power_db - 4)[None] * grid.held(rng.exponential(1, (3, traces))), grid)
    echo = convolve1d(echo, _pulse(1.2 * scale, 30.0), axis=0, mode="constant")
    decay = np.exp(-1 / (5.0 * scale))
    tail = lfilter([1.0], [1.0, -decay], echo, axis=0) * 0.02
    at_bed = background[grid.sample_of(bed), np.arange(bed.size)]
    drawn = 10 * np.log10(1 + _linear(power_db) / at_bed) > 3.5
    return echo + tail, drawn & (bed < grid.samples - grid.above - 1)


def _clutter(
    campaign: Campaign,
    rng: np.random.Generator,
    surface: np.ndarray,
    bed: np.ndarray,
    crevassed: np.ndarray,
    grid: Grid,
) -> np.ndarray:
    """Hyperbolas of points on the bed and streaks of crevasses at the surface, and the surface's multiple."""
    traces, scale = grid.traces, grid.scale
    points = int(rng.integers(8, 45))
    at = rng.integers(0, traces, points)
    apex = bed[grid.column_of(at)] + rng.uniform(0, 10, points) * scale
    rows = _hyperbolas(apex, at.astype(float), rng.uniform(1.0, 5.0, points) * scale, grid)
    reach = rng.uniform(3, 14, points)[:, None]
    fall = np.exp(-np.abs(grid.trace - at[:, None]) / reach)
    strength = _linear(campaign.bed_power - rng.uniform(6, 16, points))[:, None] * fall
    streaks = rng.poisson(0.7 + 40 * crevassed.mean())
    if streaks:
        start = rng.integers(0, traces, streaks)
        weight = _linear(rng.uniform(2, 14, streaks))[:, None]
        side = np.where(rng.random(streaks) < 0.5, 1, -1)[:, None]
        distance = (grid.trace - start[:, None]) * side
        lines = np.hypot(
            surface[grid.column_of(start)][:, None], rng.uniform(2, 6, streaks)[:, None] * scale * distance
        )
        lit = np.where(distance > 0, weight * np.exp(-distance / rng.uniform(10, 50, (streaks, 1))), 0)
        rows, strength = np.vstack([rows, lines]), np.vstack([strength, lit])
    multiple = 2 * surface
    rows = np.vstack([rows, multiple])
    strength = np.vstack([strength, np.full((1, bed.size), _linear(campaign.surface_power - 52))])
    clutter = _place(rows, strength, grid)
    return convolve1d(clutter, _pulse(1.2 * scale, 30.0), axis=0, mode="constant")


def _gain(campaign: Campaign, rng: np.random.Generator, traces: int) -> np.ndarray:
    """(traces,) receiver gain in dB: steps where the operator or the automatic control changed it."""
    gain = np.zeros(traces)
    for _ in range(rng.poisson(campaign.gain_steps)):
        gain[rng.integers(traces) :] += rng.choice([-1, 1]) * rng.uniform(1.5, 4)
    return gain


def _dropped(campaign: Campaign, rng: np.random.Generator, traces: int) -> np.ndarray:
    """(traces,) True where the recorder lost a trace; they are lost in bursts of up to six."""
    lost = np.zeros(traces, bool)
    for start in rng.integers(0, traces, rng.poisson(campaign.dropped * traces / 3)):
        lost[start : start + rng.integers(1, 7)] = True
    return lost
