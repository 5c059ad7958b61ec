import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.errors import Refused
from firnline.store.corrections import Corrections
from firnline.store.frame_register import Registered
from firnline.store.models import Models
from firnline.store.rows import CounterRow
from firnline.store.splits import SHARES, Splits
from firnline.store.table import Table
from tests.support.retraining_world import count_corrections, document, of_one_answer, one_call_at_a_time
from tests.support.review_world import REVISION, line

FRAME = "2012_Greenland/20120330_04/0939"


def test_items_come_back_as_they_went_in(world):
    item = {"pk": "A", "sk": "B", "whole": 3, "real": 0.1, "list": [1, 2.5, {"deep": -1.25}], "text": "ice"}
    assert world.table.put(item)
    assert world.table.get("A", "B") == item
    assert world.table.get("A", "C") is None


def test_conditions_say_whether_they_held(world):
    assert world.table.put({"pk": "A", "sk": "B", "state": "new"}, "attribute_not_exists(pk)")
    assert not world.table.put({"pk": "A", "sk": "B", "state": "newer"}, "attribute_not_exists(pk)")
    assert world.table.update("A", "B", "SET #state = :to", {":to": "old", ":from": "new"}, "#state = :from")
    assert not world.table.update("A", "B", "SET #state = :to", {":to": "old", ":from": "new"}, "#state = :from")
    assert not world.table.delete("A", "B", "#state = :new", {":new": "new"})
    assert world.table.delete("A", "B")
    with pytest.raises(ClientError, match="ValidationException"):
        world.table.update("A", "B", "SET nonsense", {":x": 1})


def test_a_transaction_is_whole_or_not_at_all(world):
    world.table.put({"pk": "A", "sk": "B"})
    assert not world.table.transact(
        {"put": {"pk": "C", "sk": "D"}},
        {"key": ("A", "B"), "delete": True, "condition": "attribute_not_exists(pk)"},
    )
    assert world.table.get("C", "D") is None
    assert world.table.transact(
        {"put": {"pk": "C", "sk": "D"}},
        {"key": ("A", "B"), "delete": True},
        {"key": ("E", "F"), "update": "ADD #total :one", "values": {":one": 1}},
    )
    assert (world.table.get("A", "B"), world.table.get("E", "F")["total"]) == (None, 1)


def cancelled(code):
    return {
        "service_error_code": "TransactionCanceledException",
        "modeled_fields": {"CancellationReasons": [{"Code": code}]},
    }


def test_a_collision_is_tried_again_and_another_refusal_is_not(world, monkeypatch):
    monkeypatch.setattr("firnline.store.table.time.sleep", lambda seconds: None)
    resource = boto3.resource("dynamodb").Table("firnline")
    with Stubber(resource.meta.client) as stub:
        stub.add_client_error("transact_write_items", **cancelled("TransactionConflict"))
        stub.add_response("transact_write_items", {})
        assert Table(resource).transact({"put": {"pk": "A", "sk": "B"}})
        stub.add_client_error("transact_write_items", **cancelled("ConditionalCheckFailed"))
        assert not Table(resource).transact({"put": {"pk": "A", "sk": "B"}})
        stub.add_client_error("transact_write_items", **cancelled("ValidationError"))
        with pytest.raises(ClientError):
            Table(resource).transact({"put": {"pk": "A", "sk": "B"}})
        for _ in range(12):
            stub.add_client_error("transact_write_items", **cancelled("TransactionConflict"))
        with pytest.raises(ClientError):
            Table(resource).transact({"put": {"pk": "A", "sk": "B"}})


def test_listings_go_over_pages(world):
    world.table.put_all(
        [
            {"pk": "P", "sk": f"S{n:03d}", "text": "x" * 30_000, "status_pk": "ALL", "status_sk": f"{n:03d}"}
            for n in range(60)
        ]
    )
    assert [item["sk"] for item in world.table.query("P", "S0")] == [f"S{n:03d}" for n in range(60)]
    assert next(world.table.query_index("by_status", "ALL", newest_first=True))["sk"] == "S059"


def test_objects_are_read_within_limits(world):
    world.bucket.write("a/b", b"12345", "text/plain")
    assert world.bucket.read("a/b", 5) == b"12345"
    with pytest.raises(Refused, match="can be read"):
        world.bucket.read("a/b", 4)
    with pytest.raises(FileNotFoundError, match="s3://workspace/a/c"):
        world.bucket.read("a/c", 5)
    assert (world.bucket.exists("a/b"), world.bucket.exists("a/c")) == (True, False)


def register(world, revision, sequencer, key=FRAME + ".png", status="READY"):
    return world.register.register(FRAME, key, sequencer, revision, status)


def test_revisions_count_in_the_order_of_their_uploads(world):
    assert register(world, "aaa", "0A") is Registered.NEW
    assert register(world, "aaa", "0A") is Registered.SAME
    assert register(world, "bbb", "0B") is Registered.NEW
    assert register(world, "aaa", "0A") is Registered.STALE
    assert register(world, "ccc", "0C", key=FRAME + ".nc") is Registered.STALE
    assert world.register.get(FRAME).revision == "bbb"


def test_a_status_moves_along_its_way_only(world):
    register(world, "aaa", "0A")
    assert not world.register.in_review(FRAME, "aaa", "loop")
    assert world.register.predicted(FRAME, "aaa", "first", 0.5)
    assert not world.register.in_review(FRAME, "bbb", "loop")
    assert world.register.get(FRAME).predicted_by == "first"
    assert [row.frame_id for row in world.register.of_status("PREDICTED")] == [FRAME]
    assert list(world.register.of_status("READY")) == []
    assert [row.frame_id for row in world.register.of_segment("2012_Greenland", "20120330_04")] == [FRAME]


def test_a_correction_is_stored_with_its_coordinates_and_counted_once(world):
    corrected = document(FRAME, line("surface", 10), line("layer", 20.5))
    for fresh in (True, False):
        stored = world.corrections.record("loop", REVISION, corrected, "s3://workspace/corrections/", **of_one_answer())
        assert stored is fresh
    assert world.corrections.counts().total == 1
    layers = list(world.corrections.layers(FRAME, "loop"))
    assert [(layer.label, list(layer.x), list(layer.y)) for layer in layers] == [
        ("surface", [0, 63], [10, 10]),
        ("layer", [0, 63], [20.5, 20.5]),
    ]
    assert {layer.image_prefix for layer in layers} == {"s3://workspace/corrections/"}
    assert [correction.loop_name for correction in world.corrections.all()] == ["loop"]


def test_layers_of_four_thousand_traces_fit(world):
    """Each layer is an item of its own, so how many there are does not matter."""
    layers = [Layer(label="layer", vertices=[Vertex(x=x, y=100 * n + 0.123456) for x in range(4000)]) for n in range(3)]
    large = LayersDocument(
        frame_id=FRAME,
        image=ImageSize(width=4000, height=700),
        coverage="complete",
        layers=layers,
        source=Source(kind="human", created=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    assert world.corrections.record("loop", REVISION, large, "s3://workspace/corrections/", **of_one_answer())
    assert [len(layer.x) for layer in world.corrections.layers(FRAME, "loop")] == [4000] * 3


@pytest.mark.parametrize(
    ("completions", "every", "threads"), [(50, 20, 8), pytest.param(250, 100, 20, marks=pytest.mark.slow)]
)
def test_many_threads_claim_every_batch_once(world, completions, every, threads):
    """Each completion is delivered three times, in a shuffled order: two batches are full."""
    loops = [f"loop-{number}" for number in range(completions)] * 3
    random.Random(5).shuffle(loops)
    small = document(FRAME, line("surface", 10))

    def complete(loop):
        corrections.record(loop, REVISION, small, "s3://workspace/", **of_one_answer())
        return corrections.claim_batches(every)

    corrections = Corrections(Table(boto3.resource("dynamodb").Table("firnline")))
    with one_call_at_a_time(), ThreadPoolExecutor(threads) as pool:
        claimed = [batch for batches in pool.map(complete, loops) for batch in batches]
    assert sorted(claimed) == [1, 2]
    assert corrections.counts() == CounterRow(total=completions, claimed=2 * every, last_batch=2, every=every)
    assert len(list(corrections.all())) == completions
    assert [(b.first, b.last, b.state) for b in corrections.batches("PENDING")] == [
        (1, every, "PENDING"),
        (every + 1, 2 * every, "PENDING"),
    ]


def test_a_batch_is_started_exactly_while_the_right_is_held(world):
    count_corrections(world, 4)
    corrections = world.corrections
    assert corrections.claim_batches(2) == [1, 2]
    first, second = corrections.batches("PENDING")
    assert corrections.start_retraining(first, "e1")
    assert not corrections.start_retraining(first, "e1")
    assert not corrections.start_retraining(second, "e2")
    lock = corrections.retraining()
    assert (lock.execution, lock.batch, lock.attempt) == ("e1", 1, 1)
    assert corrections.note_outcome(1, "e1", "kept", "Not better.")
    assert not corrections.note_outcome(1, "e2", "kept", "Not better.")
    assert corrections.end_retraining(lock, "PENDING", failures=1)
    assert not corrections.end_retraining(lock, "DONE")
    assert not corrections.start_retraining(first, "e3"), "an attempt that was read before is out of date"
    assert corrections.start_retraining(corrections.batch(1), "e3")
    assert corrections.end_retraining(corrections.retraining(), "DONE")
    assert (corrections.batch(1).state, corrections.batch(1).attempt) == ("DONE", 2)


def test_promotions_follow_each_other(world):
    models = Models(world.table)
    assert models.champion() is None
    served = {"model_name": "m", "model_data": "s3://b/m"}
    assert models.promote("a", None, execution="1", endpoint_config="ca", **served)
    assert models.promote("a", None, execution="1", endpoint_config="ca", **served)
    assert not models.promote("b", None, execution="2", endpoint_config="cb", **served)
    assert not models.promote("b", "z", execution="2", endpoint_config="cb", **served)
    assert models.promote("b", "a", execution="2", endpoint_config="cb", **served)
    assert not models.withdraw("b", "other")
    assert models.withdraw("b", "2")
    assert models.champion().endpoint_config == "ca"
    assert not models.withdraw("a", "1")
    models.record("b", decision="better", scores={"f1": 0.5})
    models.record("b", decision="promoted")
    assert (models.version("b").decision, models.version("b").scores) == ("promoted", {"f1": 0.5})
    assert [version.model_version for version in models.versions()] == ["b"]


def test_splits_come_near_their_shares_and_are_the_same_for_everybody(world):
    segments = {f"c/segment{number:02d}": 10 for number in range(50)}
    with one_call_at_a_time(), ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: Splits(world.table).assign(dict(segments)), range(4)))
    assert all(answer == answers[0] for answer in answers)
    for split, share in SHARES.items():
        assert list(answers[0].values()).count(split) == pytest.approx(share * 50, abs=1)


def test_pinned_holdout_is_all_the_holdout(world):
    splits = Splits(world.table).assign({f"c/s{n}": 5 for n in range(10)}, ("c/s3", "c/s[45]"))
    assert {segment for segment, split in splits.items() if split == "holdout"} == {"c/s3", "c/s4", "c/s5"}
    assert {"train", "validation"} <= set(splits.values())
