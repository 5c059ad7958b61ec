"""The campaigns that can be simulated. Rows are counted at 256 samples a frame and scale with the number of samples."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Range = tuple[float, float]


@dataclass(frozen=True)
class Campaign:
    """A radar, its settings and the ice that it flew over. A value is drawn once per segment from each (low, high) pair.

    Powers are in dB above the thermal noise. Relief is the standard deviation of a logarithm. Memory is the correlation
    of one layer's pattern of accumulation with that of the layer above.
    """

    name: str
    kind: Literal["snow", "sounder"]
    first_day: date
    latitude: float
    longitude: float
    ground_elevation: float
    """m"""
    trace_spacing: float
    """m"""
    window: float
    """Length of the fast-time window, s."""

    air_rows: Range
    """Mean row of the surface."""
    surface_relief: float
    """Standard deviation of the surface's row."""
    layer_count: tuple[int, int]
    """Fewest and most internal layers; attenuation decides how many of them can be seen."""
    layer_rows: Range
    """Mean thickness of a layer in rows (snow radar only)."""
    year_relief: float
    """Relief of the thickness from layer to layer."""
    track_relief: float
    """Relief of the thickness along the track."""
    track_memory: float
    track_exponent: float
    """Exponent of the power spectrum of accumulation along the track."""
    wavelengths: Range
    """Shortest and longest wavelength of the fields along the track, m."""
    incoherence: float
    """Rows by which the echo of one trace strays from the layer."""

    surface_power: float
    layer_power: float
    """Power of the first layer below the surface."""
    layer_scatter: float
    """Standard deviation from layer to layer, dB."""
    fading: float
    """Standard deviation of a layer's power along the track, dB."""
    attenuation: float
    """dB per 100 rows."""
    sublayers: float
    """Power of the unlabelled stratigraphy between two layers, relative to theirs, dB."""
    volume_power: float
    """Power of the scattering below the surface, which fades at the attenuation's rate."""
    looks: float
    pulse_rows: float
    """Half width of the pulse, rows."""
    sidelobes: float
    """Level below the pulse, dB."""
    gain_steps: float
    """Steps of the gain per frame, on average."""
    dropped: float
    """Share of traces that are missing."""
    level: float = -110.0
    """Recorded power of the thermal noise, dB."""

    thickness_rows: Range = (0.0, 0.0)
    """Mean rows from surface to bed. This field and those below are for sounders only."""
    bed_relief: float = 0.0
    """Standard deviation of the bed's row."""
    bed_exponent: float = 1.6
    bed_power: float = 0.0
    deepest_layer: float = 0.75
    """Depth of the deepest layer as a share of the thickness: below it lies the echo-free zone."""
    crevasses: float = 0.0
    """Share of the track where scatterers hide what lies below."""
    ringing: float = 0.0
    """Power of the transmitter's ringing above the surface."""
    complete: bool = True
    """Whether every visible layer has a line."""


# stratigraphy.py says what track_exponent, track_relief, track_memory and the bed's relief were measured on. The relief
# of snow is larger at the same wavelengths, since wind moves snow.
_GREENLAND_2012 = Campaign(
    name="greenland_2012", kind="snow", first_day=date(2012, 3, 30), latitude=76.5, longitude=-45.0,
    ground_elevation=2400.0, trace_spacing=8.0, window=2.1e-7,
    air_rows=(18, 40), surface_relief=3.0, layer_count=(14, 24), layer_rows=(9, 15), year_relief=0.22,
    track_relief=0.12, track_memory=0.85, track_exponent=2.3, wavelengths=(130.0, 12_000.0), incoherence=0.35,
    surface_power=42.0, layer_power=27.0, layer_scatter=2.5, fading=2.0, attenuation=14.0, sublayers=-9.0,
    volume_power=17.0, looks=5.0, pulse_rows=1.1, sidelobes=27.0, gain_steps=0.2, dropped=0.002,
)  # fmt: skip
_GREENLAND_2014 = Campaign(
    name="greenland_2014", kind="snow", first_day=date(2014, 4, 7), latitude=70.0, longitude=-40.0,
    ground_elevation=2700.0, trace_spacing=4.5, window=1.5e-7,
    air_rows=(25, 60), surface_relief=5.0, layer_count=(10, 17), layer_rows=(13, 22), year_relief=0.28,
    track_relief=0.16, track_memory=0.75, track_exponent=2.4, wavelengths=(80.0, 8_000.0), incoherence=0.45,
    surface_power=38.0, layer_power=24.0, layer_scatter=3.5, fading=3.0, attenuation=11.0, sublayers=-8.0,
    volume_power=15.0, looks=3.0, pulse_rows=1.5, sidelobes=22.0, gain_steps=0.4, dropped=0.004,
)  # fmt: skip
_GREENLAND_SE_2011 = Campaign(
    name="greenland_southeast_2011", kind="snow", first_day=date(2011, 4, 16), latitude=66.0, longitude=-42.5,
    ground_elevation=1900.0, trace_spacing=12.0, window=2.8e-7,
    air_rows=(12, 34), surface_relief=7.0, layer_count=(10, 18), layer_rows=(11, 24), year_relief=0.35,
    track_relief=0.3, track_memory=0.9, track_exponent=2.5, wavelengths=(220.0, 14_000.0), incoherence=0.6,
    surface_power=33.0, layer_power=22.0, layer_scatter=4.0, fading=3.5, attenuation=12.0, sublayers=-7.0,
    volume_power=15.0, looks=2.0, pulse_rows=1.6, sidelobes=20.0, gain_steps=0.6, dropped=0.006,
)  # fmt: skip
_ANTARCTICA_SNOW_2016 = Campaign(
    name="antarctica_snow_2016", kind="snow", first_day=date(2016, 11, 4), latitude=-78.5, longitude=-110.0,
    ground_elevation=1500.0, trace_spacing=6.0, window=2.5e-7,
    air_rows=(15, 50), surface_relief=4.0, layer_count=(18, 25), layer_rows=(7, 11), year_relief=0.25,
    track_relief=0.2, track_memory=0.8, track_exponent=2.2, wavelengths=(90.0, 9_000.0), incoherence=0.3,
    surface_power=36.0, layer_power=25.0, layer_scatter=3.0, fading=3.0, attenuation=12.5, sublayers=-10.0,
    volume_power=13.0, looks=3.0, pulse_rows=0.9, sidelobes=24.0, gain_steps=0.3, dropped=0.003,
)  # fmt: skip
_DEMO = Campaign(
    name="demo", kind="snow", first_day=date(2017, 4, 3), latitude=68.5, longitude=-47.0,
    ground_elevation=1750.0, trace_spacing=10.0, window=2.4e-7,
    air_rows=(20, 55), surface_relief=8.0, layer_count=(11, 18), layer_rows=(10, 17), year_relief=0.35,
    track_relief=0.33, track_memory=0.7, track_exponent=2.2, wavelengths=(130.0, 7_000.0), incoherence=0.7,
    surface_power=30.0, layer_power=20.0, layer_scatter=3.5, fading=4.0, attenuation=12.0, sublayers=-6.0,
    volume_power=14.0, looks=2.0, pulse_rows=1.3, sidelobes=18.0, gain_steps=1.5, dropped=0.02,
)  # fmt: skip
_GREENLAND_SOUNDER_2012 = Campaign(
    name="greenland_sounder_2012", kind="sounder", first_day=date(2012, 5, 7), latitude=76.0, longitude=-40.0,
    ground_elevation=2650.0, trace_spacing=29.5, window=3.9e-5,
    air_rows=(16, 40), surface_relief=2.0, layer_count=(10, 22), layer_rows=(0, 0), year_relief=0.5,
    track_relief=0.03, track_memory=0.0, track_exponent=2.4, wavelengths=(300.0, 80_000.0), incoherence=0.3,
    surface_power=60.0, layer_power=38.0, layer_scatter=4.0, fading=2.5, attenuation=14.0, sublayers=-9.0,
    volume_power=26.0, looks=5.0, pulse_rows=1.1, sidelobes=38.0, gain_steps=0.3, dropped=0.001,
    thickness_rows=(150, 195), bed_relief=5.0, bed_exponent=2.2, bed_power=22.0, deepest_layer=0.88, ringing=12.0,
    level=-125.0,
)  # fmt: skip
_ANTARCTICA_COAST_2009 = Campaign(
    name="antarctica_coast_2009", kind="sounder", first_day=date(2009, 1, 6), latitude=-67.0, longitude=118.0,
    ground_elevation=900.0, trace_spacing=180.0, window=4.9e-5,
    air_rows=(14, 62), surface_relief=9.0, layer_count=(0, 5), layer_rows=(0, 0), year_relief=0.5,
    track_relief=0.12, track_memory=0.3, track_exponent=2.1, wavelengths=(900.0, 150_000.0), incoherence=0.4,
    surface_power=58.0, layer_power=29.0, layer_scatter=3.0, fading=4.0, attenuation=20.0, sublayers=-4.0,
    volume_power=27.0, looks=3.5, pulse_rows=1.1, sidelobes=32.0, gain_steps=0.8, dropped=0.001,
    thickness_rows=(14, 80), bed_relief=12.0, bed_power=34.0, deepest_layer=0.7, crevasses=0.25, ringing=20.0,
    complete=False, level=-125.0,
)  # fmt: skip
_ANTARCTICA_INTERIOR_2011 = Campaign(
    name="antarctica_interior_2011", kind="sounder", first_day=date(2011, 12, 11), latitude=-72.0, longitude=125.0,
    ground_elevation=2800.0, trace_spacing=120.0, window=5.2e-5,
    air_rows=(12, 50), surface_relief=3.0, layer_count=(3, 10), layer_rows=(0, 0), year_relief=0.6,
    track_relief=0.1, track_memory=0.2, track_exponent=2.1, wavelengths=(600.0, 110_000.0), incoherence=0.35,
    surface_power=58.0, layer_power=36.0, layer_scatter=3.0, fading=3.0, attenuation=13.0, sublayers=-3.0,
    volume_power=29.0, looks=3.0, pulse_rows=1.0, sidelobes=34.0, gain_steps=0.4, dropped=0.001,
    thickness_rows=(60, 180), bed_relief=11.0, bed_power=22.0, deepest_layer=0.8, crevasses=0.06, ringing=15.0,
    complete=False, level=-125.0,
)  # fmt: skip

campaigns: dict[str, Campaign] = {
    campaign.name: campaign
    for campaign in (
        _GREENLAND_2012,
        _GREENLAND_2014,
        _GREENLAND_SE_2011,
        _ANTARCTICA_SNOW_2016,
        _GREENLAND_SOUNDER_2012,
        _ANTARCTICA_COAST_2009,
        _ANTARCTICA_INTERIOR_2011,
        _DEMO,
    )
}
"""Campaigns by name. `demo` is the demonstration's: the model in the box is never trained on it."""
