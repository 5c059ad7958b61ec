"""What the tests of reviewing stand on: a table, a bucket, a bus with a queue behind it, frames with predictions."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

import boto3
import numpy as np
import pytest
from moto import mock_aws

from firnline.documents.echogram import encode_png
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.documents.overlay import draw_layers
from firnline.events import EventBus
from firnline.review.human_loop import loop_name
from firnline.settings import load_settings
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister, PictureDetails
from firnline.store.models import Models
from firnline.store.table import Table

REVISION = "0123456789ab"
MODEL = "first"
WIDTH, HEIGHT = 64, 48
INDEXES = ("status", "segment", "campaign")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "TABLE_NAME": "firnline", "WORKSPACE_BUCKET": "workspace", "EVENT_BUS": "default", "STACK_NAME": "firnline",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/events", "JOB_PREFIX": "firnline",
    "POWERTOOLS_METRICS_NAMESPACE": "Firnline", "POWERTOOLS_SERVICE_NAME": "test",
    "FLOW_DEFINITION_ARN": "arn:aws:sagemaker:us-east-1:000000000000:flow-definition/firnline-review-1",
    "REVIEW_PROVIDER": "portal", "REVIEW_CONFIDENCE": "0.9", "AUDIT_RATE": "0", "REVIEW_BUDGET": "0",
    "RETRAIN_EVERY": "100",
}  # fmt: skip

SERVICES = sorted(folder.name for folder in (Path(__file__).parents[2] / "services").iterdir() if folder.is_dir())


@dataclass
class World:
    table: Table
    bucket: Bucket
    bus: EventBus
    sqs: Any
    queue: str

    @property
    def register(self) -> FrameRegister:
        return FrameRegister(self.table)

    @property
    def corrections(self) -> Corrections:
        return Corrections(self.table)

    def events(self, detail_type: str | None = None) -> list[dict[str, Any]]:
        """Take all events off the queue behind the bus."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return [event for event in found if detail_type in (None, event["detail-type"])]

    def serve_the_first_model(self, **details: Any) -> Models:
        """Make the model in the box the champion, as provisioning does."""
        details = {"model_data": "s3://workspace/models/first/model.tar.gz", **details}
        models = Models(self.table)
        assert models.promote("first", None, model_name="firnline-first", endpoint_config="firnline-first", **details)
        return models

    def predicted_frame(
        self,
        frame_id: str = "2012_Greenland/20120330_04/0939",
        confidence: float = 0.6,
        grey: np.ndarray | None = None,
        layers: list[Layer] | None = None,
        frame: FrameDocument | None = None,
        **details: Unpack[PictureDetails],
    ) -> str:
        """Register a frame and its prediction, as ingest and prediction do; returns the name its loop will have."""
        grey = echogram() if grey is None else grey
        height, width = grey.shape
        document = LayersDocument(
            frame_id=frame_id,
            image=ImageSize(width=width, height=height),
            coverage="complete",
            confidence=confidence,
            source=Source(kind="model", model_version=MODEL, created=datetime.now(UTC)),
            layers=layers or [line("surface", 10, width), line("layer", 20, width)],
        )
        self.register.register(frame_id, f"{frame_id}.png", "01", REVISION, "READY", **details)
        self.bucket.write(keys.echogram(frame_id, REVISION), encode_png(grey), "image/png")
        told = frame or frame_of(frame_id, width, height)
        self.bucket.write(keys.frame(frame_id, REVISION), told.to_json(), "application/json")
        prediction = (frame_id, REVISION, MODEL)
        self.bucket.write(keys.prediction(*prediction), document.to_json(), "application/json")
        overlay = encode_png(draw_layers(grey, document))
        self.bucket.write(keys.prediction_overlay(*prediction), overlay, "image/png")
        self.register.record_prediction(
            *prediction,
            confidence=confidence,
            layers=len(document.layers),
            layers_key=keys.prediction(*prediction),
            overlay_key=keys.prediction_overlay(*prediction),
        )
        self.register.predicted(frame_id, REVISION, MODEL, confidence)
        return loop_name(self.bucket.name, *prediction)

    def answered(self, name: str, *answers: dict[str, Any], **output: Any) -> dict[str, Any]:
        """Write output.json as A2I does and return A2I's event."""
        key = f"a2i/firnline-review-1/2026/11/22/10/00/00/{name}/output.json"
        frame_id = self.register.frame_of_review(name)
        content = {
            "flowDefinitionArn": ENVIRONMENT["FLOW_DEFINITION_ARN"],
            "humanLoopName": name,
            "inputContent": {"frame_id": frame_id, "revision": REVISION},
            "humanAnswers": [
                {
                    "answerContent": answer,
                    "workerId": "w",
                    "timeSpentInSeconds": 40.5,
                    "submissionTime": f"2026-11-22T10:00:{second:02d}Z",
                }
                for second, answer in enumerate(answers)
            ],
        } | output
        self.bucket.write(key, json.dumps(content).encode(), "application/json")
        return loop_event(name, outputS3Uri=self.bucket.uri(key))


def frame_of(frame_id: str, width: int, height: int) -> FrameDocument:
    """`frame.json` of a picture that was taken as it is."""
    return FrameDocument.of_whole_file(
        width, height, frame_id=frame_id, revision=REVISION, format="png", polarity="bright-strong",
        source_bucket="frames", source_key=f"{frame_id}.png", checksum_sha256="", created=datetime.now(UTC), transforms=[],
    )  # fmt: skip


@contextmanager
def on_moto(**settings: str) -> Iterator[World]:
    """A world of moto's and the environment of a function with these settings; functions start in it anew."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in (ENVIRONMENT | settings).items():
            patch.setenv(name, value)
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        start_functions_anew()
        yield make_world()
    start_functions_anew()


def start_functions_anew() -> None:
    """Make functions forget the settings and clients that they keep from one invocation to the next."""
    load_settings.cache_clear()
    for name in SERVICES:
        for kept in list(vars(sys.modules.get(f"{name}.app", object)).values()):
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()


def make_world() -> World:
    """Create everything in whatever account boto3 reaches with the environment as it is."""
    resource = boto3.resource("dynamodb")
    attributes = ("pk", "sk", *(f"{name}_{key}" for name in INDEXES for key in ("pk", "sk")))
    resource.create_table(
        TableName=ENVIRONMENT["TABLE_NAME"],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        KeySchema=_key("pk", "sk"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": f"by_{name}",
                "KeySchema": _key(f"{name}_pk", f"{name}_sk"),
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in INDEXES
        ],
    )
    s3, sqs, events = boto3.client("s3"), boto3.client("sqs"), boto3.client("events")
    s3.create_bucket(Bucket=ENVIRONMENT["WORKSPACE_BUCKET"])
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="everything", EventPattern=json.dumps({"source": ["firnline", "firnline.review"]}))
    events.put_targets(Rule="everything", Targets=[{"Id": "queue", "Arn": arn}])
    bucket = Bucket(s3, ENVIRONMENT["WORKSPACE_BUCKET"])
    return World(Table(resource.Table(ENVIRONMENT["TABLE_NAME"])), bucket, EventBus(events, "default"), sqs, queue)


def _key(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def echogram(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 255, (height, width), dtype=np.uint8)


def line(label: str, row: float, width: int = WIDTH) -> Layer:
    return Layer(label=label, vertices=[Vertex(x=0, y=row), Vertex(x=width - 1, y=row)])  # type: ignore[arg-type]


def polyline(label: str, *vertices: tuple[float, float]) -> dict[str, Any]:
    return {"label": label, "vertices": [{"x": x, "y": y} for x, y in vertices]}


def answer(*polylines: dict[str, Any], width: int = WIDTH, height: int = HEIGHT, **more: Any) -> dict[str, Any]:
    return {
        "annotatedResult": {
            "inputImageProperties": {"width": width, "height": height},
            "polylines": list(polylines),
        },
        **more,
    }


def loop_event(name: str, status: str = "Completed", source: str = "aws.sagemaker", **output: str) -> dict[str, Any]:
    detail = {
        "creationTime": "2026-11-22T10:00:00Z",
        "failureCode": None,
        "failureReason": None,
        "flowDefinitionArn": ENVIRONMENT["FLOW_DEFINITION_ARN"],
        "humanLoopArn": f"arn:aws:sagemaker:us-east-1:000000000000:human-loop/{name}",
        "humanLoopName": name,
        "humanLoopStatus": status,
        "humanLoopOutput": output or None,
    }
    return {"source": source, "detail-type": "SageMaker A2I HumanLoop Status Change", "detail": detail}


def sqs_event(*bodies: dict[str, Any]) -> dict[str, Any]:
    """What Lambda hands to a handler behind a queue."""
    return {
        "Records": [
            {"messageId": str(number), "receiptHandle": "r", "body": json.dumps(body), "attributes": {"ApproximateReceiveCount": "1"},
             "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
             "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue"}
            for number, body in enumerate(bodies)
        ]
    }  # fmt: skip


class Context:
    """Lambda's context object, as far as Powertools looks at it."""

    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000
