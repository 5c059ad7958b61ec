"""A frame's way through the functions, each run by its own handler on what the one before it wrote."""

import importlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pytest
from starlette.testclient import TestClient

from firnline.portal.application import make_app
from firnline.portal.identity import this_machine
from firnline.portal.table_store import TableStore
from firnline.review.human_loop import loop_name
from tests.support.ingest_files import picture
from tests.support.model_code import answer_of_the_model
from tests.support.review_world import Context, World, on_moto, sqs_event
from tests.support.template import functions_that_take
from tests.support.uploads_bucket import FRAME_ID, FRAMES, UploadsBucket

WIDTH, HEIGHT = 96, 64
ROWS = (12, 30, 50)
"""Rows of the surface, the layer and the bed of `echoes`."""
ORIGIN = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}


def echoes() -> np.ndarray:
    """An uploaded picture, (HEIGHT, WIDTH) uint8: three bright rows in noise."""
    grey = np.random.default_rng(5).integers(20, 60, (HEIGHT, WIDTH), dtype=np.uint8)
    grey[list(ROWS)] = 220
    return grey


class Functions:
    """`start_human_loop` holds what A2I was asked for, `stop_human_loop` the names of those that it was to end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.uploads = UploadsBucket(world)
        self.model_version = "first"
        self.start_human_loop: list[dict[str, Any]] = []
        self.stop_human_loop: list[str] = []
        self.answer: Callable[[bytes], bytes] = lambda png: answer_of_the_model(png, ROWS, self.model_version)
        world.serve_the_first_model()

    def deliver(self, event: dict[str, Any]) -> None:
        """Bring an EventBridge event to the function that the template sends it to, through its queue."""
        [function] = functions_that_take(event)
        answer = importlib.import_module(f"{function}.app").handler(sqs_event(event), Context())
        assert answer == {"batchItemFailures": []}

    def the_event(self, detail_type: str) -> dict[str, Any]:
        """The one event of this kind that has been sent."""
        [event] = self.world.events(detail_type)
        return event

    def ingest(self, frame_id: str = FRAME_ID, content: bytes | None = None) -> dict[str, Any]:
        """Upload a frame; returns the event FrameReady."""
        self.uploads.deliver(self.uploads.put(f"{frame_id}.png", content or picture(echoes())))
        return self.the_event("FrameReady")

    def predict(self, frame_id: str = FRAME_ID, content: bytes | None = None) -> dict[str, Any]:
        """Upload a frame and have it predicted; returns the event LayersPredicted."""
        self.deliver(self.ingest(frame_id, content))
        return self.the_event("LayersPredicted")

    def review(self, frame_id: str = FRAME_ID, content: bytes | None = None) -> str:
        """Bring a frame before a reviewer; returns the name of its loop."""
        event = self.predict(frame_id, content)
        self.deliver(event)
        detail = event["detail"]
        return loop_name(self.world.bucket.name, frame_id, detail["revision"], detail["model_version"])

    def submit(self, loop: str, answer: dict[str, Any], by: str | None = None) -> dict[str, Any]:
        """Answer a task on the review page; returns the event that says so."""
        self.answer_as(by, loop, answer)
        return self.the_event("SageMaker A2I HumanLoop Status Change")

    def answer_as(self, by: str | None, loop: str, answer: dict[str, Any]) -> None:
        """Answer a task on the review page under that name, which may not be the last answer that it takes."""
        store = TableStore(self.world.table, self.world.bucket, self.world.bus)
        with TestClient(make_app(store, this_machine(by))) as page:
            task = page.get(f"/review/tasks/{loop}", headers=ORIGIN)
            [token] = re.findall(r'data-token="([0-9a-f]+)"', task.text)
            body = {"answerContent": answer, "token": token, "seconds": 12.5}
            sent = page.post(f"/review/tasks/{loop}/submit", json=body, headers=ORIGIN)
        assert sent.status_code == 200, sent.text

    def correct(self, frame_id: str, answer: dict[str, Any], content: bytes | None = None) -> str:
        """Take a frame from its upload to a correction; returns the name of its loop."""
        loop = self.review(frame_id, content)
        self.deliver(self.submit(loop, answer))
        return loop


def _answer_for_sagemaker(functions: Functions, patch: pytest.MonkeyPatch) -> None:
    """boto3's clients of the endpoint and of A2I, whose calls botocore still checks against its models."""
    make = boto3.client

    def invoke_endpoint(params: dict[str, Any], **_: Any) -> Any:
        answer = functions.answer(params["body"])
        return SimpleNamespace(status_code=200), {"Body": SimpleNamespace(read=lambda most: answer[:most])}

    def start_human_loop(params: dict[str, Any], **_: Any) -> Any:
        functions.start_human_loop.append(json.loads(params["body"]))
        return SimpleNamespace(status_code=200), {}

    def stop_human_loop(params: dict[str, Any], **_: Any) -> Any:
        functions.stop_human_loop.append(json.loads(params["body"])["HumanLoopName"])
        return SimpleNamespace(status_code=200), {}

    def client(service: str, *arguments: Any, **options: Any) -> Any:
        made = make(service, *arguments, **options)
        made.meta.events.register("before-call.sagemaker-runtime.InvokeEndpoint", invoke_endpoint)
        made.meta.events.register("before-call.sagemaker-a2i-runtime.StartHumanLoop", start_human_loop)
        made.meta.events.register("before-call.sagemaker-a2i-runtime.StopHumanLoop", stop_human_loop)
        return made

    patch.setattr(boto3, "client", client)


@contextmanager
def functions_on_moto(**settings: str) -> Iterator[Functions]:
    """All functions as they are deployed, everything that is predicted going to review."""
    deployed = {"FRAMES_BUCKET": FRAMES, "HOLDOUT_SEGMENTS": "", "ENDPOINT_NAME": "firnline", "REVIEW_CONFIDENCE": "1"}
    with on_moto(**deployed | settings) as world, pytest.MonkeyPatch.context() as patch:
        functions = Functions(world)
        _answer_for_sagemaker(functions, patch)
        yield functions
