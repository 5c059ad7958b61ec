"""Lambda: predicted layers from the review queue → a human loop, or acceptance."""

from functools import cache
from typing import Any, Literal

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from firnline.events import LayersPredicted
from firnline.limits import MOST_REVIEWERS
from firnline.observability import QueueProcessor, logger, metrics
from firnline.review.diversity import Diversity
from firnline.review.policy import Policy
from firnline.review.providers import A2I, Portal, ReviewProvider
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.table import Table
from start_review.review import ReviewStarter

processor = QueueProcessor()


class ReviewSettings(Settings):
    review_provider: Literal["a2i", "portal"] = Field("portal", alias="REVIEW_PROVIDER")
    review_confidence: float = Field(0.9, ge=0, le=1, alias="REVIEW_CONFIDENCE")
    audit_rate: float = Field(0.05, ge=0, le=1, alias="AUDIT_RATE")
    review_budget: int = Field(0, ge=0, alias="REVIEW_BUDGET")
    review_apart: int = Field(0, ge=0, le=100, alias="REVIEW_APART")
    review_difference: float = Field(0.15, ge=0, le=1, alias="REVIEW_DIFFERENCE")
    reviewers_per_task: int = Field(1, ge=1, le=MOST_REVIEWERS, alias="REVIEWERS_PER_TASK")
    flow_definition_arn: str = Field("", alias="FLOW_DEFINITION_ARN")


@cache
def starter() -> ReviewStarter:
    settings = load_settings(ReviewSettings)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    bucket = Bucket(boto3.client("s3"), settings.workspace_bucket)
    provider: ReviewProvider = Portal(table, bucket, settings.reviewers_per_task)
    if settings.review_provider == "a2i":
        provider = A2I(boto3.client("sagemaker-a2i-runtime"), settings.flow_definition_arn)
    policy = Policy(settings.review_confidence, settings.audit_rate)
    diversity = Diversity(settings.review_apart, settings.review_difference)
    return ReviewStarter(
        FrameRegister(table), bucket, provider, settings.review_provider, policy, settings.review_budget, diversity
    )


def start_review(record: SQSRecord) -> None:
    event = LayersPredicted.model_validate(record.json_body["detail"])
    outcome = starter().handle(event)
    logger.info("prediction handled", extra={"frame_id": event.frame_id, "outcome": outcome})
    metrics.add_metric(f"Predictions {outcome}", MetricUnit.Count, 1)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, start_review, processor, context)
