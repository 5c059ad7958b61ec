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
"""None of those that `of_repetition` was fitted to."""
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


def crossing_pair(campaign: str, shared: int, segment: int = 0, *, same_radar: bool = True) -> tuple[Made, Made]:
    """Two lines that cross at a trace: the first as it was simulated, the other turned about that place.

    Another radar, of a campaign of its own, has a wider pulse, fewer looks and higher sidelobes.
    """
    radar = campaign_named(campaign)
    again = radar if same_radar else replace(
        radar, pulse_rows=1.4 * radar.pulse_rows, looks=max(1.0, 0.6 * radar.looks), sidelobes=radar.sidelobes - 4,
        incoherence=1.3 * radar.incoherence)  # fmt: skip
    first = simulate_frame(radar, segment, 3, traces=512)
    second = simulate_frame(again, segment, 4, traces=384)
    np.testing.assert_allclose(first.lat[:384], second.lat, atol=1e-12)
    north, east = line(first.lat[shared], first.lon[shared], 130.0, metres=40_000, traces=2 * 384 + 1)
    at = slice(384 - shared, 384 - shared + 384)
    turned = replace(second, lat=north[at], lon=east[at], segment_id="20121231_02")
    return made_of(first, campaign), made_of(turned, campaign if same_radar else f"{campaign}_again")


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


@pytest.mark.parametrize(("segments", "same_radar"), [((0, 1), True), ((0,), False)], ids=["same-radar", "another"])
def test_a_models_lines_differ_at_crossings_as_is_said(
    tracked: Callable[[Made], LayersDocument], segments: tuple[int, ...], same_radar: bool
) -> None:
    """Flights over the same simulated ice, each with its own speckle; the model's picks of both at twelve places.

    Campaigns count alike, however many layers they have. Of a single one 49 to 90 % may lie within the 68 %, since how
    clear a record is shows only in part in the confidence of its lines.
    """
    shares = []
    for campaign in CAMPAIGNS:
        found: list[Difference] = []
        for segment in segments:
            one, other = crossing_pair(campaign, 0, segment, same_radar=same_radar)
            a, b = (frame_product(tracked(frame), frame.frame, MODEL, FIRN) for frame in (one, other))
            for trace in range(16, 384, 32):
                found += differences(a, float(trace), b, float(trace))
        assert len(found) > 15
        shares.append(covered(found))
        print(campaign, len(found), "differences, within", shares[-1])
    one_sigma, two_sigma = np.mean(shares, axis=0)
    print("of all campaigns", one_sigma, two_sigma)
    assert (one_sigma, two_sigma) == (pytest.approx(0.68, abs=0.05), pytest.approx(0.95, abs=0.05))


def test_only_what_two_flights_do_not_share_is_left_in_a_difference() -> None:
    one, again = crossing_pair("greenland_2012", 0)
    _, elsewhere = crossing_pair("greenland_2012", 0, same_radar=False)
    by_model, by_person = product(one, MODEL), product(one, REVIEWER)

    def stated(a: FrameProduct, b: Made) -> float:
        return differences(a, 100.0, product(b, MODEL), 100.0)[0].sigma_m

    assert stated(by_model, again) < stated(by_model, elsewhere) < stated(by_person, again)
    shared_with_nobody = by_person.repetition_error_s(product(again, MODEL))
    np.testing.assert_array_equal(shared_with_nobody[0].sigma, by_person.pick_error_s.sigma)
    np.testing.assert_array_equal(shared_with_nobody[1].sigma, by_person.surface_error_s.sigma)


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
