"""The coasts of maps: made of Natural Earth's land, and read again."""

import gzip
import json

import numpy as np
import pytest
from matplotlib.path import Path
from pyproj import Transformer

from firnline.portal.coastline import FOLDER, Coasts, coasts, in_file
from firnline.portal.polar import ANTARCTIC, ARCTIC
from workbench import coastline

PLACES = {
    "EPSG:3413": {
        "land": {"Summit": (-38.5, 72.6), "Svalbard": (17.0, 78.5), "Ellesmere": (-75.0, 81.5), "Chukotka at 180": (180.0, 67.5),
                 "Wrangel at 180": (180.0, 71.2), "Juneau's icefield": (-134.2, 58.7)},
        "sea": {"the north pole": (0.0, 90.0), "Baffin Bay": (-68.0, 74.0), "Fram Strait": (0.0, 79.0), "Disko Bay": (-52.5, 69.0)},
    },
    "EPSG:3031": {
        "land": {"the south pole": (0.0, -90.0), "Vostok": (106.8, -78.5), "the seam": (180.0, -86.0)},
        "sea": {"Weddell Sea": (-45.0, -70.0), "Ross Sea": (180.0, -75.0), "Ross ice shelf": (180.0, -80.0),
                "Drake Passage": (-62.0, -60.0)},
    },
}  # fmt: skip


@pytest.mark.parametrize("code", PLACES)
def test_land_is_land_and_sea_is_sea_on_the_map(code: str) -> None:
    project = Transformer.from_crs("EPSG:4326", code, always_xy=True)
    rings = [Path(ring) for ring in coasts(code).rings]
    for kind, places in PLACES[code].items():
        for name, place in places.items():
            on_map = np.array(project.transform(*place)) / 1000
            assert any(ring.contains_point(on_map) for ring in rings) == (kind == "land"), name


def test_no_coast_runs_along_the_date_line() -> None:
    along_it = [ring for ring in coasts("EPSG:3031").rings if (np.hypot(*ring.T) < 300).any()]
    assert along_it == [], "nothing comes near the south pole"


def test_a_map_gets_what_it_may_show_and_nothing_where_it_leaves_what_is_known() -> None:
    known = coasts("EPSG:3413")
    nearby = known.within(np.array([-300.0, -2300.0]), np.array([-200.0, -2200.0]))
    assert nearby is not None
    assert 0 < len(nearby) < len(known.rings) / 10
    assert known.within(np.array([3900.0, -3000.0]), np.array([4100.0, -2900.0])) is None


def test_the_files_are_small_and_no_other_is_read() -> None:
    assert sum(len(in_file(code)) for code in PLACES) <= coastline.MOST_BYTES
    for code in ("EPSG:4326", "../coastline", "", "README.md"):
        with pytest.raises(KeyError):
            in_file(code)
    assert (FOLDER / "README.md").read_text().count("public domain") == 1


def square(west: float, south: float, east: float, north: float) -> list[list[float]]:
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return [corners[0], *np.diff(corners, axis=0).tolist()]


def test_a_topology_is_unpacked_projected_and_put_together_across_the_date_line() -> None:
    """Two halves of an island meet there; a small one and one on the other hemisphere are left out."""
    whole = square(178, 70, 180, 71)
    arcs = [
        whole[:3],
        [[180, 71], *whole[3:]],
        square(-180, 70, -179, 71),
        square(10, 80, 10.01, 80.01),
        square(0, -1, 1, 1),
    ]
    topology = {
        "transform": {"scale": [1, 1], "translate": [0, 0]},
        "arcs": arcs,
        "objects": {"land": {"geometries": [
            {"type": "MultiPolygon", "arcs": [[[0, 1]], [[2]], [[3]]]}, {"type": "Polygon", "arcs": [[~4]]},
        ]}},
    }  # fmt: skip
    rings = list(coastline.land(topology))
    assert rings[0].tolist() == [[178, 70], [180, 70], [180, 71], [178, 71]]
    content = coastline.packed(rings, ARCTIC)
    found = Coasts.of(content)
    assert len(found.rings) == 1
    x, y = ARCTIC.xy(np.array([70.0, 70.0, 71.0, 71.0]), np.array([178.0, -179.0, -179.0, 178.0]))
    for corner in np.column_stack([x, y]) / 1000:
        assert np.hypot(*(found.rings[0] - corner).T).min() < 0.25
    assert coastline.packed(rings, ARCTIC) == content, "the same again"
    assert json.loads(gzip.decompress(coastline.packed(rings, ANTARCTIC)))["rings"] == []
