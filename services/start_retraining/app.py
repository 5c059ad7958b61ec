"""Lambda: a claimed batch, the schedule or an ended execution → a sweep, which starts the retraining that is due."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field

from firnline.events import CorrectionBatchClaimed
from firnline.observability import QueueProcessor, logger
from firnline.settings import Settings, load_settings
from firnline.store.corrections import Corrections
from firnline.store.table import Table
from start_retraining.executions import Executions
from start_retraining.sweep import Sweep

processor = QueueProcessor()


class RetrainingSettings(Settings):
    retrain_every: int = Field(100, ge=1, alias="RETRAIN_EVERY")
    retrain_state_machine_arn: str = Field(alias="RETRAIN_STATE_MACHINE_ARN")


class Message(BaseModel):
    """An EventBridge event; of batch 0 if an operator asks for a retraining."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    id: str
    detail_type: str = Field(alias="detail-type")
    detail: dict[str, Any]

    @property
    def asks_for_retraining(self) -> bool:
        return self.detail_type == CorrectionBatchClaimed.detail_type and self.detail.get("batch") == 0


@cache
def sweep() -> Sweep:
    settings = load_settings(RetrainingSettings)
    corrections = Corrections(Table(boto3.resource("dynamodb").Table(settings.table_name)))
    executions = Executions(boto3.client("stepfunctions"), settings.retrain_state_machine_arn)
    return Sweep(corrections, executions, settings.retrain_every)


def start_retraining(record: SQSRecord) -> None:
    message = Message.model_validate(record.json_body)
    if message.asks_for_retraining:
        sweep().corrections.request_retraining(message.id)
    logger.info("swept", extra={"cause": message.detail_type, "execution": sweep().run()})


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, start_retraining, processor, context)
