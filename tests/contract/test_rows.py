"""What every part writes into the table is what its row reads: all items are left by the producers' own code."""

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from complete_review.completion import ReviewCompleter
from firnline.documents.echogram import decode_png
from firnline.documents.layers import ImageSize
from firnline.events import FrameReady, LayersPredicted
from firnline.portal.store import View
from firnline.portal.table_store import TableStore
from firnline.review.human_loop import LoopEvent
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from firnline.review.withdrawal import Withdrawal
from firnline.store.bucket import Bucket
from firnline.store.joins import Joins
from firnline.store.loops import Loops
from firnline.store.models import Models
from firnline.store.row import BrokenRow, Row
from firnline.store.rows import (
    KINDS,
    BatchRow,
    CampaignQueueRow,
    ChampionRow,
    CorrectionRow,
    CounterRow,
    FrameRow,
    GoldRow,
    JoinRow,
    LayerRow,
    LockRow,
    LoopFrameRow,
    LoopRow,
    ModelRow,
    PredictionRow,
    ReviewBudgetRow,
    ReviewRow,
    SegmentQueueRow,
    SplitRow,
)
from ingest_frame.ingest import Ingest, Upload
from predict_layers.endpoint import Endpoint
from predict_layers.prediction import Predictor
from provision.request import Properties
from provision.serving import EndpointKeeper
from start_retraining.executions import Executions
from start_retraining.sweep import Sweep
from start_review.review import ReviewStarter
from tests.support.ingest_files import grey, picture
from tests.support.retraining_world import MACHINE, correct, create_machine, document
from tests.support.review_world import ENVIRONMENT, World, answer, line, loop_event, make_world, polyline
from tests.support.statemachine_world import StateMachines, definition

EVENTS = Path(__file__).parents[2] / "events"
UPLOADS = "firnline-frames"
REVIEWING = {FrameRow, PredictionRow, ReviewRow, LoopFrameRow, ReviewBudgetRow, LoopRow, CampaignQueueRow, SegmentQueueRow,
             CorrectionRow, LayerRow, CounterRow, BatchRow, LockRow}  # fmt: skip
RETRAINING = {FrameRow, CorrectionRow, LayerRow, CounterRow, BatchRow, LockRow, SplitRow, ModelRow, ChampionRow}


def read_by_their_rows(world: World) -> list[Row]:
    """Every item of the table, as the one kind that takes it; an item that no kind takes, or two do, fails."""
    keys = boto3.resource("dynamodb").Table(ENVIRONMENT["TABLE_NAME"]).scan()["Items"]
    rows = []
    for item in (world.table.get(key["pk"], key["sk"]) for key in keys):
        assert item is not None
        taken, refused = [], []
        for kind in KINDS:
            try:
                taken.append(kind.of(item))
            except BrokenRow as broken:
                refused.append(str(broken))
        if len(taken) != 1:
            pytest.fail(f"{len(taken)} kinds take {item}: {refused}")
        assert taken[0].item() == item
        rows += taken
    return rows


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    changed = {"HOLDOUT_SEGMENTS": "", "PROMOTION_MARGIN": "0.005", "MAE_TOLERANCE_PX": "0.1", "RETRAIN_EVERY": "2"}
    for name, value in (ENVIRONMENT | changed).items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield make_world()


class Network:
    """Stands for the endpoint, by its client's interface: a surface and a layer on every picture but a small one."""

    def invoke_endpoint(self, Body: bytes, **_: Any) -> dict[str, Any]:
        height, width = decode_png(Body).shape
        layers = [line("surface", height / 4, width), line("layer", height / 2, width)]
        said = document("", *layers, kind="model", model_version="first").model_copy(
            update={"image": ImageSize(width=width, height=height), "confidence": 0.6}
        )
        return {"Body": io.BytesIO(said.to_json())}


def ingest(world: World) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=UPLOADS)
    withdrawal = Withdrawal(world.register, {"portal": Portal(world.table, world.bucket)})
    taking_in = Ingest(Bucket(s3, UPLOADS), world.bucket, world.register, world.bus, withdrawal)
    annotation = b"surface_row\n" + b"9\n" * 24
    for number, (key, content) in enumerate(
        [(f"c/s/f{number}.png", picture(grey())) for number in range(5)]
        + [
            ("c/s/f0.layers.csv", annotation),
            ("c/s/f1.layers.csv", b"bed_row\n999\n"),
            ("c/s/broken.png", b"hello"),
            ("nowhere.png", b""),
            ("c/s/f0.jpg", picture(grey())),
        ]
    ):
        s3.put_object(Bucket=UPLOADS, Key=key, Body=content)
        taking_in.handle(Upload(key, None, f"{number + 1:02X}"))
    world.register.mark_organised("c/s/f2", world.register.get("c/s/f2").revision, '"etag"')  # type: ignore[union-attr]


def predict(world: World) -> None:
    predictor = Predictor(world.register, world.bucket, Endpoint(Network(), "firnline"), world.bus)
    for event in world.events("FrameReady"):
        assert predictor.handle(FrameReady.model_validate(event["detail"])) in ("predicted", "repeated")


def start_reviews(world: World) -> None:
    """Of the five frames four come before a reviewer, which is the segment's budget."""
    starter = ReviewStarter(
        world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(0.9, 0), budget=4
    )
    for event in world.events("LayersPredicted"):
        starter.handle(LayersPredicted.model_validate(event["detail"]))


def answer_and_complete(world: World) -> None:
    """Of the four reviews two are answered, one fails, and one waits."""
    page = TableStore(world.table, world.bucket, world.bus)
    tasks = sorted(task.name for task in page.open_tasks(View(), 10))
    for name in tasks[:2]:
        size = page.get(name).input_content["image"]  # type: ignore[union-attr]
        surface = polyline("surface", (0, 3), (size["width"] - 1, 4.5))
        page.submit(name, answer(surface, **size), "reviewer", 12.5)
    completer = ReviewCompleter(
        world.register, world.corrections, world.bucket, world.bus, None, "firnline", 2,
        Loops(world.table), Portal(world.table, world.bucket), gold_share=1.0,
    )  # fmt: skip
    ended = [*world.events("SageMaker A2I HumanLoop Status Change"), loop_event(tasks[2], "Failed", "firnline.review")]
    outcomes = [completer.handle(LoopEvent.model_validate(event)) for event in ended]
    assert outcomes == ["corrected", "corrected", "failed"]


def test_from_an_upload_to_a_started_retraining(world: World) -> None:
    for step in (ingest, predict, start_reviews, answer_and_complete):
        step(world)
        read_by_their_rows(world)
    sweep = Sweep(world.corrections, Executions(boto3.client("stepfunctions"), create_machine()), 2)
    world.corrections.request_retraining("an operator's")
    sweep.run()
    rows = read_by_their_rows(world)
    assert {type(row) for row in rows} == REVIEWING
    statuses = sorted(row.status for row in rows if isinstance(row, FrameRow))
    assert statuses == ["ACCEPTED", "CORRECTED", "CORRECTED", "IN_REVIEW", "PREDICTED", *["REJECTED"] * 3]
    assert {row.state for row in rows if isinstance(row, BatchRow)} == {"PENDING", "STARTED"}


def test_from_corrections_to_a_deployed_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = StateMachines(world, monkeypatch)
    frames = [f"c/2012033{segment}_01/{frame}" for segment in range(4) for frame in range(3)]
    for frame in frames:
        correct(world, frame)
    world.corrections.claim_batches(len(frames))
    [batch] = world.corrections.batches("PENDING")
    execution = MACHINE.replace("stateMachine", "execution") + ":retrain-1"
    assert world.corrections.start_retraining(batch, execution)
    assert machines.run(MACHINE, "retrain-1", batch=1, attempt=1)["output"]["outcome"] == "promoted"
    rows = read_by_their_rows(world)
    assert {type(row) for row in rows} == RETRAINING
    assert [row.before.model_version for row in rows if isinstance(row, ChampionRow) and row.before] == ["first"]
    assert world.corrections.end_retraining(world.corrections.retraining(), "DONE")  # type: ignore[arg-type]
    assert RETRAINING - {type(row) for row in read_by_their_rows(world)} == {LockRow}


def test_what_provisioning_writes_of_the_model_in_the_box(world: World) -> None:
    properties = Properties.model_validate(json.loads((EVENTS / "provision.json").read_text())["ResourceProperties"])
    sagemaker = boto3.client("sagemaker")
    EndpointKeeper(sagemaker, Models(world.table), properties, math.inf).ensure(
        "s3://workspace/models/first", "us-east-1"
    )
    assert {type(row) for row in read_by_their_rows(world)} == {ModelRow, ChampionRow}


def test_what_people_say_of_layers_along_a_segment(world: World) -> None:
    joins = Joins(world.table)
    joins.say("c/s", "f2:10:33.5", "f1:5:31.0", same=True)
    said = joins.say("c/s", "f1:5:31.0", "f2:10:33.5", same=False)
    joins.say("c/s2", "f1:5:31.0", "f2:10:33.5", same=True)
    assert list(joins.of_segment("c/s")) == [said], "what is said of two places again replaces what was said before"
    assert {type(row) for row in read_by_their_rows(world)} == {JoinRow}
    joins.take_back(said)
    assert list(joins.of_segment("c/s")) == []


def test_no_kind_is_left_out() -> None:
    assert set(KINDS) == REVIEWING | RETRAINING | {JoinRow, GoldRow}


@pytest.mark.parametrize("name", ["retrain", "deploy_model"])
def test_state_machines_write_into_the_table_through_functions_only(name: str) -> None:
    assert "dynamodb" not in json.dumps(definition(name)).lower()


def test_an_item_that_nobody_here_writes_is_found(world: World) -> None:
    world.predicted_frame("c/s/f", grey=np.full((40, 24), 7, dtype=np.uint8) + np.arange(24, dtype=np.uint8))
    read_by_their_rows(world)
    world.table.update("FRAME#c/s/f", "STATUS", "SET colour = :colour", {":colour": "blue"})
    with pytest.raises(pytest.fail.Exception, match="attribute 'colour' is not known"):
        read_by_their_rows(world)
