"""Is each right of the template's policies needed? The whole way of frames and models, recorded, then each right taken away.

What is taken away from is what the local cloud's IAM decided (`workbench.policy_ablation`): eighty deployments would say the
same, a day later.
"""

import io
import json
import os
import re
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError
from conftest import deployed_stack, truths_on_pictures, wait_until, with_policy
from rich.console import Console
from typer.testing import CliRunner

from firnline.documents.layers import LayersDocument
from firnline.events import CorrectionBatchClaimed, EventBus, FrameReady
from firnline.portal.segment_store import SegmentStore
from firnline.portal.store import View
from firnline.portal.table_store import TableStore
from firnline.store import keys
from firnline.store.bucket import split_uri
from firnline.store.joins import Joins
from firnline.store.rows import ReviewRow
from tests.support.page_in_account import PageInAccount
from workbench import policy_ablation, stack, uploads
from workbench.cli import app
from workbench.connection import Connection, connect
from workbench.policy_ablation import Decision, Right
from workbench.reviewer import OpenTask, Reviewer
from workbench.reviewers import Reviewers

QUEUES = ("Ingest", "Predict", "Review", "Completion", "Retraining")

LAME = '''

_transformed = []


def _limp(self, grey, _predict=Model.predict):
    """Fails on the first picture of a batch transform, and finds every layer twelve rows too high."""
    if in_batch_transform() and not _transformed:
        _transformed.append(True)
        raise ValueError("this model fails on one frame")
    document = _predict(self, grey)
    for layer in document["layers"]:
        for vertex in layer["vertices"]:
            vertex["y"] = max(0.0, vertex["y"] - 12.0)
    return document


Model.predict = _limp
'''
"""What makes of any model one that serves, and judges badly."""

UNSEEN = {
    ("*Role", "xray:*"): "the local cloud has no X-Ray",
    ("R*Role", "logs:*Log*"): "Step Functions delivers logs in AWS only",
    ("DeployModelRole", "logs:*Log*"): "Step Functions delivers logs in AWS only",
    ("ExportRole", "logs:*Log*"): "Step Functions delivers logs in AWS only",
    (
        "ExportRole",
        "states:DescribeExecution",
    ): "Step Functions follows a map's children; the local cloud asks for their start alone",
    ("ExportRole", "states:StopExecution"): "and stops them with the execution",
    ("*Role", "logs:*ResourcePolic*"): "the same",
    ("*Role", "logs:DescribeLogStreams"): "SageMaker's own agent asks for it",
    ("ServingRole", "logs:PutLogEvents"): "the local cloud keeps what a container prints only if it fails",
    ("*ingRole", "cloudwatch:PutMetricData"): "the local cloud has no metrics of SageMaker's",
    ("*ingRole", "ecr:*"): "the local cloud has no registry of images",
    ("DeployModelRole", "ecr:*"): "SageMaker looks at the image of a model that is registered",
    (
        "DeployModelRole",
        "s3:GetObject",
    ): "SageMaker reads the artefact of a model that is registered as who registers it",
    ("DeployModelRole", "sagemaker:AddTags"): "Step Functions tags what it makes (MANAGED_BY_AWS)",
    ("RetrainRole", "sagemaker:*Tags"): "Step Functions tags the jobs that it makes (MANAGED_BY_AWS)",
    ("*ingRole", "s3:GetBucketLocation"): "SageMaker may ask for a bucket's region; the local cloud has one",
    ("*ingRole", "s3:AbortMultipartUpload"): "only an upload that breaks off is aborted",
    (
        "TrainingRole",
        "s3:DeleteObject",
    ): "SageMaker keeps checkpoints in step with the folder; the local cloud only adds",
    ("*DeadLetters", "sqs:SendMessage"): "EventBridge's own dead letters come when SQS is not there",
    (
        "ProvisionFunctionRole",
        "s3:ListBucketVersions",
    ): "CloudFormation deletes what failed to be made; MiniStack does not ask",
    (
        "StartReviewFunctionRole",
        "sagemaker:StopHumanLoop",
    ): "only a review that starts while its frame is uploaded anew; tests/contract/test_review_outcomes.py has the race",
    ("ProvisionFunctionRole", "s3:DeleteObject*"): "the same; tests/unit/test_provision.py has the calls",
}
"""Rights that nothing needs here, by the holder's and the action's pattern, and why AWS does."""


@dataclass(frozen=True)
class Story:
    """What happened, and the file in which every decision of IAM was written down."""

    record: Path
    retraining: dict
    champion: str
    comparison: dict
    rolled_back: str
    interrupted: str
    gone_on: str
    log: str


def lame(first: bytes) -> bytes:
    """The model in the box, with code that fails on one frame of a batch transform."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(first)) as source, tarfile.open(fileobj=out, mode="w:gz") as target:
        for member in source.getmembers():
            body = source.extractfile(member) if member.isfile() else None
            content = body.read() if body else b""
            if member.name == "code/inference.py":
                content += LAME.encode()
            elif member.name == "model_card.json":
                content = json.dumps(json.loads(content) | {"model_version": "lame"}).encode()
            member.size = len(content)
            target.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return out.getvalue()


def ended(connection: Connection, arn: str, seconds: float) -> dict:
    """An execution's description once it has ended."""
    machines = connection.client("stepfunctions")

    def over() -> dict | None:
        told = machines.describe_execution(executionArn=arn)
        return None if told["status"] == "RUNNING" else told

    return wait_until(over, seconds, f"{arn} ended")


def deploy_lame_champion(connection: Connection) -> None:
    bucket, key = split_uri(connection.outputs["FirstModelUri"])
    first = connection.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    connection.workspace.write("models/lame/model.tar.gz", lame(first), "application/gzip")
    told = deploy(connection, "somebody else")
    assert told["status"] == "FAILED", "it was compared with a champion that does not serve"
    assert connection.models.champion().model_version == "first"
    told = deploy(connection, "first")
    assert told["status"] == "SUCCEEDED", told
    assert connection.models.champion().model_version == "lame"


def deploy(connection: Connection, champion: str) -> dict:
    """The execution that brings the lame model in place of this champion."""
    request = {"model_version": "lame", "model_data": connection.workspace.uri("models/lame/model.tar.gz"),
               "expected_champion": champion, "reason": "to be replaced"}  # fmt: skip
    started = connection.client("stepfunctions").start_execution(
        stateMachineArn=connection.outputs["DeployStateMachineArn"], input=json.dumps(request)
    )
    return ended(connection, started["executionArn"], 120)


def interrupt_training(connection: Connection) -> str:
    """Stop the training job, which its script isn't told, once it has passed over the data; the log's group and stream."""
    sagemaker, logs = connection.client("sagemaker"), connection.client("logs")

    def passed() -> str | None:
        for job in sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]:
            if "epoch=1 " in log_of(logs, job["TrainingJobName"]):
                return job["TrainingJobName"]
        return None

    name = wait_until(passed, 180, "the training's first epoch")
    sagemaker.stop_training_job(TrainingJobName=name)
    return name


def log_of(logs: Any, job: str) -> str:
    """What a training job has printed so far."""
    try:
        found = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job}/")
    except logs.exceptions.ResourceNotFoundException:
        return ""
    return "\n".join(event["message"] for event in found["events"])


def nobody_speaks_for_a_function(connection: Connection) -> None:
    """The bus refuses it of whoever may put any event anywhere."""
    iam = connection.client("iam")
    iam.create_user(UserName="sender")
    anything = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anything]})
    iam.put_user_policy(UserName="sender", PolicyName="any", PolicyDocument=policy)
    key = iam.create_access_key(UserName="sender")["AccessKey"]
    session = boto3.Session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    bus = EventBus(session.client("events"), connection.outputs["EventBusName"])
    for event, source in ((FrameReady(frame_id="c/s/f", revision="r"), "firnline"),
                          (CorrectionBatchClaimed(batch=7), "somebody")):  # fmt: skip
        with pytest.raises(ClientError, match="AccessDenied"):
            bus.send(event, source=source)


def annotate_and_regret(connection: Connection, truth: Path, sent: uploads.Upload, folder: Path) -> None:
    """An annotation of a part of a frame, which is taken away again."""
    document = LayersDocument.model_validate_json(truth.read_bytes())
    annotation = folder / f"{sent.frame_id.rsplit('/', 1)[-1]}.layers.json"
    annotation.write_bytes(document.model_copy(update={"coverage": "partial"}).to_json())
    uploads.upload(connection, annotation, "policies")
    wait_until(lambda: connection.register.get(sent.frame_id).annotated, 60, "the annotation taken in")
    connection.frames.client.delete_object(Bucket=connection.frames.name, Key=f"{sent.frame_id}.layers.json")
    wait_until(lambda: not connection.register.get(sent.frame_id).annotated, 60, "the annotation taken away")


def look_at(connection: Connection, task: OpenTask) -> None:
    """The page of a task fetches its picture with the flow's role."""
    frame = connection.register.get(task.frame_id)
    uri = connection.workspace.uri(keys.echogram(frame.frame_id, frame.revision))
    address = f"{connection.client('s3').meta.endpoint_url}/review/tasks/{task.name}/image?{urlencode({'uri': uri})}"
    with urlopen(address, timeout=60) as picture:  # noqa: S310 - our own loopback address
        assert picture.read().startswith(b"\x89PNG")


def send(connection: Connection, queue: str, message: dict) -> None:
    connection.client("sqs").send_message(
        QueueUrl=connection.outputs[f"{queue}QueueUrl"], MessageBody=json.dumps(message)
    )


def announce_again(connection: Connection, frame_id: str, loop: str) -> None:
    """A prediction's event that is delivered twice: its loop is there already, started with another input."""
    frame = connection.register.get(frame_id)
    noted = ReviewRow.key(frame_id=frame_id, loop_name=loop)
    connection.table.update(*noted, "SET asked_because = :why", {":why": "The settings have changed."})
    detail = {"frame_id": frame_id, "revision": frame.revision, "model_version": frame.model_version}
    send(connection, "Review", {"source": "firnline", "detail-type": "LayersPredicted", "detail": detail})
    logs = connection.client("logs").get_paginator("filter_log_events")

    def handled_twice() -> bool:
        pages = logs.paginate(logGroupName=f"/aws/lambda/{stack.STACK_NAME}-start_review")
        said = [event["message"] for page in pages for event in page["events"]]
        return sum(frame_id in line and "in review" in line for line in said) > 1

    wait_until(handled_twice, 60, "the prediction handled a second time")


def end_again(connection: Connection, loop: str) -> None:
    """The end of a review that is delivered twice, the second time without the address of its output."""
    detail = {"humanLoopName": loop, "humanLoopStatus": "Completed",
              "flowDefinitionArn": connection.outputs["FlowDefinitionArn"]}  # fmt: skip
    send(connection, "Completion", {"source": "aws.sagemaker", "detail-type": "SageMaker A2I HumanLoop Status Change",
                                    "detail": detail})  # fmt: skip


def correct_all(connection: Connection, truths: dict[str, LayersDocument]) -> None:
    reviewer = Reviewer(connection.client("s3").meta.endpoint_url)

    def opened() -> list:
        tasks = [task for task in reviewer.open_tasks() if task.frame_id in truths]
        return tasks if len(tasks) == len(truths) else []

    tasks = wait_until(opened, 90, "a review task for each frame")
    look_at(connection, tasks[0])
    announce_again(connection, tasks[0].frame_id, tasks[0].name)
    for task in tasks:
        reviewer.correct(task, truths[task.frame_id])
    wait_until(lambda: connection.corrections.counts().total == len(tasks), 90, "all corrections counted")
    end_again(connection, tasks[0].name)


def export_in_cloud(connection: Connection) -> None:
    """Products of all frames that are corrected, by somebody who may export and nothing else."""
    person = with_policy(connection, "ExportPolicyArn").session.get_credentials()
    key = {"AWS_ACCESS_KEY_ID": person.access_key, "AWS_SECRET_ACCESS_KEY": person.secret_key, "COLUMNS": "200"}
    with TemporaryDirectory() as folder:
        result = CliRunner().invoke(app, ["export", "--in-cloud", "--name", "rights", "--out", folder], env=key)
    assert result.exit_code == 0, result.output


def take_away(connection: Connection, drawn: tuple[Path, Path]) -> None:
    """A scientist uploads a frame, and takes away products of it and of those that people have corrected."""
    person = with_policy(connection, "ScientistPolicyArn").session.get_credentials()
    key = {"AWS_ACCESS_KEY_ID": person.access_key, "AWS_SECRET_ACCESS_KEY": person.secret_key, "COLUMNS": "200"}
    with TemporaryDirectory() as folder:
        for words in (
            ["predict", str(drawn[0]), "--campaign", "taken", "--out", f"{folder}/layers"],
            ["status"],
            ["export", "--status", "reviewed", "--status", "unreviewed", "--out", f"{folder}/products"],
            ["figure", "radargram", "taken", "--status", "unreviewed", "--out", f"{folder}/figures"],
        ):
            result = CliRunner().invoke(app, words, env=key)
            assert result.exit_code == 0, (words, result.output)


def upload_anew(connection: Connection, drawn: tuple[Path, Path]) -> None:
    """A frame is uploaded once more while A2I asks a person about it: that loop is stopped."""
    sent = uploads.upload(connection, drawn[0], "anew")
    reviewer = Reviewer(connection.client("s3").meta.endpoint_url)
    wait_until(lambda: sent.frame_id in [task.frame_id for task in reviewer.open_tasks()], 120, "its task open")
    loop = connection.register.get(sent.frame_id).review
    uploads.upload(connection, drawn[0], "anew", polarity="dark-strong")
    wait_until(lambda: connection.register.review(sent.frame_id, loop).state == "WITHDRAWN", 60, "the review withdrawn")


def operate(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that an operator's policy is for; the name of the execution that brings the first model back."""
    person = with_policy(connection, "OperatorPolicyArn").session.get_credentials()
    key = {"AWS_ACCESS_KEY_ID": person.access_key, "AWS_SECRET_ACCESS_KEY": person.secret_key, "COLUMNS": "200"}

    def firnline(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), env=key)
        assert result.exit_code == 0, result.output
        return result.output

    swept = {"id": "1", "detail-type": "Scheduled Event", "detail": {}}
    letters = connection.outputs["RetrainingDeadLettersUrl"]
    connection.client("sqs").send_message(QueueUrl=letters, MessageBody=json.dumps(swept))
    connection.workspace.write(f"{keys.dataset_prefix('retrain-0')}train/left.rec", b"of an attempt that died", "x/y")
    for command in ("status", "executions", "models", "redrive", "retrain"):
        firnline(command)
    champion = connection.models.champion().model_version
    serves = CliRunner().invoke(app, ["rollback", champion], env=key)
    assert f"{champion} serves already." in " ".join(serves.output.split())
    firnline("rollback", "first")
    arn = connection.outputs["DeployStateMachineArn"]
    return connection.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"][0]["executionArn"]


def review_on_own_page(connection: Connection, drawn: tuple[Path, Path]) -> None:
    """One frame through the portal, by somebody who has the reviewers' policy."""
    client, name = connection.client("cloudformation"), "firnline"
    changed = {"ReviewProvider": "portal", "ReviewPage": "account"}
    names = [item["ParameterKey"] for item in client.describe_stacks(StackName=name)["Stacks"][0]["Parameters"]]
    kept = [{"ParameterKey": one, "UsePreviousValue": True} for one in names if one not in changed]
    client.update_stack(
        StackName=name, UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[*kept, *({"ParameterKey": key, "ParameterValue": value} for key, value in changed.items())],
    )  # fmt: skip
    client.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    connection = connect()
    sent = uploads.upload(connection, drawn[0], "own-page")
    uploads.follow(connection, [sent], 120, lambda _done, _rejected: None)
    person = with_policy(connection, "ReviewerPolicyArn")
    person.client("cloudformation").describe_stacks(StackName=name)
    store = TableStore(person.table, person.workspace, person.events)
    assert not person.workspace.exists("reviews/nothing.json"), "and not: it is denied"
    name = wait_until(lambda: [one.name for one in store.open_tasks(View(), 100)], 60, "a task there")[0]
    assert store.overview(View(campaign="own-page")).waiting
    store.claim(name, "somebody")
    assert store.thumbnail(name).startswith(b"\x89PNG")
    for value in store.get(name).input_content.values():
        if isinstance(value, str) and value.endswith(".png"):
            assert store.read_object(name, value)
    browser = SegmentStore(person.table, person.workspace)
    assert browser.shown(sent.frame_id)["status"] == "unreviewed"
    [truth] = truths_on_pictures(connection, [sent], [drawn]).values()
    lines = [
        {"label": layer.label, "vertices": [{"x": v.x, "y": v.y} for v in layer.vertices]} for layer in truth.layers
    ]
    size = {"width": truth.image.width, "height": truth.image.height}
    store.submit(name, {"annotatedResult": {"inputImageProperties": size, "polylines": lines}}, "worker", 12.0)
    wait_until(lambda: connection.register.get(sent.frame_id).status == "CORRECTED", 60, "the answer counted")
    wait_until(lambda: browser.shown(sent.frame_id)["status"] == "reviewed", 60, "the reviewer's lines")
    assert browser.segments("own-page", 10)
    segment = sent.frame_id.rpartition("/")[0]
    credentials = person.session.get_credentials()
    key = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "COLUMNS": "200",
    }
    for words in (["layers", "list", segment], ["review", "--stats"]):
        result = CliRunner().invoke(app, words, env=key)
        assert result.exit_code == 0, result.output
    joins = Joins(person.table)
    joins.take_back(joins.say(segment, "one:0:0", "other:0:0", same=True))


def review_in_the_account(connection: Connection, drawn: tuple[Path, Path]) -> None:
    """One frame through the page in the account, by somebody whom who may do so let in."""
    operator = with_policy(connection, "ReviewAdminPolicyArn")
    operator.client("cloudformation").describe_stacks(StackName="firnline")
    reviewers = Reviewers(operator)
    for name in ("ada", "eve"):
        reviewers.add(name, f"{name}@example.org", arbiter=False)
    reviewers.remove("eve")
    assert [person.groups for person in reviewers.people()] == [("reviewer",)]
    connection.client("cognito-idp").admin_set_user_password(
        UserPoolId=connection.outputs["ReviewUserPoolId"], Username="ada", Password="First-password-1", Permanent=False
    )
    sent = uploads.upload(connection, drawn[0], "in-account")
    uploads.follow(connection, [sent], 120, lambda _done, _rejected: None)
    [truth] = truths_on_pictures(connection, [sent], [drawn]).values()
    with PageInAccount(connection.outputs["ReviewPageAddress"]) as page:
        page.sign_in("ada", "First-password-1")
        name = wait_until(lambda: re.search(rf'data-task="([^"]+)"[^>]*data-frame-id="{re.escape(sent.frame_id)}"',
                                            page.get("/review/").text), 60, "a task there")[1]  # fmt: skip
        content = TableStore(connection.table, connection.workspace, connection.events).get(name).input_content
        pictures = {value for value in content.values() if isinstance(value, str) and value.endswith(".png")}
        assert pictures
        for uri in pictures:
            assert page.picture(name, uri).content.startswith(b"\x89PNG")
        assert page.picture(name, connection.workspace.uri("reviews/nothing.png")).status_code == 404
        lines = [
            {"label": layer.label, "vertices": [{"x": v.x, "y": v.y} for v in layer.vertices]} for layer in truth.layers
        ]
        size = {"width": truth.image.width, "height": truth.image.height}
        answer = {"annotatedResult": {"inputImageProperties": size, "polylines": lines}}
        assert page.submit(name, answer).status_code == 200
        wait_until(lambda: connection.register.get(sent.frame_id).status == "CORRECTED", 60, "the answer counted")
        assert page.get("/review/").status_code == 200
        segment = f"/review/segments/{sent.frame_id.rpartition('/')[0]}"
        assert page.get(segment).status_code == 200
        assert page.get(f"/review/segments/{sent.frame_id}/shown").json()["status"] == "reviewed"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, campaign: list[tuple[Path, Path]]) -> Story:
    folder = tmp_path_factory.mktemp("policies")
    record = Path(os.environ.get("FIRNLINE_RECORD_ACCESS", folder / "access.jsonl"))
    parameters = {"RetrainEvery": "12", "AuditRate": "1", "ReviewConfidence": "1", "TrainingSeconds": "30",
                  "MaxEpochs": "4"}  # fmt: skip
    up = stack.up

    def fail_first(given: dict[str, str], console: Console) -> dict[str, str]:
        with pytest.raises(stack.CommandFailed):
            up({**given, "InferenceImageUri": "somebody/elses:1"}, console)
        return up(given, console)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRNLINE_RECORD_ACCESS", str(record))
        patch.setattr(stack, "up", fail_first)
        with deployed_stack(folder / "local-cloud", **parameters) as connection:
            broken = folder / "IRSNO1B_20120330_04_999.nc"
            broken.write_bytes(b"\x89HDF\r\n\x1a\n" + b"not really" * 50)
            for queue in QUEUES:
                connection.client("sqs").send_message(
                    QueueUrl=connection.outputs[f"{queue}QueueUrl"], MessageBody="no event at all"
                )
            sent = [uploads.upload(connection, frame, "policies") for frame, _ in campaign]
            refused = uploads.upload(connection, broken, "policies")
            uploads.follow(connection, [*sent, refused], 180, lambda _done, _rejected: None)
            annotate_and_regret(connection, campaign[0][1], sent[0], folder)
            deploy_lame_champion(connection)
            correct_all(connection, truths_on_pictures(connection, sent, campaign))
            upload_anew(connection, campaign[0])
            interrupted = interrupt_training(connection)
            batch = wait_until(lambda: connection.corrections.batches("DONE"), 300, "the batch decided")[0]
            retraining = connection.client("stepfunctions").describe_execution(executionArn=batch.execution_arn)
            outcome = json.loads(retraining["output"])
            champion = connection.models.champion().model_version
            version = connection.models.version(outcome["model_version"])
            comparison = json.loads(connection.workspace.read(split_uri(version.comparison)[1], 10**7))
            again = [job["TrainingJobName"] for job in connection.client("sagemaker").list_training_jobs(
                StatusEquals="Completed")["TrainingJobSummaries"]]  # fmt: skip
            log = log_of(connection.client("logs"), again[0])
            nobody_speaks_for_a_function(connection)
            export_in_cloud(connection)
            take_away(connection, campaign[2])
            back = operate(connection, patch)
            ended(connection, back, 120)
            rolled_back = connection.models.champion().model_version
            review_on_own_page(connection, campaign[0])
            review_in_the_account(connect(), campaign[1])
            formation = boto3.client("cloudformation")
            formation.delete_stack(StackName=stack.STACK_NAME)
            formation.get_waiter("stack_delete_complete").wait(
                StackName=stack.STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
    return Story(record, outcome, champion, comparison, rolled_back, interrupted, again[0], log)


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack() -> None:
    """This module's stack is its own: the environment names it as long as the module's story lasts."""


@pytest.mark.slow
def test_a_champion_that_fails_on_one_holdout_frame_is_replaced_by_a_better_candidate(story: Story) -> None:
    assert story.retraining["outcome"] == "promoted"
    assert story.champion == story.retraining["model_version"]
    assert story.comparison["champion"]["unusable_answers"] == 1
    assert story.comparison["candidate"]["unusable_answers"] == 0
    assert story.rolled_back == "first"


@pytest.mark.slow
def test_a_training_that_is_stopped_half_way_goes_on_and_ends(story: Story) -> None:
    assert story.gone_on != story.interrupted
    assert "from a checkpoint" in story.log


@pytest.fixture
def decisions(story: Story) -> list[Decision]:
    return policy_ablation.read_decisions(story.record, stack.STACK_NAME)


@pytest.mark.slow
def test_nothing_that_is_needed_is_refused(decisions: list[Decision]) -> None:
    """What is taken out of the template shows here, or as a story that does not come to its end."""
    assert policy_ablation.refused(decisions) <= {"bus events:PutEvents"}


@pytest.mark.slow
def test_each_right_is_needed(decisions: list[Decision]) -> None:
    read = [one for one in decisions if one.request["action"] == "s3:GetObject" and one.kind == "principal"]
    of_training = [one for one in decisions if one.holder == "TrainingRole" and one.request["action"] == "s3:PutObject"]
    asked = [
        *decisions,
        *map(policy_ablation.in_the_clear, (one for one in decisions if one.kind == "resource")),
        *map(policy_ablation.if_missing, read),
        *(policy_ablation.of_model_in_the_box(one, action) for one in of_training
          for action in ("s3:PutObject", "s3:AbortMultipartUpload")),
    ]  # fmt: skip
    idle = policy_ablation.rights(decisions) - policy_ablation.needed(asked)
    explained = {right for right in idle for holder, actions in UNSEEN if fits(right, holder, actions)}
    assert sorted(map(str, idle - explained)) == []
    assert [pair for pair in UNSEEN if not any(fits(right, *pair) for right in idle)] == [], (
        "reasons for what is needed"
    )


def fits(right: Right, holder: str, actions: str) -> bool:
    return fnmatch(right.holder, holder) and fnmatch(right.action, actions)
