"""The segment browser over HTTP: lists, pages, places, lines and pictures, and what it must not give away."""

import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from pyproj import Geod, Transformer
from starlette.testclient import TestClient

from firnline.documents.layers import LayersDocument
from firnline.portal import segment, segment_store
from firnline.portal.application import make_app
from firnline.portal.coastline import coasts
from firnline.portal.identity import REVIEWER, Reviewer, this_machine
from firnline.portal.segment_store import SegmentStore
from firnline.portal.table_store import TableStore
from firnline.store import keys
from firnline.store.line_status import line_statuses, lines_key
from firnline.store.loops import Loops
from tests.support.review_world import MODEL, REVISION, answer
from tests.support.segment_world import CAMPAIGN, SEGMENT, accept, add_frame, ask, correct, frame_named

ORIGIN = {"Host": "127.0.0.1:8765"}
ADDRESS = f"/review/segments/{CAMPAIGN}/{SEGMENT}"


@pytest.fixture
def store(world):
    return SegmentStore(world.table, world.bucket)


def browser_of(world, store, identify=None):
    page = make_app(TableStore(world.table, world.bucket, world.bus), identify or this_machine("ada"), segments=store)
    return TestClient(page, follow_redirects=False, raise_server_exceptions=False, headers=ORIGIN)


@pytest.fixture
def browser(world, store):
    return browser_of(world, store)


def frame_address(number):
    return f"{ADDRESS}/{SEGMENT}_{number:03d}"


def given(answer):
    return json.loads(html.unescape(re.search(r'data-given="([^"]*)"', answer.text)[1]))


def counts(answer, row):
    part = re.search(rf"<tr data-{row}.*?</tr>", answer.text, re.DOTALL)[0]
    return {status: int(count) for status, count in re.findall(r'data-count="([A-Z_]+)">(\d+)<', part)}


def test_the_list_counts_the_frames_of_each_segment_by_status(world, browser):
    correct(world, 1)
    accept(world, 2)
    accept(world, 3)
    ask(world, 4)
    world.predicted_frame("other/20120101_01/a")
    world.register.register(f"{CAMPAIGN}/{SEGMENT}/broken", "k", "01", REVISION, "REJECTED", "It has no traces.")
    answer = browser.get("/review/segments/", params={"campaign": CAMPAIGN})
    assert re.findall(r'data-campaign="([^"]+)"', answer.text) == ["other", CAMPAIGN]
    expected = {"READY": 0, "PREDICTED": 0, "IN_REVIEW": 1, "ACCEPTED": 2, "CORRECTED": 1, "REJECTED": 1}
    assert counts(answer, f'segment="{SEGMENT}"') == counts(answer, "total") == expected
    assert f'href="{ADDRESS}"' in answer.text
    assert "20120101_01" not in answer.text
    assert "20120101_01" in browser.get("/review/segments/").text, "without a campaign the first one is shown"
    assert 'href="/review/segments/"' in browser.get("/review/").text, "the list of tasks leads here"


def test_segments_come_a_page_at_a_time_and_none_is_left_out(world, browser, monkeypatch):
    monkeypatch.setattr(segment, "SHOWN_SEGMENTS", 3)
    names = ["20120101_01", "20120101_02", "20120101_02-a", "20120101_03", "a", "b.c", "b_c"]
    for name in names:
        world.predicted_frame(f"many/{name}/f")
    seen, address = [], "/review/segments/?campaign=many"
    while address:
        answer = browser.get(address)
        seen += re.findall(r'<tr data-segment="([^"]+)"', answer.text)
        further = re.search(r'data-further href="([^"]+)"', answer.text)
        address = html.unescape(further[1]) if further else ""
    assert sorted(seen) == names


def test_an_empty_stack_says_so(browser):
    assert "No frame has been taken in yet" in browser.get("/review/segments/").text
    assert browser.get("/review/segments").headers["location"] == "/review/segments/"


def test_a_segment_names_its_frames_in_the_order_of_the_track_with_whose_lines_they_have(world, browser):
    accept(world, 3)
    correct(world, 1)
    ask(world, 2)
    world.register.register(f"{CAMPAIGN}/{SEGMENT}/broken", "k", "01", REVISION, "REJECTED", "It <b>has</b> no traces.")
    answer = browser.get(ADDRESS)
    assert answer.status_code == 200
    told = given(answer)
    assert [(frame["frame"][-3:], frame["state"], frame["status"]) for frame in told["frames"]] == [
        ("001", "reviewed", "reviewed"), ("002", "in review", "unreviewed"), ("003", "accepted", "accepted"),
    ]  # fmt: skip
    assert "It &lt;b&gt;has&lt;/b&gt; no traces." in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert '<script src="/review/segment_browser.js">' in answer.text
    assert browser.get("/review/segment_browser.js").headers["content-type"].startswith("text/javascript")


def test_a_frame_lies_where_its_file_says_and_its_lines_where_they_were_drawn(world, browser):
    made = add_frame(world, 1)
    shown = browser.get(f"{frame_address(1)}/shown").json()
    frame, track = made.frame, shown["track"]
    assert (shown["columns"], shown["rows"]) == (frame.width, frame.height)
    trace = np.clip(np.rint(frame.framing.trace_of(np.array(track["at"]) * frame.width - 0.5)), 0, frame.traces - 1)
    latitude, longitude = (np.array(values, float) for values in (frame.latitude, frame.longitude))
    np.testing.assert_allclose(track["latitude"], latitude[trace.astype(int)], atol=1e-6)
    to_map = Transformer.from_crs("EPSG:4326", track["projection"], always_xy=True)
    x, y = to_map.transform(track["longitude"], track["latitude"])
    np.testing.assert_allclose([track["x"], track["y"]], np.array([x, y]) / 1000, atol=1e-3)
    length = Geod(ellps="WGS84").line_length(longitude, latitude) / 1000
    assert track["km"][-1] == pytest.approx(length, rel=1e-4)
    ends = (frame.time_zero_s + frame.framing.sample_of(np.array([-0.5, frame.height - 0.5])) * frame.dt_s) * 1e6
    assert [shown["top"], shown["bottom"]] == pytest.approx(ends.tolist())
    assert shown["status"] == "unreviewed"
    assert [line["label"] for line in shown["lines"]] == [layer.label for layer in made.truth.layers]
    for line, layer in zip(shown["lines"], made.truth.layers, strict=True):
        at = np.array(line["at"]) * [frame.width, frame.height] - 0.5
        drawn = np.array([(vertex.x, vertex.y) for vertex in layer.vertices])
        off = np.abs(np.interp(drawn[:, 0], *at.T) - drawn[:, 1])
        assert off.max() <= 1e-5 * frame.height + segment_store.LINE_TOLERANCE * frame.height


def test_a_reviewed_frame_shows_the_reviewers_lines(world, browser):
    correct(world, 1)
    row = world.register.get(frame_named(1))
    document = LayersDocument.model_validate_json(world.bucket.read(lines_key(row, "reviewed"), 10**7))
    assert document.source.kind == "human"
    shown = browser.get(f"{frame_address(1)}/shown").json()
    assert (shown["status"], len(shown["lines"])) == ("reviewed", len(document.layers))


@pytest.mark.parametrize("lacks", ["positions", "times"])
def test_a_frame_that_tells_no_positions_or_times_is_shown_without(world, browser, lacks):
    made = add_frame(world, 1)
    without = {"latitude": None, "longitude": None} if lacks == "positions" else {"dt_s": None}
    key = keys.frame(frame_named(1), REVISION)
    document = made.frame.model_copy(update={"frame_id": frame_named(1), "revision": REVISION, **without})
    world.bucket.write(key, document.to_json(), "application/json")
    shown = browser.get(f"{frame_address(1)}/shown").json()
    assert (shown["track"] is None, shown["top"] is None) == (lacks == "positions", lacks == "times")


def test_a_frame_whose_lines_are_gone_is_shown_without_them(world, browser):
    add_frame(world, 1)
    world.bucket.delete(keys.prediction(frame_named(1), REVISION, MODEL))
    assert browser.get(f"{frame_address(1)}/shown").json()["lines"] is None


@pytest.mark.parametrize("size", segment_store.PICTURE_SIZES)
def test_pictures_are_drawn_down_on_the_server_and_kept_by_the_browser(world, browser, size):
    made = add_frame(world, 1)
    answer = browser.get(f"{frame_address(1)}/picture/{REVISION}/{size}")
    assert answer.headers["cache-control"] == segment.PICTURE_CACHE
    columns, rows = segment_store.PICTURE_SIZES[size]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        assert image.size == (min(columns, made.frame.width), min(rows, made.frame.height))


def test_a_click_leads_to_the_open_task_and_else_to_the_frame(world, store, browser):
    name = ask(world, 1)
    accept(world, 2)
    accept(world, 3)
    assert browser.get(frame_address(1)).headers["location"] == f"/review/tasks/{name}"
    shown = browser.get(frame_address(2))
    told = given(shown)
    assert shown.status_code == 200
    assert ([frame["frame"] for frame in told["frames"]], told["whole"]) == ([f"{SEGMENT}_002"], False)
    assert f'rel="prev" href="{frame_address(1)}"' in shown.text
    assert f'rel="next" href="{frame_address(3)}"' in shown.text
    assert f'data-whole href="{ADDRESS}"' in shown.text
    TableStore(world.table, world.bucket, world.bus).claim(name, "bob")
    held = browser.get(frame_address(1))
    assert held.status_code == 200
    assert "bob is working on this task" in re.search(r"data-note>([^<]+)<", held.text)[1]


def test_a_task_for_an_arbiter_is_no_task_of_others(world, store):
    name = ask(world, 1)
    tasks, loops = TableStore(world.table, world.bucket, world.bus), Loops(world.table)
    tasks.submit(name, answer(), "ada", 10.0)
    assert loops.ask_arbiter(name, loops.get(name).input_key, "Two people differ.")
    reviewer = browser_of(world, store, lambda _: Reviewer("eve", frozenset({REVIEWER})))
    assert "an arbiter decides" in reviewer.get(frame_address(1)).text
    arbiter = browser_of(world, store, this_machine("bob"))
    assert arbiter.get(frame_address(1)).headers["location"] == f"/review/tasks/{name}"


@pytest.mark.parametrize(
    "address",
    [
        "/review/segments/none/none",
        f"{ADDRESS}/{SEGMENT}_009",
        f"{ADDRESS}/{SEGMENT}_009/shown",
        f"{ADDRESS}/{SEGMENT}_00/shown",
        f"{ADDRESS}/{SEGMENT}_001/picture/{REVISION}/9999",
        f"{ADDRESS}/{SEGMENT}_001/picture/000000000000/64",
        f"{ADDRESS}/..%2F..%2Fmodels/picture/{REVISION}/64",
        "/review/segments/a%23b/c",
        f"/review/segments/{'a' * 101}/c",
    ],
)
def test_what_there_is_not_is_told_in_a_sentence(world, browser, address):
    add_frame(world, 1)
    answer = browser.get(address)
    assert answer.status_code == 404
    assert "data-problem" in answer.text


def test_only_reviewers_see_it_and_nothing_can_be_sent_to_it(world, store):
    add_frame(world, 1)
    stranger = browser_of(world, store, lambda _: Reviewer("eve", frozenset()))
    for address in ("/review/segments/", ADDRESS, f"{frame_address(1)}/shown"):
        assert stranger.get(address).status_code == 403
    browser = browser_of(world, store)
    assert browser.post(ADDRESS, headers={"Origin": "http://127.0.0.1:8765"}).status_code == 405
    assert browser.get(ADDRESS, headers={"Host": "evil.example"}).status_code == 421


def test_without_the_store_there_is_no_browser(world):
    page = browser_of(world, None)
    assert page.get("/review/segments/").status_code == 404
    assert "/review/segments/" not in page.get("/review/").text


def test_the_surest_lines_of_a_frame_count(world):
    assert [line_statuses(world.register.get(frame_named(number))) for number in _one_of_each(world)] == [
        ["unreviewed"], ["accepted"], ["unreviewed"], ["reviewed"], ["reviewed", "imported"],
    ]  # fmt: skip


def _one_of_each(world):
    add_frame(world, 1)
    accept(world, 2)
    ask(world, 3)
    correct(world, 4)
    correct(world, 5)
    assert world.register.mark_annotated(frame_named(5), REVISION, "partial")
    return range(1, 6)


@pytest.mark.parametrize("code", ["EPSG:3413", "EPSG:3031"])
def test_the_map_gets_its_coasts_from_the_page_itself(world, browser, code):
    accept(world, 1)
    answer = browser.get(given(browser.get(ADDRESS))["projections"][code]["coast"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "max-age=86400" in answer.headers["cache-control"]
    assert answer.json()["projection"] == code
    assert len(answer.json()["rings"]) == len(coasts(code).rings)


@pytest.mark.parametrize("number", ["4326", "README.md", "..%2fcoastline", "3413.json.gz"])
def test_there_are_no_other_coasts(browser, number):
    answer = browser.get(f"/review/coasts/{number}")
    assert answer.status_code == 404
