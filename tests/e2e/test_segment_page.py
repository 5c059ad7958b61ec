"""A whole segment in a real browser: its frames side by side, the map beside them, and a click that leads to a frame."""

from itertools import pairwise
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from firnline.geodesy import distance_along
from firnline.portal.segment_store import SegmentStore
from firnline.portal.serve import PageServer
from firnline.portal.table_store import TableStore
from tests.support.review_editor import needs_chromium
from tests.support.segment_world import CAMPAIGN, SEGMENT, accept, ask, correct

pytestmark = needs_chromium


@pytest.fixture
def address(world):
    server = PageServer(
        TableStore(world.table, world.bucket, world.bus), segments=SegmentStore(world.table, world.bucket)
    )
    thread = Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    thread.join(20)


def stem(number):
    return f"{SEGMENT}_{number:03d}"


def opened(tab, address, numbers):
    tab.goto(f"{address}/review/segments/{CAMPAIGN}/{SEGMENT}")
    for number in numbers:
        tab.wait_for_selector(f'[data-frame="{stem(number)}"][data-pictured]', state="attached")


def box(tab, number, part=".edge"):
    return tab.locator(f'[data-frame="{stem(number)}"] {part}').bounding_box()


def readings(tab):
    names, values = (tab.locator(f"[data-reading] {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def test_a_segment_is_one_radargram_and_leads_to_its_frames(world, address, tab):
    hosts = set()
    # The editor's worker is a blob of the page's own.
    tab.on("request", lambda request: hosts.add(urlsplit(request.url.removeprefix("blob:")).netloc))
    made = {1: accept(world, 1), 4: accept(world, 4)}
    correct(world, 2)
    name = ask(world, 3)
    opened(tab, address, range(1, 5))

    edges = [box(tab, number) for number in range(1, 5)]
    for left, right in pairwise(edges):
        assert right["x"] == pytest.approx(left["x"] + left["width"], abs=1.5), "side by side"
    frame = made[1].frame
    length = distance_along(np.array(frame.latitude, float), np.array(frame.longitude, float))[-1] / 1000
    told = tab.inner_text("[data-progress]")
    assert float(told.split(" km")[0]) == pytest.approx(4 * length, rel=0.01)
    dashes = {
        number: tab.locator(f'[data-frame="{stem(number)}"] [data-lines]:not(.halo)').first.get_attribute("stroke-dasharray")
        for number in (1, 2, 3)
    }  # fmt: skip
    assert len(set(dashes.values())) == 3, "each status has a dash of its own"
    assert tab.locator("[data-legend-of]").evaluate_all("all => all.map(one => one.dataset.legendOf)") == [
        "reviewed", "accepted", "unreviewed",
    ]  # fmt: skip

    # Pointing at the radargram shows the place on the map, and pointing at the map that on the radargram.
    tab.mouse.move(edges[3]["x"] + 0.5 * edges[3]["width"], edges[3]["y"] + 0.5 * edges[3]["height"])
    read = readings(tab)
    middle = round(made[4].frame.framing.trace_of(made[4].frame.width / 2 - 0.5))
    latitude, longitude = made[4].frame.latitude[middle], made[4].frame.longitude[middle]
    assert read["Frame"] == stem(4)
    shown = [float(part.rstrip("°NSEW ")) for part in read["Position"].replace("°", "").split() if part[0].isdigit()]
    assert shown == pytest.approx([abs(latitude), abs(longitude)], abs=0.01)
    assert read["Two-way time"].endswith("µs")
    marker = tab.locator("[data-marker]").bounding_box()
    tab.mouse.move(edges[0]["x"] + 5, edges[0]["y"] + 5)
    assert readings(tab)["Frame"] == stem(1)
    tab.mouse.move(marker["x"] + marker["width"] / 2, marker["y"] + marker["height"] / 2)
    assert readings(tab)["Frame"] == stem(4)
    back, there = (float(one["Along track"].split()[0]) for one in (readings(tab), read))
    assert back == pytest.approx(there, abs=0.05 * length)

    tab.wait_for_selector("[data-land] path[d^=M]", state="attached")
    expect(tab.locator("[data-inset] path[d$=Z]")).to_have_count(1)  # and on the small map

    tab.click("[data-legend-of=reviewed] input")
    assert tab.locator("[data-lines=reviewed]").evaluate_all("all => all.every(one => one.style.display === 'none')")
    assert tab.locator("[data-lines=accepted]").evaluate_all("all => all.every(one => one.style.display === '')")

    tab.click(f'[data-frame="{stem(2)}"]')
    tab.wait_for_url(f"**/{stem(2)}")
    tab.wait_for_selector(f'[data-frame="{stem(2)}"][data-pictured] [data-lines=reviewed]', state="attached")
    expect(tab.locator("[data-frame]")).to_have_count(1)
    tab.click("[data-whole]")
    tab.click(f'[data-frame="{stem(3)}"]')
    tab.wait_for_url(f"**/review/tasks/{name}")
    assert hosts == {urlsplit(address).netloc}, "nothing is asked of another host"


def test_what_is_missing_leaves_a_gap_and_a_closer_look_brings_larger_pictures(world, address, tab):
    for number in (1, 2, 4):
        accept(world, number)
    opened(tab, address, (1, 2, 4))
    edges = {number: box(tab, number) for number in (1, 2, 4)}
    gap = edges[4]["x"] - edges[2]["x"] - edges[2]["width"]
    assert gap == pytest.approx(edges[2]["width"], rel=0.1), "as wide as the frame that is not there"
    before = tab.get_attribute(f'[data-frame="{stem(1)}"]', "data-pictured")
    tab.click("text=8 ×")
    tab.wait_for_selector(f'[data-frame="{stem(4)}"] image', state="attached")
    tab.locator("[data-scroller]").evaluate("one => { one.scrollLeft = 0; }")
    tab.wait_for_selector(f'[data-frame="{stem(1)}"][data-pictured="512"]', state="attached")
    assert int(before) < 512
    assert box(tab, 1)["width"] == pytest.approx(8 * edges[1]["width"], rel=0.05)


def test_a_frame_that_cannot_be_read_is_named_and_the_others_are_shown(world, address, tab):
    for number in (1, 2):
        accept(world, number)
    tab.route(f"**/{stem(2)}/shown", lambda route: route.fulfill(status=500, body="no"))
    opened(tab, address, (1,))
    tab.wait_for_selector("text=1 of them not shown", timeout=20_000)
    expect(tab.locator("[data-progress]")).to_contain_text("answer 500")
