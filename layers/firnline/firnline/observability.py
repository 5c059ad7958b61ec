"""One logger and one set of metrics per function; the service's name comes from POWERTOOLS_SERVICE_NAME.

Traces are Lambda's own (`Tracing: Active`).
"""

import json
import os
import warnings
from functools import cached_property
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, Field

from firnline.errors import legible
from firnline.settings import load_settings

_SHOWN_OF_BODY = 300

logger = Logger(log_uncaught_exceptions=True)
metrics = Metrics(namespace="Firnline")
# Where every message of a batch goes back to its queue there is nothing to count.
warnings.filterwarnings("ignore", "No application metrics to publish", UserWarning, "aws_lambda_powertools")
if "STACK_NAME" in os.environ:  # or the figures of an account's stacks would add up
    metrics.set_default_dimensions(stack=os.environ["STACK_NAME"])


_NAMES = ("frame_id", "revision", "model_version", "batch", "humanLoopName", "humanLoopStatus", "executionArn")


def subject(body: str) -> dict[str, str]:
    """What a message is about, where it tells: the frame, key, batch, loop or execution in its event's detail."""
    try:
        detail = json.loads(body)["detail"]
        stored = detail.get("object")
        found = {name: detail[name] for name in _NAMES if name in detail}
        found |= {"key": stored["key"]} if isinstance(stored, dict) and "key" in stored else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"body": legible(body, _SHOWN_OF_BODY)}
    return {name: legible(str(value), _SHOWN_OF_BODY) for name, value in found.items()}


FIRST_WAIT_SECONDS = 30
LONGEST_WAIT_SECONDS = 900
"""With ten receives a message is tried for an hour and a quarter, longer than an endpoint takes to start."""


def wait_before_receive(received: int) -> int:
    """Seconds until a message that has failed `received` times is to come again: twice as long each time, up to a bound."""
    return int(min(FIRST_WAIT_SECONDS * 2 ** (received - 1), LONGEST_WAIT_SECONDS))


class QueueSettings(BaseModel):
    queue_url: str = Field(alias="QUEUE_URL")


class QueueProcessor(BatchProcessor):
    """Powertools' processor of SQS messages, which says why a message goes back to its queue, and when it comes again.

    Left alone it would come when its visibility timeout is over, which covers the function's own longest run six times.
    """

    def __init__(self) -> None:
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    @cached_property
    def _sqs(self) -> Any:
        return boto3.client("sqs")

    def failure_handler(self, record: Any, exception: Any) -> Any:
        seconds = wait_before_receive(int(record.attributes.approximate_receive_count))
        extra = {"message_id": record.message_id, "again_in_s": seconds, **subject(record.body)}
        logger.error("the message goes back to its queue", exc_info=exception, extra=extra)
        try:
            self._sqs.change_message_visibility(
                QueueUrl=load_settings(QueueSettings).queue_url,
                ReceiptHandle=record.receipt_handle,
                VisibilityTimeout=seconds,
            )
        except (BotoCoreError, ClientError) as error:  # it comes again all the same, only later
            logger.warning("the message waits for its visibility timeout", exc_info=error, extra=extra)
        return super().failure_handler(record, exception)
