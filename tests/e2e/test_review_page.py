"""A reviewer in a real browser: from the task list to a correction in DynamoDB."""

import logging
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from playwright.sync_api import expect
from scipy.ndimage import gaussian_filter

from complete_review import app
from firnline.documents.layers import Layer, LayersDocument, Vertex
from firnline.events import LayersPredicted
from firnline.portal.serve import PageServer
from firnline.portal.table_store import TableStore
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from start_review.review import ReviewStarter
from tests.support.accessible import violations
from tests.support.review_editor import ELEMENT, Editor, needs_chromium
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
        picture = {"format": "png", "polarity": "dark-strong", "polarity_confidence": 0.62}
        world.predicted_frame(frame_id, confidence, snow_echogram(), proposed(), **picture)
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
    turns, before = 4, editor.get("editor.view.sx")
    for _ in range(turns):
        tab.mouse.wheel(0, -200)
    editor.wait(f"{ELEMENT}.view.sx > {1.5**turns * before}")
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
    expect(tab.locator("[data-message]")).to_contain_text("cross at trace")
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
    expect(tab.locator("[data-message]")).to_contain_text("Nothing is lost")
    assert editor.lines == moved


def test_the_line_follows_the_reflection_between_two_clicks(address, tab):
    """Given two clicks beside the crest, then the line has vertices between them that lie on it."""
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("n")
    editor.click(10, 41)
    editor.click(300, 33)
    editor.press("Enter")
    new = editor.lines[3]["vertices"]
    crest = 40 + 8 * np.sin(np.array([vertex["x"] for vertex in new]) / 60)
    assert len(new) > 10
    assert np.abs([vertex["y"] for vertex in new] - crest).max() < 2


def test_a_line_is_drawn_with_the_keyboard_alone(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    tab.focus(".stage")
    editor.press("w", "n", "3")
    editor.press(
        *["ArrowDown"] * 7, *["ArrowLeft"] * 5, "Space", *["ArrowRight"] * 9, "Shift+ArrowUp", "Space", "Enter"
    )
    drawn = editor.lines[3]
    assert drawn["label"] == "bed"
    assert drawn["vertices"][1]["x"] - drawn["vertices"][0]["x"] == pytest.approx(90, abs=0.1)
    editor.press("[", ",", "ArrowUp", "ArrowUp", "ArrowUp")
    assert editor.get("editor.drawing.past.length") == 2, "nudges in a row are one step"
    editor.press("Control+z", "Control+z")
    assert len(editor.lines) == 3
    editor.press("Control+y")
    assert editor.lines[3] == drawn


def test_with_shift_a_line_runs_as_those_beside_it_by_mouse_and_by_keyboard(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("n")
    editor.click(0, 150, "Control")
    editor.click(160, 150, "Control", "Shift")
    editor.press("Enter")
    rows = {round(vertex["x"]): vertex["y"] for vertex in editor.lines[3]["vertices"]}
    above = [vertex["y"] for vertex in editor.lines[2]["vertices"][:3]]
    assert above == [120, 121, 120]
    assert rows[80] - rows[0] == pytest.approx(
        0.8, abs=0.4
    )  # the line above is 30 rows away, and trusted for most of its course
    assert editor.get("editor.effort.operations.parallel") == 1

    editor.press("n")
    editor.click(0, 170, "Control")
    editor.get("(editor.cursor = { x: 160, y: 170 }, 1)")
    editor.press("Shift+Space", "Enter")
    assert [line["label"] for line in editor.lines] == ["surface", "layer", "layer", "layer", "layer"]
    assert editor.get("editor.effort.operations.parallel") == 2


def test_a_stretch_is_redrawn_on_the_line_under_the_mouse_and_not_on_the_one_at_hand(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("n")
    for x in (100, 200):
        editor.click(x, 83, "Alt", "Control")
    editor.press("Enter")
    close = editor.lines[3]
    assert editor.get("editor.drawing.hand") == 3
    editor.press("m")
    for x, y in ((120, 80.5), (150, 78), (180, 80.3)):
        editor.click(x, y, "Alt", "Control")
    editor.press("Enter")
    assert editor.lines[3] == close
    assert any(
        (vertex["x"], vertex["y"]) == pytest.approx((150, 78), abs=0.7) for vertex in editor.lines[1]["vertices"]
    )


def rows_at(line, *traces):
    x, y = zip(*[(vertex["x"], vertex["y"]) for vertex in line["vertices"]], strict=True)
    return np.interp(traces, x, y)


def test_the_brush_mends_one_line_after_the_other(address, tab):
    """Given one key, then each stroke is a step: on a line it mends that one, from either end, and off the lines it is a new one."""
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("g")
    editor.drag((60, 81), (140, 92))
    assert rows_at(editor.lines[1], 70, 110, 200) == pytest.approx([82.4, 87.9, 80.5], abs=0.8)
    editor.drag((200, 130), (140, 121))
    assert rows_at(editor.lines[2], 170) == pytest.approx(125.5, abs=0.8)
    editor.drag((40, 160), (90, 164))
    assert [line["label"] for line in editor.lines] == ["surface", "layer", "layer", "layer"]
    assert rows_at(editor.lines[3], 65) == pytest.approx(162, abs=0.8)
    assert editor.get("editor.effort.operations") == {"key": 1, "brush": 3}
    editor.press("Control+z", "Control+z")
    assert rows_at(editor.lines[2], 170) == pytest.approx(120, abs=1)
    editor.click(200, 40)
    editor.press("Delete")
    assert [line["label"] for line in editor.lines] == ["layer", "layer"], "a click selects as ever"
    editor.press("Enter")
    assert editor.get("editor.mode") == "edit"


def test_a_stroke_from_one_piece_to_the_next_makes_them_one_line(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("b")
    editor.drag((100, 70), (140, 90))
    assert len(editor.lines) == 4
    editor.press("g")
    editor.drag((150, 80), (90, 81))
    whole = editor.lines[1]
    assert [line["label"] for line in editor.lines] == ["surface", "layer", "layer"]
    assert (whole["vertices"][0]["x"], whole["vertices"][-1]["x"]) == (0, 319)
    assert rows_at(whole, 120) == pytest.approx(80.5, abs=0.8)
    editor.drag((150, 80), (170, 41))
    assert len(editor.lines) == 3, "a stroke that ends on a line which runs beside makes nothing one"
    editor.press("Control+z", "Control+z")
    assert len(editor.lines) == 4


def test_a_stroke_of_the_brush_with_alt_deletes_what_it_crosses_out(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("g")
    editor.drag((200, 60), (202, 135), "Alt")
    assert [line["label"] for line in editor.lines] == ["surface"]
    editor.drag((200, 60), (260, 70), "Alt")
    assert len(editor.lines) == 1, "it crossed nothing"
    editor.press("Control+z")
    assert len(editor.lines) == 3, "one step"


def test_many_lines_are_selected_labelled_joined_erased_and_deleted(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("a")
    assert editor.get("editor.drawing.selected.length") == 2
    editor.press("3")
    assert [line["label"] for line in editor.lines] == ["surface", "bed", "bed"]
    editor.press("Control+z", "Escape", "b")
    editor.drag((100, 70), (140, 130))
    assert [line["label"] for line in editor.lines] == ["surface", "layer", "layer", "layer", "layer"]
    editor.press("Escape", "Escape")
    editor.click(60, 80)
    editor.click(200, 80, "Shift")
    editor.press("j")
    ends = [(line["vertices"][0]["x"], line["vertices"][-1]["x"]) for line in editor.lines]
    assert ends == [(0, 319), (0, 319), (0, 100), (140, 319)]
    editor.press("Escape")
    editor.drag((20, 110), (300, 130), "Shift")
    editor.press("Delete")
    assert [line["label"] for line in editor.lines] == ["surface", "layer"]


def test_retracking_keeps_what_a_person_has_set(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 40)
    editor.drag((160, 40), (160, 44.4), "Control")
    editor.press("r")
    vertices = [(vertex["x"], vertex["y"]) for vertex in editor.lines[0]["vertices"]]
    assert len(vertices) > 10
    assert any(x == pytest.approx(160, abs=0.7) and y == pytest.approx(44.4, abs=0.7) for x, y in vertices)
    assert vertices[0] == (0, 40)
    editor.press("Control+z")
    assert len(editor.lines[0]["vertices"]) == 5


def test_a_drag_far_from_a_selected_line_pans_and_other_buttons_always_do(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    before = editor.lines
    editor.click(120, 80)
    tab.keyboard.press("0")
    for button, start in (("left", (140, 100)), ("middle", (160, 80)), ("right", (160, 80))):
        offset = editor.get("editor.view.ty")
        place = editor.at(*start)
        tab.mouse.move(*place)
        tab.mouse.down(button=button)
        tab.mouse.move(place[0], place[1] + 25, steps=4)
        tab.mouse.up(button=button)
        assert editor.get("editor.view.ty") != offset
    assert editor.lines == before


def test_lines_that_cross_are_parted_with_one_key(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.drag((160, 80), (160, 135), "Control")
    editor.press("k")
    assert editor.get("editor.crossed.length") == 2
    assert "cross in 2 places" in editor.hint
    editor.press("p")
    assert editor.get("editor.crossed.length") == 0


def test_lines_below_a_confidence_are_hidden_and_deleted_in_one_step(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    tab.evaluate(
        "document.querySelector('layer-editor').drawing.lines.forEach((line, k) => line.confidence = [0.9, 0.2, 0.4][k])"
    )
    tab.evaluate("document.querySelector('layer-editor').hideBelow(0.5)")
    tab.click("[data-action=submit]")
    tab.click("[data-action=submit]")
    expect(tab.locator("[data-message]")).to_contain_text("2 lines are hidden")
    tab.evaluate("document.querySelector('layer-editor').act('delete-below')")
    assert len(editor.lines) == 1
    editor.press("Control+z")
    assert len(editor.lines) == 3
    assert world.events() == []


def test_an_unedited_proposal_is_submitted_only_after_asking_once(world, address, tab):
    tab.goto(f"{address}/review/next")
    Editor(tab)
    tab.click("[data-action=submit]")
    expect(tab.locator("[data-message]")).to_contain_text("You have changed nothing")
    assert world.events() == []
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: "0940" in url)
    complete(world)
    assert world.register.get(FRAME).status == "CORRECTED"


def test_a_double_click_does_not_submit_an_unedited_proposal(world, address, tab):
    tab.goto(f"{address}/review/next")
    Editor(tab)
    tab.dblclick("[data-action=submit]")
    expect(tab.locator("[data-message]")).to_contain_text("You have changed nothing")
    assert world.events() == []


def test_a_drawing_is_sent_once_however_often_submit_is_pressed(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    sent = []
    tab.on("request", lambda request: sent.append(request.url) if request.url.endswith("/submit") else None)
    tab.evaluate("for (let k = 0; k < 3; k += 1) document.querySelector('[data-action=submit]').click()")
    tab.wait_for_url(lambda url: "0940" in url)
    assert len(sent) == 1


def test_a_verdict_goes_with_the_answer_and_can_be_taken_back(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    tab.click("summary:has-text('Cannot be traced')")
    tab.click("[data-action=polarity-wrong]")
    assert editor.get("editor.extras(9).verdict") == {"kind": "polarity_wrong"}
    tab.click("[data-action=polarity-wrong]")
    assert editor.get("editor.extras(9).verdict ?? null") is None
    tab.select_option("[data-reason]", "too noisy")
    with tab.expect_request("**/submit") as sent:
        tab.click("[data-action=unusable]")
        tab.click("[data-action=submit]")
    answer = sent.value.post_data_json["answerContent"]
    assert answer["verdict"] == {"kind": "unusable", "reason": "too noisy"}


def test_the_answer_says_what_work_it_was(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.drag((160, 80), (160, 88), "Control")
    editor.select(2)
    editor.press("Delete")
    with tab.expect_request("**/submit") as sent:
        tab.click("[data-action=submit]")
    effort = sent.value.post_data_json["answerContent"]["effort"]
    assert effort["operations"] == {"click": 2, "drag": 1, "delete_line": 1}
    assert effort["vertices_moved"] == 1
    assert 1 / 3 < effort["proposal_kept"] < 2 / 3


def test_a_second_tab_says_so_and_may_take_over(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    other = tab.context.new_page()
    other.goto(tab.url)
    other.wait_for_selector("text=open in another tab")
    expect(other.locator("[data-action=submit]")).to_be_disabled()
    editor.click(120, 80)
    editor.press("Delete")
    editor.kept()
    other.click("[data-action=work-here]")
    assert len(Editor(other).lines) == 2
    tab.wait_for_selector("text=open in another tab")


def test_a_second_tab_changes_no_draft_before_it_knows_that_it_may(world, address, tab):
    """Given work in one tab, when another is opened and clicked in at once, then the draft is what it was, and nothing was sent."""
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    for line in (1, 1):
        editor.select(line)
        editor.press("Delete")
    editor.kept()
    other = tab.context.new_page()
    other.goto(tab.url)
    box = other.locator("crowd-checkbox input").bounding_box()
    other.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(2):
        other.keyboard.press("Control+Enter")
    other.wait_for_selector("text=open in another tab")
    tab.close()
    other.click("[data-action=work-here]")
    again = Editor(other)
    assert [line["label"] for line in again.lines] == ["surface"]
    again.press("Control+z")
    assert len(again.lines) == 2
    assert world.events() == []


def test_what_the_hand_goes_on_to_while_a_way_is_found_stays_as_it_is(address, tab):
    """Given a slow computer, when another line is chosen right after a drag or a join, then the first ones are bent and joined."""
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("r")
    before = editor.lines
    tab.evaluate(f"""() => {{
        const {{ tracker }} = {ELEMENT};
        const between = tracker.between.bind(tracker);
        tracker.between = async (...places) => {{ await new Promise(done => setTimeout(done, 60)); return between(...places); }};
    }}""")
    at = editor.vertex(1, len(before[1]["vertices"]) // 2)
    editor.drag(at, (at[0], at[1] + 9), "Control")
    editor.press("]")
    after = editor.lines
    assert [after[0], after[2]] == [before[0], before[2]]
    assert rows_at(after[1], at[0]) == pytest.approx(at[1] + 9, abs=1)
    assert editor.get("editor.drawing.hand") == 2
    editor.press("Escape", "b")
    editor.drag((100, 110), (140, 130))
    editor.press("Escape")
    pieces = [index for index, line in enumerate(editor.lines) if line["vertices"][0]["y"] > 110]
    assert len(pieces) == 2
    editor.select(pieces[0])
    tab.click(f'[data-select-layer="{pieces[1]}"]', modifiers=["Shift"])
    editor.press("j", "Escape")
    assert len(editor.lines) == 3


def test_start_over_can_be_undone(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    tab.click("[data-action=start-over]")
    assert len(editor.lines) == 3
    editor.press("Control+z")
    assert len(editor.lines) == 2


def test_start_over_takes_a_verdict_back_for_good(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    tab.click("summary:has-text('Cannot be traced')")
    tab.click("[data-action=polarity-wrong]")
    editor.kept()
    for verdict in ({"kind": "polarity_wrong"}, None):
        tab.reload()
        editor = Editor(tab)
        assert editor.get("editor.verdict") == verdict
        tab.click("[data-action=start-over]")
        editor.kept()


def test_a_draft_comes_back_with_its_history(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    editor.kept()
    tab.reload()
    editor = Editor(tab)
    assert len(editor.lines) == 2
    editor.press("Control+z")
    assert len(editor.lines) == 3


def test_a_full_storage_is_told_and_the_drawing_can_be_downloaded(address, tab):
    tab.add_init_script(
        "IDBObjectStore.prototype.put = function () { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    tab.wait_for_selector("text=storage is full")
    with tab.expect_download() as got:
        tab.click("[data-storage] [data-action=download]")
    document = LayersDocument.model_validate_json(Path(got.value.path()).read_bytes())
    assert (document.frame_id, len(document.layers), got.value.suggested_filename) == (FRAME, 2, "0939.layers.json")


@pytest.mark.parametrize(("status", "sentence"), [(409, "answered already"), (410, "has been answered")])
def test_of_a_task_that_is_gone_the_drawing_can_be_downloaded(address, tab, status, sentence):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    gone = {"error": f"This task {sentence}."}
    tab.route("**/submit", lambda route: route.fulfill(status=status, json=gone))
    tab.click("[data-action=submit]")
    tab.wait_for_selector(f"text={sentence}")
    with tab.expect_download() as got:
        tab.click("[data-message] [data-action=download]")
    assert len(LayersDocument.model_validate_json(Path(got.value.path()).read_bytes()).layers) == 2


def test_the_page_of_a_task_that_is_gone_still_has_the_drawing(world, address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.click(120, 80)
    editor.press("Delete")
    editor.kept()
    TableStore(world.table, world.bucket, world.bus).submit(
        tab.url.split("/")[-1], {"annotatedResult": {"polylines": []}}, "ada", 1
    )
    tab.reload()
    expect(tab.locator("[data-problem]")).to_have_count(1)
    with tab.expect_download() as got:
        tab.click("[data-action=download]")
    document = LayersDocument.model_validate_json(Path(got.value.path()).read_bytes())
    assert (document.frame_id, [layer.label for layer in document.layers]) == (FRAME, ["surface", "layer"])


def test_a_server_that_does_not_answer_is_given_up_after_thirty_seconds(address, tab):
    tab.clock.install()
    tab.goto(f"{address}/review/next")
    tab.clock.run_for(3_000)
    editor = Editor(tab)
    tab.clock.run_for(1_000)
    editor.click(120, 80)
    editor.press("Delete")
    tab.route("**/submit", lambda _route: None)
    tab.click("[data-action=submit]")
    tab.clock.run_for(31_000)
    tab.wait_for_selector("text=did not answer within 30 seconds")
    expect(tab.locator("[data-action=submit]")).to_be_enabled()


def gateways(status, message):
    """What API Gateway answers by itself, in front of the page in an account."""
    return {"status": status, "json": {"message": message}}


def without_a_line(address, tab):
    """The editor of a page whose clock only the test moves on, with one line deleted."""
    tab.clock.install()
    tab.goto(f"{address}/review/next")
    tab.clock.run_for(3_000)
    editor = Editor(tab)
    editor.select(1)
    editor.press("Delete")
    return editor


def test_one_request_too_many_is_sent_again_after_a_pause(world, address, tab):
    without_a_line(address, tab)
    refused = []

    def throttle_twice(route):
        refused.append(route.request.post_data_json)
        if len(refused) <= 2:
            route.fulfill(**gateways(429, "Too Many Requests"))
        else:
            route.continue_()

    tab.route("**/submit", throttle_twice)
    tab.click("[data-action=submit]")
    for pause in (2, 4):
        tab.wait_for_selector(f"text=sent again in {pause} seconds")
        expect(tab.locator("[data-message]")).to_contain_text("Nothing is lost")
        expect(tab.locator("[data-action=submit]")).to_be_disabled()
        tab.clock.run_for(1_000 * pause)
    tab.wait_for_url(lambda url: "0940" in url)
    assert len(refused) == 3
    complete(world)
    assert world.corrections.get(world.register.get(FRAME).review).layers == 2


def test_who_goes_on_drawing_in_the_pause_sends_again_themselves(world, address, tab):
    editor = without_a_line(address, tab)
    tab.route("**/submit", lambda route: route.fulfill(**gateways(429, "Too Many Requests")))
    tab.click("[data-action=submit]")
    tab.wait_for_selector("text=sent again in 2 seconds")
    editor.press("Control+z")
    tab.clock.run_for(2_000)
    tab.wait_for_selector("text=You have gone on drawing")
    tab.click("[data-action=submit]")
    tab.click("[data-action=submit]")
    for pause in (2, 4, 8, 16, 30):
        tab.wait_for_selector(f"text=sent again in {pause} seconds")
        tab.clock.run_for(1_000 * pause)
    tab.wait_for_selector("text=Submit again to try once more")
    expect(tab.locator("[data-message]")).to_contain_text("Too many people send at once")
    expect(tab.locator("[data-action=submit]")).to_be_enabled()
    assert world.events() == []


def test_of_a_drawing_that_is_too_large_vertices_are_left_out(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("n")
    editor.drag((20, 150), (300, 152))
    editor.press("Enter")
    before = len(editor.lines[3]["vertices"]) + 15
    tab.route("**/submit", lambda route: route.fulfill(**gateways(413, "Request Entity Too Large")))
    tab.click("[data-action=submit]")
    tab.wait_for_selector(f"text=Your drawing has {before} vertices")
    expect(tab.locator("[data-message] [data-action=download]")).to_be_visible()
    tab.click("[data-action=lessen]")
    left = sum(len(line["vertices"]) for line in editor.lines)
    assert left < before
    expect(tab.locator("[data-message]")).to_contain_text(f"{before - left} vertices are left out, {left} stay")
    expect(tab.locator("[data-action=submit]")).to_be_enabled()
    editor.press("Control+z")
    assert sum(len(line["vertices"]) for line in editor.lines) == before


def test_a_claim_that_somebody_else_has_is_told(address, tab):
    tab.goto(f"{address}/review/next")
    Editor(tab)
    tab.route("**/claim", lambda route: route.fulfill(status=409, json={"error": "Ada works on this task now."}))
    tab.evaluate("document.querySelector('crowd-form').claim()")
    tab.wait_for_selector("text=Ada works on this task now.")
    expect(tab.locator("[data-message] [data-action=download]")).to_be_visible()


def test_the_echogram_has_most_of_the_window_and_submit_is_near(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    share = "editor.stage.clientWidth * editor.stage.clientHeight / innerWidth / innerHeight"
    assert editor.get(share) >= 0.7
    tab.evaluate("document.body.focus()")
    for _ in range(12):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.dataset.action") == "submit":
            break
    assert tab.evaluate("document.activeElement.dataset.action") == "submit"
    for width, height in ((1280, 720), (700, 425)):  # the second is 1400 x 850 at 200 %
        tab.set_viewport_size({"width": width, "height": height})
        editor.wait(f"innerWidth === {width} && {ELEMENT}.view.stage.width === {ELEMENT}.stage.clientWidth")
        assert editor.get(share) > 0.45
        assert tab.evaluate(
            "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"
        )


def test_how_the_picture_is_shown_stays_from_frame_to_frame(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    editor.press("i", "c")
    tab.goto(f"{address}/review/next?after={tab.url.split('/')[-1]}")
    settings = Editor(tab).get("editor.settings")
    assert (settings["invert"], settings["map"]) == (True, "cividis")


def test_the_plain_template_of_aws_works_on_the_same_page(world, tab):
    server = PageServer(TableStore(world.table, world.bucket, world.bus, "crowd-polyline"))
    thread = Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    try:
        tab.goto(f"http://127.0.0.1:{server.port}/review/next")
        editor = Editor(tab)
        expect(tab.locator("crowd-polyline")).to_have_count(1)
        assert len(editor.lines) == 3
    finally:
        server.stop()
        thread.join(20)


def drawing(*layers):
    """What a reviewer submits: polylines of (label, row) over the whole width."""
    lines = [{"label": label, "vertices": [{"x": 0, "y": row}, {"x": WIDTH - 1, "y": row}]} for label, row in layers]
    size = {"width": WIDTH, "height": HEIGHT}
    return {
        "annotatedResult": {"inputImageProperties": size, "polylines": lines},
        "all_layers_drawn": {"on": True},
    }


@pytest.fixture
def disputed(world):
    """A frame that ada and ben drew: they agree on the surface, saw the second layer elsewhere, and ada alone saw a third."""
    frame_id = "2012_Greenland/20120330_04/0950"
    provider = Portal(world.table, world.bucket, reviewers=2)
    name = world.predicted_frame(frame_id, 0.1, snow_echogram(), proposed())
    ReviewStarter(world.register, world.bucket, provider, "portal", Policy(1, 0), 0).handle(
        LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL)
    )
    store = TableStore(world.table, world.bucket, world.bus)
    store.submit(name, drawing(("surface", 40), ("layer", 80), ("layer", 150)), "ada", 1)
    store.submit(name, drawing(("surface", 41), ("layer", 86)), "ben", 1)
    complete(world)
    return name


def rows(editor):
    return [(line["label"], line["vertices"][0]["y"]) for line in editor.lines]


def test_an_arbiter_chooses_between_the_reviewers_with_keys(disputed, world, address, tab):
    """Given two places where ada and ben differ, when one is decided for each, then that is the correction, in two steps."""
    tab.goto(f"{address}/review/tasks/{disputed}")
    editor = Editor(tab)
    assert rows(editor) == [("surface", 40.5), ("layer", 80), ("layer", 150)]
    expect(tab.locator("[data-answers] b")).to_have_text(["ada", "ben"])
    expect(tab.locator("[data-difference]")).to_have_text(["1 layer", "2 layer"])
    editor.press("d")
    assert "Difference 1 of 2" in editor.hint
    expect(tab.locator('[data-take="answer-0"]')).to_have_attribute("aria-pressed", "true")
    editor.press("o")
    assert "as ada has it" in editor.hint
    editor.press("v")
    assert "as ben has it" in editor.hint
    editor.press("t")
    assert rows(editor) == [("surface", 40.5), ("layer", 150), ("layer", 86)]
    assert "as ben has them here" in editor.hint
    expect(tab.locator('[data-take="answer-1"]')).to_have_attribute("aria-pressed", "true")
    editor.press("d", "o", "t")
    assert rows(editor) == [("surface", 40.5), ("layer", 86)], "ben has no line there, and that is taken"
    editor.press("Control+z")
    assert rows(editor) == [("surface", 40.5), ("layer", 150), ("layer", 86)]
    editor.press("Control+z")
    assert rows(editor) == [("surface", 40.5), ("layer", 80), ("layer", 150)]
    editor.press("Control+y", "Control+y")
    with tab.expect_request("**/submit") as sent:
        tab.click("[data-action=submit]")
    operations = sent.value.post_data_json["answerContent"]["effort"]["operations"]
    assert operations == {"take_line": 2, "undo": 2, "redo": 2}
    tab.wait_for_url(lambda url: disputed not in url)
    complete(world)
    stored = world.corrections.get(disputed)
    assert (stored.arbitrated, stored.layers) == (True, 2)


def test_an_arbiter_takes_a_line_that_is_clicked_and_a_whole_answer(disputed, address, tab):
    tab.goto(f"{address}/review/tasks/{disputed}")
    editor = Editor(tab)
    before = editor.lines
    tab.click('[data-overlay="answer-1"]:visible')
    editor.click(100, 41)
    assert "T takes this surface" in editor.hint
    editor.press("t")
    assert rows(editor) == [("layer", 80), ("layer", 150), ("surface", 41)]
    tab.click('[data-take-all="answer-1"]')
    assert rows(editor) == [("surface", 41), ("layer", 86)]
    tab.click('[data-difference="1"]')
    tab.click('[data-take="answer-0"]')
    assert rows(editor) == [("surface", 41), ("layer", 86), ("layer", 150)]
    assert editor.get("editor.drawing.past.length") == 3
    editor.press("v", "Shift+T")
    assert rows(editor) == [("surface", 40.5), ("layer", 80), ("layer", 150)], "V begins with the proposal"
    editor.press("Control+z", "Control+z", "Control+z", "Control+z")
    assert editor.lines == before


def test_an_arbiter_hears_who_judged_instead_of_drawing(world, address, tab):
    frame_id = "2012_Greenland/20120330_04/0951"
    provider = Portal(world.table, world.bucket, reviewers=2)
    name = world.predicted_frame(frame_id, 0.1, snow_echogram(), proposed())
    ReviewStarter(world.register, world.bucket, provider, "portal", Policy(1, 0), 0).handle(
        LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL)
    )
    store = TableStore(world.table, world.bucket, world.bus)
    store.submit(name, {"verdict": {"kind": "unusable", "reason": "<b>noise</b>"}}, "ada", 1)
    store.submit(name, drawing(("surface", 40)) | {"all_layers_drawn": {"on": False}}, "ben", 1)
    complete(world)
    tab.goto(f"{address}/review/tasks/{name}")
    Editor(tab).painted()
    assert tab.locator("[data-answers] li").all_inner_texts() == [
        "ada\nsays that it is unusable: <b>noise</b>",
        "ben\nsays that layers are missing\nShow\nTake\nAll",
    ]


def test_lines_of_the_proposal_can_be_taken_back_one_by_one(address, tab):
    """An overlay is not drawn on: a press there picks a line, and T takes it into one's own."""
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    expect(tab.locator("[data-differences]")).to_be_hidden()
    editor.select(1)
    editor.press("Delete", "o", "[", "]", "]")
    assert "T takes this layer" in editor.hint
    editor.drag((160, 120), (160, 150))
    assert rows(editor) == [("surface", 40), ("layer", 120)], "the drag panned"
    editor.press("[")
    editor.press("t")
    assert rows(editor) == [("surface", 40), ("layer", 120), ("layer", 80)]


def test_axe_finds_nothing_on_the_task_page(address, tab):
    tab.goto(f"{address}/review/next")
    editor = Editor(tab)
    assert violations(tab) == []
    editor.click(120, 80)
    tab.click("summary:has-text('Cannot be traced')")
    tab.click("[data-action=unusable]")
    for sheet in ("lines", "view", "help"):
        tab.click(f"#tab-{sheet}")
        assert violations(tab) == []


def test_axe_finds_nothing_on_an_arbiters_page(disputed, address, tab):
    tab.goto(f"{address}/review/tasks/{disputed}")
    editor = Editor(tab)
    assert violations(tab) == []
    editor.press("d", "o")
    editor.painted()
    assert violations(tab) == []
