"""Where a position lies on the polar map of its hemisphere, in plain NumPy.

The page runs in Lambda, whose layer has no room for PROJ. The formulas are those of the polar stereographic projection with
a standard parallel (variant B, EPSG method 9829; Snyder 1987, Map Projections: A Working Manual, USGS Professional Paper
1395, equations 14-15, 15-9, 21-33 and 21-34), on the WGS-84 ellipsoid.
"""

from dataclasses import dataclass

import numpy as np

from firnline.geodesy import E2, SEMI_MAJOR_M

_E = E2**0.5


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
        m = np.cos(true_at) / np.sqrt(1 - E2 * np.sin(true_at) ** 2)
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


def _isometric(phi: np.ndarray | float) -> np.ndarray:
    """Snyder's t (15-9), towards the pole of the hemisphere."""
    sine = _E * np.sin(phi)
    return np.asarray(np.tan(np.pi / 4 - phi / 2) / ((1 - sine) / (1 + sine)) ** (_E / 2))
