"""A partially annotated data set, where the article starts: annotations and no correction lead to a judged model.

On a stack of its own, since corrections of other tests would count.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import deployed_stack, wait_until
from typer.testing import CliRunner

from firnline.documents.layers import LayersDocument
from firnline.store import keys
from workbench import uploads
from workbench.cli import app
from workbench.connection import Connection


@pytest.fixture(scope="module")
def annotated(
    tmp_path_factory: pytest.TempPathFactory, campaign: list[tuple[Path, Path]]
) -> Iterator[tuple[Connection, list[uploads.Upload]]]:
    """The stack, and twelve frames of four segments on it, each uploaded after or before its annotation."""
    folder = tmp_path_factory.mktemp("annotations-alone")
    parameters = {"AuditRate": "0", "ReviewConfidence": "0", "TrainingSeconds": "30", "MaxEpochs": "1"}
    with deployed_stack(folder / "local-cloud", **parameters) as connection:
        sent = []
        for number, (frame, truth) in enumerate(campaign):
            annotation = partly_drawn(truth, folder / f"{frame.stem}.layers.json")
            for file in (frame, annotation) if number % 2 else (annotation, frame):
                upload = uploads.upload(connection, file, "drawn")
                sent += [upload] if file is frame else []
        yield connection, sent


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack() -> None:
    """This module's stack is its own: the environment names it as long as the module runs."""


def partly_drawn(truth: Path, to: Path) -> Path:
    """The surface and every other layer of a frame's truth, as an annotation that says it is partial."""
    document = LayersDocument.model_validate_json(truth.read_bytes())
    drawn = [layer for number, layer in enumerate(document.layers) if layer.label == "surface" or number % 2]
    to.write_bytes(document.model_copy(update={"layers": drawn, "coverage": "partial"}).to_json())
    return to


def firnline(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_twelve_annotated_frames_and_no_correction_lead_to_a_judged_model(
    annotated: tuple[Connection, list[uploads.Upload]],
) -> None:
    connection, sent = annotated
    frames = {upload.frame_id for upload in sent}
    rows = uploads.follow(connection, sent, 120, lambda _done, _rejected: None)
    assert {row.status for row in rows.values()} <= uploads.PREDICTED
    wait_until(lambda: "annotated 12, of them 0 completely" in firnline("status"), 60, "all annotations taken in")

    assert "asked" in firnline("retrain")
    batch = wait_until(lambda: connection.corrections.batches("DONE"), 240, "the retraining ended")[0]
    execution = connection.client("stepfunctions").describe_execution(executionArn=batch.execution_arn)
    assert execution["status"] == "SUCCEEDED"
    outcome = json.loads(execution["output"])
    assert outcome["outcome"] in ("promoted", "kept")
    assert connection.corrections.counts().total == 0

    assert f"{outcome['outcome']}: " in firnline("executions")

    version = connection.models.version(outcome["model_version"])
    assert version.decision in ("better", "kept", "promoted")
    assert version.reason in " ".join(firnline("models").split())
    for scores in (version.scores, version.champion_scores):
        assert scores.get("f1_2px") is None, "all truth is partial, so that precision cannot be known"
        assert scores["primary_metric"] == "followed_within_3px"
        assert scores["unusable_answers"] == 0
    prefix = keys.dataset_prefix(version.snapshot)
    manifest = json.loads(connection.workspace.read(f"{prefix}manifest.json", 10**7))
    assert {frame["frame_id"] for frame in manifest["frames"]} == frames
    assert {(frame["coverage"], frame["correction"]) for frame in manifest["frames"]} == {("partial", None)}
    assert manifest["counts"]["holdout"] == version.scores["frames"]


def test_a_deleted_annotation_no_longer_counts(annotated: tuple[Connection, list[uploads.Upload]]) -> None:
    connection, sent = annotated
    frame_id = sent[0].frame_id
    connection.frames.client.delete_object(Bucket=connection.frames.name, Key=f"{frame_id}.layers.json")
    wait_until(lambda: not connection.register.get(frame_id).annotated, 60, "the mark taken back")
    wait_until(
        lambda: not connection.workspace.exists(keys.partial(frame_id, sent[0].revision)), 60, "partial.json removed"
    )
    assert "annotated 11" in firnline("status")
