"""From travel time to depth and mass, along the track, and between lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.errors import Refused
from firnline.ice import ICE_INDEX, LIGHT_SPEED_M_S, metres_in_ice
from firnline.products.accumulation import AnnualLayers, annual_accumulation
from firnline.products.physics import (
    Medium,
    density_of_index,
    herron_langway_density,
    index_of_density,
    surface_elevation,
)
from firnline.products.thickness import first_of, layer_thickness, next_below
from firnline.products.track import Box

MEDIA = (
    Medium.constant(),
    Medium.constant(1.3),
    Medium.with_firn_correction(10.0),
    Medium.of_table([1.0, 5.0, 20.0, 80.0], [320.0, 400.0, 560.0, 830.0], "a core"),
    Medium.herron_langway(350.0, 0.25, -30.0),
)


def test_solid_ice_is_that_of_the_rest_of_the_library() -> None:
    assert Medium.constant().depth(1e-5) == pytest.approx(metres_in_ice(1e-5), rel=1e-12)


def test_kovacs_leads_from_density_to_index_and_back() -> None:
    assert index_of_density(400.0) == pytest.approx(1.338)
    assert density_of_index(index_of_density(917.0)) == pytest.approx(917.0)


@pytest.mark.parametrize("medium", MEDIA, ids=lambda medium: medium.statement)
def test_depth_and_time_are_inverse(medium: Medium) -> None:
    depth = np.r_[np.linspace(-3, 3500, 4001), np.nan]
    np.testing.assert_allclose(medium.depth(medium.two_way_time(depth)), depth, atol=1e-8)
    assert (np.diff(medium.two_way_time(depth[:-1])) > 0).all()


@given(
    st.lists(st.tuples(st.floats(0.1, 20), st.floats(100, 917)), min_size=1, max_size=12),
    st.floats(0, 400),
)
def test_time_and_mass_are_the_integrals_of_index_and_density(knots: list[tuple[float, float]], depth: float) -> None:
    depths = np.cumsum([step for step, _ in knots])
    medium = Medium.of_table(depths, [density for _, density in knots], "drawn")
    fine = np.unique(np.r_[np.linspace(0, depth, 2001), depths[depths < depth]])
    of_profile = np.interp(fine, depths, [density for _, density in knots])
    assert float(medium.mass(depth)) == pytest.approx(np.trapezoid(of_profile, fine), rel=1e-9, abs=1e-9)
    path = np.trapezoid(1 + 0.845e-3 * of_profile, fine)
    assert float(medium.two_way_time(depth)) == pytest.approx(2 * path / LIGHT_SPEED_M_S, rel=1e-9, abs=1e-18)


def test_a_firn_correction_is_what_the_medium_has() -> None:
    medium = Medium.with_firn_correction(10.0)
    assert medium.firn_correction_m() == pytest.approx(10.0)
    assert medium.depth(1e-5) == pytest.approx(metres_in_ice(1e-5) + 10.0)
    assert Medium.constant().firn_correction_m() == 0.0


def test_herron_langway_densifies_at_the_rates_of_the_paper() -> None:
    """d rho / d h = k0 rho (rho_ice - rho) above 0.55 g/cm3, and below it k1 / sqrt(A) instead of k0 (equations 1 to 4)."""
    accumulation, kelvin = 0.41, 248.15
    depth = np.linspace(0, 120, 12_001)
    density = herron_langway_density(depth, 360.0, accumulation, kelvin - 273.15) / 1000
    rate = np.gradient(density, depth) / (density * (0.917 - density))
    upper, lower = (density < 0.549), (density > 0.551)
    assert upper.any()
    assert density[0] == pytest.approx(0.36)
    np.testing.assert_allclose(rate[upper][1:], 11 * np.exp(-10_160 / (8.314 * kelvin)), rtol=1e-4)
    np.testing.assert_allclose(
        rate[lower][:-1], 575 * np.exp(-21_400 / (8.314 * kelvin)) / np.sqrt(accumulation), rtol=1e-4
    )
    assert 8 < Medium.herron_langway(360.0, accumulation, -25.0).firn_correction_m() < 16


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Medium.constant(3.15), "between 1 and 2"),
        (lambda: Medium.with_firn_correction(60.0), "smaller correction"),
        (lambda: Medium.of_table([0, 1, 1], [300, 400, 500], "x"), "do not grow"),
        (lambda: Medium.of_table([0, 1], [0.3, 0.4], "x"), "kg/m3"),
        (lambda: Medium.of_table([0, 1], [300], "x"), "one length"),
        (lambda: Medium.herron_langway(600, 0.3, -30), "surface density"),
        (lambda: AnnualLayers.of(2012.0, 2013.0), "older"),
        (lambda: Box.of("1,2,3"), "no box"),
        (lambda: Box.of("1,20,3,10"), "no box"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, words: str) -> None:
    with pytest.raises(Refused, match=words):
        make()


def test_the_surface_lies_below_the_platform_by_the_way_through_air() -> None:
    assert surface_elevation(np.array([3000.0]), np.array([2 * 500.0 / LIGHT_SPEED_M_S])) == pytest.approx(2500.0)


def test_a_box_may_lie_across_the_date_line() -> None:
    across = Box.of("170, -80, -170, -70")
    held = across.holds(np.array([-75.0, -75.0, -75.0, -60.0]), np.array([179.0, -175.0, 0.0, 179.0]))
    assert held.tolist() == [True, True, False, False]
    assert Box.of("0,-90,360,90").holds(np.array([-75.0]), np.array([-10.0])).all()


DEPTH = np.array([[0.0, 0.0, 0.0], [1.0, np.nan, 1.2], [2.5, 2.6, 2.4], [np.nan, np.nan, 9.0]])


def test_thickness_is_to_the_next_line_that_is_there() -> None:
    assert next_below(DEPTH).tolist() == [[1, 2, 1], [2, -1, 2], [-1, -1, 3], [-1, -1, -1]]
    np.testing.assert_allclose(layer_thickness(DEPTH)[:2], [[1.0, 2.6, 1.2], [1.5, np.nan, 1.2]])
    np.testing.assert_allclose(first_of(DEPTH, np.array([False, False, False, True])), [np.nan, np.nan, 9.0])


def test_accumulation_is_mass_over_years() -> None:
    medium = Medium.constant(1.338)  # of 400 kg/m3
    number = np.array([0, 1, 2, -1])
    annual = AnnualLayers.of(2012.25, 2011.75)
    found = annual_accumulation(DEPTH, number, medium, annual)
    np.testing.assert_allclose(found.m_we_a[0], [0.4 / 0.5, np.nan, 1.2 * 0.4 / 0.5])
    np.testing.assert_allclose(found.m_we_a[1], [0.6, np.nan, 0.48])
    assert np.isnan(found.m_we_a[2:]).all(), (
        "below the last annual layer nothing is dated, and the bed is no annual layer"
    )
    spread = annual_accumulation(DEPTH, number, medium, AnnualLayers.of(2012.25, 2011.75, "spread"))
    assert spread.m_we_a[0, 1] == pytest.approx(2.6 * 0.4 / 1.5)
    assert spread.years[0].tolist() == [0.5, 1.5, 0.5]
    np.testing.assert_allclose(annual.year(number), [2012.25, 2011.75, 2010.75, np.nan])


def test_ice_index_is_stated() -> None:
    assert f"{ICE_INDEX:g}" in Medium.constant().statement
