"""Echograms in the numeric forms that data centres and processing programs write.

CReSIS / Open Polar Radar `.mat`, NSIDC IRSNO1B `.nc`, ImpDAR `.mat` and the Snow Radar Echogram Dataset's `.mat`. Which
of them a file is follows from the variables that it holds, not from its name.
"""

import numpy as np

from firnline.errors import Refused
from firnline.geometry import Label
from firnline.radar.axes import fast_time, place_in_time, plausible_positions, trace_clock, travel_times, upright
from firnline.radar.bandwidth import band_of
from firnline.radar.power import decibels, decibels_of_envelope, decibels_of_power, looks_linear
from firnline.radar.radar_frame import MAX_SIDE, Picks, RadarFrame, check_size
from firnline.radar.time_units import gps_time, seconds_per_unit
from firnline.radar.variables import Hdf5, Variables, check_claim

_MAX_LINES, _MAX_PICKS = 1_000, 10_000_000
"""Picked lines inside a file, and values in their table."""


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
    if "rxs" in names or variables.text_attribute("", "gprMax"):
        raise Refused(
            "The file is an output of gprMax: convert it with ImpDAR (impdar load gprMax) and upload the .mat that it "
            "writes."
        )
    found = ", ".join(sorted(names)[:12]) or "none"
    raise Refused(
        "The file holds no echogram that Firnline knows: expected are the variables Data and Time (CReSIS), amplitude "
        f"and fasttime (IRSNO1B), or data and travel_time (ImpDAR); found are {found}."
    )


def _cresis(variables: Variables) -> RadarFrame:
    version = "7.3" if isinstance(variables, Hdf5) else "5"
    notes: list[str] = []
    time, units = _vector(variables, "Time"), variables.text_attribute("Time", "units")
    clock = _optional_vector(variables, "GPS_time")
    latitude = _optional_vector(variables, "Latitude")
    traces = (_vector(variables, "GPS_time") if latitude is None else latitude).size
    surface, bottom = _optional_vector(variables, "Surface"), _optional_vector(variables, "Bottom")
    time_s = fast_time(time, "Time", units, 1.0, surface, notes)
    surface_s, bottom_s = (travel_times(values, time, time_s, notes) for values in (surface, bottom))
    data, bins = _echogram(variables, "Data", "Time", time_s, traces, None, surface_s, notes)
    frame = RadarFrame(
        power_db=decibels_of_power(data, notes),
        format=f"cresis-mat-{version}",
        gps_time_s=trace_clock(clock, notes),
        latitude=latitude,
        longitude=_optional_vector(variables, "Longitude"),
        elevation_m=_optional_vector(variables, "Elevation"),
        surface_twtt_s=surface_s,
        bed_twtt_s=bottom_s,
        transforms=notes,
    )
    return _finished(frame, variables, time_s, bins)


def _irsno1b(variables: Variables) -> RadarFrame:
    notes: list[str] = []
    time, units = _vector(variables, "fasttime"), variables.text_attribute("fasttime", "units")
    latitude = _vector(variables, "lat")
    surface, bottom = (_in_seconds(variables, name) for name in ("Surface", "Bottom"))
    time_s = fast_time(time, "fasttime", units, 1e-6, surface, notes)
    surface_s, bottom_s = (travel_times(values, time, time_s, notes) for values in (surface, bottom))
    axis = "time" if _is_square(variables, "amplitude") else None
    data, bins = _echogram(variables, "amplitude", "fasttime", time_s, latitude.size, axis, surface_s, notes)
    linear = "db" not in variables.text_attribute("amplitude", "units").lower() and looks_linear(data)
    elevation = _optional_vector(variables, "altitude")
    frame = RadarFrame(
        power_db=decibels_of_power(data, notes) if linear else decibels(data, notes),
        format="irsno1b-nc",
        gps_time_s=_gps_time(variables, notes),
        latitude=latitude,
        longitude=_optional_vector(variables, "lon"),
        elevation_m=_optional_vector(variables, "alt") if elevation is None else elevation,
        surface_twtt_s=surface_s,
        bed_twtt_s=bottom_s,
        transforms=notes,
    )
    return _finished(frame, variables, time_s, bins)


def _impdar(variables: Variables) -> RadarFrame:
    notes: list[str] = []
    by_elevation = _flag(variables, "flags.elev")
    travel_time, step = _optional_vector(variables, "travel_time"), _optional_vector(variables, "dt")
    dt_s = None if step is None else float(step[0])
    shape = _shape(variables, "data")
    latitude = _optional_vector(variables, "lat")
    samples, traces = shape
    if travel_time is not None:
        samples = travel_time.size
        traces = shape[0] if shape[1] == samples != shape[0] else shape[1]
    if latitude is not None:
        traces = latitude.size
        samples = shape[1] if travel_time is None and shape[0] == traces != shape[1] else samples
    if by_elevation:
        time_s = np.arange(samples, dtype=np.float64)
    elif travel_time is None:
        time_s = fast_time(np.arange(samples) * _vector(variables, "dt")[0], "dt", "", 1.0, None, notes)
    else:
        time_s = fast_time(travel_time, "travel_time", "", 1e-6, None, notes, dt_s)
    data, _ = _echogram(variables, "data", "travel_time", time_s, traces, None, None, notes)
    picks = _impdar_picks(variables, data.shape)
    frame = RadarFrame(
        power_db=decibels_of_envelope(data, notes),
        format="impdar-mat",
        latitude=latitude,
        longitude=_optional_vector(variables, "long"),
        elevation_m=_optional_vector(variables, "elev"),
        picks=picks,
        transforms=notes,
    )
    if by_elevation:
        notes.append("rows are elevation and not time, by ImpDAR's correction: the frame has no two-way travel time")
        return _finished(frame, variables, None, None)
    return _finished(frame, variables, time_s, None)


def _impdar_picks(variables: Variables, shape: tuple[int, ...]) -> Picks | None:
    """ImpDAR's picked centres. A single pick is the bed, which users draw first; among several, nothing tells which is."""
    claimed = variables.shape("picks.samp2")
    if claimed is not None:
        _check_lines("picks.samp2", claimed)
    rows = variables.array("picks.samp2")
    if rows is None:
        return None
    rows = np.atleast_2d(rows).astype(float)
    if rows.shape[1] != shape[1]:
        return None
    labels: list[Label] = ["bed"] if len(rows) == 1 else ["layer"] * len(rows)
    return Picks(labels, _inside(rows, shape[0]))


def _sred(variables: Variables) -> RadarFrame:
    _check_lines("layers_vector", _shape(variables, "layers_vector"))
    vectors = _table(variables, "layers_vector").astype(float)
    name = next((name for name in ("Data", "echo_tmp", "data") if name in variables.names()), "Data")
    data = _matrix(variables, name)
    notes: list[str] = []
    if data.shape[1] != vectors.shape[1] and data.shape[0] == vectors.shape[1]:
        data = data.T
        notes.append("axes swapped to fast time x traces")
    if data.shape[1] != vectors.shape[1]:
        raise Refused(
            f"'{name}' is {data.shape[0]} x {data.shape[1]} but 'layers_vector' has {vectors.shape[1]} traces; "
            "export both for the same traces."
        )
    check_size(*data.shape)
    # MATLAB counts rows from 1, and writes 0 or NaN where there is no layer.
    rows = _inside(np.where(vectors >= 1, vectors - 1, np.nan), data.shape[0])
    power_db = decibels_of_power(data, notes) if looks_linear(data) else decibels(data, notes)
    frame = RadarFrame(power_db=power_db, format="sred-mat", picks=Picks(["layer"] * len(rows), rows), transforms=notes)
    return _finished(frame, variables, None, None)


def _finished(
    frame: RadarFrame, variables: Variables, time_s: np.ndarray | None, bins: np.ndarray | None
) -> RadarFrame:
    """The frame, completed by what all forms share: checked lengths, missing samples, band, positions and time."""
    traces = frame.power_db.shape[1]
    for name in ("gps_time_s", "latitude", "longitude", "elevation_m", "surface_twtt_s", "bed_twtt_s"):
        values = getattr(frame, name)
        if values is not None and values.size != traces:
            raise Refused(
                f"The frame has {traces} traces, but its {name.rsplit('_', 1)[0].replace('_', ' ')} has "
                f"{values.size} values; export them so that they belong together."
            )
    frame.missing_samples = sum(int(np.isnan(frame.power_db[:, trace]).sum()) for trace in range(traces))
    plausible_positions(frame)
    if time_s is None:
        return frame
    correction = _optional_vector(variables, "Elevation_Correction") if bins is not None else None
    place_in_time(frame, time_s, bins, correction)
    frame.bandwidth_hz, frame.centre_frequency_hz = band_of(variables, frame.dt_s)
    return frame


def _gps_time(variables: Variables, notes: list[str]) -> np.ndarray | None:
    """IRSNO1B's `time` with its units, "seconds since <date>"."""
    _check_vector(variables, "time")
    values = variables.array("time")
    units, calendar, long_name, standard_name = (
        variables.text_attribute("time", name) for name in ("units", "calendar", "long_name", "standard_name")
    )
    found = None
    if values is not None and values.size == max(values.shape, default=1):
        found = gps_time(values.ravel(), units, calendar, f"{long_name} {standard_name}")
    if found is None:
        notes.append("no time of the traces: 'time' or its units 'seconds since YYYY-MM-DD hh:mm:ss' are missing")
        return None
    notes.append(found[1])
    return trace_clock(found[0], notes)


def _in_seconds(variables: Variables, name: str) -> np.ndarray | None:
    """Travel times to a surface, in seconds wherever their units say so."""
    values = _optional_vector(variables, name)
    factor = seconds_per_unit(variables.text_attribute(name, "units"))
    return values if values is None or factor is None else values * factor


def _flag(variables: Variables, name: str) -> bool:
    value = variables.array(name)
    return value is not None and value.size > 0 and bool(value.ravel()[0])


def _is_square(variables: Variables, name: str) -> bool:
    shape = variables.shape(name)
    return shape is not None and len(shape) == 2 and shape[0] == shape[1]


def _shape(variables: Variables, name: str) -> tuple[int, ...]:
    """(rows, columns) that a table claims, before anything of it is read; a claim that is too large is refused."""
    shape = variables.shape(name)
    if shape is None or 0 in shape:
        # A struct, a cell, text or nothing: `array` refuses it with the right sentence.
        if variables.array(name) is None:
            raise _missing(name)
        raise Refused(f"The variable '{name}' is no table of numbers; export the echogram as one.")
    if len(shape) != 2:
        raise Refused(f"The variable '{name}' has {len(shape)} axes; it must be a table of fast time x traces.")
    check_claim(name, shape)
    return shape


def _matrix(variables: Variables, name: str) -> np.ndarray:
    _shape(variables, name)
    values = variables.matrix(name)
    if values is None:
        raise _missing(name)
    return values


def _table(variables: Variables, name: str) -> np.ndarray:
    values = variables.array(name)
    if values is None:
        raise _missing(name)
    return values


def _missing(name: str) -> Refused:
    return Refused(f"The variable '{name}' is missing or empty; export the echogram with it.")


def _vector(variables: Variables, name: str) -> np.ndarray:
    values = _optional_vector(variables, name)
    if values is None:
        raise _missing(name)
    return values


def _optional_vector(variables: Variables, name: str) -> np.ndarray | None:
    """A variable as (n,) float64, whether it is a row, a column or neither; None if it is absent or empty."""
    _check_vector(variables, name)
    values = variables.array(name)
    if values is None:
        return None
    if values.size != max(values.shape, default=1):
        raise Refused(f"The variable '{name}' is a table; it must be one row or one column.")
    return np.array(values, dtype=np.float64).ravel()


def _check_vector(variables: Variables, name: str) -> None:
    """`Refused` where a vector claims more values than an echogram has traces or samples, before it is read."""
    claimed = int(np.prod(variables.shape(name) or (), dtype=object))
    if claimed > MAX_SIDE:
        raise Refused(
            f"The variable '{name}' claims to hold {claimed} values; it must be one row or one column, of at most "
            f"{MAX_SIDE} values."
        )


def _check_lines(name: str, shape: tuple[int, ...]) -> None:
    if int(np.prod(shape, dtype=object)) > _MAX_PICKS or min(shape, default=0) > _MAX_LINES:
        raise Refused(
            f"The variable '{name}' claims to hold {' x '.join(map(str, shape))} rows of lines; at most {_MAX_LINES} "
            "lines can be read."
        )


def _inside(rows: np.ndarray, samples: int) -> np.ndarray:
    return np.where((rows >= -0.5) & (rows <= samples - 0.5), rows, np.nan)


def _echogram(
    variables: Variables,
    name: str,
    time_name: str,
    time_s: np.ndarray,
    traces: int,
    trace_dimension: str | None,
    surface_s: np.ndarray | None,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray | None]:
    """The echogram as (samples, traces), whichever axis came first, and the kept bins (zero-based) if it is truncated.

    Some files keep the whole fast time and truncate only the echogram; then the bins tell how many samples there must
    be. `trace_dimension` names the dimension scale that tells a square frame's axes.
    """
    bins = _optional_vector(variables, "Truncate_Bins")
    shape = _shape(variables, name)
    lengths = {time_s.size} | (set() if bins is None else {bins.size})
    swapped = shape[0] == traces and shape[1] in lengths
    straight = shape[1] == traces and shape[0] in lengths
    if not (swapped or straight):
        raise Refused(
            f"'{name}' is {shape[0]} x {shape[1]}, but there are {traces} traces and '{time_name}' has "
            f"{time_s.size} samples; export them so that they belong together."
        )
    check_size(*(shape[::-1] if swapped else shape))
    data = _matrix(variables, name)
    if swapped and straight:
        axis = None if trace_dimension is None else variables.trace_axis(name, trace_dimension)
        data = upright(data, axis, time_s, surface_s if bins is None else None, notes)
    elif swapped:
        data = data.T
        notes.append("axes swapped to fast time x traces")
    if bins is None:
        return data, None
    if not np.isfinite(bins).all() or bins.size != data.shape[0] or bins.min() < 1 or (np.diff(bins) != 1).any():
        raise Refused(
            f"'Truncate_Bins' does not number the {data.shape[0]} samples of '{name}' one after the other; "
            "export the frame again."
        )
    return data, bins.astype(np.int64) - 1
