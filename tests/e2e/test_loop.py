"""The loop against the deployed stack: production's template, roles, functions and state machines."""

import csv
import json
import re
import time
from pathlib import Path

import pytest
from conftest import truths_on_pictures, wait_until

from firnline.documents.layers import LayersDocument
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.store import keys
from firnline.store.bucket import split_uri
from firnline.store.rows import FrameRow
from workbench import uploads
from workbench.connection import Connection
from workbench.reviewer import Reviewer


def _upload(connection: Connection, files: list[Path], campaign: str) -> list[uploads.Upload]:
    return [uploads.upload(connection, file, campaign) for file in files]


def _follow(connection: Connection, sent: list[uploads.Upload]) -> dict[str, FrameRow]:
    return uploads.follow(connection, sent, 120, lambda _done, _rejected: None)


def _logged(connection: Connection, group: str, since: int) -> str:
    """A function's log from this moment on, in milliseconds since 1970."""
    pages = connection.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    return "\n".join(event["message"] for page in pages for event in page["events"])


def _reviewer(connection: Connection) -> Reviewer:
    return Reviewer(connection.client("s3").meta.endpoint_url)


def test_a_broken_file_is_refused_with_a_sentence_and_the_next_one_is_predicted(
    deployed: Connection, campaign: list[tuple[Path, Path]], tmp_path: Path
) -> None:
    broken = tmp_path / "IRSNO1B_20120330_04_999.nc"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n" + b"not really" * 50)
    sent = [uploads.upload(deployed, broken, "broken"), uploads.upload(deployed, campaign[0][0], "broken")]
    rows = _follow(deployed, sent)
    refused, predicted = (rows[item.frame_id] for item in sent)
    assert refused.status == "REJECTED"
    assert refused.reason.endswith(".")
    reason = json.loads(deployed.workspace.read(keys.rejection(refused.frame_id), 100_000))
    assert reason["reason"] == refused.reason
    assert predicted.status in uploads.PREDICTED


def test_every_prediction_is_a_valid_layers_document_with_an_overlay(
    deployed: Connection, campaign: list[tuple[Path, Path]], tmp_path: Path
) -> None:
    rows = _follow(deployed, _upload(deployed, [campaign[1][0], campaign[2][0]], "shown"))
    for row in rows.values():
        written = uploads.fetch_layers(deployed, row, tmp_path, "frame")
        layers = LayersDocument.model_validate_json(written.document.read_bytes())
        assert layers.frame_id == row.frame_id
        assert layers.layers, "the first model finds at least the surface"
        assert written.overlay.read_bytes().startswith(b"\x89PNG")
        picks = list(csv.DictReader(written.picks.read_text().splitlines()))
        assert {int(pick["layer"]) for pick in picks} == set(range(len(layers.layers)))
        assert all(pick["twtt_s"] and pick["depth_m"] for pick in picks if pick["label"] == "surface")


def test_corrections_fill_a_batch_which_is_trained_judged_and_decided(
    deployed: Connection, campaign: list[tuple[Path, Path]]
) -> None:
    sent = _upload(deployed, [file for file, _ in campaign], "loop")
    _follow(deployed, sent)
    truth_of = truths_on_pictures(deployed, sent, campaign)
    reviewer = _reviewer(deployed)

    def opened() -> list:
        tasks = [task for task in reviewer.open_tasks() if task.frame_id in truth_of]
        return tasks if len(tasks) == len(sent) else []

    tasks = wait_until(opened, 60, "a review task for each frame")
    for task in tasks:
        reviewer.correct(task, truth_of[task.frame_id])
    wait_until(lambda: deployed.corrections.counts().total == 12, 60, "all twelve corrections counted")
    counts = wait_until(
        lambda: (counts := deployed.corrections.counts()).claimed == 12 and counts, 60, "three batches claimed"
    )
    assert counts.last_batch == 3
    correction = next(iter(deployed.corrections.all()))
    bucket, prefix = split_uri(correction.image_prefix)
    assert bucket == deployed.workspace.name
    layers = json.loads(deployed.workspace.read(prefix + "layers.json", MAX_DOCUMENT_BYTES))
    assert layers["source"]["kind"] == "human"

    batch = wait_until(lambda: deployed.corrections.batches("DONE"), 240, "the first batch decided")[0]
    execution = deployed.client("stepfunctions").describe_execution(executionArn=batch.execution_arn)
    assert execution["status"] == "SUCCEEDED"
    decided = deployed.models.versions()
    assert decided
    assert all(version.reason for version in decided)


def test_an_upload_delivered_again_changes_nothing(deployed: Connection, campaign: list[tuple[Path, Path]]) -> None:
    sent = _upload(deployed, [campaign[3][0]], "again")
    before = _follow(deployed, sent)[sent[0].frame_id]
    _upload(deployed, [campaign[3][0]], "again")
    canary = _upload(deployed, [campaign[4][0]], "again")
    _follow(deployed, canary)
    after = deployed.register.get(sent[0].frame_id)
    assert (after.revision, after.model_version) == (before.revision, before.model_version)


@pytest.mark.parametrize(
    ("function", "action"),
    [("IngestFrame", "events:PutEvents"), ("PredictLayers", "sagemaker:InvokeEndpoint"),
     ("PredictLayers", "dynamodb:UpdateItem")],
)  # fmt: skip
def test_a_function_without_one_of_its_rights_is_denied(
    deployed: Connection, campaign: list[tuple[Path, Path]], function: str, action: str
) -> None:
    """IAM is enforced: the loop works because the template's policies say so, not because nobody asks."""
    iam = deployed.client("iam")
    resources = deployed.client("cloudformation").describe_stack_resources(StackName="firnline")["StackResources"]
    role = next(
        resource["PhysicalResourceId"] for resource in resources
        if resource["LogicalResourceId"] == f"{function}FunctionRole"
    )  # fmt: skip
    log_group = f"/aws/lambda/firnline-{re.sub('(?<!^)(?=[A-Z])', '_', function).lower()}"
    [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    kept = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    rest = [
        {**statement, "Action": [one for one in statement["Action"] if one != action]}
        for statement in kept["Statement"]
    ]
    assert rest != kept["Statement"]
    less = {**kept, "Statement": [statement for statement in rest if statement["Action"]]}
    try:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
        since = int(time.time() * 1000)
        sent = _upload(deployed, [campaign[5][0]], f"denied-{action.replace(':', '-').lower()}")
        said = f"not authorized to perform: {action}"
        wait_until(lambda: said in _logged(deployed, log_group, since), 60, f"the function's log says: {said}")
        row = deployed.register.get(sent[0].frame_id)
        assert row is None or row.status not in uploads.PREDICTED
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(kept))
