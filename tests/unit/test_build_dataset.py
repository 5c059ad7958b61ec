import io
import json

import numpy as np
import pytest

from build_dataset import app
from build_dataset.plan import AlreadyRetraining, NoChampion, PlanRequest
from firnline.documents.echogram import encode_png
from firnline.learning import records
from firnline.learning.annotated import annotated_frames
from firnline.learning.shards import ShardWriter
from firnline.learning.snapshot import NotEnoughData, SnapshotBuilder
from firnline.store import keys
from firnline.store.models import Models
from firnline.store.splits import Splits
from tests.support.retraining_world import Died, correct, death, document, picture_of
from tests.support.review_world import REVISION, Context, echogram, line, on_moto
from tests.support.samples import sample

SAMPLE = sample("build_dataset")
FRAMES = [f"2012_Greenland/2012033{segment}_01/{frame:04d}" for segment in range(5) for frame in range(4)]


@pytest.fixture
def world():
    with on_moto(HOLDOUT_SEGMENTS="2012_Greenland/20120332_*, *_99") as made:
        made.serve_the_first_model()
        yield made


def plan(**changes):
    return app.handler(SAMPLE | changes, Context())


def objects(world, prefix="datasets/"):
    """Body of every object under a prefix."""
    pages = world.bucket.client.get_paginator("list_objects_v2").paginate(Bucket="workspace", Prefix=prefix)
    found = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: world.bucket.read(key, 10**8) for key in found}


def read_records(body):
    return [records.unpack_record(payload) for payload in records.iterate_records(io.BytesIO(body))]


def test_the_plan_has_what_the_state_machine_reads(world):
    for frame in FRAMES:
        correct(world, frame)
    made = plan()
    assert made["snapshot"] == "retrain-1"
    assert sum(made["counts"].values()) == len(FRAMES)
    assert made["counts"]["holdout"] == 4
    assert made["job_name"].startswith("firnline-1-1-")
    assert made["job_name"] != plan(attempt=2)["job_name"]
    assert made["champion"] == {
        "model_version": "first",
        "model_name": "firnline-first",
        "model_data": "s3://workspace/models/first/model.tar.gz",
    }
    uris = {channel["name"]: channel["uri"] for channel in made["channels"]}
    assert uris["train"] == "s3://workspace/datasets/retrain-1/train/"
    assert uris["model"] == made["champion"]["model_data"]
    assert made["holdout_images_uri"] == "s3://workspace/datasets/retrain-1/holdout-images/"


def test_every_frame_is_in_one_record_of_its_segments_split(world):
    for frame in FRAMES:
        correct(world, frame)
    plan()
    found = objects(world)
    manifest = json.loads(found["datasets/retrain-1/manifest.json"])
    assert len(manifest["frames"]) == len(FRAMES)
    splits = {frame["segment"]: frame["split"] for frame in manifest["frames"]}
    assert [segment for segment, split in splits.items() if split == "holdout"] == ["2012_Greenland/20120332_01"]
    by_number = {frame["number"]: frame for frame in manifest["frames"]}
    assert sorted(by_number) == list(range(len(FRAMES)))
    seen = []
    for split in ("train", "validation", "holdout"):
        for record in read_records(found.get(f"datasets/retrain-1/{split}/part-00000.rec", b"")):
            frame = by_number[record.number]
            assert (frame["split"], frame["revision"]) == (split, REVISION)
            assert record.png == picture_of(frame["frame_id"])
            assert record.rows.tolist() == [[10.0] * 64, [20.0] * 64]
            assert (list(record.kinds), record.complete) == ([0, 1], True)
            seen.append(frame["frame_id"])
    assert sorted(seen) == FRAMES
    truth = {key for key in found if "holdout-truth" in key}
    assert {key.rpartition("/")[2] for key in truth} == {
        f"{number:06d}.json" for number, frame in by_number.items() if frame["split"] == "holdout"
    }
    images = {key.rpartition("/")[2].removesuffix(".png") for key in found if "holdout-images" in key}
    assert images == {key.rpartition("/")[2].removesuffix(".json") for key in truth}


def test_a_second_attempt_finds_the_snapshot_and_changes_nothing(world):
    for frame in FRAMES[:12]:
        correct(world, frame)
    first, before = plan(), objects(world)
    for frame in FRAMES[12:]:
        correct(world, frame)
    assert plan() == first
    assert objects(world) == before
    assert world.corrections.end_retraining(world.corrections.retraining(), "DONE")
    other = plan(execution=SAMPLE["execution"] + "-by-hand")
    assert sum(other["counts"].values()) == len(FRAMES)
    assert {k: v for k, v in objects(world).items() if k in before} == before


def attempt(world, number):
    """The plan of an attempt at batch 1, which fails afterwards."""
    execution = f"{SAMPLE['execution']}-{number}"
    assert world.corrections.start_retraining(world.corrections.batch(1), execution)
    made = plan(execution=execution, batch=1, attempt=number)
    assert world.corrections.end_retraining(world.corrections.retraining(), "PENDING")
    return made


def test_an_attempt_goes_on_from_an_earlier_ones_checkpoint_only_if_it_trains_the_same(world):
    # Given a first attempt that left off
    for frame in FRAMES:
        correct(world, frame)
    world.corrections.claim_batches(len(FRAMES))
    first = attempt(world, 1)["checkpoints_uri"]
    # Then the next one goes on, as long as model and data are the same, whatever they are judged by
    assert attempt(world, 2)["checkpoints_uri"] == first
    correct(world, "2012_Greenland/20120332_01/0099")
    assert attempt(world, 3)["checkpoints_uri"] == first
    # When another model serves, it starts anew, and so it does with another frame to learn from
    models, data = Models(world.table), "s3://workspace/models/second/output/model.tar.gz"
    assert models.promote("second", "first", model_name="second", model_data=data, endpoint_config="second")
    from_second = attempt(world, 4)["checkpoints_uri"]
    correct(world, "2012_Greenland/20120330_01/0099")
    with_more = attempt(world, 5)["checkpoints_uri"]
    correct(world, "2012_Greenland/20120330_01/0099", line("layer", 13), loop="again")
    with_other_layers = attempt(world, 6)["checkpoints_uri"]
    assert len({first, from_second, with_more, with_other_layers}) == 4


def test_an_execution_started_by_hand_never_goes_on_from_another_ones_checkpoint(world):
    for frame in FRAMES:
        correct(world, frame)
    world.corrections.request_retraining("one")
    execution = SAMPLE["execution"]
    assert world.corrections.start_retraining(world.corrections.batch(0), execution)
    asked_for = plan(batch=0)
    assert world.corrections.end_retraining(world.corrections.retraining(), "DONE")
    by_hand = plan(execution=execution + "-by-hand", batch=0)
    assert by_hand["counts"] == asked_for["counts"]
    assert by_hand["checkpoints_uri"] != asked_for["checkpoints_uri"]


def test_death_anywhere_leaves_no_half_snapshot(world):
    for frame in FRAMES:
        correct(world, frame)
    plan()
    whole = objects(world)
    for at_call in range(1, 80, 3):
        for key in objects(world):
            world.bucket.client.delete_object(Bucket="workspace", Key=key)
        app.planner.cache_clear()
        client = app.planner().bucket.client
        try:
            with death(at_call, "after-call", client):
                plan()
        except Died:
            assert "datasets/retrain-1/manifest.json" not in objects(world) or objects(world) == whole
        else:
            assert at_call > 30
            break
        plan()
        assert objects(world) == whole
    else:
        pytest.fail("the snapshot was never finished")


def test_remains_of_a_larger_attempt_are_removed(world):
    for frame in FRAMES:
        correct(world, frame)
    world.bucket.write("datasets/retrain-1/train/part-00007.rec", b"remains", "application/octet-stream")
    plan()
    assert "datasets/retrain-1/train/part-00007.rec" not in objects(world)


def test_the_latest_correction_of_the_revision_that_counts(world):
    frame = FRAMES[0]
    correct(world, frame, line("layer", 11), loop="a")
    correct(world, frame, line("layer", 12), loop="b")
    correct(world, frame, line("layer", 13), loop="c", revision="ffffffffffff")
    found = annotated_frames(world.register, world.corrections)
    assert [(entry.frame_id, entry.correction) for entry in found] == [(frame, "b")]


def test_nothing_is_learned_of_a_frame_that_was_rejected_after_its_correction(world):
    for frame in FRAMES[:2]:
        correct(world, frame)
    assert world.register.rejected_by_network(FRAMES[0], REVISION, "the network cannot take it")
    assert [entry.frame_id for entry in annotated_frames(world.register, world.corrections)] == [FRAMES[1]]


def test_uploaded_annotations_count_where_nobody_corrected(world):
    for number, frame in enumerate(FRAMES[:3]):
        world.register.register(frame, f"{frame}.png", "01", REVISION, "READY")
        world.register.mark_annotated(frame, REVISION, "partial" if number < 2 else "")
        partial = document(frame, line("bed", 30), coverage="partial", kind="import")
        world.bucket.write(keys.partial(frame, REVISION), partial.to_json(), "application/json")
    correct(world, FRAMES[1])
    found = annotated_frames(world.register, world.corrections)
    assert [(entry.frame_id, entry.correction is None) for entry in found] == [(FRAMES[0], True), (FRAMES[1], False)]
    assert found[0].layers_key == f"frames/{FRAMES[0]}/{REVISION}/partial.json"


def test_what_cannot_be_used_is_left_out_and_said(world):
    for frame in FRAMES:
        correct(world, frame)
    world.bucket.write(keys.echogram(FRAMES[0], REVISION), b"no png", "image/png")
    world.bucket.write(keys.echogram(FRAMES[1], REVISION), encode_png(echogram(width=65)), "image/png")
    world.bucket.client.delete_object(Bucket="workspace", Key=keys.echogram(FRAMES[2], REVISION))
    prefix = keys.correction_prefix(FRAMES[3], "loop-" + FRAMES[3].replace("/", "-").lower())
    world.bucket.write(f"{prefix}layers.json", b"{}", "application/json")
    assert plan()["left_out"] == 4
    left_out = json.loads(objects(world)["datasets/retrain-1/manifest.json"])["left_out"]
    assert {entry["frame_id"] for entry in left_out} == set(FRAMES[:4])
    assert all(entry["problem"] for entry in left_out)


def test_a_flight_under_two_names_does_not_train_and_judge(world):
    # Given a flight for judging, and one for choosing weights, each of which lies under the name of another campaign, too
    for frame in FRAMES:
        correct(world, frame)
    plan()
    before = json.loads(objects(world)["datasets/retrain-1/manifest.json"])
    [choosing] = {segment for segment, split in before["segments"].items() if split == "validation"}
    for copied in ("2012_Greenland/20120332_01", choosing):
        for frame in range(4):
            name = f"mistyped/{copied.rpartition('/')[2]}/{frame:04d}"
            correct(world, name)
            picture = world.bucket.read(keys.echogram(f"{copied}/{frame:04d}", REVISION), 10**6)
            world.bucket.write(keys.echogram(name, REVISION), picture, "image/png")
    assert world.corrections.end_retraining(world.corrections.retraining(), "DONE")
    # When a snapshot is taken
    made = plan(execution=SAMPLE["execution"] + "-copied")
    manifest = json.loads(objects(world)["datasets/retrain-1-copied/manifest.json"])
    # Then no picture is on two sides, and what is left out is told
    sides = {split: {f["sha256"] for f in manifest["frames"] if f["split"] == split} for split in made["counts"]}
    assert len(set.union(*sides.values())) == sum(map(len, sides.values())) == len(FRAMES)
    assert (manifest["counts"], made["left_out"]) == (before["counts"], 8)
    assert {entry["frame_id"].partition("/")[0] for entry in manifest["left_out"]} == {"mistyped"}
    problems = {entry["frame_id"]: entry["problem"] for entry in manifest["left_out"]}
    assert problems["mistyped/20120332_01/0001"] == (
        "its picture is that of 2012_Greenland/20120332_01/0001, which is kept for judging; "
        "upload a flight under one name only"
    )


def test_a_record_that_training_could_not_take_is_left_out(world, monkeypatch):
    for frame in FRAMES:
        correct(world, frame)
    world.bucket.write(keys.echogram(FRAMES[0], REVISION), encode_png(np.zeros((48, 64, 3), np.uint8)), "image/png")
    correct(world, FRAMES[1], *[line("layer", 20 + number / 100) for number in range(20)], loop="many")
    monkeypatch.setattr("firnline.learning.snapshot.MAX_ROW_VALUES", 19 * 64)
    plan()
    left_out = json.loads(objects(world)["datasets/retrain-1/manifest.json"])["left_out"]
    problems = {entry["frame_id"]: entry["problem"] for entry in left_out}
    assert problems.keys() == set(FRAMES[:2])
    assert "mode RGB" in problems[FRAMES[0]]
    assert "20 polylines are too many" in problems[FRAMES[1]]


def test_partial_annotations_say_so_in_their_records(world):
    for frame in FRAMES:
        correct(world, frame, line("bed", 30), coverage="partial")
    plan()
    record = read_records(objects(world)["datasets/retrain-1/holdout/part-00000.rec"])[0]
    assert (record.complete, list(record.kinds)) == (False, [2])


def test_too_little_data_is_told_in_words(world):
    with pytest.raises(NotEnoughData, match="Nobody has corrected"):
        plan()
    correct(world, "2012_Greenland/20120332_01/0001")
    with pytest.raises(NotEnoughData, match="nothing to learn from"):
        plan()
    correct(world, "2012_Greenland/20120330_01/0001")
    copy = keys.echogram("2012_Greenland/20120330_01/0001", REVISION)
    world.bucket.write(copy, picture_of("2012_Greenland/20120332_01/0001"), "image/png")
    with pytest.raises(NotEnoughData, match=r"1 frames could not be used, .*/20120330_01/0001: its picture is that of"):
        plan()
    assert objects(world).keys().isdisjoint({"datasets/retrain-1/manifest.json"})


def test_one_retraining_at_a_time_and_none_without_a_champion(world):
    assert world.corrections.hold_retraining("another")
    with pytest.raises(AlreadyRetraining):
        plan()
    world.table.delete("RETRAINING", "LOCK")
    world.table.delete("MODEL", "CHAMPION")
    with pytest.raises(NoChampion):
        plan()


@pytest.mark.parametrize("change", [{"execution": "x"}, {"batch": -1}, {"attempt": 0}, {"surprise": 1}])
def test_a_request_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="validation error"):
        PlanRequest.model_validate(SAMPLE | change)


def test_shards_are_bounded(world):
    with ShardWriter(world.bucket, "shards/", shard_bytes=100) as shards:
        for number in range(5):
            shards.add(bytes([number]) * 40)
    assert [(file["key"], file["bytes"]) for file in shards.written] == [
        ("shards/part-00000.rec", 80),
        ("shards/part-00001.rec", 80),
        ("shards/part-00002.rec", 40),
    ]
    assert b"".join(objects(world, "shards/").values()) == b"".join(bytes([n]) * 40 for n in range(5))


def test_splits_stay_as_they_were_fixed(world):
    splits = Splits(world.table)
    before = splits.assign({"c/a": 10, "c/b": 10, "c/d": 10})
    assert set(before.values()) >= {"train", "holdout"}
    after = splits.assign({"c/a": 1, "c/b": 1, "c/d": 1, "c/e": 500}, ("c/a",))
    assert {segment: after[segment] for segment in before} == before


def test_a_snapshot_without_a_manifest_does_not_exist(world):
    world.bucket.write("datasets/retrain-1/train/part-00000.rec", b"x", "application/octet-stream")
    assert SnapshotBuilder(world.bucket).existing("retrain-1") is None
