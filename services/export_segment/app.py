"""Lambda, the steps of `export`: lists the segments of an export, writes the products of one, and accounts for all."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from export_segment.steps import STEP, AccountFor, ListSegments, NoteFailure, WriteSegment
from firnline.exports.in_cloud import CloudExport, StackHoldings
from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.table import Table

_MILLISECONDS = 1000


@cache
def holdings() -> StackHoldings:
    settings = load_settings(Settings)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    return StackHoldings(table, Bucket(boto3.client("s3"), settings.workspace_bucket))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    step = STEP.validate_python(event)
    export = CloudExport(holdings(), step.export)
    match step:
        case ListSegments():
            answer = export.list_segments()
        case WriteSegment():
            answer = export.write_segment(step.segment, lambda: context.get_remaining_time_in_millis() / _MILLISECONDS)
        case NoteFailure():
            export.note_failure(step.segment, step.error, step.cause)
            answer = {"segment": step.segment, "noted": True}
        case AccountFor():
            answer = export.account()
    logger.info(step.step, extra=answer)
    return answer
