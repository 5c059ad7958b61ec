"""Simulated frames as the files that data centres deliver, and their layers as a layers document."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from scipy.io import savemat

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.geometry import pieces, simplified

from .figures import Figure, figure_rows
from .frame import SimulatedFrame
from .track import gps_minus_utc

_TRUTH_TOLERANCE_PX, _ROUNDING_PX = 0.1, 0.01
"""Vertices are rounded to a hundredth of a pixel."""
_MATLAB_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by Firnline's radar simulator HDF5 schema 1.00 ."
_MATLAB_USER_BLOCK = 512


def write_irsno1b(frame: SimulatedFrame, path: Path, trace_axis: Literal[0, 1] = 1) -> Path:
    """Write NSIDC's IRSNO1B Snow Radar form, NetCDF-4: `amplitude` dB, `fasttime` microseconds, angles in degrees.

    `amplitude` is (fasttime, time) with `trace_axis` 1 and (time, fasttime) with 0; both orders were delivered. `path`
    is the file, or a folder that gets `IRSNO1B_YYYYMMDD_SS_FFF.nc`; returns the file.
    """
    path = _in_folder(path, f"IRSNO1B_{frame.name}.nc")
    day = datetime.strptime(frame.segment_id[:8], "%Y%m%d").replace(tzinfo=UTC)
    seconds = frame.gps_time - gps_minus_utc(day) - day.timestamp()
    amplitude = frame.echogram_db.astype(np.float32)
    bottom = np.full(frame.lat.size, np.nan) if frame.bed_twtt is None else frame.bed_twtt
    per_trace = {
        "lat": (frame.lat, "degrees_north"),
        "lon": (frame.lon, "degrees_east"),
        "altitude": (frame.elevation, "meters"),
        "heading": (np.degrees(frame.heading), "degrees"),
        "pitch": (np.degrees(frame.pitch), "degrees"),
        "roll": (np.degrees(frame.roll), "degrees"),
        "Surface": (frame.surface_twtt, "seconds"),
        "Bottom": (bottom, "seconds"),
    }
    with h5py.File(path, "w") as file:
        time = file.create_dataset("time", data=seconds)
        time.attrs["units"] = f"seconds since {day:%Y-%m-%d} 00:00:00"
        fast = file.create_dataset("fasttime", data=frame.time * 1e6)
        fast.attrs["units"] = "microseconds"
        for scale in (time, fast):
            scale.make_scale(scale.name.removeprefix("/"))
        for name, (values, units) in per_trace.items():
            variable = file.create_dataset(name, data=values)
            variable.attrs["units"] = units
            variable.dims[0].attach_scale(time)
        variable = file.create_dataset(
            "amplitude", data=amplitude if trace_axis == 1 else amplitude.T, compression="gzip", compression_opts=2
        )
        variable.attrs["units"] = "dB"
        for axis, scale in enumerate((fast, time) if trace_axis == 1 else (time, fast)):
            variable.dims[axis].attach_scale(scale)
        file.attrs["title"] = "Simulated snow radar echogram"
        file.attrs["Conventions"] = "CF-1.6"
    return path


def write_cresis(frame: SimulatedFrame, path: Path, version: Literal["5", "7.3"] = "5") -> Path:
    """Write a CReSIS / Open Polar Radar echogram: `Data` in linear power, times in seconds, angles in radians.

    Version 5 is MATLAB's old binary form, 7.3 is HDF5, in which arrays lie transposed. `path` is the file, or a folder
    that gets `Data_YYYYMMDD_SS_FFF.mat`; returns the file.
    """
    path = _in_folder(path, f"Data_{frame.name}.mat")
    variables = {
        "Data": np.power(10.0, frame.echogram_db / 10),
        "Time": frame.time[:, None],
        "GPS_time": frame.gps_time[None],
        "Latitude": frame.lat[None],
        "Longitude": frame.lon[None],
        "Elevation": frame.elevation[None],
        "Roll": frame.roll[None],
        "Pitch": frame.pitch[None],
        "Heading": frame.heading[None],
        "Surface": frame.surface_twtt[None],
    }
    if frame.bed_twtt is not None:
        variables["Bottom"] = frame.bed_twtt[None]
    if version == "5":
        savemat(path, variables, do_compression=True)
        return path
    with h5py.File(path, "w", userblock_size=_MATLAB_USER_BLOCK) as file:
        for name, values in variables.items():
            options = {"compression": "gzip", "compression_opts": 2} if name == "Data" else {}
            file.create_dataset(name, data=values.T, **options).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as stream:
        # MATLAB knows its files by 116 bytes of text, 8 of subsystem offset, the version 0x0200 and a byte order mark.
        stream.write(_MATLAB_HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


def write_truth(frame: SimulatedFrame, path: Path, figure: Figure | None = None) -> Path:
    """Write the true layers as a `firnline.layers/1` document: vertices at whole traces, within 0.1 px of `rows`, or of
    the rows of a picture that was drawn as `figure`.

    A layer with a gap becomes one polyline for each of its pieces, since a polyline has no gaps. `path` is the file;
    returns it. `coverage` is partial where layers without a line can be seen.
    """
    figure = figure or Figure()
    left, top, right, bottom = figure.margins
    samples, traces = frame.echogram_db.shape
    layers = [
        Layer(label=label, vertices=[Vertex(x=float(x), y=round(float(row[x]), 2)) for x in piece[kept].tolist()])
        for label, row in zip(frame.labels, figure_rows(frame, figure), strict=True)
        for piece in pieces(row)
        for kept in simplified([np.column_stack([piece, row[piece]])], _TRUTH_TOLERANCE_PX - _ROUNDING_PX)
    ]
    document = LayersDocument(
        frame_id="",
        image=ImageSize(width=left + traces + right, height=top + samples + bottom),
        source=Source(kind="import", created=now()),
        coverage="complete" if frame.complete else "partial",
        layers=layers,
    )
    path = Path(path)
    path.write_bytes(document.to_json())
    return path


def _in_folder(path: Path, name: str) -> Path:
    path = Path(path)
    return path / name if path.is_dir() else path
