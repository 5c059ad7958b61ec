"""Campaigns drawn at random, to train on (domain randomisation, Tobin et al. 2017).

A network that has met many radars and many kinds of ice relies on no one of them. The ranges contain the named campaigns
and go beyond them on both sides. A drawn campaign is one point within the ranges.
"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Literal

import numpy as np

from .campaigns import Campaign, Range, campaigns

_SNOW: dict[str, Range] = {
    "surface_relief": (2.0, 10.0),
    "year_relief": (0.2, 0.42),
    "track_relief": (0.08, 0.4),
    "track_memory": (0.6, 0.92),
    "track_exponent": (2.0, 2.6),
    "trace_spacing": (4.0, 14.0),
    "incoherence": (0.25, 0.9),
    "surface_power": (27.0, 44.0),
    "layer_power": (17.0, 29.0),
    "layer_scatter": (2.0, 4.5),
    "fading": (1.5, 5.0),
    "attenuation": (8.0, 16.0),
    "sublayers": (-11.0, -5.0),
    "volume_power": (11.0, 18.0),
    "looks": (1.0, 6.0),
    "pulse_rows": (0.8, 1.9),
    "sidelobes": (16.0, 28.0),
    "gain_steps": (0.0, 2.0),
    "dropped": (0.0, 0.03),
}
_FIRN: dict[str, Range] = _SNOW | {
    "surface_relief": (0.0, 4.0),
    "year_relief": (0.45, 0.9),
    "track_relief": (0.03, 0.2),
    "layer_power": (20.0, 32.0),
    "layer_scatter": (3.5, 7.0),
    "attenuation": (3.0, 12.0),
    "sublayers": (-16.0, -7.0),
    "volume_power": (8.0, 20.0),
}
"""Snow radar over dry firn. A few layers are bright, at very different distances from each other, and the deepest of them
lies alone in noise, as a bed would. The other layers are as faint as the rest of the stratigraphy."""
_SOUNDER: dict[str, Range] = {
    "surface_relief": (2.0, 12.0),
    "year_relief": (0.4, 0.7),
    "track_relief": (0.03, 0.16),
    "track_memory": (0.0, 0.4),
    "track_exponent": (2.0, 2.5),
    "trace_spacing": (30.0, 200.0),
    "incoherence": (0.25, 0.5),
    "surface_power": (50.0, 64.0),
    "layer_power": (26.0, 40.0),
    "layer_scatter": (2.5, 4.5),
    "fading": (2.0, 5.0),
    "attenuation": (11.0, 22.0),
    "sublayers": (-9.0, -2.0),
    "volume_power": (24.0, 32.0),
    "looks": (1.5, 6.0),
    "pulse_rows": (0.8, 1.8),
    "sidelobes": (26.0, 40.0),
    "gain_steps": (0.0, 1.5),
    "dropped": (0.0, 0.01),
    "bed_relief": (3.0, 22.0),
    "bed_exponent": (1.5, 2.3),
    "bed_power": (18.0, 40.0),
    "deepest_layer": (0.6, 0.9),
    "crevasses": (0.0, 0.35),
    "ringing": (8.0, 30.0),
}


Kind = Literal["snow", "firn", "sounder"]
_KINDS: dict[str, Kind] = {"snow": "snow", "firn": "firn", "sounder": "sounder"}
_RANGES: dict[Kind, dict[str, Range]] = {"snow": _SNOW, "firn": _FIRN, "sounder": _SOUNDER}


def campaign_named(name: str) -> Campaign:
    """The campaign of a name: one of `campaigns`, or a drawn one, as "varied_snow_0007". Raises KeyError."""
    if name in campaigns:
        return campaigns[name]
    kind, _, number = name.removeprefix("varied_").rpartition("_")
    if number.isdigit() and kind in _KINDS:
        return draw_campaign(_KINDS[kind], int(number))
    raise KeyError(f"there is no campaign {name!r}")


def draw_campaign(kind: Kind, number: int) -> Campaign:
    """The random campaign `number` of a kind, "snow", "firn" or "sounder"; the same arguments give the same campaign."""
    rng = np.random.default_rng([number, len(kind), *([1] if kind == "firn" else [])])
    ranges = _RANGES[kind]
    base = campaigns["antarctica_interior_2011" if kind == "sounder" else "greenland_2014"]
    changes: dict[str, object] = {name: float(rng.uniform(*bounds)) for name, bounds in ranges.items()}
    air, fewest = float(rng.uniform(8, 40)), int(rng.integers(0, 10) if kind == "sounder" else rng.integers(9, 18))
    changes |= {
        "name": f"varied_{kind}_{number:04d}",
        "first_day": date(2020, 1, 1) + timedelta(days=number),
        "air_rows": (air, air + rng.uniform(5, 40)),
        "layer_count": (fewest, fewest + int(rng.integers(3, 10))),
        "wavelengths": (
            float(rng.uniform(8, 20)) * float(changes["trace_spacing"]),  # type: ignore[arg-type]
            float(rng.uniform(600, 1500)) * float(changes["trace_spacing"]),  # type: ignore[arg-type]
        ),
    }
    if kind == "snow":
        layer = float(rng.uniform(6, 15))
        changes["layer_rows"] = (layer, layer * rng.uniform(1.2, 1.9))
    elif kind == "firn":
        layer = float(rng.uniform(10, 40))
        changes["layer_rows"] = (layer, layer * rng.uniform(1.2, 1.9))
        changes["layer_count"] = (3, int(rng.integers(6, 16)))
        # A frame that was flattened to its surface has no air above it.
        air = float(rng.uniform(0, 30))
        changes["air_rows"] = (air, air + rng.uniform(2, 20))
    else:
        thin = float(rng.uniform(14, 150))
        changes["thickness_rows"] = (thin, min(thin + rng.uniform(20, 80), 195.0))
    return replace(base, **changes)  # type: ignore[arg-type]
