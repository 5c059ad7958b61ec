"""100 completions from 20 threads, each delivered three times and shuffled, against a table with real transactions.

moto keeps no lock around a transaction, so two of its threads could both see a condition hold; MiniStack runs one at a
time.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from complete_review.completion import ReviewCompleter
from firnline.events import EventBus
from firnline.review.human_loop import LoopEvent
from firnline.review.providers import Portal
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.loops import Loops
from firnline.store.rows import CounterRow
from firnline.store.table import Table
from tests.support.ministack import running_ministack
from tests.support.review_world import ENVIRONMENT, MODEL, REVISION, answer, make_world, polyline

COMPLETIONS, THREADS, DELIVERIES, EVERY = 100, 20, 3, 40


@pytest.fixture
def ministack(tmp_path):
    with running_ministack(tmp_path):
        yield


def test_100_completions_from_20_threads_claim_exactly_two_batches(ministack):
    world = make_world()
    events = []
    for number in range(COMPLETIONS):
        frame_id = f"c/s{number % 7}/f{number}"
        name = world.predicted_frame(frame_id)
        assert world.register.open_review(
            frame_id, name, REVISION, provider="a2i", model_version=MODEL, asked_because="It is unsure."
        )
        events.append(world.answered(name, answer(polyline("surface", (0, 11), (63, 12)))))
    deliveries = [LoopEvent.model_validate(event) for event in events * DELIVERIES]
    random.Random(5).shuffle(deliveries)

    def completer():
        session = boto3.Session()
        table = Table(session.resource("dynamodb").Table(ENVIRONMENT["TABLE_NAME"]))
        return ReviewCompleter(
            FrameRegister(table),
            Corrections(table),
            Bucket(session.client("s3"), ENVIRONMENT["WORKSPACE_BUCKET"]),
            EventBus(session.client("events"), "default"),
            None,
            ENVIRONMENT["STACK_NAME"],
            EVERY,
            Loops(table),
            Portal(table, Bucket(session.client("s3"), ENVIRONMENT["WORKSPACE_BUCKET"])),
        )

    completers = [completer() for _ in range(THREADS)]

    def work(thread):
        return [completers[thread].handle(event) for event in deliveries[thread::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = [outcome for done in pool.map(work, range(THREADS)) for outcome in done]

    assert outcomes.count("corrected") == COMPLETIONS
    assert outcomes.count("known") == COMPLETIONS * (DELIVERIES - 1)
    assert world.corrections.counts() == CounterRow(total=COMPLETIONS, claimed=2 * EVERY, last_batch=2, every=EVERY)
    assert [batch.batch for batch in world.corrections.batches("PENDING")] == [1, 2]
    recorded = [correction.frame_id for correction in world.corrections.all()]
    assert sorted(recorded) == sorted(f"c/s{number % 7}/f{number}" for number in range(COMPLETIONS))
    assert {world.register.get(frame_id).status for frame_id in recorded} == {"CORRECTED"}
    claimed = {event["detail"]["batch"] for event in world.events("CorrectionBatchClaimed")}
    assert claimed == {1, 2}
