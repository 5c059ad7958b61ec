"""One logger, one tracer, one set of metrics per function; the service's name comes from POWERTOOLS_SERVICE_NAME."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

logger = Logger(log_uncaught_exceptions=True)
tracer = Tracer()
metrics = Metrics(namespace="Firnline")


class QueueProcessor(BatchProcessor):
    """Powertools' processor of SQS messages, which by itself says nowhere why a message was given back to its queue."""

    def __init__(self) -> None:
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def failure_handler(self, record: Any, exception: Any) -> Any:
        logger.error("the message goes back to its queue", exc_info=exception, extra={"message_id": record.message_id})
        return super().failure_handler(record, exception)
