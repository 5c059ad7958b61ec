"""Echograms in the numeric forms that data centres and processing programs write.

CReSIS / Open Polar Radar `.mat`, NSIDC IRSNO1B `.nc`, ImpDAR `.mat` and the Snow Radar Echogram Dataset's `.mat`. Which
of them a file is follows from the variables that it holds, not from its name.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
from scipy.signal import hilbert

from firnline.errors import Refused
from firnline.layers import Label
from firnline.radar.origin import Origin
from firnline.radar.radar_frame import MAX_SIDE, Picks, RadarFrame, check_size
from firnline.radar.variables import Hdf5, Variables

LIGHT_SPEED_M_S = 299_792_458.0
_LEAP_SECONDS = [(1999, 1, 13), (2006, 1, 14), (2009, 1, 15), (2012, 7, 16), (2015, 7, 17), (2017, 1, 18)]
"""(year, month, seconds): GPS time minus UTC from the first of that month on (IERS Bulletin C)."""

_TRACES_AT_ONCE = 512
_ABSURD_DB = 1e6
"""No echo is that strong or weak: such samples hold no data."""
_UNEVEN = 0.05
"""Steps of fast time that differ from their mean by more than this share are no rounding."""

_LINEAR_RANGE = 50.0
"""An echogram whose strongest samples exceed the median more than this many times is linear power; no dB scale does."""


def read_radar_file(variables: Variables) -> RadarFrame:
    """The frame in a MATLAB or NetCDF file; `Refused` if it is of no known form, or lacks what its form needs."""
    names = variables.names()
    if "layers_vector" in names:
        return _sred(variables)
    if "amplitude" in names:
        return _irsno1b(variables)
    if "Data" in names:
        return _cresis(variables)
    if "data" in names and {"travel_time", "dt"} & names:
        return _impdar(variables)
    if {"twtt", "gps_time"} <= names:
        raise Refused(
            "The file holds layers and no echogram: upload it beside its frame under the name <frame>.layers.mat."
        )
    found = ", ".join(sorted(names)[:12]) or "none"
    raise Refused(
        "The file holds no echogram that Firnline knows: expected are the variables Data and Time (CReSIS), amplitude "
        f"and fasttime (IRSNO1B), or data and travel_time (ImpDAR); found are {found}."
    )


def _cresis(variables: Variables) -> RadarFrame:
    version = "7.3" if isinstance(variables, Hdf5) else "5"
    time_s = _vector(variables, "Time")
    gps_time_s = _optional_vector(variables, "GPS_time")
    latitude = _optional_vector(variables, "Latitude")
    traces = (_vector(variables, "GPS_time") if latitude is None else latitude).size
    data, truncated, notes = _echogram(variables, "Data", "Time", time_s, traces, None)
    frame = RadarFrame(
        power_db=_decibels_of_power(data, notes),
        format=f"cresis-mat-{version}",
        gps_time_s=gps_time_s,
        latitude=latitude,
        longitude=_optional_vector(variables, "Longitude"),
        elevation_m=_optional_vector(variables, "Elevation"),
        surface_twtt_s=_optional_vector(variables, "Surface"),
        bed_twtt_s=_optional_vector(variables, "Bottom"),
        transforms=notes,
    )
    return _in_time(frame, variables, time_s, truncated)


def _irsno1b(variables: Variables) -> RadarFrame:
    time_s = _vector(variables, "fasttime") * 1e-6
    latitude = _vector(variables, "lat")
    axis = variables.trace_axis("amplitude", "time")
    data, truncated, notes = _echogram(variables, "amplitude", "fasttime", time_s, latitude.size, axis)
    elevation = _optional_vector(variables, "altitude")
    frame = RadarFrame(
        power_db=np.where(np.abs(data) < _ABSURD_DB, data, np.nan).astype(np.float32),
        format="irsno1b-nc",
        gps_time_s=_gps_time(variables, notes),
        latitude=latitude,
        longitude=_optional_vector(variables, "lon"),
        elevation_m=_optional_vector(variables, "alt") if elevation is None else elevation,
        surface_twtt_s=_optional_vector(variables, "Surface"),
        bed_twtt_s=_optional_vector(variables, "Bottom"),
        transforms=[*notes, "fast time converted from microseconds to seconds"],
    )
    return _in_time(frame, variables, time_s, truncated)


def _impdar(variables: Variables) -> RadarFrame:
    travel_time = _optional_vector(variables, "travel_time")
    data = _matrix(variables, "data")
    time_s = np.arange(data.shape[0]) * _vector(variables, "dt")[0] if travel_time is None else travel_time * 1e-6
    latitude = _optional_vector(variables, "lat")
    traces = data.shape[1] if latitude is None else latitude.size
    voltage, _, notes = _echogram(variables, "data", "travel_time", time_s, traces, None)
    frame = RadarFrame(
        power_db=_decibels_of_envelope(voltage),
        format="impdar-mat",
        latitude=latitude,
        longitude=_optional_vector(variables, "long"),
        elevation_m=_optional_vector(variables, "elev"),
        picks=_impdar_picks(variables, voltage.shape),
        transforms=[
            *notes,
            "signed voltage converted to decibels of its envelope's power (Hilbert transform in fast time)",
        ],
    )
    return _in_time(frame, variables, time_s, None)


def _impdar_picks(variables: Variables, shape: tuple[int, int]) -> Picks | None:
    """ImpDAR's picked centres: one pick is the bed, as its users draw it first; of several nobody can tell which is."""
    rows = variables.array("picks.samp2")
    if rows is None:
        return None
    rows = np.atleast_2d(rows).astype(float)
    if rows.shape[1] != shape[1]:
        return None
    labels: list[Label] = ["bed"] if len(rows) == 1 else ["layer"] * len(rows)
    return Picks(labels, _inside(rows, shape[0]))


def _sred(variables: Variables) -> RadarFrame:
    vectors = _matrix(variables, "layers_vector").astype(float)
    name = next((name for name in ("Data", "echo_tmp", "data") if name in variables.names()), "Data")
    data = _matrix(variables, name)
    notes: list[str] = []
    if data.shape[1] != vectors.shape[1] and data.shape[0] == vectors.shape[1]:
        data, notes = data.T, ["axes swapped to fast time x traces"]
    if data.shape[1] != vectors.shape[1]:
        raise Refused(
            f"'{name}' is {data.shape[0]} x {data.shape[1]} but 'layers_vector' has {vectors.shape[1]} traces; "
            "export both for the same traces."
        )
    check_size(*data.shape)
    # MATLAB counts rows from 1, and writes 0 or NaN where there is no layer.
    rows = _inside(np.where(vectors >= 1, vectors - 1, np.nan), data.shape[0])
    power_db = _decibels_of_power(data, notes) if _looks_linear(data) else data.astype(np.float32)
    return RadarFrame(
        power_db=power_db, format="sred-mat", picks=Picks(["layer"] * len(rows), rows), transforms=notes
    )  # fmt: skip


def _matrix(variables: Variables, name: str) -> np.ndarray:
    values = variables.array(name)
    if values is None:
        raise Refused(f"The variable '{name}' is missing or empty; export the echogram with it.")
    if values.ndim != 2:
        raise Refused(f"The variable '{name}' has {values.ndim} axes; it must be a table of fast time x traces.")
    return values


def _vector(variables: Variables, name: str) -> np.ndarray:
    values = _optional_vector(variables, name)
    if values is None:
        raise Refused(f"The variable '{name}' is missing or empty; export the echogram with it.")
    return values


def _optional_vector(variables: Variables, name: str) -> np.ndarray | None:
    """A variable as (n,) float64, whether it is a row, a column or neither; None if it is absent or empty."""
    values = variables.array(name)
    if values is None:
        return None
    if values.size != max(values.shape, default=1):
        raise Refused(f"The variable '{name}' is a table; it must be one row or one column.")
    return np.array(values, dtype=np.float64).ravel()


def _echogram(
    variables: Variables, name: str, time_name: str, time_s: np.ndarray, traces: int, trace_axis: int | None
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The echogram as (samples, traces), whichever axis came first, the kept bins (zero-based) if it is truncated, and
    notes.

    Some files keep the whole fast time and truncate only the echogram; then the bins tell how many samples there must
    be.
    """
    data = _matrix(variables, name)
    bins = _optional_vector(variables, "Truncate_Bins")
    lengths = {time_s.size} | (set() if bins is None else {bins.size})
    swapped = data.shape[0] == traces and data.shape[1] in lengths
    straight = data.shape[1] == traces and data.shape[0] in lengths
    if not (swapped or straight):
        raise Refused(
            f"'{name}' is {data.shape[0]} x {data.shape[1]}, but there are {traces} traces and '{time_name}' has "
            f"{time_s.size} samples; export them so that they belong together."
        )
    if swapped and (not straight or trace_axis == 0):
        data, notes = data.T, ["axes swapped to fast time x traces"]
    else:
        notes = []
    check_size(*data.shape)
    if bins is None:
        return data, None, notes
    if not np.isfinite(bins).all() or bins.size != data.shape[0] or bins.min() < 1 or (np.diff(bins) != 1).any():
        raise Refused(
            f"'Truncate_Bins' does not number the {data.shape[0]} samples of '{name}' one after the other; "
            "export the frame again."
        )
    return data, bins.astype(np.int64) - 1, notes


def _in_time(frame: RadarFrame, variables: Variables, time_s: np.ndarray, bins: np.ndarray | None) -> RadarFrame:
    """Check the axes, set the time axis, and undo the compression of truncated snow-radar frames.

    Their columns were pushed down by `Elevation_Correction` bins, as if the aircraft had flown level: here each is
    moved back up, and `Surface`, `Bottom` and `Elevation` with it (uncompress_echogram.m of the CReSIS toolbox).
    """
    if time_s.size < 2 or not np.isfinite(time_s).all():
        raise Refused("The fast-time axis is too short or has missing values; export the frame with its time axis.")
    if (np.diff(time_s) <= 0).any():
        raise Refused("The fast-time axis does not grow from sample to sample; export the frame with its time axis.")
    traces = frame.power_db.shape[1]
    for name in ("gps_time_s", "latitude", "longitude", "elevation_m", "surface_twtt_s", "bed_twtt_s"):
        values = getattr(frame, name)
        if values is not None and values.size != traces:
            raise Refused(
                f"The frame has {traces} traces, but its {name.rsplit('_', 1)[0].replace('_', ' ')} has "
                f"{values.size} values; export them so that they belong together."
            )
    dt = float((time_s[-1] - time_s[0]) / (time_s.size - 1))
    if np.abs(np.diff(time_s) - dt).max() > _UNEVEN * dt:
        if bins is not None:
            raise Refused("The fast-time axis of a truncated frame must grow in even steps; resample it.")
        dt = _resample(frame, time_s)
    frame.latitude = _plausible(frame.latitude, -90, 90)
    frame.longitude = _plausible(frame.longitude, -180, 360)
    frame.dt_s = dt
    first = bins[0] if bins is not None and time_s.size != bins.size else 0
    if first >= time_s.size:
        raise Refused("'Truncate_Bins' begins beyond the end of the fast-time axis; export the frame again.")
    frame.time_zero_s = float(time_s[first])
    if bins is not None:
        frame.transforms.append(f"truncated in fast time by its producer: {len(bins)} bins from bin {bins[0] + 1} on")
        correction = _optional_vector(variables, "Elevation_Correction")
        if correction is not None:
            _undo_elevation_correction(frame, correction)
    return frame


def _resample(frame: RadarFrame, time_s: np.ndarray) -> float:
    """Interpolate an echogram to even steps of two-way time, as after a move-out correction; returns the step in
    seconds."""
    dt = float(np.median(np.diff(time_s)))
    samples = int((time_s[-1] - time_s[0]) / dt) + 1 if dt > 0 else MAX_SIDE + 1
    check_size(samples, frame.power_db.shape[1])
    place = np.interp(time_s[0] + dt * np.arange(samples), time_s, np.arange(time_s.size))
    above = np.minimum(place.astype(np.int64), time_s.size - 2)
    share = (place - above).astype(np.float32)[:, None]
    frame.power_db = frame.power_db[above] * (1 - share) + frame.power_db[above + 1] * share
    frame.origin = Origin(sample_of_row=place)
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
    shift = np.rint(correction).astype(np.int64)
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


def _gps_time(variables: Variables, notes: list[str]) -> np.ndarray | None:
    """IRSNO1B's `time`, UTC seconds since a day, as GPS seconds since 1970, which is how layer files count."""
    seconds = _optional_vector(variables, "time")
    units = variables.text_attribute("time", "units")
    since = re.match(r"seconds since (\d{4})-(\d{1,2})-(\d{1,2})(?:[ T]00:00:00(?:\.0+)?)?", units)
    if seconds is None or since is None:
        notes.append("no time of the traces: 'time' or its units 'seconds since YYYY-MM-DD 00:00:00' are missing")
        return None
    day = datetime.strptime("-".join(since.groups()), "%Y-%m-%d").replace(tzinfo=UTC)
    leap = next((leap for year, month, leap in reversed(_LEAP_SECONDS) if (day.year, day.month) >= (year, month)), 0)
    notes.append(f"time of the traces converted from UTC to GPS time (+{leap} s)")
    return seconds + day.timestamp() + leap


def _decibels_of_power(power: np.ndarray, notes: list[str]) -> np.ndarray:
    """10 log10 of linear power as float32; zero power is no data. Values below zero can only be decibels already."""
    decibels = np.empty(power.shape, dtype=np.float32)
    negative = any((power[:, columns] < 0).any() for columns in _blocks(power))
    for columns in _blocks(power):
        block = power[:, columns].astype(np.float64)
        if not negative:
            with np.errstate(divide="ignore"):
                block = 10 * np.log10(block)
        decibels[:, columns] = np.where(np.abs(block) < _ABSURD_DB, block, np.nan)
    notes.append("values below zero: taken as decibels" if negative else "linear power converted to decibels")
    return decibels


def _decibels_of_envelope(voltage: np.ndarray) -> np.ndarray:
    decibels = np.empty(voltage.shape, dtype=np.float32)
    for columns in _blocks(voltage):
        block = voltage[:, columns].astype(np.float64)
        missing = ~np.isfinite(block)
        envelope = np.abs(hilbert(np.where(missing, 0.0, block), axis=0))
        with np.errstate(divide="ignore"):
            power_db = 20 * np.log10(envelope)
        decibels[:, columns] = np.where(missing | ~np.isfinite(power_db), np.nan, power_db)
    return decibels


def _blocks(values: np.ndarray) -> Iterable[slice]:
    """Slices over the traces, so that double precision is never needed for the whole frame at once."""
    return (slice(start, start + _TRACES_AT_ONCE) for start in range(0, values.shape[1], _TRACES_AT_ONCE))


def _looks_linear(data: np.ndarray) -> bool:
    finite = data[np.isfinite(data)]
    if not finite.size or finite.min() < 0:
        return False
    return bool(np.percentile(finite, 99.9) > _LINEAR_RANGE * np.median(finite))


def _plausible(values: np.ndarray | None, low: float, high: float) -> np.ndarray | None:
    return None if values is None else np.where((values >= low) & (values <= high), values, np.nan)


def _inside(rows: np.ndarray, samples: int) -> np.ndarray:
    return np.where((rows >= -0.5) & (rows <= samples - 0.5), rows, np.nan)
