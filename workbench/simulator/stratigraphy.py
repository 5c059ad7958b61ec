"""Where surface, layers and bed lie.

Layers are sums of layer thicknesses, as accumulation makes them: they thin and thicken together along the track and
never cross. Measured on experts' layers of five MCoRDS frames of 2012-05-07 (central Greenland, 36-45 km, traces 29.5 m
apart; the 51 layers without a gap in three of them, errors of picking included):

- the power spectrum of relative depth falls with wave number to the power of 1.9 at 1-15 km and 2.4 at 0.15-1 km;
- a layer's depth varies by 0.5-2.4 % of itself (median 0.8 %) over 40 km, after its trend is taken off;
- slopes over 150 m have a standard deviation of 0.0026-0.016, growing with depth: 3.8-13e-6 per metre of depth
  (5th to 95th percentile; median 5.1e-6);
- anomalies of two layers correlate by exp(-|ln depth ratio| / 1.6): 0.96 at a ratio of 1.03, 0.72 at 1.8, 0.36 at 9. A
  sum of independent thicknesses has exp(-|ln depth ratio| / 2), hence `track_memory` of 0 for deep layers.

Experts' surface and bed picks of ten East Antarctic transects (494 rows, 1047 traces): the bed moves by 0.3-16 rows
(median 8) over 10 traces and by 0.6-52 (median 18) over 100, so its spectrum falls with an exponent of only 1.6; the
surface by 0.15-0.5 rows a trace.
"""

from dataclasses import dataclass

import numpy as np

from .campaigns import Campaign
from .track import TrackFields, generator

_LEAST_THICKNESS = 3.5
"""Rows. Nobody can draw two layers closer than this."""
_BED_CLEARANCE = 7.0


@dataclass(frozen=True)
class Stratigraphy:
    """Rows of `surface` (traces,), `layers` (L, traces) and `bed` (traces,) or None; downwards, at 256 samples a frame."""

    surface: np.ndarray
    layers: np.ndarray
    bed: np.ndarray | None


def lay_down(campaign: Campaign, segment: int, fields: TrackFields) -> Stratigraphy:
    """The ice below the stretch of a segment that `fields` covers. Layers may leave the frame at its bottom; they are
    NaN where they would reach the bed."""
    rng = generator(campaign, segment, 2)
    surface = rng.uniform(*campaign.air_rows) + campaign.surface_relief * fields.draw(rng, 1, 3.2)[0]
    surface = np.logaddexp(surface, 6.0)
    count = int(rng.integers(campaign.layer_count[0], campaign.layer_count[1] + 1))
    relief = campaign.track_relief * fields.draw(rng, max(count, 1), campaign.track_exponent, campaign.track_memory)
    years = rng.normal(0, campaign.year_relief, max(count, 1))
    if campaign.kind == "snow":
        mean = rng.uniform(*campaign.layer_rows)
        compaction = np.exp(-0.02 * np.arange(count))
        thickness = mean * compaction[:, None] * np.exp(years[:count, None] + relief[:count])
        return Stratigraphy(surface, surface + np.cumsum(np.maximum(thickness, _LEAST_THICKNESS), axis=0), None)

    bed_depth = rng.uniform(*campaign.thickness_rows)
    rough, smooth = fields.draw(rng, 1, campaign.bed_exponent)[0], fields.draw(rng, 1, 3.5)[0]
    slope_share = 0.6
    drape = bed_depth + campaign.bed_relief * slope_share * smooth
    bed = drape + campaign.bed_relief * np.sqrt(1 - slope_share**2) * rough
    bed = surface + 8.0 + 4.0 * np.logaddexp(0.0, (bed - 8.0) / 4.0)
    # A layer at a share f of the thickness follows the bed with the power f: flat near the surface, parallel at the bed.
    thickness = np.exp(years[:, None] + relief)
    thickness *= campaign.deepest_layer / np.exp(years).sum()
    share = np.cumsum(thickness[:count], axis=0)
    ratio = np.clip(drape / bed_depth, 0.45, 2.5)
    layers = share * bed_depth * ratio ** np.clip(share, 0, 1)
    step = _LEAST_THICKNESS * np.arange(1, count + 1)[:, None]
    layers = surface + step + np.maximum.accumulate(layers - step, axis=0).clip(min=0)
    layers[layers > bed - _BED_CLEARANCE] = np.nan
    return Stratigraphy(surface, layers, bed)
