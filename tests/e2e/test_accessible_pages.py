"""axe-core on every page that a person may see, in Chromium; `test_review_page` has it on the task's."""

import socket
from contextlib import contextmanager
from threading import Thread

import pytest
import uvicorn
from playwright.sync_api import expect

from firnline.events import LayersPredicted
from firnline.portal.application import make_app
from firnline.portal.guards import THIS_MACHINE
from firnline.portal.identity import Reviewer, this_machine
from firnline.portal.segment_store import SegmentStore
from firnline.portal.table_store import TableStore
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from portal.session import BACK, SIGNED_OUT, SignedIn
from start_review.review import ReviewStarter
from tests.support.accessible import violations
from tests.support.review_editor import Editor, needs_chromium
from tests.support.review_world import MODEL, REVISION, answer, polyline
from tests.support.segment_world import CAMPAIGN, SEGMENT, accept, ask, correct

pytestmark = needs_chromium


@contextmanager
def served(app):
    """The address at which an application answers on this machine."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def page_of(world, identify=None, template="layer-editor"):
    store = TableStore(world.table, world.bucket, world.bus, template)
    return make_app(store, identify or this_machine("ada"), segments=SegmentStore(world.table, world.bucket))


@pytest.fixture
def address(world):
    with served(page_of(world)) as found:
        yield found


def asked(world, frame_id, reviewers=1):
    """A frame that waits for so many reviewers; returns its task."""
    name = world.predicted_frame(frame_id, 0.4)
    provider = Portal(world.table, world.bucket, reviewers)
    ReviewStarter(world.register, world.bucket, provider, "portal", Policy(1, 0), 0).handle(
        LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL)
    )
    return name


def submitted(world, name, by="ada"):
    drawn = answer(polyline("surface", (0, 11), (63, 11)))
    TableStore(world.table, world.bucket, world.bus).submit(name, drawn, by, 1)


def test_of_the_list_of_tasks(world, address, tab):
    """Empty, full with every note that a row can have, and filtered down to nothing."""
    tab.goto(f"{address}/review/")
    expect(tab.locator(".empty")).to_have_count(1)
    assert violations(tab) == []

    asked(world, "2012_Greenland/20120330_04/0939")
    held = asked(world, "2012_Greenland/20120330_04/0940")
    given = asked(world, "2011_Antarctica/20111101_01/0001", reviewers=2)
    asked(world, "2011_Antarctica/20111101_01/0002", reviewers=2)
    TableStore(world.table, world.bucket, world.bus).claim(held, "ben")
    submitted(world, given)
    tab.goto(f"{address}/review/")
    expect(tab.locator("[data-task]")).to_have_count(4)
    assert sorted(tab.locator("[data-note]").all_inner_texts()) == [
        "0 of 2 answers", "answered by you; waits for another", "ben at work",
    ]  # fmt: skip
    assert violations(tab) == []

    tab.click('[data-campaign="2012_Greenland"]')
    tab.wait_for_url("**campaign=2012_Greenland")
    tab.click('[data-segment="20120330_04"]')
    tab.wait_for_url("**segment=20120330_04")
    expect(tab.locator("[data-task]")).to_have_count(2)
    assert violations(tab) == []
    tab.goto(f"{address}/review/?order=track&campaign=2012_Greenland&segment=20120330_99")
    expect(tab.locator(".empty")).to_have_count(1)
    assert violations(tab) == []


@pytest.mark.parametrize("size", [(1400, 850), (1280, 720), (700, 425)], ids=["usual", "small", "twice as large"])
def test_names_of_any_length_leave_the_list_in_the_window(world, address, tab, size):
    """Given names that fill a line, when the window is small, then columns keep their places and a short name its one line."""
    long = "2017_Antarctica_BaslerJKB_reprocessed_with_new_motion_compensation/20171111_01_crossover_lines_of_the_west"
    for stem in ("IRSNO1B_20171111_01_245_standard_migrated_qlook_combined_v2.1", 90 * "n"):
        held = asked(world, f"{long}/{stem}")
    TableStore(world.table, world.bucket, world.bus).claim(held, "somebody.with.a.name@geophysics.university.example")
    asked(world, "2012_Greenland/20120330_04/0939")
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    tab.goto(f"{address}/review/")
    expect(tab.locator("[data-task]")).to_have_count(3)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    overflowing = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"
    assert tab.locator(".tasks td, .tasks th").evaluate_all(overflowing) == []
    short = tab.locator("[data-task] a", has_text="0939").first
    assert len(short.evaluate("one => [...one.getClientRects()].map(box => box.top)")) == 1
    reasons = tab.locator("[data-task] td:nth-child(5)")
    assert reasons.evaluate_all("all => Math.min(...all.map(one => one.clientWidth))") > 90
    for where in (f"?campaign={long.split('/')[0]}", long):
        tab.goto(f"{address}/review/segments/{where}")
        expect(tab.locator("[data-total], [data-radargram]")).to_have_count(1)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), where


def test_of_the_list_of_segments_and_of_a_segment(world, address, tab):
    tab.goto(f"{address}/review/segments/")
    assert violations(tab) == []
    accept(world, 1)
    correct(world, 2)
    ask(world, 3)
    tab.goto(f"{address}/review/segments/")
    assert violations(tab) == []
    tab.goto(f"{address}/review/segments/{CAMPAIGN}/{SEGMENT}")
    for number in (1, 2, 3):
        tab.wait_for_selector(f'[data-frame="{SEGMENT}_{number:03d}"][data-pictured]', state="attached")
    assert violations(tab) == []
    tab.focus(f'[data-frame="{SEGMENT}_002"]')
    tab.click("[data-legend-of=reviewed] input")
    assert violations(tab) == []


def test_of_what_says_that_something_is_not_there_any_more(world, address, tab):
    name = asked(world, "2012_Greenland/20120330_04/0939")
    tab.goto(f"{address}/review/tasks/{name}")
    editor = Editor(tab)
    editor.press("Escape", "]", "Delete")
    editor.kept()
    submitted(world, name)
    tab.reload()
    tab.wait_for_selector("[data-action=download]")
    expect(tab.locator("h1")).to_contain_text("has been answered")
    assert violations(tab) == []
    tab.goto(f"{address}/review/nowhere")
    expect(tab.locator("[data-problem]")).to_have_count(1)
    assert violations(tab) == []


def test_of_what_says_that_somebody_may_not(world, tab):
    nobody = Reviewer("dee", frozenset(), sign_out="/sign-out")
    with served(page_of(world, lambda _request: nobody)) as address:
        tab.goto(f"{address}/review/")
        expect(tab.locator("h1")).to_contain_text("not in the group reviewer")
        assert violations(tab) == []


def test_of_what_who_signs_in_or_out_is_told(world, tab):
    """Neither page asks the user pool anything, so that there is none here."""
    with served(SignedIn(page_of(world), None, THIS_MACHINE, secure=False)) as address:
        for path, sentence in ((SIGNED_OUT, "You are signed out"), (BACK, "Signing in was not finished")):
            tab.goto(f"{address}{path}")
            assert sentence in tab.inner_text("h1")
            assert violations(tab) == []


def test_of_the_plain_template_of_aws(world, tab):
    asked(world, "2012_Greenland/20120330_04/0939")
    with served(page_of(world, template="crowd-polyline")) as address:
        tab.goto(f"{address}/review/next")
        editor = Editor(tab)
        assert violations(tab) == []
        editor.press("]")
        for sheet in ("view", "help", "lines"):
            tab.click(f"#tab-{sheet}")
            assert violations(tab) == []
