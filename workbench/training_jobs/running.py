"""Running a training or a tuning job to its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from workbench.connection import Connection
from workbench.local_cloud.training import jobs_at_once
from workbench.training_arguments import CannotTrain, Tuned, grid_size, read_tuned

from .following import follow_training, follow_tuning
from .jobs import estimator_of, inputs_of, job_name, longest_seconds, sentences, tuner_of
from .results import keep
from .wanted import Plan, Wanted, plan


@dataclass(frozen=True)
class Search:
    """What a tuning job tries: ranges as `name=low:high[:log]`, choices as `name=value,value,...`."""

    ranges: Sequence[str]
    choices: Sequence[str]
    strategy: str
    jobs: int
    parallel: int
    early_stopping: bool


@dataclass(frozen=True)
class Tuning:
    """What came of a tuning job: its trainings' summaries, and the best one's description, if any ended."""

    trainings: list[dict]
    best: dict | None

    @property
    def best_name(self) -> str | None:
        return self.best["TrainingJobName"] if self.best else None


def train(connection: Connection, wanted: Wanted, console: Console) -> dict:
    """Run one training job to its end, telling its epochs, and note its model; returns the job's description.

    Raises CannotTrain.
    """
    with sentences():
        planned = plan(connection, wanted)
        job = _run_training(connection, planned, console)
    if job["TrainingJobStatus"] == "Failed":
        raise CannotTrain(f"The training job {job['TrainingJobName']} failed: {job['FailureReason']}")
    if job["TrainingJobStatus"] == "Completed":
        keep(connection, job, planned)
    return job


def _run_training(connection: Connection, planned: Plan, console: Console) -> dict:
    name = job_name(connection.outputs["EndpointName"], "train")
    with console.status("starting the training job"):
        checkpoints = connection.workspace.uri(f"checkpoints/{name}/")
        seconds = planned.hyperparameters["max-seconds"]
        estimator = estimator_of(connection, planned, seconds, checkpoint_s3_uri=checkpoints)
        estimator.fit(inputs_of(planned), job_name=name, wait=False)
    console.print(f"started {name} on snapshot {planned.snapshot}, {planned.from_what}")
    try:
        return follow_training(connection, name, console)
    except KeyboardInterrupt as error:
        connection.client("sagemaker").stop_training_job(TrainingJobName=name)
        raise CannotTrain(f"The training job {name} is being stopped, as you asked.") from error


def tune(connection: Connection, wanted: Wanted, search: Search, console: Console) -> Tuning:
    """Run one tuning job to its end, and note its best model. Raises CannotTrain."""
    if connection.local and search.parallel > (at_once := jobs_at_once()):
        console.print(f"this machine has cores for {at_once} training at a time: the others wait")
    tuned = read_tuned(list(search.ranges), list(search.choices))
    with sentences():
        planned = plan(connection, wanted, tuned)
        description, trainings = _run_tuning(connection, planned, tuned, search, console)
    if description["HyperParameterTuningJobStatus"] == "Failed":
        reasons = sorted({one["FailureReason"] for one in trainings if one.get("FailureReason")})
        name = description["HyperParameterTuningJobName"]
        raise CannotTrain(f"The tuning job {name} failed: {description['FailureReason']} {' '.join(reasons)}".strip())
    name = description.get("BestTrainingJob", {}).get("TrainingJobName")
    if name is None:
        return Tuning(trainings, None)
    best = connection.client("sagemaker").describe_training_job(TrainingJobName=name)
    keep(connection, best, planned)
    return Tuning(trainings, best)


def _run_tuning(
    connection: Connection, planned: Plan, tuned: Tuned, search: Search, console: Console
) -> tuple[dict, list[dict]]:
    """The tuning job's description, and its trainings' summaries by name."""
    name = job_name(connection.outputs["EndpointName"], "tune")
    jobs = grid_size(tuned) if search.strategy == "Grid" else search.jobs
    with console.status("starting the tuning job"):
        estimator = estimator_of(connection, planned, longest_seconds(planned, tuned))
        tuner = tuner_of(estimator, tuned, search.strategy, jobs, search.parallel, search.early_stopping)
        tuner.fit(inputs_of(planned), job_name=name, wait=False)
    console.print(f"started {name} on snapshot {planned.snapshot}: {jobs} trainings, {planned.from_what}")
    try:
        description = follow_tuning(connection, name, jobs, console)
    except KeyboardInterrupt as error:
        connection.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        raise CannotTrain(f"The tuning job {name} is being stopped, as you asked.") from error
    return description, sorted(tuner.analytics().training_job_summaries(), key=lambda one: one["TrainingJobName"])
