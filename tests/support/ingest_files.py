"""Tiny radar files of every form that Firnline reads, made on the spot."""

import io
from typing import Any, Literal

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

SAMPLES, TRACES = 40, 24
DT = 2e-9
START = 1e-6
GPS = 1_333_065_600.0


def echoes(samples: int = SAMPLES, traces: int = TRACES) -> np.ndarray:
    """(samples, traces) dB: noise, a surface at row 8, a layer at row 20."""
    power = np.random.default_rng(3).normal(-100, 2, (samples, traces))
    power[8] += 40
    power[20] += 25
    return power


def cresis_variables(power_db: np.ndarray | None = None, **changes: Any) -> dict[str, Any]:
    power_db = echoes() if power_db is None else power_db
    samples, traces = power_db.shape
    variables = {
        "Data": np.power(10, power_db / 10),
        "Time": START + DT * np.arange(samples)[:, None],
        "GPS_time": GPS + 0.1 * np.arange(traces)[None],
        "Latitude": np.linspace(70, 71, traces)[None],
        "Longitude": np.linspace(-40, -41, traces)[None],
        "Elevation": np.full((1, traces), 500.0),
        "Surface": np.full((1, traces), START + 8 * DT),
    } | changes
    return {name: values for name, values in variables.items() if values is not None}


def mat5(variables: dict[str, Any], compressed: bool = True) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, do_compression=compressed)
    return file.getvalue()


def mat73(variables: dict[str, Any]) -> bytes:
    """As MATLAB -v7.3 writes: HDF5 behind a user block of 512 bytes, every array transposed."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as h5:
        for name, values in variables.items():
            h5[name] = np.asarray(values).T
    content = bytearray(file.getvalue())
    content[:128] = b"MATLAB 7.3 MAT-file, test".ljust(124) + b"\x00\x02IM"
    return bytes(content)


def cell(*parts: Any) -> np.ndarray:
    """A cell array of MATLAB's, one row."""
    array = np.empty((1, len(parts)), dtype=object)
    for place, part in enumerate(parts):
        array[0, place] = part
    return array


def irsno1b(trace_axis: Literal[0, 1] = 0, scales: bool = False, **changes: Any) -> bytes:
    power_db = changes.pop("power_db", echoes())
    samples, traces = power_db.shape
    variables = {
        "amplitude": power_db if trace_axis == 1 else power_db.T,
        "fasttime": 1e6 * (START + DT * np.arange(samples)),
        "time": 100 + 0.1 * np.arange(traces),
        "lat": np.linspace(70, 71, traces),
        "lon": np.linspace(-40, -41, traces),
        "altitude": np.full(traces, 500.0),
        "Surface": np.full(traces, START + 8 * DT),
        "Bottom": np.full(traces, np.nan),
    } | changes
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        for name, values in variables.items():
            if values is not None:
                h5[name] = values
        if "time" in h5:
            h5["time"].attrs["units"] = "seconds since 2012-03-30 00:00:00"
        if scales:
            for name, axis in (("time", trace_axis), ("fasttime", 1 - trace_axis)):
                h5[name].make_scale(name)
                h5["amplitude"].dims[axis].attach_scale(h5[name])
    return file.getvalue()


def impdar(**changes: Any) -> bytes:
    rng = np.random.default_rng(5)
    voltage = rng.normal(0, 1e-3, (64, 30))
    voltage[28:36] += np.sin(np.arange(8))[:, None]
    variables = {
        "data": voltage,
        "dt": 4e-9,
        "travel_time": 4e-3 * np.arange(64),
        "lat": np.full(30, 58.6),
        "long": np.full(30, -134.2),
        "elev": np.full(30, 1112.0),
        "picks": {"samp1": np.full((1, 30), 29.0), "samp2": np.full((1, 30), 31.0)},
    } | changes
    return mat5({name: values for name, values in variables.items() if values is not None})


def grey(inverted: bool = False) -> np.ndarray:
    power = np.clip((echoes() + 110) * 4, 0, 255).astype(np.uint8)
    return 255 - power if inverted else power


def picture(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()
