"""The flight line: random fields of the along-track position, and where the aircraft was."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from .campaigns import Campaign

_MODES = 80
_EARTH_RADIUS = 6_371_000.0
_SPEED = 125.0
"""Ground speed of the survey aircraft (P-3, DC-8, BT-67), m/s."""


def generator(campaign: Campaign, *key: int) -> np.random.Generator:
    """Random numbers that depend only on the campaign's name and on `key` (segment, stream, frame number)."""
    return np.random.default_rng([zlib.crc32(campaign.name.encode()), *key])


class TrackFields:
    """Random fields of the along-track position, the same for every frame that looks at the same ground.

    A field is a sum of cosines with wavelengths spread evenly in their logarithm and a power spectrum that falls with
    the wave number to the power of `exponent`: random Fourier modes, which can be evaluated anywhere along a segment
    without its start.
    """

    def __init__(self, position: np.ndarray, shortest: float, longest: float) -> None:
        """`position` (traces,) in metres along the segment; wavelengths from `shortest` to `longest` in metres."""
        self._wave_number = 2 * np.pi / np.geomspace(longest, shortest, _MODES)
        phase = self._wave_number[:, None] * position
        self._basis = np.concatenate([np.cos(phase), np.sin(phase)])

    def amplitudes(self, exponent: float) -> np.ndarray:
        """(modes,) amplitudes of a field of unit variance; modes are log-spaced, so each stands for a band ~ k."""
        power = self._wave_number ** (1 - exponent)
        return np.tile(np.sqrt(power / power.sum()), 2)

    def draw(self, rng: np.random.Generator, count: int, exponent: float, memory: float = 0.0) -> np.ndarray:
        """(count, traces) fields of unit variance, each correlated by `memory` with the one before it."""
        coefficients = rng.standard_normal((count, 2 * _MODES)) * self.amplitudes(exponent)
        for field in range(1, count):
            coefficients[field] *= np.sqrt(1 - memory**2)
            coefficients[field] += memory * coefficients[field - 1]
        return coefficients @ self._basis


@dataclass(frozen=True)
class Flight:
    """Per trace: `gps_time` s since 1970 (GPS), `lat`, `lon` degrees, `roll`, `pitch`, `heading` rad; the name."""

    segment_id: str
    gps_time: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    roll: np.ndarray
    pitch: np.ndarray
    heading: np.ndarray


def gps_minus_utc(day: datetime) -> int:
    """Leap seconds between GPS time and UTC on a day since 2009."""
    steps = [datetime(2012, 7, 1, tzinfo=UTC), datetime(2015, 7, 1, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC)]
    return 15 + sum(day >= step for step in steps)


def fly(campaign: Campaign, segment: int, position: np.ndarray, fields: TrackFields) -> Flight:
    """Fly over `position` (traces,) metres of a segment: in a straight line at constant speed, with a little wind."""
    rng = generator(campaign, segment, 1)
    day = datetime.combine(campaign.first_day, datetime.min.time(), UTC) + timedelta(days=segment // 4)
    start = day + timedelta(hours=11 + 2 * (segment % 4), minutes=int(rng.integers(60)))
    course = rng.uniform(0, 2 * np.pi)
    lat = campaign.latitude + rng.uniform(-1, 1) + np.degrees(position * np.cos(course) / _EARTH_RADIUS)
    lon = campaign.longitude + rng.uniform(-4, 4)
    lon = lon + np.degrees(position * np.sin(course) / (_EARTH_RADIUS * np.cos(np.radians(lat))))
    roll, pitch, yaw = fields.draw(rng, 3, 2.5)
    heading = np.angle(np.exp(1j * (course + 0.01 * yaw)))
    gps_time = start.timestamp() + gps_minus_utc(day) + position / _SPEED
    segment_id = f"{day:%Y%m%d}_{segment % 4 + 1:02d}"
    return Flight(segment_id, gps_time, lat, lon, 0.01 * roll, 0.035 + 0.005 * pitch, heading)
