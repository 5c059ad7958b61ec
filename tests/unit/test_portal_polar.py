"""The page's own map projection, against PROJ's."""

import numpy as np
import pytest
from pyproj import Transformer

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


def test_the_hemisphere_is_that_of_most_positions():
    assert polar.projection_of(np.array([np.nan, 70.0])) is polar.ARCTIC
    assert polar.projection_of(np.array([-80.0, -81.0, 3.0])) is polar.ANTARCTIC
    assert polar.projection_of(np.array([np.nan])) is None
