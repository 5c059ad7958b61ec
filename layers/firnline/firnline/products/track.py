"""Along the flight line: distances on the ellipsoid, its projection, and boxes of positions."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.errors import Refused
from firnline.geodesy import distance_along

__all__ = ["ANTARCTIC", "ARCTIC", "Box", "distance_along", "projection_of"]

ARCTIC, ANTARCTIC = "EPSG:3413", "EPSG:3031"


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
