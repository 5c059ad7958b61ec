"""Lambda: ended human loops from the completion queue → corrections, their count, and claimed batches."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from complete_review.completion import ReviewCompleter
from firnline.events import EventBus
from firnline.observability import QueueProcessor, logger, metrics
from firnline.review.human_loop import LoopEvent
from firnline.review.providers import Portal
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.loops import Loops
from firnline.store.table import Table

processor = QueueProcessor()


class CompletionSettings(Settings):
    retrain_every: int = Field(100, ge=1, alias="RETRAIN_EVERY")
    gold_share: float = Field(0.0, ge=0, le=1, alias="GOLD_SHARE")


@cache
def completer() -> ReviewCompleter:
    settings = load_settings(CompletionSettings)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    workspace = Bucket(boto3.client("s3"), settings.workspace_bucket)
    return ReviewCompleter(
        register=FrameRegister(table),
        corrections=Corrections(table),
        bucket=workspace,
        bus=EventBus(boto3.client("events"), settings.event_bus),
        a2i=boto3.client("sagemaker-a2i-runtime"),
        stack_name=settings.stack_name,
        retrain_every=settings.retrain_every,
        loops=Loops(table),
        portal=Portal(table, workspace),
        gold_share=settings.gold_share,
    )


def complete_review(record: SQSRecord) -> None:
    event = LoopEvent.model_validate(record.json_body)
    outcome = completer().handle(event)
    logger.info("loop handled", extra={"loop": event.detail.humanLoopName, "outcome": outcome})
    metrics.add_metric(f"Reviews {outcome}", MetricUnit.Count, 1)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, complete_review, processor, context)
