"""Echoes of reflectors: where they fall on the record's grid, and what the radar's pulse makes of them."""

import numpy as np

from .grid import Grid


def linear(decibels: np.ndarray | float) -> np.ndarray:
    return np.power(10.0, np.asarray(decibels) / 10)


def place(rows: np.ndarray, power: np.ndarray, grid: Grid) -> np.ndarray:
    """Sum of point echoes (reflectors, columns), each shared between the two samples that it lies between."""
    traces, samples = rows.shape[-1], grid.samples
    rows, power = rows.reshape(-1, traces) + grid.above, power.reshape(-1, traces)
    inside = (rows >= 0) & (rows < samples - 1)
    column = np.broadcast_to(np.arange(traces), rows.shape)[inside]
    row, strength = rows[inside], power[inside]
    upper = row.astype(int)
    lower_share = row - upper
    flat = np.concatenate([upper * traces + column, (upper + 1) * traces + column])
    weights = np.concatenate([strength * (1 - lower_share), strength * lower_share])
    return np.bincount(flat, weights, samples * traces).reshape(samples, traces)


def pulse(half_width: float, sidelobes: float) -> np.ndarray:
    """Power of the compressed pulse: main lobe, range sidelobes, and a short tail of scattering below the reflector."""
    reach = int(np.ceil(9 * half_width)) + 4
    offset = np.arange(-reach, reach + 1) / half_width
    main = np.exp(-np.log(2) * offset**2)
    lobes = linear(-sidelobes) * np.exp(-np.abs(offset) / 4)
    tail = np.where(offset > 0, 0.12 * np.exp(-offset / 1.5), 0)
    return main + lobes + tail


def hyperbolas(apex_row: np.ndarray, apex_trace: np.ndarray, steepness: np.ndarray, grid: Grid) -> np.ndarray:
    """(K, columns) rows of the echo of a point scatterer while the aircraft passes it."""
    distance = grid.trace - apex_trace[:, None]
    return np.hypot(apex_row[:, None], steepness[:, None] * distance)
