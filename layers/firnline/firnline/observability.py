"""One logger, one tracer, one set of metrics per function; the service's name comes from POWERTOOLS_SERVICE_NAME."""

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from firnline.errors import legible

_SHOWN_OF_BODY = 300

logger = Logger(log_uncaught_exceptions=True)
tracer = Tracer()
metrics = Metrics(namespace="Firnline")


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


class QueueProcessor(BatchProcessor):
    """Powertools' processor of SQS messages, which also logs why a message was given back to its queue."""

    def __init__(self) -> None:
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def failure_handler(self, record: Any, exception: Any) -> Any:
        extra = {"message_id": record.message_id, **subject(record.body)}
        logger.error("the message goes back to its queue", exc_info=exception, extra=extra)
        return super().failure_handler(record, exception)
