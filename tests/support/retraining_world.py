"""What the tests of retraining stand on: reviewed frames, state machines that can end, and deaths at chosen moments."""

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import boto3
from botocore.client import BaseClient
from moto.stepfunctions.models import stepfunctions_backends

from firnline.documents.echogram import encode_png
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source
from firnline.store import keys
from firnline.store.corrections import CorrectionDetails
from firnline.store.rows import CorrectionRow, CounterRow
from firnline.store.sortable import timestamp
from tests.support.review_world import HEIGHT, MODEL, REVISION, WIDTH, World, echogram, line

ACCOUNT, REGION = "123456789012", "us-east-1"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:retrain"


class Died(BaseException):
    """The process is gone: nothing that runs in it may catch this."""


@contextmanager
def death(at_call: int, moment: str, *clients) -> Iterator[None]:
    """Die before (`before-call`) or after (`after-call`) AWS has done the n-th call of these clients."""
    count = 0

    def fuse(**_):
        nonlocal count
        count += 1
        if count == at_call:
            raise Died

    for client in clients:
        client.meta.events.register(moment, fuse, unique_id="fuse")
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(moment, unique_id="fuse")


@contextmanager
def one_call_at_a_time() -> Iterator[None]:
    """Make calls one after the other, in whatever order the threads come: DynamoDB's are serialisable, moto's are not.

    moto rolls a failed transaction back to a copy of all tables, and with it what other threads wrote meanwhile.
    """
    call, lock = BaseClient._make_api_call, threading.RLock()

    def locked(self, *arguments):
        with lock:
            return call(self, *arguments)

    BaseClient._make_api_call = locked
    try:
        yield
    finally:
        BaseClient._make_api_call = call


def create_machine(client=None) -> str:
    client = client or boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    role = f"arn:aws:iam::{ACCOUNT}:role/retrain"
    return client.create_state_machine(name="retrain", definition=definition, roleArn=role)["stateMachineArn"]


def executions() -> dict[str, str]:
    """Status of every execution by name, in the order of their starts."""
    machine = stepfunctions_backends[ACCOUNT][REGION].state_machines[0]
    return {execution.name: execution.status for execution in machine.executions}


def end_execution(name: str, status: str, error: str | None = None) -> None:
    machine = stepfunctions_backends[ACCOUNT][REGION].state_machines[0]
    execution = next(execution for execution in machine.executions if execution.name == name)
    execution.status, execution.error = status, error


def document(
    frame_id: str, *layers: Layer, coverage: str = "complete", kind: str = "human", **source
) -> LayersDocument:
    return LayersDocument(
        frame_id=frame_id,
        image=ImageSize(width=WIDTH, height=HEIGHT),
        coverage=coverage,  # type: ignore[arg-type]
        source=Source(kind=kind, created=datetime(2026, 11, 22, tzinfo=UTC), **source),  # type: ignore[arg-type]
        layers=list(layers) or [line("surface", 10), line("layer", 20)],
    )


def picture_of(frame_id: str) -> bytes:
    """The PNG of a frame that `correct` makes: no two of them look alike."""
    grey = echogram()
    grey[0, :4] = list(zlib.crc32(frame_id.encode()).to_bytes(4))
    return encode_png(grey)


def correct(
    world: World, frame_id: str, *layers: Layer, loop: str | None = None, revision: str = REVISION, **details
) -> str:
    """A frame and a person's correction of it, as ingest and complete_review leave them; returns the loop's name."""
    loop = loop or "loop-" + frame_id.replace("/", "-").lower()
    if world.register.get(frame_id) is None:
        world.register.register(frame_id, f"{frame_id}.png", "01", revision, "READY")
        world.bucket.write(keys.echogram(frame_id, revision), picture_of(frame_id), "image/png")
    corrected = document(frame_id, *layers, **details)
    prefix = keys.correction_prefix(frame_id, loop)
    world.bucket.write(f"{prefix}layers.json", corrected.to_json(), "application/json")
    world.corrections.record(
        loop, revision, corrected, world.bucket.uri(prefix), **of_one_answer(f"s3://workspace/a2i/{loop}/output.json")
    )
    return loop


def of_one_answer(output: str = "s3://workspace/a2i/loop/output.json") -> CorrectionDetails:
    """What complete_review notes of a correction that had a single, good answer."""
    return {
        "model_version": MODEL,
        "output": output,
        "seconds": 40.5,
        "dropped_lines": 0,
        "answers": 1,
        "answers_refused": 0,
        "answers_differ": False,
    }


def count_corrections(world: World, how_many: int) -> None:
    """Count corrections without their layers: what claiming looks at."""
    for number in range(how_many):
        correction = CorrectionRow(
            loop_name=f"{number}-{how_many}",
            frame_id=f"c/s/{number}",
            revision=REVISION,
            layers=0,
            coverage="complete",
            image_prefix="s3://workspace/",
            created=timestamp(),
            **of_one_answer(),
        )
        world.table.transact(
            {"key": CounterRow.key(), "update": "ADD #total :one", "values": {":one": 1}},
            {"put": correction.item(), "condition": "attribute_not_exists(pk)"},
        )
