"""From two-way travel time to depth and elevation, through snow, firn and ice of a stated density.

The refractive index follows from the density (Kovacs, Gow & Morey 1995, Cold Reg. Sci. Technol. 23, 245): n = 1 + 0.845 rho,
rho in g/cm3. Depths are in metres below the surface, times in seconds below it, two-way; above it both are negative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from firnline.errors import Refused
from firnline.ice import ICE_INDEX, LIGHT_SPEED_M_S

KOVACS_M3_KG = 0.845e-3
"""By how much the refractive index grows with each kg/m3 of density."""
ICE_DENSITY_KG_M3 = 917.0
WATER_DENSITY_KG_M3 = 1000.0
LEAST_DENSITY_KG_M3 = 10.0

FIRN_DEPTH_M = 100.0
"""Down to where a firn correction is spread, unless one says otherwise."""

_STAGES_MEET_KG_M3 = 550.0
"""Between grains settling and sintering (Herron & Langway 1980)."""
_GAS_J_MOL_K = 8.314
_HERRON_LANGWAY_STEP_M = 0.25
_HERRON_LANGWAY_DEEPEST_M = 400.0
_AS_DENSE_AS_ICE = 0.999
_ZERO_CELSIUS_K = 273.15


def index_of_density(density_kg_m3: np.ndarray | float) -> np.ndarray:
    """Refractive index of dry snow, firn or ice of a density."""
    return 1.0 + KOVACS_M3_KG * np.asarray(density_kg_m3, float)


def density_of_index(index: np.ndarray | float) -> np.ndarray:
    """Density, kg/m3, of dry snow, firn or ice of a refractive index: the inverse of `index_of_density`."""
    return (np.asarray(index, float) - 1.0) / KOVACS_M3_KG


@dataclass(frozen=True)
class Medium:
    """Snow, firn and ice below the surface, of a density that is straight between knots and constant below the last.

    depth_m : (knots,) growing from 0; the same depth twice makes a step
    density_kg_m3 : (knots,)
    statement : what it is, in words that every product repeats
    """

    depth_m: np.ndarray
    density_kg_m3: np.ndarray
    statement: str

    # ------------------------------------------------------------------------------------------------ kinds of media

    @classmethod
    def constant(cls, index: float = ICE_INDEX) -> Self:
        """One refractive index all the way down: of solid ice if nothing is said."""
        if not 1.0 < index < 2.0:
            raise Refused(f"A refractive index of {index:g} is none of snow, firn or ice: give one between 1 and 2.")
        return cls(np.zeros(1), density_of_index(np.array([index])), f"constant refractive index {index:g}")

    @classmethod
    def with_firn_correction(
        cls, correction_m: float, index: float = ICE_INDEX, firn_depth_m: float = FIRN_DEPTH_M
    ) -> Self:
        """Ice of a constant index under firn that makes everything below it deeper by `correction_m`.

        The correction grows evenly down to `firn_depth_m`, so that depths within the firn are right on average, and
        deeper ones by all of it.
        """
        possible = 0.0 <= correction_m < firn_depth_m
        firn_index = index * (1.0 - correction_m / firn_depth_m) if possible else 0.0
        if firn_index <= 1.0:
            raise Refused(
                f"Firn of {firn_depth_m:g} m cannot make ice deeper by {correction_m:g} m: give a smaller correction, or "
                "deeper firn."
            )
        density = density_of_index(np.array([firn_index, firn_index, index, index]))
        statement = (
            f"refractive index {index:g} with a firn correction of {correction_m:g} m over the upper {firn_depth_m:g} m"
        )
        return cls(np.array([0.0, firn_depth_m, firn_depth_m, firn_depth_m + 1.0]), density, statement)

    @classmethod
    def of_table(
        cls, depth_m: Sequence[float] | np.ndarray, density_kg_m3: Sequence[float] | np.ndarray, name: str
    ) -> Self:
        """A measured density profile: straight between its points, constant above the first and below the last.

        `name` tells where it comes from. Raises `Refused` where it is no profile.
        """
        depth, density = np.asarray(depth_m, float), np.asarray(density_kg_m3, float)
        if depth.ndim != 1 or depth.shape != density.shape or not depth.size:
            raise Refused(f"The density profile {name} is no table of depths and densities of one length.")
        if not (np.isfinite(depth).all() and (np.diff(depth) > 0).all() and depth[0] >= 0):
            raise Refused(f"The depths of the density profile {name} do not grow from 0 on downwards: sort them.")
        if not ((density >= LEAST_DENSITY_KG_M3) & (density <= ICE_DENSITY_KG_M3 + 10)).all():
            raise Refused(
                f"The density profile {name} has values from {density.min():g} to {density.max():g}: snow and ice have "
                f"{LEAST_DENSITY_KG_M3:g} to {ICE_DENSITY_KG_M3:g} kg/m3; give densities in that unit."
            )
        if depth[0] > 0:
            depth, density = np.r_[0.0, depth], np.r_[density[0], density]
        return cls(
            depth, density, f"density profile {name}, {depth.size} points down to {depth[-1]:g} m, n = 1 + 0.845 rho"
        )

    @classmethod
    def herron_langway(cls, surface_density_kg_m3: float, accumulation_m_we: float, temperature_c: float) -> Self:
        """Steady-state firn of the analytic model of Herron & Langway 1980 (J. Glaciol. 25, 373).

        Sampled every quarter of a metre until it is as dense as ice.

        Parameters
        ----------
        surface_density_kg_m3 : of the snow at the surface
        accumulation_m_we : metres of water equivalent a year
        temperature_c : mean annual temperature, degrees Celsius
        """
        if (
            not 200 <= surface_density_kg_m3 < _STAGES_MEET_KG_M3
            or not accumulation_m_we > 0
            or not -80 <= temperature_c <= 0
        ):
            raise Refused(
                "Herron and Langway's firn takes a surface density of 200 to 550 kg/m3, an accumulation above 0 m w.e. a "
                "year and a temperature of -80 to 0 degrees Celsius."
            )
        depth = np.arange(0.0, _HERRON_LANGWAY_DEEPEST_M, _HERRON_LANGWAY_STEP_M)
        density = herron_langway_density(depth, surface_density_kg_m3, accumulation_m_we, temperature_c)
        last = int(np.searchsorted(density, _AS_DENSE_AS_ICE * ICE_DENSITY_KG_M3)) + 1
        statement = (
            f"Herron-Langway firn, surface density {surface_density_kg_m3:g} kg/m3, {accumulation_m_we:g} m w.e. a year, "
            f"{temperature_c:g} degrees Celsius, n = 1 + 0.845 rho"
        )
        return cls(depth[:last], density[:last], statement)

    # ------------------------------------------------------------------------------------------------ what follows

    def density_at(self, depth_m: np.ndarray | float) -> np.ndarray:
        """Density, kg/m3, at depths; above the surface that of the surface."""
        place, below, slope = self._segment(depth_m, self.depth_m)
        return np.asarray(self.density_kg_m3[place] + slope * below)

    def index_at(self, depth_m: np.ndarray | float) -> np.ndarray:
        return index_of_density(self.density_at(depth_m))

    def two_way_time(self, depth_m: np.ndarray | float) -> np.ndarray:
        """Two-way travel time, s, from the surface down to depths; NaN stays NaN."""
        place, below, slope = self._segment(depth_m, self.depth_m)
        index = index_of_density(self.density_kg_m3[place])
        path = self._optical_path[place] + index * below + 0.5 * KOVACS_M3_KG * slope * below**2
        return np.asarray(2.0 * path / LIGHT_SPEED_M_S)

    def depth(self, two_way_s: np.ndarray | float) -> np.ndarray:
        """Depths, m, that a two-way travel time below the surface reaches: the inverse of `two_way_time`, exact."""
        place, path, slope = self._segment(np.asarray(two_way_s, float) * LIGHT_SPEED_M_S / 2.0, self._optical_path)
        index = index_of_density(self.density_kg_m3[place])
        bend = KOVACS_M3_KG * slope
        # Of the two roots of index d + bend d^2 / 2 = path, the one that is path / index where nothing bends.
        return np.asarray(self.depth_m[place] + 2.0 * path / (index + np.sqrt(index**2 + 2.0 * bend * path)))

    def mass(self, depth_m: np.ndarray | float) -> np.ndarray:
        """Mass, kg/m2, of what lies between the surface and depths."""
        place, below, slope = self._segment(depth_m, self.depth_m)
        return np.asarray(self._mass[place] + self.density_kg_m3[place] * below + 0.5 * slope * below**2)

    def firn_correction_m(self, index: float = ICE_INDEX) -> float:
        """By how much what lies below the firn is deeper than a constant `index` would have it (Dowdeswell & Evans 2004)."""
        deepest = float(self.depth_m[-1])
        return deepest - float(self.two_way_time(deepest)) * LIGHT_SPEED_M_S / (2.0 * index)

    def _segment(self, value: np.ndarray | float, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each value's segment, how far from the segment's start it lies, and how the density grows there."""
        value = np.asarray(value, float)
        place = np.clip(np.searchsorted(starts, value, side="right") - 1, 0, starts.size - 1)
        return place, value - starts[place], np.where(value < 0, 0.0, self._slope[place])

    @cached_property
    def _slope(self) -> np.ndarray:
        """(knots,) kg/m3 a metre from each knot to the next; 0 after the last and across a step."""
        steps = np.diff(self.depth_m)
        grows = np.divide(np.diff(self.density_kg_m3), steps, out=np.zeros(steps.size), where=steps > 0)
        return np.append(grows, 0.0)

    @cached_property
    def _optical_path(self) -> np.ndarray:
        """(knots,) metres times refractive index from the surface."""
        return _summed(self.depth_m, index_of_density(self.density_kg_m3))

    @cached_property
    def _mass(self) -> np.ndarray:
        """(knots,) kg/m2 above each."""
        return _summed(self.depth_m, self.density_kg_m3)


def herron_langway_density(
    depth_m: np.ndarray, surface_density_kg_m3: float, accumulation_m_we: float, temperature_c: float
) -> np.ndarray:
    """Density, kg/m3, at depths of steady-state firn (Herron & Langway 1980, equations 7 and 10); parameters as of
    `Medium.herron_langway`.
    """
    ice, meet, surface = (
        value / WATER_DENSITY_KG_M3 for value in (ICE_DENSITY_KG_M3, _STAGES_MEET_KG_M3, surface_density_kg_m3)
    )
    heat = _GAS_J_MOL_K * (temperature_c + _ZERO_CELSIUS_K)
    settling, sintering = 11.0 * np.exp(-10160.0 / heat), 575.0 * np.exp(-21400.0 / heat)
    odds, odds_where_they_meet = surface / (ice - surface), meet / (ice - meet)
    meet_at = (np.log(odds_where_they_meet) - np.log(odds)) / (ice * settling)
    upper = np.log(odds) + ice * settling * depth_m
    lower = np.log(odds_where_they_meet) + ice * sintering * (depth_m - meet_at) / np.sqrt(accumulation_m_we)
    level = np.exp(np.where(depth_m < meet_at, upper, lower))
    return np.asarray(ICE_DENSITY_KG_M3 * level / (1.0 + level))


def surface_elevation(platform_m: np.ndarray, surface_twtt_s: np.ndarray) -> np.ndarray:
    """Elevation, m, of the surface below a platform, through air (n = 1); of `surface_twtt_s`, two-way."""
    return platform_m - surface_twtt_s * LIGHT_SPEED_M_S / 2.0


def _summed(depth_m: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Integral of `value` (knots,), straight between them, from the first knot to each."""
    return np.concatenate([[0.0], np.cumsum(np.diff(depth_m) * (value[1:] + value[:-1]) / 2.0)])
