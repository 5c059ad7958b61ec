"""`firnline train` and `firnline tune`: the model code as SageMaker jobs, through SageMaker's Python SDK (version 2).

The same calls reach an AWS account and the local cloud; the stack's outputs name the role, the image and the bucket.
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table as Listing

from firnline.learning import model_code
from firnline.store import keys
from workbench.connection import Connection
from workbench.training_arguments import (
    LAYER_MODEL,
    CannotTrain,
    Number,
    NumberRange,
    Tuned,
    check_names,
    grid_size,
    read_number,
)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
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
ENDED = ("Completed", "Failed", "Stopped")
SPLITS = ("train", "validation", "holdout")
SHOWN = ("train_loss", "validation_f1_2px", "validation_mae_px", "validation_score")
WITH_OPTIONS = {"network": "--network", "max-seconds": "--seconds", "snapshot": "--snapshot"}
SECONDS_BESIDE_TRAINING = 3600  # starting, calibrating, scoring the holdout, uploading
MAX_MANIFEST_BYTES = 256_000_000
POLL_SECONDS = 2.0
STACK_IN_NAME = 32 - len("-train-260101-000000")


@dataclass(frozen=True)
class Plan:
    """What a training is given. `channels` are S3 prefixes by name, `started_from` a model version."""

    snapshot: str
    channels: dict[str, str]
    hyperparameters: dict[str, Any]
    started_from: str | None
    pipe: bool


def plan(
    connection: Connection,
    snapshot: str | None = None,
    from_version: str | None = None,
    from_scratch: bool = False,
    seconds: int | None = None,
    network: str = "layers",
    hyperparameters: dict[str, Any] | None = None,
    pipe: bool = False,
    tuned: Tuned | None = None,
) -> Plan:
    """What to train on, from which model, with which hyperparameters; raises CannotTrain.

    Without `snapshot` the newest is taken, without `from_version` the champion, as far as its network is the one that
    is trained; without `seconds` what retraining takes.
    """
    given, searched = hyperparameters or {}, tuned or {}
    for name in given:
        if name in WITH_OPTIONS:
            raise CannotTrain(f"'{name}' has an option of its own: use {WITH_OPTIONS[name]}.")
    check_names([*given, *searched])
    if from_version and from_scratch:
        raise CannotTrain("Choose one of --from-version and --from-scratch.")
    snapshot = snapshot or newest_snapshot(connection)
    counts = _counts(connection, snapshot)
    prefix = connection.workspace.uri(keys.dataset_prefix(snapshot))
    channels = {split: f"{prefix}{split}/" for split in SPLITS if counts.get(split)}
    started_from = from_version
    if not from_version and not from_scratch and network == "layers" and "network" not in searched:
        champion = connection.models.champion()
        started_from = champion["model_version"] if champion else None
    if started_from:
        channels["model"] = _model_data(connection, started_from)
    fixed = {"max-seconds": seconds or _stack_parameter(connection, "TrainingSeconds"), "network": network}
    fixed |= {"epochs": _stack_parameter(connection, "MaxEpochs"), "snapshot": snapshot, **given}
    kept = {name: value for name, value in fixed.items() if name not in searched}
    return Plan(snapshot, channels, kept, started_from, pipe)


def newest_snapshot(connection: Connection) -> str:
    bucket = connection.workspace
    pages = bucket.client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.name, Prefix="datasets/", Delimiter="/"
    )
    found = {}
    for page in pages:
        for folder in page.get("CommonPrefixes", []):
            key = folder["Prefix"] + "manifest.json"
            if bucket.exists(key):  # without a manifest there is no snapshot yet
                made = bucket.client.head_object(Bucket=bucket.name, Key=key)["LastModified"]
                found[folder["Prefix"].split("/")[1]] = made
    if not found:
        raise CannotTrain(
            "There is no data snapshot to train on yet. The first retraining writes one: correct some frames, then run "
            "`firnline retrain`."
        )
    return max(found, key=lambda name: (found[name], name))


def _counts(connection: Connection, snapshot: str) -> dict[str, int]:
    """Frames of each split of a snapshot."""
    try:
        manifest = connection.workspace.read(keys.dataset_prefix(snapshot) + "manifest.json", MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise CannotTrain(
            f"There is no data snapshot '{snapshot}': snapshots are named after the retraining that wrote them, "
            "which `firnline executions` lists."
        ) from error
    if next(connection.workspace.names(keys.dataset_prefix(snapshot) + "train/"), None) is None:
        raise CannotTrain(
            f"The data of snapshot '{snapshot}' has expired, as that of every model that was not promoted does: "
            "`firnline retrain` takes a new one of all corrections and annotations."
        )
    return json.loads(manifest)["counts"]


def _model_data(connection: Connection, version: str) -> str:
    """Where the artefact of a model version lies: one that was judged, or one that a training job left."""
    known = connection.models.version(version) or {}
    if "model_data" in known:
        return known["model_data"]
    champion = connection.models.champion()
    if champion and champion["model_version"] == version:
        return champion["model_data"]
    key = f"models/{version}/output/model.tar.gz"
    if not connection.workspace.exists(key):
        raise CannotTrain(f"There is no model '{version}' to start from: `firnline models` lists those there are.")
    return connection.workspace.uri(key)


def _stack_parameter(connection: Connection, name: str) -> int:
    stack_name = connection.outputs["EndpointName"]  # they are one
    stacks = connection.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    return int(float(next(p["ParameterValue"] for p in stacks[0]["Parameters"] if p["ParameterKey"] == name)))


# Jobs


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


def _estimator(connection: Connection, wanted: Plan, max_seconds: float, **changes: Any) -> Any:
    session = sdk_session(connection.session, connection.workspace.name)
    from sagemaker.mxnet import MXNet

    code, packed = model_code.pack(LAYER_MODEL)
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
        volume_size=50,
        hyperparameters=wanted.hyperparameters,
        metric_definitions=METRICS,
        output_path=connection.workspace.uri("models/"),
        # SageMaker gives a job five days at most.
        max_run=int(min(max_seconds + SECONDS_BESIDE_TRAINING, 432_000)),
        input_mode="Pipe" if wanted.pipe else "File",
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
        **changes,
    )


def _inputs(wanted: Plan) -> dict[str, Any]:
    from sagemaker.inputs import TrainingInput

    inputs = {}
    for name, uri in wanted.channels.items():
        records = name != "model"
        inputs[name] = TrainingInput(
            uri,
            content_type="application/x-recordio" if records else "application/x-tar",
            input_mode="Pipe" if records and wanted.pipe else "File",
        )
    return inputs


def train(connection: Connection, wanted: Plan, console: Console) -> dict:
    """Run one training job to its end, telling its epochs; returns its description. Raises CannotTrain."""
    name = job_name(connection.outputs["EndpointName"], "train")
    with sentences():
        with console.status("starting the training job"):
            checkpoints = connection.workspace.uri(f"checkpoints/{name}/")
            seconds = wanted.hyperparameters["max-seconds"]
            estimator = _estimator(connection, wanted, seconds, checkpoint_s3_uri=checkpoints)
            estimator.fit(_inputs(wanted), job_name=name, wait=False)
        console.print(f"started {name} on snapshot {wanted.snapshot}, {_from_what(wanted)}")
        try:
            job = _follow_training(connection, name, console)
        except KeyboardInterrupt as error:
            connection.client("sagemaker").stop_training_job(TrainingJobName=name)
            raise CannotTrain(f"The training job {name} is being stopped, as you asked.") from error
    if job["TrainingJobStatus"] == "Failed":
        raise CannotTrain(f"The training job {name} failed: {job['FailureReason']}")
    return job


def _from_what(wanted: Plan) -> str:
    return f"going on from model {wanted.started_from}" if wanted.started_from else "from scratch"


def _follow_training(connection: Connection, name: str, console: Console) -> dict:
    sagemaker, epochs, began = connection.client("sagemaker"), _EpochLines(connection.client("logs"), name), time.time()
    with console.status(name) as status:
        while True:
            job = sagemaker.describe_training_job(TrainingJobName=name)
            for line in epochs.new():
                console.print(line, markup=False)
            if job["TrainingJobStatus"] in ENDED:
                return job
            status.update(f"{name} · {job['SecondaryStatus']} · {time.time() - began:.0f} s")
            time.sleep(POLL_SECONDS)


class _EpochLines:
    """What a training job's log says of its epochs, a short line for each, as it comes in."""

    def __init__(self, logs: Any, name: str) -> None:
        self._logs, self._name = logs, name
        self._place: dict[str, Any] = {}

    def new(self) -> list[str]:
        if not self._place:
            try:
                streams = self._logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._name}/")[
                    "logStreams"
                ]
            except self._logs.exceptions.ResourceNotFoundException:
                return []  # the first job of an account makes the group
            if not streams:
                return []
            self._place = {"logStreamName": streams[0]["logStreamName"], "startFromHead": True}
        answer = self._logs.get_log_events(logGroupName=LOG_GROUP, **self._place)
        self._place["nextToken"] = answer["nextForwardToken"]
        return [short_line(e["message"]) for e in answer["events"] if e["message"].startswith("epoch=")]


def short_line(epoch: str) -> str:
    """`epoch=3 train_loss=0.51234; validation_...` of train.py's log with what tells whether it gets better."""
    said = dict(re.findall(r"(\w+)=([0-9.]+)", epoch))
    shown = [f"{name} {float(said[name]):.4f}" for name in SHOWN if name in said]
    return " · ".join([f"epoch {said['epoch']}", *shown])


def tune(
    connection: Connection,
    wanted: Plan,
    tuned: Tuned,
    strategy: str,
    jobs: int,
    parallel: int,
    early_stopping: bool,
    console: Console,
) -> tuple[dict, list[dict]]:
    """Run one tuning job to its end; returns its description and its trainings' summaries. Raises CannotTrain."""
    name = job_name(connection.outputs["EndpointName"], "tune")
    if strategy == "Grid":
        jobs = grid_size(tuned)
    with sentences():
        with console.status("starting the tuning job"):
            estimator = _estimator(connection, wanted, _longest_seconds(wanted, tuned))
            tuner = _tuner(estimator, tuned, strategy, jobs, parallel, early_stopping)
            tuner.fit(_inputs(wanted), job_name=name, wait=False)
        console.print(f"started {name} on snapshot {wanted.snapshot}: {jobs} trainings, {_from_what(wanted)}")
        try:
            description = _follow_tuning(connection, name, jobs, console)
        except KeyboardInterrupt as error:
            connection.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            raise CannotTrain(f"The tuning job {name} is being stopped, as you asked.") from error
        summaries = tuner.analytics().training_job_summaries()
    if description["HyperParameterTuningJobStatus"] == "Failed":
        reasons = sorted({one["FailureReason"] for one in summaries if one.get("FailureReason")})
        raise CannotTrain(f"The tuning job {name} failed: {description['FailureReason']} {' '.join(reasons)}".strip())
    return description, sorted(summaries, key=lambda one: one["TrainingJobName"])


def _longest_seconds(wanted: Plan, tuned: Tuned) -> Number:
    searched = tuned.get("max-seconds")
    if isinstance(searched, NumberRange):
        return searched.high
    if searched:
        return max(read_number(value) or 0 for value in searched)
    return wanted.hyperparameters["max-seconds"]


def _tuner(estimator: Any, tuned: Tuned, strategy: str, jobs: int, parallel: int, early_stopping: bool) -> Any:
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


def _follow_tuning(connection: Connection, name: str, jobs: int, console: Console) -> dict:
    sagemaker, began = connection.client("sagemaker"), time.time()
    with console.status(name) as status:
        while True:
            job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            if job["HyperParameterTuningJobStatus"] in ENDED:
                return job
            counts = {words: count for words, count in job["TrainingJobStatusCounters"].items() if count}
            told = ", ".join(f"{count} {words}" for words, count in counts.items())
            status.update(f"{name} · {told or 'starting'} of {jobs} · {time.time() - began:.0f} s")
            time.sleep(POLL_SECONDS)


# What came out


def keep(connection: Connection, job: dict, wanted: Plan) -> None:
    """Note a finished training among the models, so that an operator can have it deployed and others go on from it."""
    scores = {metric["MetricName"]: round(metric["Value"], 5) for metric in job.get("FinalMetricDataList", [])}
    told = ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if name in (OBJECTIVE, "holdout:f1_2px"))
    connection.models.record(
        job["TrainingJobName"],
        decision="trained",
        reason=f"Trained by hand on snapshot {wanted.snapshot}, {_from_what(wanted)}; not compared. {told}".strip(),
        model_data=job["ModelArtifacts"]["S3ModelArtifacts"],
        snapshot=wanted.snapshot,
    )


def training_listing(job: dict) -> Listing:
    listing = Listing("metric", "last value", box=None)
    for metric in job.get("FinalMetricDataList", []):
        listing.add_row(metric["MetricName"], f"{metric['Value']:.4f}")
    listing.add_row("seconds", str(job.get("TrainingTimeInSeconds", "")))
    return listing


def tuning_listing(summaries: list[dict], best: str | None) -> Listing:
    """A table of a tuning job's trainings, the best one marked."""
    names = sorted({name for one in summaries for name in one["TunedHyperParameters"]})
    listing = Listing("training job", "status", OBJECTIVE, *names, "seconds", "", box=None)
    for one in summaries:
        value = one.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")
        ended = "TrainingStartTime" in one and "TrainingEndTime" in one
        seconds = (one["TrainingEndTime"] - one["TrainingStartTime"]).total_seconds() if ended else None
        listing.add_row(
            one["TrainingJobName"],
            one["TrainingJobStatus"],
            "" if value is None else f"{value:.4f}",
            *[_shown(one["TunedHyperParameters"].get(name, "")) for name in names],
            "" if seconds is None else f"{seconds:.0f}",
            "[green]← best[/green]" if one["TrainingJobName"] == best else "",
        )
    return listing


def _shown(value: str) -> str:
    number = read_number(value)
    return f"{number:.4g}" if isinstance(number, float) else value.strip('"')


def what_next(job: dict) -> str:
    name = job["TrainingJobName"]
    return (
        f"model     {job['ModelArtifacts']['S3ModelArtifacts']}\n"
        "          its model_card.json holds the scores and the calibration; it serves nobody yet\n"
        f"next      firnline train --from-version {name}   goes on from it\n"
        f"          firnline rollback {name}   puts it into service without comparing it with the champion"
    )
