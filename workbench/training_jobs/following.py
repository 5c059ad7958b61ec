"""Following a job to its end: what its log says of its epochs, and how its trainings stand."""

from typing import Any

from rich.console import Console

from workbench.connection import Connection
from workbench.epoch_lines import EPOCH, short_line
from workbench.waiting import Pace, wait_until

ENDED = ("Completed", "Failed", "Stopped")
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def follow_training(connection: Connection, name: str, console: Console) -> dict:
    """The description of a training job that has ended; its epochs are told meanwhile.

    boto3's waiter would not say when it asks, and so when there may be new lines.
    """
    sagemaker, epochs = connection.client("sagemaker"), _EpochLines(connection.client("logs"), name)
    doing = ""

    def ended() -> dict | None:
        nonlocal doing
        job = sagemaker.describe_training_job(TrainingJobName=name)
        for line in epochs.new():
            console.print(line, markup=False)
        doing = job["SecondaryStatus"]
        return job if job["TrainingJobStatus"] in ENDED else None

    with console.status(name) as status:
        return wait_until(ended, None, TimeoutError, Pace.JOB, lambda s: status.update(f"{name} · {doing} · {s:.0f} s"))


def follow_tuning(connection: Connection, name: str, jobs: int, console: Console) -> dict:
    """The description of a tuning job that has ended. boto3 has no waiter for these."""
    sagemaker = connection.client("sagemaker")
    doing = ""

    def ended() -> dict | None:
        nonlocal doing
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        counts = {words: count for words, count in job["TrainingJobStatusCounters"].items() if count}
        told = ", ".join(f"{count} {words}" for words, count in counts.items())
        doing = f"{told or 'starting'} of {jobs}"
        return job if job["HyperParameterTuningJobStatus"] in ENDED else None

    with console.status(name) as status:
        return wait_until(ended, None, TimeoutError, Pace.JOB, lambda s: status.update(f"{name} · {doing} · {s:.0f} s"))


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
        return [short_line(e["message"]) for e in answer["events"] if e["message"].startswith(EPOCH)]
