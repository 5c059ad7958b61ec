"""What the radar records of the ice: mean echo power, then speckle, gain and dropped traces."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve1d, uniform_filter1d

from .bed import bed_echo, clutter
from .campaigns import Campaign
from .drawing import smoothed
from .grid import ROWS, Grid
from .receiver import dropped, gain_db
from .reflectors import linear, place, pulse
from .scene import Scene
from .speckle import coarse_speckle, fine_speckle
from .stratigraphy import Stratigraphy
from .track import TrackFields, generator

_SUBLAYERS = 2
_VISIBLE_DB = 2.5
"""By which a layer must stand out of what surrounds it for an expert to draw it."""


@dataclass(frozen=True)
class Echoes:
    """`power` (samples, columns), linear, thermal noise = 1, NaN where dropped; `drawn` (surface + layers + bed, columns)
    bool: where an expert would draw the line."""

    power: np.ndarray
    drawn: np.ndarray


def record(campaign: Campaign, segment: int, number: int, ice: Stratigraphy, fields: TrackFields, grid: Grid) -> Echoes:
    """Echoes of one frame over `ice` (rows in samples from the frame's top). Fading belongs to the ground, speckle to the
    frame; what strays from trace to trace is the same on every grid.
    """
    ground, rng = generator(campaign, segment, 3), generator(campaign, segment, 4, number)
    attenuation = campaign.attenuation / 100 * ground.uniform(0.8, 1.25)  # dB a row
    fade = fields.draw(ground, len(ice.layers) + 4, 2.0)
    scene = Scene(campaign, ice, fields, grid, ground, rng, _crevassed(campaign, fields, ground, ice.surface.size))

    surface_db = campaign.surface_power + 1.5 * fade[-1]
    layer_db = _layer_power(scene, fade, attenuation)
    power = _reflected(scene, surface_db, layer_db)
    strata = convolve1d(_stratification(scene, layer_db), _own_pulse(scene), axis=0, mode="constant")
    background = _scattered(scene, surface_db, fade[-2], attenuation)
    noise_db = 0.8 * fade[-3] + (grid.held(rng.normal(0, 0.7, grid.traces)) if scene.is_sounder else 0.0)
    background += linear(noise_db) + strata

    visible = [np.ones(ice.surface.size, bool), *_visible_layers(scene, layer_db, background)]
    power += background
    if ice.bed is not None:
        bed_power, bed_visible = bed_echo(scene, ice.bed, fade[-4], background)
        power += bed_power
        visible.append(bed_visible)
        power += clutter(scene, ice.bed)
    power = grid.in_window(power, linear(noise_db))
    return Echoes(_received(scene, power, segment, number), smoothed(visible))


def _crevassed(campaign: Campaign, fields: TrackFields, ground: np.random.Generator, columns: int) -> np.ndarray:
    """(columns,) from 0, whole ice, to 1."""
    if not campaign.crevasses:
        return np.zeros(columns)
    threshold = np.sqrt(2) * 0.9 * (1 - campaign.crevasses)
    return 1 / (1 + np.exp(-(fields.draw(ground, 1, 2.4)[0] - threshold) * 6))


def _layer_power(scene: Scene, fade: np.ndarray, attenuation: float) -> np.ndarray:
    """(layers, columns) dB."""
    campaign, layers = scene.campaign, scene.ice.layers
    depth = (layers - scene.surface) / scene.grid.scale
    brightness = scene.ground.normal(0, campaign.layer_scatter, len(layers))[:, None]
    brightness = brightness + campaign.fading * fade[: len(layers)]
    return campaign.layer_power + brightness - attenuation * depth - 25 * scene.crevassed


def _own_pulse(scene: Scene) -> np.ndarray:
    return pulse(scene.campaign.pulse_rows * scene.grid.scale, scene.campaign.sidelobes)


def _reflected(scene: Scene, surface_db: np.ndarray, layer_db: np.ndarray) -> np.ndarray:
    """(samples, columns): echoes of the surface and of the layers."""
    grid, layers = scene.grid, scene.ice.layers
    jitter = grid.held(scene.rng.normal(0, scene.campaign.incoherence * grid.scale, (len(layers), grid.traces)))
    power = place(scene.surface[None], linear(surface_db)[None], grid) + place(layers + jitter, linear(layer_db), grid)
    return convolve1d(power, _own_pulse(scene), axis=0, mode="constant")


def _stratification(scene: Scene, layer_db: np.ndarray) -> np.ndarray:
    """Echoes of the thin strata between the layers, patchy along the track, which nobody draws."""
    campaign, ice, grid = scene.campaign, scene.ice, scene.grid
    top = np.vstack([ice.surface, ice.layers[:-1]])
    count = len(ice.layers)
    share = np.sort(scene.ground.uniform(0.25, 0.8, (_SUBLAYERS, count, 1)), axis=0)
    stray = campaign.incoherence * (grid.scale if grid.fine else 1.0)
    rows = top + share * (ice.layers - top) + grid.held(scene.rng.normal(0, stray, (_SUBLAYERS, count, grid.traces)))
    patches = scene.fields.draw(scene.ground, _SUBLAYERS * count, 1.6).reshape(rows.shape)
    return place(rows, linear(layer_db + campaign.sublayers + 3.5 * patches), grid)


def _scattered(scene: Scene, surface_db: np.ndarray, fade: np.ndarray, attenuation: float) -> np.ndarray:
    """(samples, columns): what the volume scatters, the skirt of the surface's echo, and a sounder's own troubles."""
    depth = scene.depth
    volume_db = scene.campaign.volume_power + fade - attenuation * depth * 1.1
    background = np.where(depth >= 0, linear(volume_db), 0.0)
    skirt = np.exp(-np.abs(depth) / (2.5 if scene.is_sounder else 1.6)) * linear(-26 if scene.is_sounder else -18)
    background += skirt * linear(surface_db)
    if scene.is_sounder:
        background += _crevasse_scatter(scene, depth)
        background += _ringing(scene)
    return background


def _crevasse_scatter(scene: Scene, depth: np.ndarray) -> np.ndarray:
    """(samples, columns), in stripes, since each trace sees other crevasses."""
    ground, grid = scene.ground, scene.grid
    scatter = scene.campaign.volume_power + 4 - ground.uniform(0.06, 0.2) * depth - 16 * (1 - scene.crevassed)
    stripes = 2.5 * grid.held(scene.rng.standard_normal(grid.traces)) + 3 * scene.fields.draw(ground, 1, 1.0)[0]
    return np.where((depth >= 0) & (scene.crevassed > 0.02), linear(scatter + stripes), 0)


def _ringing(scene: Scene) -> np.ndarray:
    """(samples, 1) bands at fixed fast time from the transmitter, above and around the surface."""
    row = scene.grid.row * ROWS / (ROWS * scene.grid.scale)
    centre = scene.ground.uniform(3, 26, 5)
    width = scene.ground.uniform(0.6, 2.5, 5)
    power_db = scene.campaign.ringing + scene.ground.uniform(-14, 4, 5)
    return (linear(power_db) * np.exp(-((row - centre) ** 2) / (2 * width**2))).sum(axis=1, keepdims=True)


def _visible_layers(scene: Scene, layer_db: np.ndarray, background: np.ndarray) -> list[np.ndarray]:
    """Where (columns,) each layer stands out of what surrounds it."""
    columns, visible = np.arange(scene.surface.size), []
    for layer, power_db in zip(scene.ice.layers, layer_db, strict=True):
        around = background[scene.grid.sample_of(np.nan_to_num(layer)), columns]
        contrast = 10 * np.log10(1 + uniform_filter1d(np.nan_to_num(linear(power_db)), 9) / around)
        visible.append(contrast > _VISIBLE_DB)
    return visible


def _received(scene: Scene, power: np.ndarray, segment: int, number: int) -> np.ndarray:
    """The mean power as it is recorded: under speckle, at the receiver's gain, with traces that are lost."""
    campaign, grid, rng = scene.campaign, scene.grid, scene.rng
    speckle = coarse_speckle(rng, campaign.looks, (ROWS if grid.fine else grid.samples, grid.traces))
    if grid.fine:
        speckle = fine_speckle(generator(campaign, segment, 6, number), campaign, grid, power.shape)
    power = power * speckle
    power *= linear(grid.held(gain_db(campaign, rng, grid.traces)))
    power[:, grid.held(dropped(campaign, rng, grid.traces))] = np.nan
    return power
