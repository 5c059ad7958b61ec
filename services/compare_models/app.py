"""Lambda, a step of `retrain`: decides whether the candidate replaces the champion."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from compare_models.comparison import Comparer, ComparisonRequest
from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.models import Models
from firnline.store.table import Table


class ComparisonSettings(Settings):
    promotion_margin: float = Field(0.005, ge=0, lt=1, alias="PROMOTION_MARGIN")
    mae_tolerance_px: float = Field(0.1, ge=0, alias="MAE_TOLERANCE_PX")


@cache
def comparer() -> Comparer:
    settings = load_settings(ComparisonSettings)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    bucket = Bucket(boto3.client("s3"), settings.workspace_bucket)
    return Comparer(bucket, Models(table), settings.promotion_margin, settings.mae_tolerance_px)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    decision = comparer().compare(ComparisonRequest.model_validate(event))
    logger.info("compared", extra={"promote": decision["promote"], "reason": decision["reason"]})
    return decision
