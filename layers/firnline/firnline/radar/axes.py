"""The axes of an echogram: which way up it lies, its fast time in seconds, and the clock and places of its traces."""

import numpy as np

from firnline.documents.origin import Origin
from firnline.errors import Refused
from firnline.ice import LIGHT_SPEED_M_S
from firnline.radar.radar_frame import MAX_SIDE, RadarFrame, check_size
from firnline.radar.time_units import gps_minus_utc, seconds_per_unit

_STEP_S = (1e-12, 2e-6)
"""Steps of fast time that radars have, s: from a snow radar's oversampled picoseconds to a sounder's window on few rows."""
_USUAL_STEP_S = 2e-7
"""Longer steps are taken where a file declares them. Where it does not, they are not the first guess."""
_WINDOW_S = (4e-9, 1e-3)
_UNITS = {1.0: "seconds", 1e-6: "microseconds", 1e-9: "nanoseconds", 1e-3: "milliseconds"}
"""Units that fast time may be counted in, the likelier first."""
_UNEVEN = 0.05
"""A step of fast time that differs from the mean step by more than this share is no rounding error."""
_SAME_STEP = 0.05
_CLOCK_S = (1e8, 4.2e9)
"""1973 to 2103, in seconds since 1970."""
_DATENUM_1970, _DATENUMS = 719_529, (640_000, 800_000)
"""MATLAB's day number of 1970-01-01, and of the days from 1752 to 2190."""
_CLEARLY_LAYERED = 4.0
_RANK_MARGIN = 0.05
_TRACES_LOOKED_AT = 500


def upright(
    data: np.ndarray, trace_axis: int | None, time_s: np.ndarray, surface_s: np.ndarray | None, notes: list[str]
) -> np.ndarray:
    """A square echogram as (samples, traces).

    The dimension scales tell which axis is which, or else the file's own surface, along which echoes are strong.
    Failing both, the layers tell: rows differ more from each other than traces do. Where nothing tells, the echogram
    stays as it is.
    """
    turned = trace_axis == 0
    if trace_axis is None:
        lead = _surface_rank(data.T, time_s, surface_s) - _surface_rank(data, time_s, surface_s)
        turned = lead > 0 if abs(lead) > _RANK_MARGIN else _layering(data) < 1 / _CLEARLY_LAYERED
        notes.append(
            "square frame that was saved as traces x fast time: turned upright"
            if turned
            else "square frame: taken as fast time x traces, as its echoes lie"
        )
    elif turned:
        notes.append("axes swapped to fast time x traces")
    return data.T if turned else data


def _surface_rank(data: np.ndarray, time_s: np.ndarray, surface_s: np.ndarray | None) -> float:
    """The mean share of its trace's samples that the echo at the file's surface exceeds; 0 without a surface."""
    if surface_s is None or surface_s.size != data.shape[1]:
        return 0.0
    rows = np.interp(surface_s, time_s, np.arange(time_s.size), left=np.nan, right=np.nan)
    known = np.flatnonzero(np.isfinite(rows))
    known = known[:: max(1, known.size // _TRACES_LOOKED_AT)]
    if not known.size:
        return 0.0
    near = np.clip(np.rint(rows[known]).astype(int) + np.arange(-2, 3)[:, None], 0, len(data) - 1)
    traces = _strength(data[:, known])
    echo = np.fmax.reduce(traces[near, np.arange(known.size)], axis=0)
    return float(np.mean(traces < echo))


def _layering(data: np.ndarray) -> float:
    """How much more the means of rows differ than the means of columns (variances of ranks)."""
    step = max(1, len(data) // _TRACES_LOOKED_AT)
    some = _strength(data[::step, ::step])
    finite = np.isfinite(some)
    ranks = np.where(finite, np.searchsorted(np.sort(some[finite]), some), 0.0)
    rows, columns = (np.var(ranks.sum(axis) / np.maximum(1, finite.sum(axis))) for axis in (1, 0))
    return float(rows / columns) if columns > 0 else np.inf


def _strength(part: np.ndarray) -> np.ndarray:
    """Signed voltage without its sign; decibels and power as they are."""
    low, high = np.nanmin(part, initial=0.0), np.nanmax(part, initial=0.0)
    return np.abs(part) if low < 0 < high else part


def fast_time(
    time: np.ndarray,
    name: str,
    units: str,
    convention: float,
    surface: np.ndarray | None,
    notes: list[str],
    step_s: float | None = None,
) -> np.ndarray:
    """Two-way travel time in seconds.

    time : (samples,) as the file has it, growing
    units : what the file says they are, "" if nothing; convention : seconds per unit that its form is known for
    surface : travel times in the file, in seconds by their convention; step_s : the file's own step

    Units that the file names win, then the convention. Where they give a step that no radar has, the unit that agrees
    with the surface, the step or the length of the window is taken, with a note. `Refused` where none agrees.
    """
    if time.size < 2 or not np.isfinite(time).all():
        raise Refused("The fast-time axis is too short or has missing values; export the frame with its time axis.")
    if (np.diff(time) <= 0).any():
        raise Refused("The fast-time axis does not grow from sample to sample; export the frame with its time axis.")
    declared = seconds_per_unit(units)
    if (
        declared is None
        and units.strip()
        and units.strip().lower() in ("m", "meter", "meters", "metre", "metres", "km")
    ):
        raise Refused(
            f"'{name}' is in {units.strip()[:20]}, which is no time: export the frame by two-way travel time."
        )
    expected = convention if declared is None else declared
    factor = expected
    if not _possible(time, expected) or not _same_step(time, expected, step_s):
        others = [unit for unit in _UNITS if unit != expected and _possible(time, unit)]
        same = [unit for unit in others if _same_step(time, unit, step_s)]
        others = same if same or step_s is not None else others
        holding = [unit for unit in others if _holds(time * unit, surface)]
        # Whole numbers from 0 or 1 on are sample numbers, unless a surface shows that they are times.
        counts = time[0] in (0, 1) and bool((np.diff(time) == 1).all())
        others = holding if holding or counts else others
        others.sort(key=lambda unit: _mean_step(time) * unit > _USUAL_STEP_S)
        if others:
            factor = others[0]
        elif not _possible(time, expected):
            raise Refused(
                f"By its '{name}' a sample would last {_mean_step(time) * expected:.3g} s, and the whole trace "
                f"{(time[-1] - time[0]) * expected:.3g} s, which no radar has: give '{name}' in "
                f"{_UNITS.get(convention, 'seconds')}."
            )
    if factor != expected:
        told = f"'{units.strip()[:30]}'" if declared is not None else _UNITS.get(expected, "its usual unit")
        notes.append(f"'{name}' in {told} would be no radar's: taken as {_UNITS[factor]}")
    elif factor != 1.0:
        notes.append(f"fast time converted from {_UNITS.get(factor, units.strip()[:30])} to seconds")
    return time * factor


def _mean_step(time: np.ndarray) -> float:
    return float((time[-1] - time[0]) / (time.size - 1))


def _possible(time: np.ndarray, factor: float) -> bool:
    window, last = float(time[-1] - time[0]) * factor, float(time[-1]) * factor
    return _STEP_S[0] <= _mean_step(time) * factor <= _STEP_S[1] and _WINDOW_S[0] <= window and last <= _WINDOW_S[1]


def _same_step(time: np.ndarray, factor: float, step_s: float | None) -> bool:
    if step_s is None or not _STEP_S[0] <= step_s <= _STEP_S[1]:
        return True
    return abs(float(np.median(np.diff(time))) * factor / step_s - 1) < _SAME_STEP


def _holds(time_s: np.ndarray, surface: np.ndarray | None) -> bool:
    """Whether most of the surface lies within the window."""
    if surface is None:
        return False
    known = surface[np.isfinite(surface)]
    return bool(known.size and np.mean((known >= time_s[0]) & (known <= time_s[-1])) > 0.5)


def travel_times(
    values: np.ndarray | None, time: np.ndarray, time_s: np.ndarray, notes: list[str]
) -> np.ndarray | None:
    """Travel times to the surface or the bed in seconds; in the unit of fast time if only then they lie within the window."""
    if values is None or _holds(time_s, values) or not _holds(time, values) or time[-1] == time_s[-1]:
        return values
    notes.append("travel times to surface and bed are in the unit of fast time: converted with it")
    return np.asarray(values * (time_s[-1] / time[-1]))


def trace_clock(values: np.ndarray | None, notes: list[str]) -> np.ndarray | None:
    """GPS seconds since 1970 of the traces, NaN where a value can be no time. None, with a note, if no trace has one.

    Milliseconds to nanoseconds since 1970 and MATLAB's day numbers are converted, with a note.
    """
    if values is None:
        return None
    with np.errstate(invalid="ignore"):
        known = values[np.isfinite(values) & (values > 0)]
    middle = float(np.median(known)) if known.size else 0.0
    for factor, name in ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"), (1e-9, "nanoseconds")):
        if _CLOCK_S[0] <= middle * factor <= _CLOCK_S[1]:
            if factor != 1.0:
                notes.append(f"time of the traces taken as {name} since 1970")
            seconds = values * factor
            break
    else:
        if not _DATENUMS[0] <= middle <= _DATENUMS[1]:
            notes.append("no time of the traces: the values in the file are no seconds since 1970")
            return None
        utc_s = (values - _DATENUM_1970) * 86_400
        seconds = utc_s + gps_minus_utc(utc_s)
        notes.append("time of the traces taken as MATLAB's day numbers in UTC, converted to GPS time")
    return _within(seconds, *_CLOCK_S)


def plausible_positions(frame: RadarFrame) -> None:
    """Bring longitudes within -180 to 180; impossible positions become NaN, and so does 0 north 0 east."""
    latitude, longitude = frame.latitude, frame.longitude
    if latitude is None or longitude is None:
        frame.latitude = None if latitude is None else _within(latitude, -90, 90)
        frame.longitude = None if longitude is None else _within(longitude, -180, 180)
        return
    beyond = (longitude > 180) & (longitude <= 360)
    if beyond.any():
        longitude = np.where(beyond, longitude - 360, longitude)
        frame.transforms.append("longitudes beyond 180 degrees east counted from the west")
    with np.errstate(invalid="ignore"):
        nowhere = (latitude == 0) & (longitude == 0)
        wrong = nowhere | ~((np.abs(latitude) <= 90) & (np.abs(longitude) <= 180))
    frame.latitude, frame.longitude = np.where(wrong, np.nan, latitude), np.where(wrong, np.nan, longitude)
    if wrong.all():
        frame.positions_unknown = True
        frame.transforms.append("positions unknown: the file's latitudes and longitudes are all zero or impossible")
    elif wrong.any():
        frame.transforms.append(f"positions of {int(wrong.sum())} traces unknown: zero or impossible in the file")


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where((values >= low) & (values <= high), values, np.nan)


def place_in_time(
    frame: RadarFrame, time_s: np.ndarray, bins: np.ndarray | None, correction: np.ndarray | None
) -> None:
    """Set the time axis, resampled if it is uneven, and undo the compression of truncated snow-radar frames.

    Their columns were pushed down by `Elevation_Correction` bins, as if the aircraft had flown level. Here each is
    moved back up, and `Surface`, `Bottom` and `Elevation` with it (uncompress_echogram.m of the CReSIS toolbox).
    """
    dt = _mean_step(time_s)
    if np.abs(np.diff(time_s) - dt).max() > _UNEVEN * dt:
        if bins is not None:
            raise Refused("The fast-time axis of a truncated frame must grow in even steps; resample it.")
        dt = _resample(frame, time_s)
    frame.dt_s = dt
    first = bins[0] if bins is not None and time_s.size != bins.size else 0
    if first >= time_s.size:
        raise Refused("'Truncate_Bins' begins beyond the end of the fast-time axis; export the frame again.")
    frame.time_zero_s = float(time_s[first])
    if bins is not None:
        frame.transforms.append(f"truncated in fast time by its producer: {len(bins)} bins from bin {bins[0] + 1} on")
        if correction is not None:
            _undo_elevation_correction(frame, correction)


def _resample(frame: RadarFrame, time_s: np.ndarray) -> float:
    """Interpolate an echogram to even steps of two-way time, as after a move-out correction; returns the step in
    seconds."""
    dt = float(np.median(np.diff(time_s)))
    traces = frame.power_db.shape[1]
    samples = int(min((time_s[-1] - time_s[0]) / dt, MAX_SIDE)) + 1 if dt > 0 else MAX_SIDE + 1
    check_size(samples, traces)
    place = np.interp(time_s[0] + dt * np.arange(samples), time_s, np.arange(time_s.size))
    above = np.minimum(place.astype(np.int64), time_s.size - 2)
    share = (place - above).astype(np.float32)
    even = np.empty((samples, traces), np.float32)
    for trace in range(traces):
        column = frame.power_db[:, trace]
        even[:, trace] = column[above] * (1 - share) + column[above + 1] * share
    frame.power_db, frame.origin = even, Origin(sample_of_row=place)
    if frame.picks is not None:
        picked_s = np.interp(frame.picks.rows, np.arange(time_s.size), time_s)
        frame.picks.rows = (picked_s - time_s[0]) / dt
    frame.transforms.append(f"uneven fast time resampled from {time_s.size} to {samples} samples of {dt:.4g} s")
    return dt


def _undo_elevation_correction(frame: RadarFrame, correction: np.ndarray) -> None:
    samples, traces = frame.power_db.shape
    if correction.size != traces or not np.isfinite(correction).all():
        raise Refused(
            f"'Elevation_Correction' must have a number for each of the {traces} traces; export the frame again."
        )
    shift = np.rint(np.clip(correction, -MAX_SIDE, MAX_SIDE)).astype(np.int64)
    above, below = max(0, int(shift.max())), max(0, int(-shift.min()))
    check_size(samples + above + below, traces)
    restored = np.full((samples + above + below, traces), np.nan, dtype=np.float32)
    for trace in range(traces):
        top = above - shift[trace]
        restored[top : top + samples, trace] = frame.power_db[:, trace]
    frame.power_db = restored
    frame.origin = Origin(sample_shift=(above - shift).astype(np.float64))
    dt = frame.dt_s or 0.0
    frame.time_zero_s = (frame.time_zero_s or 0.0) - above * dt
    for name, step in (("surface_twtt_s", dt), ("bed_twtt_s", dt), ("elevation_m", dt * LIGHT_SPEED_M_S / 2)):
        values = getattr(frame, name)
        if values is not None:
            setattr(frame, name, values - shift * step)
    frame.transforms.append(
        f"elevation correction of up to {above} bins undone: {above} rows added above, {below} below"
    )
