"""Lambda: uploads, deletions and decided polarities from the ingest queue → checked, normalised frames, `FrameReady` or
`FrameRejected`.
"""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from firnline.events import EventBus, PolarityDecided
from firnline.observability import QueueProcessor, logger, metrics
from firnline.review.providers import A2I, Portal, ReviewProvider
from firnline.review.withdrawal import Withdrawal
from firnline.settings import load_settings
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import ProviderName
from firnline.store.table import Table
from ingest_frame.ingest import Ingest, Upload
from ingest_frame.settings import IngestSettings

processor = QueueProcessor()


@cache
def ingest() -> Ingest:
    settings = load_settings(IngestSettings)
    s3 = boto3.client("s3")
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    register, workspace = FrameRegister(table), Bucket(s3, settings.workspace_bucket)
    providers: dict[ProviderName, ReviewProvider] = {
        "portal": Portal(table, workspace),
        "a2i": A2I(boto3.client("sagemaker-a2i-runtime"), ""),
    }
    return Ingest(
        Bucket(s3, settings.frames_bucket),
        workspace,
        register,
        EventBus(boto3.client("events"), settings.event_bus),
        Withdrawal(register, providers),
    )


def ingest_upload(record: SQSRecord) -> None:
    if record.json_body.get("detail-type") == PolarityDecided.detail_type:
        decided = PolarityDecided.model_validate(record.json_body["detail"])
        turned = ingest().turn(decided)
        logger.info("polarity decided", extra={"frame_id": decided.frame_id, "outcome": turned})
        metrics.add_metric(f"Polarities {turned}", MetricUnit.Count, 1)
        return
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
