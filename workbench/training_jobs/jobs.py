"""Training and tuning jobs as SageMaker's SDK describes them."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from firnline.learning import model_code
from layer_model import code_files
from workbench.connection import Connection
from workbench.training_arguments import CannotTrain, Number, NumberRange, Tuned, read_number

from .wanted import Plan

OBJECTIVE = "validation:score"
METRICS: list[Any] = [
    {"Name": "validation:f1_2px", "Regex": "validation_f1_2px=([0-9.]+)"},
    {"Name": "validation:recall_2px", "Regex": "validation_recall_2px=([0-9.]+)"},
    {"Name": "validation:mae_px", "Regex": "validation_mae_px=([0-9.]+)"},
    {"Name": OBJECTIVE, "Regex": "validation_score=([0-9.]+)"},
    {"Name": "holdout:f1_2px", "Regex": "holdout_f1_2px=([0-9.]+)"},
    {"Name": "holdout:mae_px", "Regex": "holdout_mae_px=([0-9.]+)"},
]
"""As the state machine `retrain` registers them."""
SECONDS_BESIDE_TRAINING = 3600  # starting, calibrating, scoring the holdout, uploading
LONGEST_JOB_SECONDS = 432_000
"""SageMaker gives a job five days at most."""
VOLUME_GB = 50
STACK_IN_NAME = 32 - len("-train-260101-000000")


@contextmanager
def sentences() -> Iterator[None]:
    """What AWS or the local cloud refuses, as CannotTrain."""
    try:
        yield
    except ClientError as error:
        raise CannotTrain(f"{error.operation_name} was refused: {error.response['Error']['Message']}") from error
    except BotoCoreError as error:
        raise CannotTrain(f"The stack does not answer: {error}") from error


def sdk_session(boto_session: Any, bucket: str) -> Any:
    """A session of the SageMaker SDK that takes its settings from the stack alone, and sends no usage data."""
    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
    import sagemaker

    for chatty in ("sagemaker", "botocore"):  # what goes wrong is raised; the rest is about the SDK itself
        logging.getLogger(chatty).setLevel(logging.ERROR)
    settings = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    return sagemaker.Session(boto_session, default_bucket=bucket, sagemaker_config=settings)


def job_name(stack: str, kind: str) -> str:
    """A tuning job's name has at most 32 characters: of a long stack's name the beginning is in it."""
    return f"{stack[:STACK_IN_NAME]}-{kind}-{time.strftime('%y%m%d-%H%M%S', time.gmtime())}"


def estimator_of(connection: Connection, planned: Plan, max_seconds: float, **changes: Any) -> Any:
    session = sdk_session(connection.session, connection.workspace.name)
    from sagemaker.mxnet import MXNet

    code, packed = model_code.pack(code_files.training_files())
    code_key = f"code/{code}/sourcedir.tar.gz"
    connection.workspace.write(code_key, packed, "application/gzip")
    outputs = connection.outputs
    return MXNet(
        "train.py",
        source_dir=connection.workspace.uri(code_key),
        role=outputs["TrainingRoleArn"],
        image_uri=outputs["TrainingImageUri"],
        instance_count=1,
        instance_type=outputs["TrainingInstanceType"],
        volume_size=VOLUME_GB,
        hyperparameters=planned.hyperparameters,
        metric_definitions=METRICS,
        output_path=connection.workspace.uri("models/"),
        max_run=int(min(max_seconds + SECONDS_BESIDE_TRAINING, LONGEST_JOB_SECONDS)),
        input_mode="Pipe" if planned.pipe else "File",
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
        **changes,
    )


def inputs_of(planned: Plan) -> dict[str, Any]:
    from sagemaker.inputs import TrainingInput

    inputs = {}
    for name, uri in planned.channels.items():
        records = name != "model"
        inputs[name] = TrainingInput(
            uri,
            content_type="application/x-recordio" if records else "application/x-tar",
            input_mode="Pipe" if records and planned.pipe else "File",
        )
    return inputs


def longest_seconds(planned: Plan, tuned: Tuned) -> Number:
    searched = tuned.get("max-seconds")
    if isinstance(searched, NumberRange):
        return searched.high
    if searched:
        return max(read_number(value) or 0 for value in searched)
    return planned.hyperparameters["max-seconds"]


def tuner_of(estimator: Any, tuned: Tuned, strategy: str, jobs: int, parallel: int, early_stopping: bool) -> Any:
    from sagemaker.tuner import CategoricalParameter, ContinuousParameter, HyperparameterTuner, IntegerParameter

    ranges: dict[Any, Any] = {}
    for name, values in tuned.items():
        if isinstance(values, list):
            ranges[name] = CategoricalParameter(values)
        else:
            whole = isinstance(values.low, int) and isinstance(values.high, int)
            kind = IntegerParameter if whole else ContinuousParameter
            ranges[name] = kind(values.low, values.high, values.scaling)
    return HyperparameterTuner(
        estimator,
        OBJECTIVE,
        ranges,
        METRICS,
        strategy=strategy,
        objective_type="Maximize",
        max_jobs=jobs,
        max_parallel_jobs=min(parallel, jobs),
        early_stopping_type="Auto" if early_stopping else "Off",
    )
