"""The radar's band, where a file tells it: in the parameters that CReSIS programs leave in their files, or in attributes."""

import re

from firnline.radar.variables import Variables

_BAND_HZ = (1e5, 3e10)
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_FREQUENCY = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(k|m|g|)(?:hz)?\s*\Z", re.IGNORECASE)
_BANDWIDTH_NAMES = ("bandwidth", "band_width", "radar_bandwidth", "chirp_bandwidth", "bandwidth_hz")
_CENTRE_NAMES = ("center_frequency", "centre_frequency", "radar_center_frequency", "central_frequency", "fc")
_MOST_PARAMETERS = 12
_OVERSAMPLED_AT_LEAST = 0.8
"""Samples more than 1/B apart cannot hold a band B; the margin allows for rounded parameters."""


def band_of(variables: Variables, dt_s: float | None) -> tuple[float | None, float | None]:
    """(bandwidth, centre frequency) in Hz, each None where the file does not tell it or `dt_s` contradicts it.

    CReSIS parameter structs give a chirp's ends `f0` and `f1` of each waveform, and `fmult`, by which the hardware
    multiplies them.
    """
    bandwidth, centre = _of_attributes(variables)
    if bandwidth is None:
        chirp = _of_parameters(variables)
        if chirp is not None:
            bandwidth, centre = chirp
    if bandwidth is not None and dt_s is not None and bandwidth * dt_s * _OVERSAMPLED_AT_LEAST > 1:
        return None, centre
    return bandwidth, centre


def _of_attributes(variables: Variables) -> tuple[float | None, float | None]:
    found = []
    for names in (_BANDWIDTH_NAMES, _CENTRE_NAMES):
        values = (
            _hertz(variables.text_attribute(place, name)) for place in ("", "amplitude", "Data") for name in names
        )
        found.append(next((value for value in values if value is not None), None))
    return found[0], found[1]


def _hertz(text: str) -> float | None:
    match = _FREQUENCY.match(text)
    if match is None:
        return None
    value = float(match.group(1)) * _PREFIXES[match.group(2).lower()]
    return value if _BAND_HZ[0] <= value <= _BAND_HZ[1] else None


def _of_parameters(variables: Variables) -> tuple[float, float] | None:
    for name in sorted(name for name in variables.names() if name.startswith("param"))[:_MOST_PARAMETERS]:
        first: dict[str, float] = {}
        for path, value in variables.numbers_in(name):
            first.setdefault(path.rpartition(".")[2], value)
        if "f0" in first and "f1" in first:
            multiple = first.get("fmult", 1.0) or 1.0
            bandwidth = abs(first["f1"] - first["f0"]) * multiple
            centre = abs((first["f0"] + first["f1"]) / 2 * multiple - first.get("fLO", 0.0))
            if _BAND_HZ[0] <= bandwidth <= _BAND_HZ[1]:
                return bandwidth, centre
    return None
