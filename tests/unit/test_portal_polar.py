"""The page's own map projection and distances, against PROJ's."""

import numpy as np
import pytest
from pyproj import Geod, Transformer

from firnline.portal import polar


@pytest.mark.parametrize(("projection", "south", "north"), [(polar.ARCTIC, 55, 89.9), (polar.ANTARCTIC, -89.9, -60)])
def test_positions_lie_where_proj_puts_them(projection, south, north):
    latitude, longitude = np.meshgrid(np.linspace(south, north, 30), np.linspace(-180, 360, 50))
    expected = Transformer.from_crs("EPSG:4326", projection.code, always_xy=True).transform(longitude, latitude)
    np.testing.assert_allclose(projection.xy(latitude, longitude), expected, atol=1e-3)


def test_an_unknown_position_is_nowhere_on_the_map():
    x, y = polar.ARCTIC.xy(np.array([70.0, np.nan]), np.array([-45.0, -45.0]))
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan([x[1], y[1]]).all()


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (np.linspace(66, 83, 4000), np.linspace(-60, -20, 4000)),
        (np.linspace(-89.99, -66, 4000), np.linspace(170, 190, 4000)),
        (np.full(2000, 72.5), (np.linspace(179.5, 180.5, 2000) + 180) % 360 - 180),
    ],
)
def test_a_track_is_as_long_as_the_geodesics(latitude, longitude):
    steps = Geod(ellps="WGS84").inv(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])[2]
    np.testing.assert_allclose(polar.distance_along(latitude, longitude)[1:], np.cumsum(steps), rtol=1e-6, atol=1e-3)


def test_over_a_gap_of_a_hundred_kilometres_it_is_so_to_a_metre():
    for azimuth in range(0, 360, 30):
        geod = Geod(ellps="WGS84")
        east, north, _ = geod.fwd(-40, 70, azimuth, 100_000)
        found = polar.distance_along(np.array([70, np.nan, north]), np.array([-40, np.nan, east]))
        assert found[2] == pytest.approx(100_000, abs=1)
        assert np.isnan(found[1])


def test_the_hemisphere_is_that_of_most_positions():
    assert polar.projection_of(np.array([np.nan, 70.0])) is polar.ARCTIC
    assert polar.projection_of(np.array([-80.0, -81.0, 3.0])) is polar.ANTARCTIC
    assert polar.projection_of(np.array([np.nan])) is None
