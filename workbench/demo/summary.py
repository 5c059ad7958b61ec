"""What came of the demonstration: the summary, and the last lines on the terminal."""

from datetime import UTC, datetime

from rich.console import Console

from firnline.store.rows import ChampionRow, FrameRow
from workbench.connection import Connection
from workbench.uploads import PREDICTED

from .place import OUT, STOP, environment_file
from .timeline import Timeline


def summary(
    campaign: str,
    rows: dict[str, FrameRow],
    reviews_started: int,
    connection: Connection,
    rounds: list[dict],
    before: ChampionRow,
    after: ChampionRow,
    timeline: Timeline,
) -> dict:
    """What `summary.json` holds."""
    promoted = [each for each in rounds if each["promote"]]
    return {
        "campaign": campaign, "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "uploaded": len(rows),
        "predicted": sum(row.status in PREDICTED for row in rows.values()),
        "rejected": sum(row.status == "REJECTED" for row in rows.values()),
        "reviews_started": reviews_started,
        "corrections": connection.corrections.counts().total,
        "retrain": {name: rounds[-1][name] for name in ("execution_arn", "status", "seconds")},
        "rounds": rounds,
        "champion_before": before.model_version, "champion_after": after.model_version,
        "holdout": {
            "before": rounds[0]["champion"],
            "after": promoted[-1]["candidate"] if promoted else rounds[-1]["champion"],
        },
        "seconds": timeline.seconds(),
    }  # fmt: skip


def tell(summary: dict, environment: dict[str, str], console: Console, open_tasks: int) -> None:
    console.rule("before and after, on frames that no training saw")
    for name, scores in summary["holdout"].items():
        shown = ", ".join(f"{key} {value:.3f}" for key, value in scores.items() if isinstance(value, float))
        console.print(f"{name:7} {shown}")
    if summary["champion_before"] == summary["champion_after"]:
        console.print("No candidate was better on the holdout, so the model that served before serves on.")
    console.print(
        f"champion {summary['champion_before']} → {summary['champion_after']} "
        f"in {summary['seconds']['total']:.0f} s in all\n"
        f"report   {OUT / 'report.html'}\n"
        f"review   {environment['AWS_ENDPOINT_URL']}/review/ has {open_tasks} open tasks\n"
        f"command  source {environment_file()} && firnline status\n"
        f"stop     {STOP}"
    )
