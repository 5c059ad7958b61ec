"""A reviewer in a real browser: from the task list to a correction in DynamoDB."""

import logging
from threading import Thread

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from complete_review import app
from firnline.documents.layers import Layer, Vertex
from firnline.events import LayersPredicted
from firnline.portal.serve import PageServer
from firnline.portal.table_store import TableStore
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from start_review.review import ReviewStarter
from tests.support.review_editor import Editor, needs_chromium
from tests.support.review_world import MODEL, REVISION, Context, sqs_event

FRAME = "2012_Greenland/20120330_04/0939"
WIDTH, HEIGHT = 320, 200
pytestmark = needs_chromium


def snow_echogram():
    """Rows of reflections under a surface, speckled: (HEIGHT, WIDTH) uint8."""
    rows = np.arange(HEIGHT)[:, None] - 40 - 8 * np.sin(np.arange(WIDTH) / 60)
    power = 60 + 90 * (np.cos(rows / 5) ** 8) * np.exp(-rows / 90) * (rows > -2)
    return np.clip(gaussian_filter(power + np.random.default_rng(1).normal(0, 18, power.shape), 0.7), 1, 255).astype(
        np.uint8
    )


def proposed():
    def at(label, row):
        return Layer(label=label, vertices=[Vertex(x=x, y=row + x // 80 % 2) for x in (0, 80, 160, 240, 319)])

    return [at("surface", 40), at("layer", 80), at("layer", 120)]


@pytest.fixture
def world(world):
    starter = ReviewStarter(world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(1, 0), 0)
    for frame_id, confidence in ((FRAME, 0.4), ("2012_Greenland/20120330_04/0940", 0.6)):
        world.predicted_frame(frame_id, confidence, snow_echogram(), proposed())
        starter.handle(LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL))
    return world


@pytest.fixture
def address(world):
    server = PageServer(TableStore(world.table, world.bucket, world.bus))
    thread = Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    thread.join(20)


def complete(world):
    for event in world.events("SageMaker A2I HumanLoop Status Change"):
        logging.info("completing %s", event["detail"]["humanLoopName"])
        assert app.handler(sqs_event(event), Context()) == {"batchItemFailures": []}


def test_a_reviewer_mends_a_frame_and_the_correction_is_in_the_table(world, address, tab):
    """Given an open task, when a vertex is moved, one added and one edit undone, then the table has exactly that."""
    tab.goto(f"{address}/review/")
    tab.click("[data-next]")
    editor = Editor(tab)
    assert [line["label"] for line in editor.lines] == ["surface", "layer", "layer"]

    editor.click(120, 80)
    editor.drag((160, 80), (165, 86), "Control")
    assert editor.vertex(1, 2) == pytest.approx((165, 86), abs=0.6)
    editor.drag((40, 80.5), (40, 75), "Control")
    assert len(editor.lines[1]["vertices"]) == 6
    assert editor.vertex(1, 1) == pytest.approx((40, 75), abs=0.6)
    editor.drag((240, 81), (240, 95), "Control")
    assert editor.vertex(1, 4) == pytest.approx((240, 95), abs=0.6)
    editor.press("Control+z")
    assert editor.vertex(1, 4) == (240, 81)
    submitted = editor.lines
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: "0940" in url)

    complete(world)
    frame = world.register.get(FRAME)
    assert frame.status == "CORRECTED"
    stored = world.corrections.layers(FRAME, frame.review)
    assert [(item.label, list(zip(item.x, item.y, strict=True))) for item in stored] == [
        (line["label"], [(vertex["x"], vertex["y"]) for vertex in line["vertices"]]) for line in submitted
    ]
    assert world.corrections.get(frame.review).coverage == "complete"


def test_drawing_labelling_deleting_redrawing_and_splitting(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("n", "3")
    for x, y in ((310, 165), (160, 160), (10, 170)):
        editor.click(x, y, "Alt", "Control")
    editor.press("Enter")
    drawn = editor.lines[3]
    assert (drawn["label"], [round(vertex["x"]) for vertex in drawn["vertices"]]) == ("bed", [10, 160, 310])
    editor.press("1")
    assert editor.lines[3]["label"] == "surface"
    editor.press("Control+z")
    assert editor.lines[3]["label"] == "bed"

    editor.click(120, 120)
    editor.press("m")
    for x, y in ((60, 124), (120, 128), (180, 124)):
        editor.click(x, y, "Alt", "Control")
    editor.press("Enter")
    assert [round(vertex["x"]) for vertex in editor.lines[2]["vertices"]] == [0, 60, 120, 180, 240, 319]
    editor.click(*editor.vertex(2, 2))
    editor.press("x")
    assert [len(line["vertices"]) for line in editor.lines] == [5, 5, 3, 3, 3]
    editor.press("Shift+Delete")
    assert [len(line["vertices"]) for line in editor.lines] == [5, 5, 3, 3]
    editor.press("Control+z", "Control+y")
    assert len(editor.lines) == 4
    tab.uncheck("crowd-checkbox input")
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: "0940" in url)
    complete(world)
    stored = world.corrections.get(world.register.get(FRAME).review)
    assert (stored.layers, stored.coverage) == (4, "partial")


def test_zoomed_in_a_click_still_hits_its_pixel(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    tab.mouse.move(*editor.at(100, 80))
    for _ in range(4):
        tab.mouse.wheel(0, -200)
    tab.wait_for_timeout(100)
    editor.press("n")
    editor.click(95, 84, "Control")
    editor.click(105, 86, "Alt", "Control")
    editor.press("Enter")
    new = editor.lines[3]["vertices"]
    assert [(vertex["x"], vertex["y"]) for vertex in new] == [
        pytest.approx((95, 84), abs=0.2),
        pytest.approx((105, 86), abs=0.2),
    ]


def test_crossing_lines_are_shown_and_not_submitted(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.drag((160, 80), (160, 135), "Control")
    tab.wait_for_selector("[data-crossing]")
    tab.click("[data-action=submit]")
    assert "cross at trace" in tab.inner_text("[data-message]")
    assert world.events() == []


def test_unsubmitted_work_survives_a_reload_and_a_restart_of_the_server(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.drag((160, 80), (165, 86), "Control")
    moved = editor.lines
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.reload()
    editor = Editor(tab)
    tab.wait_for_selector("[data-action=start-over]")
    assert editor.lines == moved
    tab.evaluate("document.body.dataset.token = 'from before the restart'")
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: "0940" in url)
    complete(world)
    assert world.register.get(FRAME).status == "CORRECTED"


def test_a_failed_submission_keeps_the_work(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.drag((160, 80), (165, 86), "Control")
    moved = editor.lines
    tab.route("**/submit", lambda route: route.abort())
    tab.click("[data-action=submit]")
    tab.wait_for_selector("[data-message].wrong")
    assert "Nothing is lost" in tab.inner_text("[data-message]")
    assert editor.lines == moved
