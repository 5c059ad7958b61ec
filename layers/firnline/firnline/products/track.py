"""Along the flight line: distances on the ellipsoid, and boxes of positions."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pyproj import Geod

from firnline.errors import Refused

ARCTIC, ANTARCTIC = "EPSG:3413", "EPSG:3031"
_ELLIPSOID = Geod(ellps="WGS84")


def distance_along(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Metres along the track from its first known position: (traces,), on the WGS-84 ellipsoid (Karney 2013).

    A trace without a position, NaN, has no distance; the track goes straight on to the next that has one.
    """
    latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
    known = np.flatnonzero(np.isfinite(latitude) & np.isfinite(longitude))
    distance = np.full(latitude.shape, np.nan)
    if known.size:
        steps = _ELLIPSOID.inv(longitude[known[:-1]], latitude[known[:-1]], longitude[known[1:]], latitude[known[1:]])[
            2
        ]
        distance[known] = np.concatenate([[0.0], np.cumsum(steps)])
    return distance


def projection_of(latitude: np.ndarray) -> str:
    """The polar stereographic projection of the hemisphere that most positions lie in."""
    return ARCTIC if np.nanmedian(latitude) >= 0 else ANTARCTIC


class Box(BaseModel):
    """Positions from west to east and from south to north, degrees; across the date line where west is greater."""

    model_config = ConfigDict(frozen=True)

    west: float = Field(ge=-180, le=360)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=360)
    north: float = Field(ge=-90, le=90)

    @model_validator(mode="after")
    def _reaches_north(self) -> "Box":
        if self.north < self.south:
            raise ValueError(f"its north, {self.north:g}, lies south of its south, {self.south:g}")
        return self

    @classmethod
    def of(cls, text: str) -> "Box":
        """A box of "west,south,east,north"; `Refused` where it is none."""
        try:
            west, south, east, north = map(float, text.replace(",", " ").split())
            return cls(west=west, south=south, east=east, north=north)
        except ValueError as error:
            raise Refused(
                f"'{text}' is no box: give west,south,east,north in degrees, south below north, as -50,70,-40,72 "
                "(longitudes from -180 to 360)."
            ) from error

    def holds(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """(traces,) whether each position lies within; False where it is unknown."""
        width = (self.east - self.west) % 360 or (360.0 if self.east != self.west else 0.0)
        from_west = (np.asarray(longitude, float) - self.west) % 360
        return np.asarray((latitude >= self.south) & (latitude <= self.north) & (from_west <= width))
