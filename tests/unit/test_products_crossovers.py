"""Crossing flight lines: where they cross, and that depths there differ by as much as is said, of people's lines and a model's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyproj import Geod

from firnline.documents.layers import LayersDocument, Vertex
from firnline.errors import Refused
from firnline.products.crossovers import Crossovers, Difference, crossings, differences
from firnline.products.frame_product import Assumptions, FrameProduct, Provenance, frame_product
from firnline.products.physics import Medium
from firnline.products.uncertainty import MediumError
from tests.support.first_network import network
from tests.support.simulated_products import MODEL, REVIEWER, WHEN, Made, made_of
from workbench.simulator import campaign_named, simulate_frame

ELLIPSOID = Geod(ellps="WGS84")
FIRN = Assumptions(Medium.herron_langway(350.0, 0.25, -30.0), MediumError(0.01, 30.0))
CAMPAIGNS = ("varied_snow_0401", "varied_snow_0403", "varied_firn_0401", "varied_sounder_0401", "greenland_2012",
             "greenland_sounder_2012")  # fmt: skip
FIRST_TRACE = 1536
"""Along the segment: of the fourth frame of 512 traces, and of the fifth of 384. So both look at the same ice, by other
speckle."""


def line(
    latitude: float, longitude: float, course: float, metres: float = 10_000, traces: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """A straight flight of a course through a place, which is its middle."""
    along = np.linspace(-metres / 2, metres / 2, traces)
    east, north, _ = ELLIPSOID.fwd(
        np.full(traces, longitude), np.full(traces, latitude), np.where(along < 0, course + 180, course), np.abs(along)
    )
    return np.asarray(north), np.asarray(east)


@pytest.mark.parametrize("place", [(76.0, -45.0), (-78.5, 179.999), (58.6, -134.2), (-89.9, 30.0)])
def test_lines_cross_where_they_were_flown_across(place: tuple[float, float]) -> None:
    (found,) = crossings({"a": line(*place, 20.0), "b": line(*place, 95.0)})
    assert ELLIPSOID.inv(found.longitude, found.latitude, place[1], place[0])[2] < 0.01
    assert (found.trace, found.other_trace) == (pytest.approx(249.5, abs=0.01), pytest.approx(249.5, abs=0.01))
    assert found.angle_deg == pytest.approx(75.0, abs=0.1)


def test_what_does_not_cross_is_not_told() -> None:
    here, beside, far = line(76, -45, 20), line(76.2, -45, 20), line(-76, -45, 95)
    along = line(76, -45, 22)
    unknown = np.full(500, np.nan), np.full(500, np.nan)
    assert crossings({"a": here, "b": beside, "c": far, "d": along, "e": unknown}) == []


def test_each_crossing_is_told_once_with_gaps_in_positions() -> None:
    north, east = line(76, -45, 20)
    north[240:260] = np.nan
    found = crossings({"b": line(76, -45, 95), "a": (north, east), "c": line(76.01, -45, 95)})
    assert [(one.one, one.other) for one in found] == [("a", "b"), ("a", "c")]
    assert found[0].trace == pytest.approx(249.5, abs=0.1)


def crossing_pair(campaign: str, shared: int) -> tuple[Made, Made]:
    """Two lines that cross at a trace: the first as it was simulated, the other turned about that place."""
    first, second = (
        simulate_frame(campaign_named(campaign), 0, number, traces=traces) for number, traces in ((3, 512), (4, 384))
    )
    np.testing.assert_allclose(first.lat[:384], second.lat, atol=1e-12)
    north, east = line(first.lat[shared], first.lon[shared], 130.0, metres=40_000, traces=2 * 384 + 1)
    at = slice(384 - shared, 384 - shared + 384)
    turned = replace(second, lat=north[at], lon=east[at], segment_id="20121231_02")
    return made_of(first, campaign), made_of(turned, campaign)


def drawn_by_people(frame: Made, rng: np.random.Generator) -> LayersDocument:
    """The truth, each line beside it by what `of_person` says of one person."""
    off = rng.normal(0, np.hypot(1.0, 1 / np.sqrt(12)), len(frame.truth.layers))
    layers = [
        layer.model_copy(update={"vertices": [
            Vertex(x=vertex.x, y=float(np.clip(vertex.y + by, 0, frame.frame.height - 1))) for vertex in layer.vertices]})
        for layer, by in zip(frame.truth.layers, off.tolist(), strict=True)
    ]  # fmt: skip
    return frame.truth.model_copy(update={"layers": layers})


def covered(found: list[Difference]) -> tuple[float, float]:
    apart = np.abs([one.difference_m for one in found])
    return float(np.mean(apart <= [one.sigma_m for one in found])), float(
        np.mean(apart <= [one.wide_m for one in found])
    )


def test_peoples_lines_differ_at_crossings_as_is_said() -> None:
    rng = np.random.default_rng(14)
    found: list[Difference] = []
    for campaign in ("greenland_2012", "greenland_sounder_2012"):
        one, other = crossing_pair(campaign, 200)
        for _ in range(60):
            a, b = (frame_product(drawn_by_people(frame, rng), frame.frame, REVIEWER, FIRN) for frame in (one, other))
            found += differences(a, 200.0, b, 200.0)
    print(len(found), "differences, within", covered(found))
    assert len(found) > 800
    assert covered(found) == (pytest.approx(0.68, abs=0.05), pytest.approx(0.95, abs=0.05))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], LayersDocument]:
    return network(tmp_path_factory.mktemp("model"))


def test_a_models_lines_differ_at_crossings_within_what_is_said(tracked: Callable[[Made], LayersDocument]) -> None:
    """Two flights over the same simulated ice, each with its own speckle; the model's picks of both at twelve places.

    Errors of both are taken as if they had nothing in common. The simulator's share the ice, and so most of what the model
    is off by: more of the differences lie within the half widths than is said, never fewer.
    """
    found: list[Difference] = []
    for campaign in CAMPAIGNS:
        one, other = crossing_pair(campaign, 0)
        a, b = (frame_product(tracked(frame), frame.frame, MODEL, FIRN) for frame in (one, other))
        for trace in range(16, 384, 32):
            found += differences(a, float(trace), b, float(trace))
    sure = [each for each in found if each.confidence > 0.9]
    print(len(found), "differences, within", covered(found), "of the sure ones", len(sure), covered(sure))
    assert len(found) > 400
    one_sigma, two_sigma = covered(found)
    assert one_sigma >= 0.63
    assert two_sigma >= 0.90


def product(frame: Made, origin: Provenance) -> FrameProduct:
    return frame_product(frame.truth, frame.frame, origin, FIRN)


def test_crossovers_are_a_table(tmp_path: Path) -> None:
    one, other = crossing_pair("greenland_sounder_2012", 200)
    writer = Crossovers(tmp_path, FIRN)
    later = Provenance("accepted", WHEN, model_version="second")
    for each in (product(one, REVIEWER), product(other, later)):
        writer.add(each)
    nowhere = replace(product(other, later), latitude=np.full(384, np.nan))
    with pytest.raises(Refused, match="crosses nothing"):
        writer.add(nowhere)
    (file,) = writer.close()
    found = pd.read_csv(file)
    assert not list(tmp_path.glob("part-*"))
    assert set(found["crossing"]) == {1}
    assert (found.loc[0, "frame_a"], found.loc[0, "status_a"]) == (one.frame.frame_id, "reviewed")
    assert (found.loc[0, "frame_b"], found.loc[0, "source_b"]) == (other.frame.frame_id, "model second")
    np.testing.assert_allclose(found[["trace_a", "trace_b"]], 200.0, atol=0.02)
    assert found["horizon_a"].tolist()[-1] == "bed"
    assert (found["horizon_a"] == found["horizon_b"]).mean() > 0.9
    assert (found["difference_m"].abs() < 1.0).all()
    np.testing.assert_allclose(found["depth_b_m"] - found["depth_a_m"], found["difference_m"], atol=2e-4)
    assert writer.sentences[0].startswith(f"flight lines cross 1 times; {len(found)} depths")
