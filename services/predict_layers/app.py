"""Lambda: frames from the predict queue → the endpoint → layers document, overlay, `LayersPredicted`."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from pydantic import Field

from firnline.events import EventBus, FrameReady
from firnline.observability import QueueProcessor, logger, metrics
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.table import Table
from predict_layers.endpoint import Endpoint
from predict_layers.prediction import Predictor

processor = QueueProcessor()


class PredictionSettings(Settings):
    endpoint_name: str = Field(alias="ENDPOINT_NAME")


@cache
def predictor() -> Predictor:
    settings = load_settings(PredictionSettings)
    # A model has 60 seconds to answer; trying again within one invocation would outlast the function.
    patient = Config(read_timeout=65, retries={"total_max_attempts": 1})
    return Predictor(
        FrameRegister(Table(boto3.resource("dynamodb").Table(settings.table_name))),
        Bucket(boto3.client("s3"), settings.workspace_bucket),
        Endpoint(boto3.client("sagemaker-runtime", config=patient), settings.endpoint_name),
        EventBus(boto3.client("events"), settings.event_bus),
    )


def predict_layers(record: SQSRecord) -> None:
    event = FrameReady.model_validate(record.json_body["detail"])
    outcome = predictor().handle(event)
    logger.info("frame handled", extra={"frame_id": event.frame_id, "outcome": outcome})
    metrics.add_metric(f"Frames {outcome}", MetricUnit.Count, 1)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(event, predict_layers, processor, context)
