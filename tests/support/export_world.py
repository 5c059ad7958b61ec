"""Exports in the cloud, without one: small frames in moto's table and bucket, the state machine in MiniStack's interpreter."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import yaml
from ministack.services import stepfunctions

import export_segment.app
from firnline.store import keys
from tests.support.retraining_world import ACCOUNT, MACHINE, REGION
from tests.support.review_world import Context, World
from tests.support.simulated_products import WHEN, small
from tests.support.statemachine_world import FOLDER, failed

EXPORT_MACHINE = MACHINE.replace("retrain", "export")
SUBSTITUTIONS = {
    "Partition": "aws",
    "ExportSegmentFunctionArn": "export_segment",
    "WorkspaceBucket": "workspace",
    "Concurrency": "4",
}
REVISION = "0" * 12


def definition() -> dict[str, Any]:
    """The state machine as it is deployed."""
    text = (FOLDER / "export.asl.yaml").read_text()
    for name, value in SUBSTITUTIONS.items():
        text = text.replace(f"${{{name}}}", value)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def accepted(world: World, segment: str, *numbers: int) -> list[str]:
    """Small frames of a segment, one behind the other, whose predictions were accepted; returns their names."""
    return [_accepted(world, segment, number) for number in numbers]


def _accepted(world: World, segment: str, number: int) -> str:
    frame_id = f"{segment}/Data_{number:03d}"
    frame, document = small()
    along = {
        "frame_id": frame_id, "revision": REVISION, "created": WHEN + timedelta(seconds=number),
        "latitude": (np.array(frame.latitude, float) + 0.012 * number).tolist(),
        "gps_time_s": (np.array(frame.gps_time_s) + 20.0 * number).tolist(),
    }  # fmt: skip
    world.register.register(frame_id, f"{frame_id}.mat", "01", REVISION, "READY")
    body = frame.model_copy(update=along).to_json()
    world.bucket.write(keys.frame(frame_id, REVISION), body, "application/json")
    lines = document.model_copy(update={"frame_id": frame_id}).to_json()
    world.bucket.write(keys.prediction(frame_id, REVISION, "first"), lines, "application/json")
    world.register.predicted(frame_id, REVISION, "first", 0.95)
    world.register.accepted(frame_id, REVISION, "")
    return frame_id


class ExportMachine:
    """`before` and `after` hear of each call of the function, with its step; what they raise is the step's error.

    Stands for Step Functions' client too, as far as `firnline export` asks it.
    """

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.calls: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], None] = lambda step: None
        self.after: Callable[[dict[str, Any]], None] = lambda step: None
        self.milliseconds_left = 900_000
        self.answers: dict[str, dict[str, Any]] = {}
        monkeypatch.setattr(stepfunctions, "_invoke_resource", self._invoke)
        monkeypatch.setattr(stepfunctions, "_scaled_sleep", lambda seconds: None)
        monkeypatch.setattr(stepfunctions, "get_region", lambda: REGION)
        monkeypatch.setattr(stepfunctions, "get_account_id", lambda: ACCOUNT)
        monkeypatch.setattr(stepfunctions, "_s3_object_text", self._read)
        stepfunctions._state_machines[EXPORT_MACHINE] = {
            "stateMachineArn": EXPORT_MACHINE, "name": "export", "roleArn": "role", "type": "STANDARD",
            "definition": json.dumps(definition()),
        }  # fmt: skip

    def run(self, export: str, name: str) -> dict[str, Any]:
        """The execution's description when it has ended."""
        asked = {"stateMachineArn": EXPORT_MACHINE, "name": name, "input": json.dumps({"export": export})}
        answer: dict[str, Any] = json.loads(stepfunctions._start_sync_execution(asked)[2])
        self.answers[answer["executionArn"]] = answer
        return answer

    # ------------------------------------------------------------------------------------------------ boto3's client

    def start_execution(self, **asked: Any) -> dict[str, Any]:
        assert asked["stateMachineArn"] == EXPORT_MACHINE
        return self.run(json.loads(asked["input"])["export"], asked["name"])

    def describe_execution(self, **asked: Any) -> dict[str, Any]:
        return self.answers[asked["executionArn"]]

    def list_map_runs(self, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stepfunctions._list_map_runs(asked)[2])
        return found

    def describe_map_run(self, **asked: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stepfunctions._describe_map_run(asked)[2])
        return found

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_executions"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        assert asked["statusFilter"] == "RUNNING"
        return [{"executions": []}]

    # ------------------------------------------------------------------------------------------------ what it calls

    def _read(self, bucket: str, key: str) -> str:
        assert bucket == self.world.bucket.name
        return self.world.bucket.read(key, 10_000_000).decode()

    def _invoke(self, resource: str, params: dict[str, Any]) -> dict[str, Any]:
        assert resource.endswith("lambda:invoke")
        assert params["FunctionName"] == "export_segment"
        step = json.loads(json.dumps(params["Payload"]))
        self.calls.append(step)
        self.before(step)
        context = Context()
        context.get_remaining_time_in_millis = lambda: self.milliseconds_left  # type: ignore[attr-defined]
        try:
            answer = json.loads(json.dumps(export_segment.app.handler(step, context)))
        except Exception as error:
            body = {"errorType": type(error).__name__, "errorMessage": str(error)}
            raise failed(type(error).__name__, json.dumps(body)) from error
        self.after(step)
        return {"StatusCode": 200, "Payload": answer}
