"""Annual accumulation from annual layers, in metres of water equivalent a year.

Whether layers are annual is for the user to say. Layer 1 is the first below the surface; each layer is a year older than
the one above it. Between two lines lie as many years as their ages differ, and the mass between them (Medley et al.
2013; Koenig et al. 2016).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from firnline.errors import Refused
from firnline.products.physics import WATER_DENSITY_KG_M3, Medium
from firnline.products.thickness import at_line, next_below

GapRule = Literal["leave-out", "spread"]


@dataclass(frozen=True)
class AnnualLayers:
    """What the user says of layers that are annual.

    surface_year : the surface's time, as 2012.25
    first_layer_year : when layer 1 was the surface; a year before, if nothing is said
    gaps : where layers are missing between two lines, "leave-out" gives no value, and "spread" the mean of the years
    most_years : of a mean; longer gaps are left out
    """

    surface_year: float
    first_layer_year: float
    gaps: GapRule = "leave-out"
    most_years: float = 5.0

    @classmethod
    def of(
        cls, surface_year: float, first_layer_year: float | None = None, gaps: GapRule = "leave-out"
    ) -> "AnnualLayers":
        first = surface_year - 1.0 if first_layer_year is None else first_layer_year
        if not 0 < surface_year - first <= 2:
            raise Refused(
                f"The first layer cannot be of {first:g} below a surface of {surface_year:g}: it is up to two years older."
            )
        return cls(surface_year, first, gaps)

    @property
    def statement(self) -> str:
        rule = "no value where a layer is missing" if self.gaps == "leave-out" else (
            f"the mean of up to {self.most_years:g} years where layers are missing"
        )  # fmt: skip
        return f"layers taken as annual, surface of {self.surface_year:g}, layer 1 of {self.first_layer_year:g}, {rule}"

    def year(self, number: np.ndarray) -> np.ndarray:
        """When the surface (0) and the layers (1, 2, ...) were at the surface; NaN for other numbers."""
        number = np.asarray(number, float)
        return np.where(
            number == 0, self.surface_year, np.where(number > 0, self.first_layer_year + 1 - number, np.nan)
        )


@dataclass(frozen=True)
class Accumulation:
    """Between each line and the next below it, (lines, traces): `m_we_a` metres of water equivalent a year, `years` that
    lie between them, `below` the next line (-1: none). NaN where there is no value.
    """

    m_we_a: np.ndarray
    years: np.ndarray
    below: np.ndarray


def annual_accumulation(depth_m: np.ndarray, number: np.ndarray, medium: Medium, annual: AnnualLayers) -> Accumulation:
    """Accumulation between consecutive lines.

    Parameters
    ----------
    depth_m : (lines, traces) by depth, NaN where a line is not
    number : (lines,) 0 the surface, 1, 2, ... the layers below it, -1 for what is no annual layer
    """
    counted = np.where((np.asarray(number) >= 0)[:, None], depth_m, np.nan)
    below = next_below(counted)
    year = np.broadcast_to(annual.year(number)[:, None], depth_m.shape)
    years = year - at_line(year, below)
    steps = (
        at_line(np.broadcast_to(np.asarray(number, float)[:, None], depth_m.shape), below) - np.asarray(number)[:, None]
    )
    most = 1 if annual.gaps == "leave-out" else np.inf
    taken = (
        (years > 0) & (steps <= most) & (years <= max(annual.most_years, annual.surface_year - annual.first_layer_year))
    )
    mass = medium.mass(counted)
    metres = (at_line(mass, below) - mass) / WATER_DENSITY_KG_M3
    with np.errstate(invalid="ignore", divide="ignore"):
        return Accumulation(np.where(taken, metres / years, np.nan), np.where(taken, years, np.nan), below)
