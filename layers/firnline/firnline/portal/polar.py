"""Where a position lies on the polar map of its hemisphere, and how long a track is, in plain NumPy.

The page runs in Lambda, whose layer has no room for PROJ. The formulas are those of the polar stereographic projection with
a standard parallel (variant B, EPSG method 9829; Snyder 1987, Map Projections: A Working Manual, USGS Professional Paper
1395, equations 14-15, 15-9, 21-33 and 21-34), on the WGS-84 ellipsoid.
"""

from dataclasses import dataclass

import numpy as np

SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
_E2 = FLATTENING * (2 - FLATTENING)
_E = _E2**0.5


@dataclass(frozen=True)
class Projection:
    """`pole` is 1 at the north pole and -1 at the south pole; the scale is true at `true_at`, degrees, and the meridian
    `straight_down`, degrees, leads downwards on the map of the north and upwards on that of the south.
    """

    code: str
    pole: int
    true_at: float
    straight_down: float

    def xy(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Metres to the right of the pole and above it on the map, of positions in degrees; NaN stays NaN."""
        phi = self.pole * np.radians(np.asarray(latitude, float))
        away = np.radians(np.asarray(longitude, float) - self.straight_down)
        true_at = np.radians(abs(self.true_at))
        m = np.cos(true_at) / np.sqrt(1 - _E2 * np.sin(true_at) ** 2)
        rho = SEMI_MAJOR_M * m * _isometric(phi) / _isometric(true_at)
        return rho * np.sin(away), -self.pole * rho * np.cos(away)


ARCTIC = Projection("EPSG:3413", 1, 70.0, -45.0)
ANTARCTIC = Projection("EPSG:3031", -1, -71.0, 0.0)


def projection_of(latitude: np.ndarray) -> Projection | None:
    """That of the hemisphere in which most positions lie; None where none is known."""
    known = np.asarray(latitude, float)
    known = known[np.isfinite(known)]
    if not known.size:
        return None
    return ARCTIC if float(np.median(known)) >= 0 else ANTARCTIC


def distance_along(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Metres along the track from its first known position: (traces,), NaN where a position is unknown.

    Each step is the chord between two points of the ellipsoid, bent to the arc of a circle of its mean radius: from one trace
    to the next that is the geodesic to a millionth, and over a gap of 100 km to a metre.
    """
    latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
    known = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
    distance = np.full(latitude.shape, np.nan)
    if not known.size:
        return distance
    place, phi = cartesian(latitude[known], longitude[known]), np.radians(latitude[known])
    chord = np.sqrt((np.diff(place, axis=1) ** 2).sum(axis=0))
    radius = np.sqrt(1 - _E2) / (1 - _E2 * np.sin((phi[1:] + phi[:-1]) / 2) ** 2) * SEMI_MAJOR_M
    steps = 2 * radius * np.arcsin(np.minimum(chord / (2 * radius), 1.0))
    distance[known] = np.concatenate([[0.0], np.cumsum(steps)])
    return distance


def cartesian(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """(3, n) metres from the middle of the Earth of positions on the ellipsoid."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    normal = SEMI_MAJOR_M / np.sqrt(1 - _E2 * np.sin(phi) ** 2)
    return np.stack([
        normal * np.cos(phi) * np.cos(lam), normal * np.cos(phi) * np.sin(lam), normal * (1 - _E2) * np.sin(phi),
    ])  # fmt: skip


def _isometric(phi: np.ndarray | float) -> np.ndarray:
    """Snyder's t (15-9), towards the pole of the hemisphere."""
    sine = _E * np.sin(phi)
    return np.asarray(np.tan(np.pi / 4 - phi / 2) / ((1 - sine) / (1 + sine)) ** (_E / 2))
