"""Distances on the ellipsoid, which products, the reviewer's axes and the maps share, against PROJ's geodesics."""

import numpy as np
import pytest
from pyproj import Geod

from firnline.documents.frame import FrameDocument
from firnline.geodesy import distance_along
from firnline.portal.segment_store import shown_frame
from firnline.products.frame_product import Assumptions, frame_product
from firnline.products.physics import Medium
from firnline.review.axes import axes_of
from tests.support.simulated_products import made, of_status


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
    np.testing.assert_allclose(distance_along(latitude, longitude)[1:], np.cumsum(steps), rtol=1e-6, atol=1e-3)


def test_over_a_gap_of_a_hundred_kilometres_it_is_so_to_a_metre():
    for azimuth in range(0, 360, 30):
        geod = Geod(ellps="WGS84")
        east, north, _ = geod.fwd(-40, 70, azimuth, 100_000)
        found = distance_along(np.array([70, np.nan, north]), np.array([-40, np.nan, east]))
        assert found[2] == pytest.approx(100_000, abs=1)
        assert np.isnan(found[1])


def test_over_a_gap_of_a_thousand_kilometres_it_is_so_to_ten_metres():
    geod = Geod(ellps="WGS84")
    for south in (-80.0, 60.0, 72.0):
        for azimuth in range(0, 360, 30):
            east, north, _ = geod.fwd(-40, south, azimuth, 1_000_000)
            found = distance_along(np.array([south, north]), np.array([-40, east]))
            assert found[1] == pytest.approx(1_000_000, abs=10)


def test_distance_is_on_the_ellipsoid_and_goes_straight_over_unknown_positions() -> None:
    latitude = np.array([np.nan, 70.0, np.nan, 71.0, 71.0])
    longitude = np.array([np.nan, -40.0, -40.0, -40.0, -39.0])
    distance = distance_along(latitude, longitude)
    assert np.isnan(distance[[0, 2]]).all()
    assert distance[1] == 0.0
    major, squared = 6_378_137.0, 0.006_694_38
    sine = np.sin(np.radians([70.5, 71.0])) ** 2
    meridian = major * (1 - squared) / (1 - squared * sine[0]) ** 1.5
    parallel = major * np.cos(np.radians(71.0)) / np.sqrt(1 - squared * sine[1])
    assert distance[3] == pytest.approx(np.radians(1) * meridian, abs=3)
    assert distance[4] - distance[3] == pytest.approx(np.radians(1) * parallel, abs=3)
    assert np.isnan(distance_along(np.full(3, np.nan), np.full(3, np.nan))).all()


def test_products_axes_and_maps_tell_one_length() -> None:
    frame = made("greenland_sounder_2012", 0, 1, "mat5")
    told = FrameDocument.model_validate_json(frame.frame.to_json())
    product = frame_product(frame.truth, told, of_status("reviewed"), Assumptions(Medium.constant(1.78)))
    length = float(np.nanmax(product.distance_m))
    spacing = axes_of(told)["trace_spacing_m"]
    assert spacing is not None
    assert spacing / told.framing.traces_per_column * (told.traces - 1) == pytest.approx(length, rel=1e-9)
    track = shown_frame(told, "reviewed", frame.truth)["track"]
    share = track["at"][-1] - track["at"][0]
    assert track["km"][-1] == pytest.approx(length / 1000 * share, rel=0.01)
    steps = Geod(ellps="WGS84").line_length(told.longitude, told.latitude)
    assert length == pytest.approx(steps, rel=1e-6)
