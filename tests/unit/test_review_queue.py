"""The queue of the review page: claims, pages of the list, what comes next, and what ends otherwise than expected."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from firnline.documents.echogram import decode_png, encode_png
from firnline.events import LayersPredicted
from firnline.portal.application import make_app
from firnline.portal.identity import GROUPS, REVIEWER, Reviewer
from firnline.portal.queue import Claims, following
from firnline.portal.store import Held, View
from firnline.portal.table_store import TableStore
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from firnline.review.thumbnail import HEIGHT, WIDTH, thumbnail
from firnline.store import keys
from firnline.store.loops import CLAIM_MINUTES, Closed, Loops, Place
from firnline.store.loops import Held as HeldInTable
from firnline.store.rows import GivenAnswer, LoopRow
from start_review.review import ReviewStarter
from tests.support.review_world import MODEL, REVISION, answer, echogram, polyline

ORIGIN = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}
SURFACE = polyline("surface", (0, 11), (63, 12))


@pytest.fixture
def store(world):
    return TableStore(world.table, world.bucket, world.bus)


@pytest.fixture
def loops(world):
    return Loops(world.table)


def in_review(world, frame_id="c/s/f", confidence=0.6, reviewers=1):
    name = world.predicted_frame(frame_id, confidence=confidence)
    portal = Portal(world.table, world.bucket, reviewers)
    starter = ReviewStarter(world.register, world.bucket, portal, "portal", Policy(1, 0), 0)
    starter.handle(LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL))
    return name


def opened(loops, frame_id, confidence=0.5, **more):
    """A task of which there is nothing but the row; returns its name."""
    name = frame_id.replace("/", "-").lower()
    told = {"revision": "r", "model_version": "first", "reason": "Unsure.", **more}
    assert loops.open(name, "nowhere", frame_id=frame_id, confidence=confidence, **told)
    return name


def browser(store, name="ada", groups=GROUPS):
    reviewer = Reviewer(name, groups)
    app = make_app(store, lambda _request: reviewer)
    return TestClient(
        app, "http://127.0.0.1:8765", follow_redirects=False, raise_server_exceptions=False, headers=ORIGIN
    )


def token(page):
    return re.search(r'data-token="([0-9a-f]+)"', page.text)[1]


def submit(person, name, content, proof=None):
    proof = proof or token(person.get(f"/review/tasks/{name}"))
    return person.post(f"/review/tasks/{name}/submit", json={"answerContent": content, "token": proof, "seconds": 9})


def next_of(person, **query):
    return person.get("/review/next", params=query).headers["Location"].removeprefix("/review/tasks/")


# ---------------------------------------------------------------------------------------------------------- claims


def test_nobody_is_given_what_another_works_on(world, store):
    first, second = in_review(world, "c/s/a", 0.1), in_review(world, "c/s/b", 0.5)
    ada, ben = browser(store, "ada"), browser(store, "ben")
    assert next_of(ada) == first
    assert next_of(ben) == second
    assert next_of(ada) == first, "a task that is mine is given to me again"
    told = ben.get(f"/review/tasks/{first}")
    assert (told.status_code, "ada is working on this task" in told.text) == (409, True)
    assert "ada at work" in ben.get("/review/").text
    assert browser(store, "cy").get("/review/next").headers["Location"] == "/review/"


def test_opening_a_task_claims_it_and_a_heartbeat_keeps_it(world, store):
    name = in_review(world)
    ada, ben = browser(store, "ada"), browser(store, "ben")
    assert ada.get(f"/review/tasks/{name}").status_code == 200
    kept = ada.post(f"/review/tasks/{name}/claim")
    assert kept.status_code == 200
    until = datetime.fromisoformat(kept.json()["until"])
    assert abs(until - datetime.now(UTC) - timedelta(minutes=CLAIM_MINUTES)) < timedelta(seconds=60)
    refused = ben.post(f"/review/tasks/{name}/claim")
    assert (refused.status_code, "ada is working" in refused.json()["error"]) == (409, True)
    assert ada.post("/review/tasks/nobody/claim").status_code == 404


def test_an_expired_claim_is_free_again_and_its_owner_may_still_answer(loops):
    name = opened(loops, "c/s/f")
    long_ago = datetime.now(UTC) - timedelta(minutes=CLAIM_MINUTES, seconds=1)
    assert loops.claim(name, "ada", long_ago) is not None
    with pytest.raises(HeldInTable):
        loops.claim(name, "ben", long_ago + timedelta(minutes=CLAIM_MINUTES - 1))
    assert [claim.by for claim in loops.claim(name, "ben").claims] == ["ben"]
    taken = loops.answer(name, GivenAnswer(by="ada", key="answers/a.json", submitted="2026"))
    assert (taken.state, [given.by for given in taken.answers]) == ("ANSWERED", ["ada"])


def test_what_is_submitted_after_a_claim_has_expired_counts_if_nobody_else_answered(world, store, loops):
    name = in_review(world)
    ada, ben = browser(store, "ada"), browser(store, "ben")
    proof = token(ada.get(f"/review/tasks/{name}"))
    loops.release(name, "ada")  # as if half an hour had gone by
    theirs = token(ben.get(f"/review/tasks/{name}"))
    assert submit(ada, name, answer(SURFACE), proof).status_code == 200
    late = submit(ben, name, answer(polyline("surface", (0, 30), (63, 30))), theirs)
    assert late.status_code == 409
    kept = re.search(r"s3://workspace/(\S+\.json)", late.json()["error"])[1]
    stored = json.loads(world.bucket.read(kept, 10**6))
    assert (stored["workerId"], stored["answerContent"]["annotatedResult"]["polylines"][0]["vertices"][0]["y"]) == (
        "ben",
        30,
    )
    assert len(world.events("SageMaker A2I HumanLoop Status Change")) == 1


def test_the_same_answer_sent_twice_is_accepted_twice_and_counts_once(world, store):
    name = in_review(world)
    ada = browser(store, "ada")
    proof = token(ada.get(f"/review/tasks/{name}"))
    assert [submit(ada, name, answer(SURFACE), proof).status_code for _ in range(2)] == [200, 200]
    assert len(store._loops.get(name).answers) == 1
    another = submit(ada, name, answer(polyline("surface", (0, 30), (63, 30))), proof)
    assert (another.status_code, "answered already" in another.json()["error"]) == (409, True)


def test_a_reload_and_a_second_tab_show_the_same_task_of_which_one_answer_counts(world, store):
    name = in_review(world)
    ada = browser(store, "ada")
    first, second = (ada.get(f"/review/tasks/{name}") for _ in range(2))
    assert (first.status_code, second.status_code, token(first)) == (200, 200, token(second))
    assert submit(ada, name, answer(SURFACE), token(first)).status_code == 200
    other = submit(ada, name, answer(polyline("bed", (0, 30), (63, 30))), token(second))
    assert (other.status_code, "What you sent now is kept" in other.json()["error"]) == (409, True)
    assert ada.get(f"/review/tasks/{name}").status_code == 410


def test_of_two_who_claim_at_once_one_gets_it(world, loops, monkeypatch):
    """ben reads the row; before he writes, ada has claimed it."""
    name = opened(loops, "c/s/f")
    get = Loops.get

    def overtaken(self, loop_name):
        row = get(self, loop_name)
        monkeypatch.setattr(Loops, "get", get)
        loops.claim(name, "ada")
        return row

    monkeypatch.setattr(Loops, "get", overtaken)
    with pytest.raises(HeldInTable, match="ada"):
        loops.claim(name, "ben")


def test_two_reviewers_of_one_task_work_side_by_side(world, store):
    name = in_review(world, reviewers=2)
    people = {who: browser(store, who) for who in ("ada", "ben", "cy")}
    assert [next_of(people[who]) for who in ("ada", "ben")] == [name, name]
    assert people["cy"].get(f"/review/tasks/{name}").status_code == 409
    assert submit(people["ada"], name, answer(SURFACE)).status_code == 200
    assert store.get(name).status == "open"
    again = people["ada"].get(f"/review/tasks/{name}")
    assert (again.status_code, "answered this task already" in again.text) == (409, True)
    assert next_of(people["ada"]) == "/review/"
    assert submit(people["ben"], name, answer(SURFACE)).status_code == 200
    assert store.get(name).status == "completed"
    [event] = world.events("SageMaker A2I HumanLoop Status Change")
    output = json.loads(
        world.bucket.read(event["detail"]["humanLoopOutput"]["outputS3Uri"][len("s3://workspace/") :], 10**6)
    )
    assert [given["workerId"] for given in output["humanAnswers"]] == ["ada", "ben"]


def test_a_task_of_before_claims_and_counts_is_listed_claimed_and_answered(world, loops, store):
    name = in_review(world)
    row = loops.get(name)
    old = {name: value for name, value in row.model_dump().items() if name in (
        "loop_name", "state", "created", "input_key", "frame_id", "revision", "model_version", "confidence", "reason")}  # fmt: skip
    world.table.put(LoopRow(**old).item())
    assert "segment_pk" not in LoopRow(**old).item()
    newer = in_review(world, "c/s/g")
    assert [task.name for task in store.open_tasks(View(), 10)] == [newer, name]
    assert submit(browser(store), name, answer(SURFACE)).status_code == 200
    assert store.get(name).status == "completed"
    answered = LoopRow(**old | {"state": "COMPLETED", "answer_key": "reviews/x/answers/1.json", "submitted": "2026"})
    assert LoopRow.of(answered.item()).given[0].key == "reviews/x/answers/1.json"


# ---------------------------------------------------------------------------------------------------------- the list


@pytest.fixture
def line_of_tasks(loops):
    """Three segments of two campaigns; confidences so that the orders differ."""
    frames = [("b/s1/f1", 0.3), ("a/s2/f2", 0.5), ("a/s1/f1", 0.9), ("a/s2/f1", 0.1), ("a/s1/f2", 0.2)]
    for frame_id, confidence in frames:
        opened(loops, frame_id, confidence)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), "a-s2-f1 a-s1-f2 b-s1-f1 a-s2-f2 a-s1-f1"),
        (View(campaign="a"), "a-s2-f1 a-s1-f2 a-s2-f2 a-s1-f1"),
        (View(campaign="a", segment="s1"), "a-s1-f2 a-s1-f1"),
        (View("track"), "a-s1-f1 a-s1-f2 a-s2-f1 a-s2-f2 b-s1-f1"),
        (View("track", "a"), "a-s1-f1 a-s1-f2 a-s2-f1 a-s2-f2"),
        (View("track", "a", "s2"), "a-s2-f1 a-s2-f2"),
        (View("track", "none"), ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_list_in_both_orders_page_by_page(store, line_of_tasks, view, expected, limit):
    found, after = [], ""
    while page := store.open_tasks(view, limit, after):
        assert len(page) <= limit
        found += [task.name for task in page]
        after = page[-1].cursor
    assert " ".join(found) == expected
    in_memory = following(store.open_tasks(View(), 100), view, 100)
    assert " ".join(task.name for task in in_memory) == expected, "the local cloud's page lists the same"


def test_the_page_shows_filters_counts_and_the_way_to_the_next_retraining(store, loops, line_of_tasks, world):
    world.table.put({"pk": "COUNTER", "sk": "CORRECTIONS", "total": 163, "claimed": 100, "last_batch": 1, "every": 100})
    person = browser(store)
    text = person.get("/review/", params={"campaign": "a", "order": "track"}).text
    assert re.search(r"<b data-progress>63 of 100</b>", text)
    assert re.findall(r'data-campaign="(\w+)".*?<span class="dim">(\d+)<', text) == [("a", "4"), ("b", "1")]
    assert re.findall(r'data-segment="(\w+)".*?<span class="dim">(\d+)<', text) == [("s1", "2"), ("s2", "2")]
    assert ("<b data-waiting>5</b>" in text, "<b data-shown>4</b>" in text) == (True, True)
    assert text.count('loading="lazy"') == 4
    for hostile in (
        {"campaign": "<script>"},
        {"order": "x", "after": "\0" * 2000},
        {"campaign": "a", "segment": "../b"},
    ):
        told = person.get("/review/", params=hostile)
        assert (told.status_code, "<script>" in told.text) == (200, False)


def test_counts_follow_the_tasks(store, loops, line_of_tasks):
    loops.answer("a-s1-f1", GivenAnswer(by="ada", key="k", submitted="2026"))
    assert loops.complete("a-s1-f1")
    assert loops.withdraw("a-s1-f2", "It was uploaded anew.")
    seen = {row.campaign: (row.waiting, row.done) for row in loops.campaigns()}
    assert seen == {"a": (2, 1), "b": (1, 0)}
    assert {row.segment: (row.waiting, row.done) for row in loops.segments("a")} == {"s1": (0, 1), "s2": (2, 0)}
    assert loops.ask_arbiter("a-s1-f1", "elsewhere", "They disagree.")
    assert not loops.ask_arbiter("a-s1-f1", "elsewhere", "They disagree.")
    assert {row.campaign: (row.waiting, row.done) for row in loops.campaigns()}["a"] == (3, 0)


class Counting:
    """A table's resource that counts the items and the requests that are read."""

    def __init__(self, resource):
        self._resource, self.requests, self.items = resource, 0, 0

    def __getattr__(self, name):
        return getattr(self._resource, name)

    def query(self, **query):
        page = self._resource.query(**query)
        self.requests += 1
        self.items += page["ScannedCount"]
        return page

    def get_item(self, **key):
        self.requests += 1
        return self._resource.get_item(**key)


@pytest.mark.parametrize(
    "view", [View(), View("track"), View(campaign="c3"), View("track", "c3"), View("track", "c3", "s1")]
)
def test_a_listing_reads_no_more_than_it_shows(world, loops, view):
    for number in range(120):
        opened(loops, f"c{number % 4}/s{number % 3}/f{number:03d}", number / 120)
    counting = Counting(world.table._resource)
    store = TableStore(type(world.table)(counting), world.bucket, world.bus)
    found = store.open_tasks(view, 7)
    assert (len(found), counting.items, counting.requests) == (7, 7, 1)
    store.overview(view)
    assert counting.items <= 7 + 4 + 3, "a row a campaign, and one a segment of the campaign that is looked at"


def test_a_page_of_many_leads_to_the_next_one(store, loops):
    names = [opened(loops, f"c/s{number // 30}/f{number:03d}", number / 200) for number in range(120)]
    person, found, address = browser(store), [], "/review/"
    while address:
        text = person.get(address).text
        found += re.findall(r'<tr data-task="([^"]+)"', text)
        further = re.search(r'data-further href="([^"]+)"', text)
        address = further[1].replace("&amp;", "&") if further else ""
    assert found == names


# ---------------------------------------------------------------------------------------------------------- what comes next


def test_the_next_task_is_of_the_same_segment_while_there_are_any(store, loops, line_of_tasks):
    person = browser(store)
    assert next_of(person) == "a-s2-f1"
    loops.answer("a-s2-f1", GivenAnswer(by="ada", key="k", submitted="2026"))
    assert next_of(person, after="a-s2-f1") == "a-s2-f2", "less urgent than others, but the neighbour"
    loops.answer("a-s2-f2", GivenAnswer(by="ada", key="k", submitted="2026"))
    assert next_of(person, after="a-s2-f2") == "a-s1-f2", "the most urgent of all"


def test_along_the_track_it_goes_on_behind_the_last_one_and_from_the_end_with_the_first(store, loops):
    names = [opened(loops, f"c/s/f{number}") for number in range(4)]
    person = browser(store)
    person.get("/review/", params={"order": "track"})  # the view is remembered
    given = [next_of(person, after=names[1])]
    for _ in range(2):
        loops.answer(given[-1], GivenAnswer(by="ada", key="k", submitted="2026"))
        given.append(next_of(person, after=given[-1]))
    assert given == [names[2], names[3], names[0]]


def test_what_was_skipped_comes_when_there_is_nothing_else(store, loops):
    names = [opened(loops, f"c/s/f{number}", number / 10) for number in range(3)]
    person = browser(store)
    assert next_of(person) == names[0]
    assert next_of(person, skip=names[0]) == names[1]
    assert [claim.by for claim in loops.get(names[0]).claims] == [], "a task that was skipped is anybody's"
    assert next_of(person, skip=names[1]) == names[2], "the first one is still skipped"
    assert next_of(browser(store, "ben")) == names[0]
    assert next_of(person, skip=names[2]) == names[1], "ben has the first one"
    assert next_of(person, skip="../../etc") in names


def test_the_view_of_the_list_is_the_view_of_what_comes_next(store, loops, line_of_tasks):
    person = browser(store)
    person.get("/review/", params={"campaign": "b"})
    assert next_of(person) == "b-s1-f1"
    assert next_of(person, skip="b-s1-f1") == "b-s1-f1", "there is no other in the view"


def test_a_cookie_that_somebody_wrote_changes_nothing(store, loops, line_of_tasks):
    for cookie in ("firnline_skipped=" + "x" * 4000, "firnline_view=track|<b>|../", "firnline_skipped=a.b..c"):
        asked = browser(store).get("/review/next", headers={"Cookie": cookie})
        assert asked.headers["Location"].startswith("/review/tasks/")


# ---------------------------------------------------------------------------------------------------------- sentences


def test_a_withdrawn_task_says_what_happened_and_keeps_what_comes_late(world, store, loops):
    name = in_review(world)
    ada = browser(store, "ada")
    proof = token(ada.get(f"/review/tasks/{name}"))
    assert loops.withdraw(name, "This frame was uploaded anew, so the task of the earlier upload was withdrawn.")
    for told in (ada.get(f"/review/tasks/{name}"), ada.post(f"/review/tasks/{name}/claim")):
        assert told.status_code in (409, 410)
        assert "uploaded anew" in told.text
        assert "download" in told.text
    late = submit(ada, name, answer(SURFACE), proof)
    assert late.status_code == 409
    assert "uploaded anew" in late.json()["error"]
    kept = re.search(r"s3://workspace/(\S+\.json)", late.json()["error"])[1]
    assert json.loads(world.bucket.read(kept, 10**6))["workerId"] == "ada"
    assert world.events("SageMaker A2I HumanLoop Status Change") == []
    assert next_of(ada) == "/review/"


@pytest.mark.parametrize("name", ["nobody", "loop--", "..", "a" * 64, "LOOP", "a%23b"])
@pytest.mark.parametrize("what", ["", "/image", "/thumbnail", "/claim", "/submit"])
def test_a_forged_task_is_told_to_be_none(store, name, what):
    person = browser(store)
    address = f"/review/tasks/{name}{what}"
    told = (
        person.post(address, json={"answerContent": {}, "token": "0"})
        if what in ("/claim", "/submit")
        else person.get(address)
    )
    assert told.status_code in (303, 403, 404)
    assert told.status_code == 303 or told.text.strip()


def test_who_is_no_reviewer_is_told_so_and_claims_nothing(world, store, loops):
    name = in_review(world)
    guest = browser(store, "guest", frozenset())
    for told in (
        guest.get("/review/next"),
        guest.get(f"/review/tasks/{name}"),
        guest.post(f"/review/tasks/{name}/claim"),
    ):
        assert (told.status_code, "not in the group reviewer" in told.text) == (403, True)
    assert loops.get(name).claims == ()


def test_who_is_no_arbiter_neither_keeps_nor_decides_what_became_an_arbiters(world, store, loops):
    """Given a page opened before two others disagreed, then it claims nothing any more, and what it sends is kept and said to be."""
    name = in_review(world, reviewers=2)
    cy = browser(store, "cy", frozenset({REVIEWER}))
    proof = token(cy.get(f"/review/tasks/{name}"))
    store.release(name, "cy")
    for who in ("ada", "ben"):
        submit(browser(store, who, frozenset({REVIEWER})), name, answer(SURFACE))
    loops.complete(name)
    assert loops.ask_arbiter(name, loops.get(name).input_key, "They disagree.")
    claimed = cy.post(f"/review/tasks/{name}/claim")
    assert (claimed.status_code, "an arbiter decides" in claimed.json()["error"]) == (409, True)
    assert loops.get(name).claims == ()
    sent = submit(cy, name, answer(SURFACE), proof)
    assert (sent.status_code, "an arbiter decides" in sent.json()["error"]) == (409, True)
    kept = re.search(r"kept at s3://[^/]+/(\S+\.json)", sent.json()["error"]).group(1)
    assert json.loads(world.bucket.read(kept, 10**6))["workerId"] == "cy"
    assert [given.by for given in loops.get(name).answers] == ["ada", "ben"]
    assert next_of(browser(store, "dee")) == name


def test_what_reviewers_disagree_on_is_for_arbiters(world, store, loops):
    name = in_review(world, reviewers=2)
    for who in ("ada", "ben"):
        submit(browser(store, who, frozenset({REVIEWER})), name, answer(SURFACE))
    loops.complete(name)
    assert loops.ask_arbiter(name, loops.get(name).input_key, "They disagree.")
    cy = browser(store, "cy", frozenset({REVIEWER}))
    assert next_of(cy) == "/review/"
    told = cy.get(f"/review/tasks/{name}")
    assert (told.status_code, "an arbiter decides" in told.text) == (403, True)
    assert "for an arbiter" in cy.get("/review/").text
    ada = browser(store, "ada")
    assert next_of(ada) == "/review/", "whoever answered does not decide, arbiter or not"
    dee = browser(store, "dee")
    assert next_of(dee) == name
    assert submit(dee, name, answer(SURFACE)).status_code == 200
    assert [(given.by, given.arbiter) for given in loops.get(name).answers] == [
        ("ada", False),
        ("ben", False),
        ("dee", True),
    ]


# ---------------------------------------------------------------------------------------------------------- small parts


def test_a_thumbnail_is_made_with_the_task_or_when_it_is_asked_for(world, store):
    name = in_review(world)
    person = browser(store)
    small = person.get(f"/review/tasks/{name}/thumbnail")
    assert (small.headers["Content-Type"], small.headers["Cache-Control"]) == ("image/png", "private, max-age=3600")
    world.bucket.delete(keys.review_thumbnail(name))
    assert person.get(f"/review/tasks/{name}/thumbnail").content == small.content
    assert world.bucket.exists(keys.review_thumbnail(name))


def test_a_thumbnail_is_the_mean_of_what_it_stands_for():
    grey = echogram(4 * WIDTH, 4 * HEIGHT)
    small = decode_png(thumbnail(encode_png(grey)))
    assert small.shape == (HEIGHT, WIDTH)
    means = grey.reshape(HEIGHT, 4, WIDTH, 4).mean(axis=(1, 3))
    assert abs(small - means).max() <= 1
    assert decode_png(thumbnail(encode_png(echogram(20, 10)))).shape == (10, 20)


def test_claims_in_memory_expire():
    moment = [datetime(2026, 11, 27, tzinfo=UTC)]
    claims = Claims(lambda: moment[0])
    claims.take("a", "ada")
    with pytest.raises(Held, match="ada"):
        claims.take("a", "ben")
    assert claims.holders("a") == ("ada",)
    moment[0] += timedelta(minutes=CLAIM_MINUTES)
    assert claims.holders("a") == ()
    claims.take("a", "ben")
    claims.release("a", "ada")
    assert claims.holders("a") == ("ben",)
    claims.release("a", "ben")
    assert claims.holders("a") == ()


def test_a_task_that_is_closed_is_neither_claimed_nor_answered(loops):
    name = opened(loops, "c/s/f")
    loops.answer(name, GivenAnswer(by="ada", key="k", submitted="2026"))
    for act in (
        lambda: loops.claim(name, "ben"),
        lambda: loops.answer(name, GivenAnswer(by="ben", key="l", submitted="2026")),
    ):
        with pytest.raises(Closed):
            act()
    assert loops.claim("nobody", "ada") is None
    assert loops.open_by_priority(Place(), 10) == []
