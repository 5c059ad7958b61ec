"""Lambda, a step of `deploy_model`: asks the endpoint for layers before the new model becomes champion."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from smoke_test.smoke import SmokeTestRequest, smoke_test


@cache
def clients() -> tuple[Bucket, Any]:
    settings = load_settings(Settings)
    # As patient as prediction: a model has 60 seconds to answer. The state machine tries again, not this invocation.
    patient = Config(read_timeout=65, retries={"total_max_attempts": 1})
    return Bucket(boto3.client("s3"), settings.workspace_bucket), boto3.client("sagemaker-runtime", config=patient)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    passed = smoke_test(SmokeTestRequest.model_validate(event), *clients())
    logger.info("smoke test passed", extra=passed)
    return passed
