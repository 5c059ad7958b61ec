"""One simulated frame: its echogram, its layers, and what else its file holds."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firnline.geometry import Label

from .campaigns import Campaign
from .echoes import record
from .grid import ROWS, Genuine, Grid
from .stratigraphy import Stratigraphy, lay_down
from .track import TrackFields, fly, generator

LIGHT_SPEED = 299_792_458.0
_PER_COLUMN = (
    *("echogram_db", "rows", "gps_time", "lat", "lon", "elevation"),
    *("roll", "pitch", "heading", "surface_twtt", "bed_twtt"),
)


@dataclass(frozen=True)
class SimulatedFrame:
    """A frame with its true layers. Rows are zero-based sample indices, downwards; powers are in decibels.

    `echogram_db` (samples, traces), NaN in missing traces; `rows` (layers, traces), NaN in gaps, ordered by depth,
    never crossing; `labels` one of surface, layer, bed each; `strata` (layers,) which of the segment's layers each is, the
    same in every frame of it: 0 the surface, -1 the bed; `complete`: every visible layer has a line. `time`
    (samples,) s, two-way, in steps of `dt`. Per trace: `gps_time` s since 1970 (GPS), `lat`, `lon` degrees, `elevation`
    of the aircraft m, `roll`, `pitch`, `heading` rad, `surface_twtt` and `bed_twtt` s (NaN where nobody sees the bed;
    None without one).
    """

    campaign: str
    segment_id: str
    number: int
    echogram_db: np.ndarray
    rows: np.ndarray
    labels: list[Label]
    strata: list[int]
    complete: bool
    dt: float
    time: np.ndarray
    gps_time: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    elevation: np.ndarray
    roll: np.ndarray
    pitch: np.ndarray
    heading: np.ndarray
    surface_twtt: np.ndarray
    bed_twtt: np.ndarray | None

    @property
    def name(self) -> str:
        """Flight segment and frame number, as `20120330_04_003`."""
        return f"{self.segment_id}_{self.number:03d}"


def simulate_frame(
    campaign: Campaign,
    segment: int,
    number: int,
    traces: int = 512,
    samples: int = ROWS,
    genuine: Genuine | None = None,
) -> SimulatedFrame:
    """Simulate the frame `number` of a flight segment; the next number continues it.

    The same arguments give the same frame. With `genuine`, a radar that samples in this way flies over the same ice, and
    the frame has the size of its files. The layers are those of the frame of 256 samples, at the samples and columns of
    the file. They go on below that frame's end as far as they can be seen. `samples` is then ignored.

    Raises `ValueError` for fewer than 64 traces or samples and for negative numbers.
    """
    if traces < 64 or samples < 64 or segment < 0 or number < 0:
        raise ValueError(
            f"a frame of {traces} traces x {samples} samples, segment {segment}, number {number} cannot be simulated: "
            "give at least 64 traces and samples, and no negative numbers"
        )
    if genuine is None:
        return _observed(campaign, segment, number, Grid.plain(traces, samples))
    # A snow radar's window opens early, since the ground may rise; a sounder's opens as the pulse leaves.
    share = (0.1, 0.5) if campaign.kind == "snow" else (0.0, 0.2)
    spare = genuine.samples - ROWS * genuine.oversampling
    first = int(spare * generator(campaign, segment, 7).uniform(*share))
    frame = _observed(campaign, segment, number, Grid.genuine(traces, genuine, first))
    return _repeated(frame, genuine.repeat)


def _observed(campaign: Campaign, segment: int, number: int, grid: Grid) -> SimulatedFrame:
    """The frame as a record on `grid`."""
    position = (number * grid.traces + grid.trace) * campaign.trace_spacing
    fields = TrackFields(position, *campaign.wavelengths)
    ice = _ice(campaign, segment, fields, grid.scale)
    echoes = record(campaign, segment, number, ice, fields, grid)
    drawn = echoes.drawn
    if grid.fine:
        # An expert sees no more layers in a finer record: every record of this ice has the same truth.
        coarse = Grid.plain(grid.traces, ROWS)
        coarse_fields = TrackFields(
            (number * grid.traces + coarse.trace) * campaign.trace_spacing, *campaign.wavelengths
        )
        coarse_ice = _ice(campaign, segment, coarse_fields, 1.0)
        drawn = grid.held(record(campaign, segment, number, coarse_ice, coarse_fields, coarse).drawn)

    rows = np.vstack([ice.surface, ice.layers])
    labels: list[Label] = ["surface"]
    labels += ["layer" for _ in ice.layers]
    strata = list(range(len(rows)))
    if ice.bed is not None:
        rows = np.vstack([rows, ice.bed])
        labels.append("bed")
        strata.append(-1)
    rows = np.where(drawn & (rows >= 0) & (rows <= grid.samples - grid.above - 1), rows, np.nan)
    kept = np.isfinite(rows).sum(axis=1) >= 24 * grid.along
    first = grid.opens + grid.above
    dt = campaign.window / (ROWS * grid.scale)
    flight = fly(campaign, segment, position, fields)
    # A snow radar's window opens shortly above the surface, some 500 m below the aircraft; a sounder's as it transmits.
    range_rng = generator(campaign, segment, 5)
    opening = 2 * range_rng.uniform(420, 560) / LIGHT_SPEED if campaign.kind == "snow" else 0.0
    surface_twtt = opening + (first + ice.surface) * dt
    ground = campaign.ground_elevation + 15 * fields.draw(range_rng, 1, 3.0)[0]
    return SimulatedFrame(
        campaign=campaign.name,
        segment_id=flight.segment_id,
        number=number,
        echogram_db=10 * np.log10(echoes.power) + campaign.level,
        rows=rows[kept] + first,
        labels=[label for label, keep in zip(labels, kept, strict=True) if keep],
        strata=[stratum for stratum, keep in zip(strata, kept, strict=True) if keep],
        complete=campaign.complete,
        dt=dt,
        time=opening + np.arange(grid.window) * dt,
        gps_time=flight.gps_time,
        lat=flight.lat,
        lon=flight.lon,
        elevation=ground + surface_twtt * LIGHT_SPEED / 2,
        roll=flight.roll,
        pitch=flight.pitch,
        heading=flight.heading,
        surface_twtt=surface_twtt,
        bed_twtt=None if ice.bed is None else np.where(drawn[-1], opening + (first + ice.bed) * dt, np.nan),
    )


def _ice(campaign: Campaign, segment: int, fields: TrackFields, scale: float) -> Stratigraphy:
    """The ice below `fields`, in samples; `scale` of them make a row."""
    ice = lay_down(campaign, segment, fields)
    return Stratigraphy(ice.surface * scale, ice.layers * scale, None if ice.bed is None else ice.bed * scale)


def _repeated(frame: SimulatedFrame, times: int) -> SimulatedFrame:
    """The frame with each column, and what belongs to it, repeated `times` times."""
    if times == 1:
        return frame
    changes: dict[str, Any] = {
        name: np.repeat(value, times, axis=-1) for name in _PER_COLUMN if (value := getattr(frame, name)) is not None
    }
    return replace(frame, **changes)
