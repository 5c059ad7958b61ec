"""How long a track on the WGS-84 ellipsoid is, in plain NumPy: for products, the reviewer's axes and the maps alike.

Lambda's layer has no room for PROJ, whose geodesics (Karney 2013) the tests compare with.
"""

from typing import TypeVar

import numpy as np

Degrees = TypeVar("Degrees", float, np.ndarray)
SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
E2 = FLATTENING * (2 - FLATTENING)
"""The square of the eccentricity."""


def wrapped(degrees: Degrees) -> Degrees:
    """Angles, as longitudes, from -180 to less than 180 degrees."""
    return (degrees + 180.0) % 360.0 - 180.0


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
    radius = np.sqrt(1 - E2) / (1 - E2 * np.sin((phi[1:] + phi[:-1]) / 2) ** 2) * SEMI_MAJOR_M
    steps = 2 * radius * np.arcsin(np.minimum(chord / (2 * radius), 1.0))
    distance[known] = np.concatenate([[0.0], np.cumsum(steps)])
    return distance


def cartesian(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """(3, n) metres from the middle of the Earth of positions on the ellipsoid."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    normal = SEMI_MAJOR_M / np.sqrt(1 - E2 * np.sin(phi) ** 2)
    return np.stack([
        normal * np.cos(phi) * np.cos(lam), normal * np.cos(phi) * np.sin(lam), normal * (1 - E2) * np.sin(phi),
    ])  # fmt: skip
