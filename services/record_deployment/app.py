"""Lambda, a step of both state machines: writes down what became of a candidate."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.corrections import Corrections
from firnline.store.models import Models
from firnline.store.table import Table
from record_deployment.record import Outcome, record


@cache
def records() -> tuple[Models, Corrections]:
    table = Table(boto3.resource("dynamodb").Table(load_settings(Settings).table_name))
    return Models(table), Corrections(table)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    outcome = Outcome.model_validate(event)
    recorded = record(outcome, *records())
    logger.info("recorded", extra={"execution": outcome.execution, **recorded})
    return recorded
