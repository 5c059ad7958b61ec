"""The scripted corrector, on arrays that a reader can check by eye."""

from pathlib import Path

import numpy as np
import pytest

from firnline.portal import scripts
from tests.support.review_editor import CHROMIUM, needs_chromium
from workbench.simulated_review import Drawn, correct
from workbench.simulated_review.corrector import share_right
from workbench.simulated_review.live_wire import Place, crest, guide, ridge_path

WIDTH, HEIGHT = 120, 60
MODULES = Path(scripts.__file__).parent / "editor"


def picture(rows: np.ndarray) -> np.ndarray:
    """An echogram with a bright reflection along each row of (lines, traces)."""
    depth = np.arange(HEIGHT)[:, None]
    bright = sum(np.where(np.isfinite(row), np.exp(-0.5 * ((depth - row) / 1.3) ** 2), 0) for row in rows)
    return np.uint8(40 + 180 * np.clip(bright, 0, 1))


def truth() -> Drawn:
    x = np.arange(WIDTH)
    return Drawn(
        np.array([10 + 2 * np.sin(x / 20), 30 + 4 * np.sin(x / 25), 50 - 0.05 * x]), ["surface", "layer", "layer"]
    )


def corrected(rows: np.ndarray, labels: list[str], complete: bool = True):
    return correct(picture(truth().rows), Drawn(rows, labels), truth(), np.random.default_rng(1), complete)


def test_a_right_proposal_costs_nothing_and_stays_as_it_is():
    found = corrected(truth().rows, truth().labels)
    assert found.operations == {}
    np.testing.assert_array_equal(found.lines.rows, truth().rows)


def test_from_an_empty_page_each_line_takes_a_key_two_places_and_a_key():
    found = corrected(np.empty((0, WIDTH)), [])
    assert found.operations == {"key": 6, "click": 3, "live_wire": 3}
    assert share_right(found.lines, truth()) == 1
    assert found.lines.labels == truth().labels


def test_what_is_drawn_comes_from_the_editor_and_not_from_the_truth():
    found = corrected(np.empty((0, WIDTH)), [])
    off = np.abs(found.lines.rows - truth().rows)
    assert 0 < off.max() < 2
    again = corrected(np.empty((0, WIDTH)), [])
    np.testing.assert_array_equal(found.lines.rows, again.lines.rows)


def test_a_false_line_is_clicked_and_deleted():
    false = np.full((1, WIDTH), 20.0)
    found = corrected(np.vstack([truth().rows, false]), [*truth().labels, "layer"])
    assert found.operations == {"click": 1, "delete_line": 1}
    assert len(found.lines.rows) == 3


def test_of_a_partial_truth_other_lines_stay():
    other = np.full((1, WIDTH), 20.0)
    found = corrected(np.vstack([truth().rows, other]), [*truth().labels, "layer"], complete=False)
    assert found.operations == {}
    assert len(found.lines.rows) == 4


def test_a_wrong_label_is_given_anew():
    found = corrected(truth().rows, ["layer", "layer", "layer"])
    assert found.operations == {"click": 1, "relabel": 1}
    assert found.lines.labels[0] == "surface"


def test_two_pieces_are_joined_along_the_ridge():
    rows = np.vstack([truth().rows, truth().rows[1]])
    rows[1, 50:] = np.nan
    rows[3, :60] = np.nan
    found = corrected(rows, [*truth().labels, "layer"])
    assert found.operations == {"click": 2, "join": 1}
    assert share_right(found.lines, truth()) == 1


def test_a_line_that_strays_is_mended_where_it_does():
    rows = truth().rows.copy()
    rows[1, 40:80] += 6
    found = corrected(rows, truth().labels)
    assert found.operations == {"click": 2, "key": 2, "live_wire": 1}
    assert share_right(found.lines, truth()) == 1
    np.testing.assert_array_equal(found.lines.rows[1, :39], rows[1, :39])


def test_what_goes_on_behind_a_layers_end_is_erased():
    goal = truth()
    goal.rows[2, 90:] = np.nan
    found = correct(picture(goal.rows), truth(), goal, np.random.default_rng(1))
    assert found.operations == {"key": 1, "erase": 1}
    assert np.isnan(found.lines.rows[2, 90:]).all()


def test_where_there_is_no_ridge_more_clicks_are_needed():
    noise = np.random.default_rng(2).integers(30, 60, (HEIGHT, WIDTH)).astype(np.uint8)
    goal = Drawn(20 + 8 * np.sin(np.arange(WIDTH) / 9)[None], ["layer"])
    found = correct(noise, Drawn(np.empty((0, WIDTH)), []), goal, np.random.default_rng(1))
    assert found.total > 8  # of a bright line it takes four
    assert share_right(found.lines, goal) > 0.9


def test_a_short_gap_of_the_layer_is_drawn_across():
    goal = truth()
    goal.rows[1, 58:62] = np.nan
    found = correct(picture(goal.rows), Drawn(np.empty((0, WIDTH)), []), goal, np.random.default_rng(1))
    assert np.isfinite(found.lines.rows).all()
    assert share_right(found.lines, goal) == 1


def test_a_click_snaps_to_the_crest_near_it():
    grey = picture(np.full((1, WIDTH), 30.25))
    assert crest(grey, Place(50, 28.0)).y == pytest.approx(30.25, abs=0.1)


def _on_page(row: np.ndarray) -> dict:
    known = np.flatnonzero(np.isfinite(row))
    return {"start": int(known[0]), "rows": row[known[0] : known[-1] + 1].tolist()}


@needs_chromium
def test_the_live_wire_is_the_pages():
    from playwright.sync_api import sync_playwright

    rng = np.random.default_rng(4)
    grey = np.uint8(np.clip(picture(truth().rows) + rng.normal(0, 25, (HEIGHT, WIDTH)), 0, 255))
    ends = [(Place(2, 10.3), Place(117, 9.0)), (Place(5, 30.0), Place(60, 33.1)), (Place(10, 49.0), Place(14, 48.0))]
    beside = truth().rows.copy()
    beside[0, 70:] = np.nan
    lines = [beside[:0], beside[[0, 2]], beside[[0]]]
    here = [ridge_path(grey, a, b, drawn) for a, b in ends for drawn in lines]
    flat = Place(5, 14.0), Place(60, 16.5)
    aside = [guide(drawn, *flat, np.arange(6, 60)) for drawn in (beside[[0, 2]], beside[[2]])]
    snapped = [crest(grey, Place(x, 28.0)) for x in (0, 40, 119)]
    source = (MODULES / "live_wire.js").read_text().replace("export ", "")
    body = f"""([grey, ends, lines, [from, to], others]) => {{ {source}
      const pixels = Uint8Array.from(grey);
      return [ends.flatMap(([a, b]) => lines.map((beside) => ridgePath(pixels, {WIDTH}, {HEIGHT}, a, b, beside))),
              [0, 40, 119].map((x) => crest(pixels, {WIDTH}, {HEIGHT}, {{ x, y: 28 }})),
              others.map((beside) => [...guideOf(beside, from, to, 6, 59)])]; }}"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        places = [[a._asdict(), b._asdict()] for a, b in ends]
        drawn = [[_on_page(row) for row in rows] for rows in lines]
        arguments = [grey.ravel().tolist(), places, drawn, [place._asdict() for place in flat]]
        arguments.append([[_on_page(row) for row in rows] for rows in (beside[[0, 2]], beside[[2]])])
        paths, crests, guides = browser.new_page().evaluate(body, arguments)
        browser.close()
    for (traces, rows), path in zip(here, paths, strict=True):
        assert traces.tolist() == [place["x"] for place in path]
        np.testing.assert_allclose(rows, [place["y"] for place in path], atol=1e-3)
    np.testing.assert_allclose([place.y for place in snapped], [place["y"] for place in crests], atol=1e-3)
    for rows, found in zip(aside, guides, strict=True):
        np.testing.assert_allclose(rows, found, atol=1e-9)
