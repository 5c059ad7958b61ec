"""The demonstration: the whole loop against the running stack, with nothing in it that the product does not do itself.

Frames are uploaded as a scientist uploads them; a scripted reviewer sends what the review page sends; the rest is watched. What is
expected to happen and does not is `DidNotHappen`.
"""

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from firnline.documents.layers import LayersDocument
from firnline.documents.placement import on_picture
from firnline.store.splits import Splits
from workbench import expert_picks, local_cloud, local_environment, report, stack, uploads
from workbench.connection import Connection, connect
from workbench.local_cloud.settings import ROOT, default_port, demo_state_dir
from workbench.reviewer import Reviewer
from workbench.uploads import PREDICTED

OUT = ROOT / "build" / "demo"
SIMULATED_FRAMES, SIMULATED_SEGMENTS = 120, 12
GENUINE_SAMPLES = 10_000
GENUINE_FRAMES = (
    (4, 1.0, 1.0), (19, 1.5, 1.0), (34, 2.0, 2.0), (49, 2.5, 1.0), (64, 3.0, 1.0), (79, 3.5, 2.0), (94, 4.0, 2.0), (109, 4.0, 1.0),
)  # fmt: skip
"""Number of the frame, samples a row and columns a trace of those that come as a lab has them."""
SIMULATED_MINUTES, REAL_MINUTES = 8, 6
"""As measured on two cores, of which nobody else used any. The training is bounded by passes over the frames, so that a
slower machine takes longer and comes as far."""
RETRAINING_SECONDS = 1500
NEEDED_BYTES = 2_000_000_000
REAL_HOLDOUT = ("*ASB_JKB2h_R26Ea", "*DVG_JKB2e_Y26a")
"""Two transects, focused and unfocused each, that no training sees: one long and smooth, one steep."""


class DidNotHappen(Exception):
    """A step of the loop did not take place; the message says which, and where to look."""


@dataclass
class Timeline:
    """What happened when, in seconds since the start, for the summary and the report."""

    console: Console
    started: float = field(default_factory=time.monotonic)
    steps: list[dict] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        end = time.monotonic()
        self.steps.append({"name": name, "start": round(begin - self.started, 1), "seconds": round(end - begin, 1)})
        self.console.print(f"[green]✓[/green] {name} ({end - begin:.0f} s)")

    def seconds(self) -> dict[str, float]:
        return {step["name"]: step["seconds"] for step in self.steps} | {
            "total": round(time.monotonic() - self.started, 1)
        }


@dataclass(frozen=True)
class Expected:
    """A frame to upload and what the scripted reviewer will answer for it, drawn on the file's own pixels."""

    file: Path
    segment: str
    truth: LayersDocument


def _begin(console: Console, minutes: int) -> None:
    """Before anything is computed: a port, room on the disk, and an empty state of the demonstration's own.

    The stack of `make up` stays as it is. Of demonstrations there is one: the state of the one before is removed.
    """
    state_dir = demo_state_dir()
    local_environment.forget_stack()
    console.print(
        f"This takes about {minutes} minutes on two free cores, more on busy ones. Ctrl+C stops it.", soft_wrap=True
    )
    if stack.down(state_dir):
        console.print("· the stack of the demonstration before was stopped")
    if state_dir.exists():
        shutil.rmtree(state_dir)
        console.print("· what the demonstration before had stored was removed")
    state_dir.mkdir(parents=True)
    if (free := shutil.disk_usage(state_dir).free) < NEEDED_BYTES:
        raise DidNotHappen(
            f"{OUT} has {free / 1e9:.1f} GB free, and about {NEEDED_BYTES / 1e9:.0f} GB are needed: free some space."
        )
    port = local_cloud.free_port(default_port())
    if port != default_port():
        console.print(f"· port {default_port()} is taken; the demonstration uses {port}")
    os.environ |= {"FIRNLINE_STATE": str(state_dir), "FIRNLINE_PORT": str(port)}


def on_simulated_campaign(retrain_every: int, console: Console) -> None:
    """120 frames, half `.nc` and half `.mat`, of a simulated campaign that the first model has not seen.

    Eight of them have the size and the sampling of files as NSIDC delivers them.
    """
    from workbench.simulator import Genuine, simulate_campaign

    _begin(console, minutes=SIMULATED_MINUTES)
    folder = _empty(OUT / "frames")
    with console.status("simulating the campaign"):
        genuine = {number: Genuine(finely, GENUINE_SAMPLES, along) for number, finely, along in GENUINE_FRAMES}
        files = simulate_campaign("demo", folder, SIMULATED_FRAMES, SIMULATED_SEGMENTS, genuine)
    frames = [
        Expected(
            Path(file), uploads.segment_of(Path(file)), LayersDocument.model_validate_json(Path(truth).read_bytes())
        )
        for file, truth in files
    ]
    _run(
        frames, "simulated", retrain_every, corrections=min(retrain_every, len(frames)), holdout="",
        training={"TrainingSeconds": "900", "MaxEpochs": "20"}, must_improve=True, console=console,
    )  # fmt: skip


def on_real_frames(folder: Path, retrain_every: int, console: Console) -> None:
    """Every `<stem>.png` with a `<stem>.picks.csv`: the experts' surface and bed picks play the reviewer.

    Whether a dozen frames make a better model is the frames' affair: that the champion stays is an answer, too.
    """
    frames = [Expected(file, segment, truth) for file, segment, truth in expert_picks.frames_with_picks(folder)]
    if not frames:
        raise DidNotHappen(f"{folder} has no <stem>.png with a <stem>.picks.csv beside it.")
    _begin(console, minutes=REAL_MINUTES)
    _run(
        frames, "real", retrain_every, corrections=len(frames), holdout=",".join(REAL_HOLDOUT),
        training={"TrainingSeconds": "150"}, must_improve=False, console=console,
    )  # fmt: skip


def _run(
    frames: list[Expected], campaign: str, retrain_every: int, corrections: int, holdout: str,
    training: dict[str, str], must_improve: bool, console: Console,
) -> None:  # fmt: skip
    timeline = Timeline(console)
    with timeline.step("local cloud started, stack deployed, endpoint in service"):
        # Every frame goes to review, so that the reviewer has enough to do: in production this is a share.
        parameters = {"RetrainEvery": str(retrain_every), "AuditRate": "1", **training}
        if holdout:
            parameters["HoldoutSegments"] = holdout
        environment = stack.up(parameters, console)
    connection = connect()
    before = _champion(connection)

    sent, rows = _upload_and_predict(connection, frames, campaign, timeline, console)
    reviewer = Reviewer(environment["AWS_ENDPOINT_URL"])
    with timeline.step("reviews started"):
        _wait(
            lambda: len(reviewer.open_tasks()) >= corrections, 120,
            lambda: f"only {len(reviewer.open_tasks())} of {corrections} review tasks were opened; see `firnline status`",
        )  # fmt: skip
    started = len(reviewer.open_tasks())
    truths = {
        item.frame_id: on_picture(frame.truth, uploads.frame_document(connection, rows[item.frame_id]))
        for item, frame in zip(sent, frames, strict=True)
    }
    _review(reviewer, connection, truths, corrections, timeline, console, holdout)
    batches = corrections // retrain_every
    rounds = [_watch_batch(connection, batch, timeline, console) for batch in range(1, batches + 1)]
    after = _champion(connection)
    promoted = [each for each in rounds if each["promote"]]
    if must_improve and after["model_version"] == before["model_version"]:
        reasons = "; ".join(each["reason"] for each in rounds)
        raise DidNotHappen(f"no better model was deployed, {before['model_version']} still serves. {reasons}")
    with timeline.step(f"{after['model_version']} answered"):
        splits = Splits(connection.table).known({row["frame_id"].rsplit("/", 1)[0] for row in rows.values()})
        held_out = {segment for segment, split in splits.items() if split == "holdout"}
        shown = report.choose_frames(rows.values(), held_out)
        layers_after = [report.predict_again(connection, row) for row in shown]
    summary = {
        "campaign": campaign, "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "uploaded": len(sent),
        "predicted": sum(row["status"] in PREDICTED for row in rows.values()),
        "rejected": sum(row["status"] == "REJECTED" for row in rows.values()),
        "reviews_started": started,
        "corrections": connection.corrections.counts()["total"],
        "retrain": {name: rounds[-1][name] for name in ("execution_arn", "status", "seconds")},
        "rounds": rounds,
        "champion_before": before["model_version"], "champion_after": after["model_version"],
        "holdout": {
            "before": rounds[0]["champion"],
            "after": promoted[-1]["candidate"] if promoted else rounds[-1]["champion"],
        },
        "seconds": timeline.seconds(),
    }  # fmt: skip
    (OUT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    whole = report.whole_frame(connection, rows.values())
    report.write(OUT / "report.html", summary, timeline.steps, shown, layers_after, truths, held_out, connection, whole)
    _tell(summary, environment, console, len(reviewer.open_tasks()))


def _upload_and_predict(
    connection: Connection, frames: list[Expected], campaign: str, timeline: Timeline, console: Console
) -> tuple[list[uploads.Upload], dict[str, dict]]:
    with _progress(console) as bar, timeline.step(f"{len(frames)} frames uploaded and predicted"):
        sending = bar.add_task("uploading", total=len(frames))
        sent = []
        for frame in frames:
            sent.append(uploads.upload(connection, frame.file, campaign, frame.segment))
            bar.advance(sending)
        predicting = bar.add_task("predicting", total=len(sent))
        rows = uploads.follow(connection, sent, 420, lambda done, _: bar.update(predicting, completed=done))
    rejected = [f"{row['source_key']}: {row['reason']}" for row in rows.values() if row["status"] == "REJECTED"]
    if rejected:
        raise DidNotHappen(f"{len(rejected)} frames were rejected, the first one {rejected[0]}")
    return sent, rows


def _review(
    reviewer: Reviewer, connection: Connection, truths: dict[str, LayersDocument], corrections: int,
    timeline: Timeline, console: Console, holdout: str,
) -> None:  # fmt: skip
    with _progress(console) as bar, timeline.step(f"{corrections} corrections submitted and stored"):
        tasks = sorted(reviewer.open_tasks(), key=lambda task: expert_picks.order(task.frame_id, holdout))
        submitting = bar.add_task("correcting", total=corrections)
        for task in tasks[:corrections]:
            reviewer.correct(task, truths[task.frame_id])
            bar.advance(submitting)
        _wait(
            lambda: connection.corrections.counts()["total"] >= corrections, 180,
            lambda: f"{connection.corrections.counts()['total']} of {corrections} submitted corrections were stored",
        )  # fmt: skip


def _watch_batch(connection: Connection, batch: int, timeline: Timeline, console: Console) -> dict:
    """Follow the execution that a full batch starts, to its end, and read what was decided."""
    begin = time.monotonic()
    with (
        console.status(f"batch {batch}: waiting for its execution") as status,
        timeline.step(f"batch {batch} retrained"),
    ):
        arn = _wait(
            lambda: (connection.corrections.batch(batch) or {}).get("execution_arn"), 120,
            lambda: f"batch {batch} was not started: {connection.corrections.batch(batch)}",
        )  # fmt: skip
        machines = connection.client("stepfunctions")
        while (execution := machines.describe_execution(executionArn=arn))["status"] == "RUNNING":
            step = report.current_state(machines, arn)
            status.update(f"batch {batch} · {arn.rsplit(':', 1)[1]} · {step} · {time.monotonic() - begin:.0f} s")
            if time.monotonic() - begin > RETRAINING_SECONDS:
                raise DidNotHappen(f"execution {arn} was still running after {RETRAINING_SECONDS} s, in {step}")
            time.sleep(1)
    if execution["status"] != "SUCCEEDED":
        cause = execution.get("cause", "no cause given")
        raise DidNotHappen(f"execution {arn} ended as {execution['status']}: {execution.get('error', '')} {cause}")
    comparison = report.comparison(connection, arn.rsplit(":", 1)[1])
    console.print(f"  {comparison['reason']}")
    return {
        "batch": batch, "execution_arn": arn, "status": execution["status"],
        "seconds": round((execution["stopDate"] - execution["startDate"]).total_seconds(), 1),
        "promote": comparison["promote"], "reason": comparison["reason"],
        "champion": comparison["champion"], "candidate": comparison["candidate"],
    }  # fmt: skip


def _champion(connection: Connection) -> dict:
    champion = connection.models.champion()
    if champion is None:
        raise DidNotHappen("no model serves: the stack's provisioning has not written the champion pointer")
    return champion


def _wait(happened: Callable[[], Any], seconds: float, otherwise: Callable[[], str]) -> Any:
    """The first true answer of `happened`; after `seconds` without one, DidNotHappen with what `otherwise` says."""
    deadline = time.monotonic() + seconds
    while not (answer := happened()):
        if time.monotonic() > deadline:
            raise DidNotHappen(otherwise())
        time.sleep(0.5)
    return answer


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:11}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def _empty(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _tell(summary: dict, environment: dict[str, str], console: Console, open_tasks: int) -> None:
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


STOP = "make demo-down   (`make down` stops the stack of `make up`, too, if one runs)"


def environment_file() -> str:
    return shlex.quote(os.path.relpath(demo_state_dir() / "env.sh"))


def what_is_left() -> str:
    """After a failure or Ctrl+C: what still runs, how to look at it, to stop it, or to begin again."""
    port = local_cloud.running_port(demo_state_dir())
    if port is None:
        return "nothing of it runs any more\nagain    make demo"
    look = f"look     source {environment_file()} && firnline status\n"
    return (
        f"its stack still runs at http://127.0.0.1:{port}\n"
        + (look if (demo_state_dir() / "env.sh").exists() else "")
        + f"stop     {STOP}\n"
        "again    make demo, which begins anew"
    )
