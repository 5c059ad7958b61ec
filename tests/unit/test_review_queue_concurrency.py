"""Reviewers who ask for their next task at the same moment, against a table with real transactions."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from firnline.portal.store import NotGiven, View
from firnline.portal.table_store import TableStore
from firnline.portal.turn import in_turn
from firnline.store.bucket import Bucket
from firnline.store.loops import Closed, Held, Loops
from firnline.store.rows import GivenAnswer
from firnline.store.table import Table
from tests.support.ministack import running_ministack
from tests.support.review_world import ENVIRONMENT, make_world

TASKS, REVIEWERS = 24, 8


@pytest.fixture
def ministack(tmp_path):
    with running_ministack(tmp_path):
        yield


def own_table():
    return Table(boto3.Session().resource("dynamodb").Table(ENVIRONMENT["TABLE_NAME"]))


@pytest.mark.parametrize("wanted", [1, 2])
def test_no_more_people_than_wanted_are_given_a_task_and_every_answer_is_counted(ministack, wanted):
    world = make_world()
    loops = Loops(world.table)
    for number in range(TASKS):
        told = {"revision": "r", "model_version": "first", "confidence": number / 100, "reason": "Unsure."}
        loops.open(f"loop-{number}", "nowhere", frame_id=f"c/s{number % 3}/f{number}", wanted=wanted, **told)

    def work(reviewer):
        """Claim and answer tasks until there are none."""
        table, given = own_table(), []
        mine, page = Loops(table), TableStore(table, Bucket(boto3.Session().client("s3"), "workspace"), world.bus)
        while True:
            for task in in_turn(page, View()):
                if not task.is_free_for(reviewer, arbiter=False):
                    continue
                try:
                    page.claim(task.name, reviewer)
                except NotGiven:
                    continue
                break
            else:
                return given
            held = mine.get(task.name)
            assert len(held.answers) + len(held.claims) <= wanted
            mine.answer(task.name, GivenAnswer(by=reviewer, key=f"{reviewer}.json", submitted="2026"))
            given.append(task.name)

    names = [f"reviewer-{number}" for number in range(REVIEWERS)]
    with ThreadPoolExecutor(REVIEWERS) as pool:
        given = Counter(name for names_given in pool.map(work, names) for name in names_given)
    assert set(given) == {f"loop-{number}" for number in range(TASKS)}
    assert set(given.values()) == {wanted}
    [campaign] = loops.campaigns()
    assert (campaign.waiting, campaign.done) == (0, TASKS)
    assert sum(row.done for row in loops.segments("c")) == TASKS


def test_of_many_answers_at_once_one_counts(ministack):
    loops = Loops(make_world().table)
    loops.open(
        "loop", "nowhere", frame_id="c/s/f", revision="r", model_version="first", confidence=0.5, reason="Unsure."
    )

    def answer(reviewer):
        try:
            return Loops(own_table()).answer("loop", GivenAnswer(by=reviewer, key=reviewer, submitted="2026")).state
        except (Closed, Held) as refusal:
            return str(refusal)

    with ThreadPoolExecutor(REVIEWERS) as pool:
        told = list(pool.map(answer, [f"reviewer-{number}" for number in range(REVIEWERS)]))
    assert told.count("ANSWERED") == 1
    assert sum("answered already" in one for one in told) == REVIEWERS - 1
    assert len(loops.get("loop").answers) == 1
