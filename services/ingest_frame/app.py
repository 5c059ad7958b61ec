"""Lambda: uploads and deletions from the ingest queue → checked, normalised frames, `FrameReady` or `FrameRejected`."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from firnline.events import EventBus
from firnline.observability import QueueProcessor, logger, metrics
from firnline.settings import load_settings
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.table import Table
from ingest_frame.ingest import Ingest, Upload
from ingest_frame.settings import IngestSettings

processor = QueueProcessor()


@cache
def ingest() -> Ingest:
    settings = load_settings(IngestSettings)
    s3 = boto3.client("s3")
    return Ingest(
        Bucket(s3, settings.frames_bucket),
        Bucket(s3, settings.workspace_bucket),
        FrameRegister(Table(boto3.resource("dynamodb").Table(settings.table_name))),
        EventBus(boto3.client("events"), settings.event_bus),
    )


def ingest_upload(record: SQSRecord) -> None:
    event = parse(event=record.json_body, model=S3EventNotificationEventBridgeModel)
    stored = event.detail.object
    if event.detail_type == "Object Deleted":
        outcome = ingest().withdraw(stored.key)
    else:
        outcome = ingest().handle(Upload(stored.key, stored.version_id, stored.sequencer or ""))
    logger.info("upload handled", extra={"key": stored.key, "outcome": outcome})
    metrics.add_metric(f"Uploads {outcome}", MetricUnit.Count, 1)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, ingest_upload, processor, context)
