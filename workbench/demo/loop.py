"""The loop, step by step: deploy, upload, predict, review, correct, retrain, and answer with the new model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from firnline.documents.layers import LayersDocument
from firnline.documents.placement import on_picture
from firnline.store.rows import ChampionRow, FrameRow
from firnline.store.splits import Splits
from workbench import expert_picks, report, stack, uploads
from workbench.connection import Connection, connect
from workbench.progress import Stages
from workbench.reviewer import Reviewer
from workbench.waiting import wait_until

from . import summary
from .place import OUT
from .retraining import watch_batch
from .timeline import DidNotHappen, Timeline

PREDICTING_SECONDS, OPENING_SECONDS, STORING_SECONDS = 420, 120, 180
"""Within which all frames have layers, all review tasks are open, all corrections are stored."""


@dataclass(frozen=True)
class Expected:
    """A frame to upload and what the scripted reviewer will answer for it, drawn on the file's own pixels."""

    file: Path
    segment: str
    truth: LayersDocument


@dataclass(frozen=True)
class Course:
    """How a demonstration goes: how many corrections a batch takes and how many are made, the template parameters of
    the trainings, whether a better model has to come of it, and which segments no training sees."""

    campaign: str
    retrain_every: int
    corrections: int
    training: dict[str, str]
    must_improve: bool
    holdout: str = ""

    @property
    def batches(self) -> int:
        return self.corrections // self.retrain_every


def run(frames: Sequence[Expected], course: Course, console: Console) -> None:
    """The whole loop; writes `summary.json` and `report.html`. Raises DidNotHappen."""
    timeline = Timeline(console)
    environment = _deploy(course, timeline)
    connection = connect()
    before = _champion(connection)
    sent, rows = _upload_and_predict(connection, frames, course, timeline)
    reviewer = Reviewer(environment["AWS_ENDPOINT_URL"])
    started = _await_reviews(reviewer, course, timeline)
    truths = {
        item.frame_id: on_picture(frame.truth, uploads.frame_document(connection, rows[item.frame_id]))
        for item, frame in zip(sent, frames, strict=True)
    }
    _correct(reviewer, connection, truths, course, timeline)
    rounds = [watch_batch(connection, batch, timeline) for batch in range(1, course.batches + 1)]
    after = _champion(connection)
    if course.must_improve and after.model_version == before.model_version:
        reasons = "; ".join(each["reason"] for each in rounds)
        raise DidNotHappen(f"no better model was deployed, {before.model_version} still serves. {reasons}")
    with timeline.step(f"{after.model_version} answered"):
        held_out = _held_out(connection, rows)
        shown = report.choose_frames(rows.values(), held_out)
        layers_after = [report.predict_again(connection, row) for row in shown]
    told = summary.summary(course.campaign, rows, started, connection, rounds, before, after, timeline)
    (OUT / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    whole = report.whole_frame(connection, rows.values())
    report.write(OUT / "report.html", told, timeline.steps, shown, layers_after, truths, held_out, connection, whole)
    summary.tell(told, environment, console, len(reviewer.open_tasks()))


def _deploy(course: Course, timeline: Timeline) -> dict[str, str]:
    # Every frame goes to review, so that the reviewer has enough to do: in production this is a share.
    parameters = {"RetrainEvery": str(course.retrain_every), "AuditRate": "1", **course.training}
    if course.holdout:
        parameters["HoldoutSegments"] = course.holdout
    with timeline.step("local cloud started, stack deployed, endpoint in service"):
        return stack.up(parameters, timeline.console)


def _upload_and_predict(
    connection: Connection, frames: Sequence[Expected], course: Course, timeline: Timeline
) -> tuple[list[uploads.Upload], dict[str, FrameRow]]:
    with timeline.step(f"{len(frames)} frames uploaded and predicted"), Stages(timeline.console) as stages:
        sent = [
            uploads.upload(connection, frame.file, course.campaign, frame.segment)
            for frame in stages.track(frames, "uploading")
        ]
        predicting = stages.begin("predicting", total=len(sent))
        rows = uploads.follow(connection, sent, PREDICTING_SECONDS, lambda done, _: predicting.reach(done))
    rejected = [f"{row.source_key}: {row.reason}" for row in rows.values() if row.status == "REJECTED"]
    if rejected:
        raise DidNotHappen(f"{len(rejected)} frames were rejected, the first one {rejected[0]}")
    return sent, rows


def _await_reviews(reviewer: Reviewer, course: Course, timeline: Timeline) -> int:
    """How many review tasks were opened, once they are enough."""

    def too_few() -> DidNotHappen:
        opened = len(reviewer.open_tasks())
        return DidNotHappen(f"only {opened} of {course.corrections} review tasks were opened; see `firnline status`")

    with timeline.step("reviews started"):
        wait_until(lambda: len(reviewer.open_tasks()) >= course.corrections, OPENING_SECONDS, too_few)
    return len(reviewer.open_tasks())


def _correct(
    reviewer: Reviewer, connection: Connection, truths: dict[str, LayersDocument], course: Course, timeline: Timeline
) -> None:
    def stored() -> int:
        return connection.corrections.counts().total

    def too_few() -> DidNotHappen:
        return DidNotHappen(f"{stored()} of {course.corrections} submitted corrections were stored")

    with timeline.step(f"{course.corrections} corrections submitted and stored"), Stages(timeline.console) as stages:
        tasks = sorted(reviewer.open_tasks(), key=lambda task: expert_picks.order(task.frame_id, course.holdout))
        for task in stages.track(tasks[: course.corrections], "correcting"):
            reviewer.correct(task, truths[task.frame_id])
        wait_until(lambda: stored() >= course.corrections, STORING_SECONDS, too_few)


def _held_out(connection: Connection, rows: dict[str, FrameRow]) -> set[str]:
    """The segments, of those uploaded, that no training sees."""
    splits = Splits(connection.table).known({row.segment for row in rows.values()})
    return {segment for segment, split in splits.items() if split == "holdout"}


def _champion(connection: Connection) -> ChampionRow:
    champion = connection.models.champion()
    if champion is None:
        raise DidNotHappen("no model serves: the stack's provisioning has not written the champion pointer")
    return champion
