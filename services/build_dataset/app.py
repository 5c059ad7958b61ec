"""Lambda, a step of `retrain`: takes the snapshot that a candidate is trained on and judged by."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field

from build_dataset.plan import Planner, PlanRequest
from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.models import Models
from firnline.store.splits import Splits
from firnline.store.table import Table


class DatasetSettings(Settings):
    holdout_segments: str = Field("", alias="HOLDOUT_SEGMENTS")
    """Patterns of `<campaign>/<segment>`, separated by commas; without any the holdout is drawn by hash."""

    job_prefix: str = Field(alias="JOB_PREFIX")

    @property
    def pinned_holdout(self) -> tuple[str, ...]:
        return tuple(pattern.strip() for pattern in self.holdout_segments.split(",") if pattern.strip())


@cache
def planner() -> Planner:
    settings = load_settings(DatasetSettings)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    bucket = Bucket(boto3.client("s3"), settings.workspace_bucket)
    return Planner(
        FrameRegister(table),
        Corrections(table),
        Splits(table),
        Models(table),
        bucket,
        settings.pinned_holdout,
        settings.job_prefix,
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    plan = planner().plan(PlanRequest.model_validate(event))
    logger.info("snapshot ready", extra={name: plan[name] for name in ("snapshot", "counts", "left_out")})
    return plan
