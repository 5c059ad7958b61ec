"""What SageMaker tells EventBridge of jobs and endpoints ("Events that Amazon SageMaker AI sends", SageMaker's guide).

The detail is what Describe would answer, with times in milliseconds; one event for each change of state.
"""

import json

from .context import emit
from .service_model import operation_model, shaped, with_times

ENDPOINT_STATUS = {"InService": "IN_SERVICE", "RollingBack": "ROLLING_BACK"}
"""How the events spell an endpoint's status where that is not Describe's in capitals."""


def training_job(job: dict) -> None:
    _tell("Training Job", "TrainingJob", job)


def transform_job(job: dict) -> None:
    _tell("Transform Job", "TransformJob", job)


def tuning_job(job: dict) -> None:
    _tell("HyperParameter Tuning Job", "HyperParameterTuningJob", job)


def endpoint(document: dict) -> None:
    status = document["EndpointStatus"]
    _tell("Endpoint", "Endpoint", {**document, "EndpointStatus": ENDPOINT_STATUS.get(status, status.upper())})


def _tell(words: str, member: str, document: dict) -> None:
    shape = operation_model("sagemaker", f"Describe{member}").output_shape
    detail = with_times(shaped(document, shape), shape, lambda seconds: int(seconds * 1000))
    emit(f"SageMaker {words} State Change", [document[f"{member}Arn"]], json.dumps(detail))
