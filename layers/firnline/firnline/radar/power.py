"""From the numbers of an echogram to decibels, in single precision and in place, so that a large one is in memory once."""

from collections.abc import Iterator

import numpy as np
from scipy.signal import hilbert

_VALUES_AT_ONCE = 2_000_000
_SAMPLED = 1_000_000
_ABSURD_DB = 1_000.0
"""Samples beyond these hold no data: no echo is that strong or weak. An echogram that lies mostly beyond is on another scale."""
_ABSURD = 1e36
"""NetCDF's fill for floats, 9.97e36, and what lies beyond it."""
_LINEAR_RANGE = 50.0
"""An echogram whose strongest samples exceed the median more than this many times is linear power; no dB scale does."""
_DECIBEL_RANGE = 5.0
"""Positive values within so small a range are decibels: one look of noise alone spans more in linear power."""
_NOISE_BELOW_ZERO = 0.65
"""Subtracting the mean noise leaves at most this share of linear power below zero (1 - 1/e of one look, and a margin)."""
_SMALLEST_DB, _LARGEST_DB = 1e-2, 1e3
"""Values whose strongest samples lie outside these are no decibels."""
_SENTINELS = (-999.0, -9999.0, -99999.0, -32767.0, -32768.0)
"""Values by which people mark missing samples without saying so in the file."""


def decibels(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """`values` (samples, traces), decibels or any scale of equal steps, with absurd ones NaN; works in place."""
    _drop_sentinels(values, notes)
    with np.errstate(invalid="ignore"):
        typical = np.abs(_sample(values))
    limit = _ABSURD_DB if typical.size and np.median(typical) < _ABSURD_DB else _ABSURD
    for block in _blocks(values):
        with np.errstate(invalid="ignore"):
            block[~(np.abs(block) < limit)] = np.nan
    return values


def decibels_of_power(power: np.ndarray, notes: list[str]) -> np.ndarray:
    """10 log10 of linear power (samples, traces) float32, in place; zero and absurd power is no data.

    A little linear power may lie below zero, where a mean noise was subtracted: those samples are missing. Values
    that can be no linear power are taken as what they look like: decibels or signed voltage.
    """
    _drop_sentinels(power, notes)
    negative = sum(int((block < 0).sum()) for block in _blocks(power))
    sample = _sample(power)
    if negative and _is_voltage(sample):
        return decibels_of_envelope(power, notes)
    if _is_decibels(sample, negative / power.size):
        notes.append(
            "values below zero: taken as decibels" if negative else "values of a small range: taken as decibels"
        )
        return decibels(power, notes)
    for block in _blocks(power):
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log10(block, out=block)
        block *= 10
        block[~np.isfinite(block)] = np.nan
    notes.append("linear power converted to decibels")
    if negative:
        notes.append(f"{negative} samples of power below zero are missing")
    return power


def decibels_of_envelope(voltage: np.ndarray, notes: list[str]) -> np.ndarray:
    """Decibels of the envelope's power of signed voltage (samples, traces) float32, in place (Hilbert transform)."""
    columns = max(1, _VALUES_AT_ONCE // voltage.shape[0])
    for start in range(0, voltage.shape[1], columns):
        block = voltage[:, start : start + columns].astype(np.float64)
        missing = ~(np.abs(block) < _ABSURD)
        envelope = np.abs(hilbert(np.where(missing, 0.0, block), axis=0))
        with np.errstate(divide="ignore"):
            power_db = 20 * np.log10(envelope)
        voltage[:, start : start + columns] = np.where(missing | ~np.isfinite(power_db), np.nan, power_db)
    notes.append("signed voltage converted to decibels of its envelope's power (Hilbert transform in fast time)")
    return voltage


def looks_linear(data: np.ndarray) -> bool:
    """Whether values can be no decibels, since they are all positive and the strongest far exceed the median."""
    sample = _sample(data)
    if not sample.size or sample.min() < 0:
        return False
    return bool(np.percentile(sample, 99.9) > _LINEAR_RANGE * np.median(sample))


def _is_decibels(sample: np.ndarray, negative_share: float) -> bool:
    """Whether the values of an echogram whose form asks for linear power are decibels all the same."""
    if not sample.size:
        return False
    strong = float(np.percentile(sample, 99.9))
    if not negative_share:
        weak, middle = np.percentile(sample, [0.1, 50])
        return bool(weak > 0 and middle > 1 and strong < _DECIBEL_RANGE * middle and weak > middle / _DECIBEL_RANGE)
    if strong <= 0 or negative_share > _NOISE_BELOW_ZERO:
        return True
    if strong < _SMALLEST_DB or strong > _LARGEST_DB:
        return False
    below = sample[sample < 0]
    deepest = float(-np.percentile(below, 1)) if below.size else 0.0
    return strong < _LINEAR_RANGE * float(np.median(np.abs(sample))) or deepest > strong / _LINEAR_RANGE


def _is_voltage(sample: np.ndarray) -> bool:
    """Whether values are signed voltage, which is spread evenly about zero."""
    if sample.size < 2:
        return False
    low, below, above, high = np.percentile(sample, [0.5, 25, 75, 99.5])
    return bool(
        low < 0 < high and 0.4 < -low / high < 2.5 and below < 0 < above and abs(below + above) < 0.2 * (above - below)
    )


def _drop_sentinels(values: np.ndarray, notes: list[str]) -> None:
    """Make an undeclared mark for missing samples NaN, if it lies far below everything else."""
    sample = _sample(values)
    for mark in _SENTINELS:
        if not sample.size or not any((block == mark).any() for block in _blocks(values)):
            continue
        others = sample[sample != mark]
        if others.size:
            low, high = np.percentile(others, [0.1, 99])
            if low - mark < 5 * (high - low):
                continue
        dropped = 0
        for block in _blocks(values):
            marked = block == mark
            dropped += int(marked.sum())
            block[marked] = np.nan
        notes.append(f"{dropped} samples of {mark:g} are missing, though the file does not say so")
        sample = others


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Views on parts of the array that lie together in memory."""
    flat = values.T if values.flags.f_contiguous else values
    step = max(1, _VALUES_AT_ONCE // max(1, flat.shape[1]))
    return (flat[start : start + step] for start in range(0, flat.shape[0], step))


def _sample(values: np.ndarray) -> np.ndarray:
    """Finite values from all over the array, at most about a million."""
    flat = values.T if values.flags.f_contiguous else values
    step = max(1, flat.size // _SAMPLED)
    # A step that shares no factor with the row's length, so that it does not meet the same rows in each trace.
    while step > 1 and np.gcd(step, flat.shape[1]) > 1:
        step += 1
    sample = flat.reshape(-1)[::step]
    return np.asarray(sample[np.isfinite(sample)], np.float64)
