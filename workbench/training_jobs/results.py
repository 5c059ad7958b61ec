"""What came out of a training: noted among the models, and shown."""

from rich.table import Table as Listing

from workbench.connection import Connection
from workbench.training_arguments import read_number

from .jobs import OBJECTIVE
from .wanted import Plan

TOLD_OF_A_MODEL = (OBJECTIVE, "holdout:f1_2px")


def keep(connection: Connection, job: dict, planned: Plan) -> None:
    """Note a finished training among the models, so that an operator can have it deployed and others go on from it."""
    scores = {metric["MetricName"]: round(metric["Value"], 5) for metric in job.get("FinalMetricDataList", [])}
    told = ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if name in TOLD_OF_A_MODEL)
    connection.models.record(
        job["TrainingJobName"],
        decision="trained",
        reason=f"Trained by hand on snapshot {planned.snapshot}, {planned.from_what}; not compared. {told}".strip(),
        model_data=job["ModelArtifacts"]["S3ModelArtifacts"],
        snapshot=planned.snapshot,
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
