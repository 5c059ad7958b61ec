"""How fast radar waves travel in vacuum and in ice."""

LIGHT_SPEED_M_S = 299_792_458.0

ICE_INDEX = 1.78
"""Refractive index of solid ice at radar frequencies."""


def metres_in_ice(two_way_s: float) -> float:
    """Metres of solid ice that take a two-way travel time."""
    return two_way_s * LIGHT_SPEED_M_S / (2 * ICE_INDEX)
