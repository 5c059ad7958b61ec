"""Two stacks in one account and region, each with the same frames: neither hears the other."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import deployed_stack, truths_on_pictures, wait_until
from rich.console import Console
from typer.testing import CliRunner

from firnline.documents.layers import LayersDocument
from firnline.review.human_loop import loop_name
from workbench import uploads
from workbench.cli import app
from workbench.connection import Connection, connect
from workbench.reviewer import Reviewer
from workbench.stack import deployment
from workbench.stack.record import LOCAL_PARAMETERS

FIRST, SECOND = "firnline", "firnline-b"
FRAMES_OF_SECOND = 2
QUEUES = ("Ingest", "Predict", "Review", "Completion", "Retraining")
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
TEXTS = (".json", ".jsonl", ".csv")


@dataclass(frozen=True)
class Neighbours:
    first: Connection
    second: Connection
    sent_to_first: list[uploads.Upload]
    sent_to_second: list[uploads.Upload]
    campaign: list[tuple[Path, Path]]


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack() -> None:
    """This module's stacks are its own: the environment names their cloud as long as the module runs."""


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory, campaign: list[tuple[Path, Path]]) -> Iterator[Neighbours]:
    """Both stacks, and all frames on the first one, two of the same on the second one, each with its layers."""
    few = {"AuditRate": "1", "TrainingSeconds": "30", "MaxEpochs": "1"}
    with deployed_stack(tmp_path_factory.mktemp("two-stacks"), RetrainEvery=str(len(campaign)), **few) as first:
        deployment.deploy(
            SECOND, LOCAL_PARAMETERS | few | {"RetrainEvery": str(FRAMES_OF_SECOND)}, Console(stderr=True)
        )
        second = connect(SECOND)
        sent = [
            [uploads.upload(stack, frame, "shared") for frame, _ in some]
            for stack, some in ((first, campaign), (second, campaign[:FRAMES_OF_SECOND]))
        ]
        for stack, some in zip((first, second), sent, strict=True):
            rows = uploads.follow(stack, some, 180, lambda _done, _rejected: None)
            assert {row.status for row in rows.values()} <= uploads.PREDICTED
        yield Neighbours(first, second, *sent, campaign)


def loops(stack: Connection, sent: list[uploads.Upload]) -> dict[str, str]:
    """The name of each frame's human loop, by frame_id."""
    rows = [stack.register.get(upload.frame_id) for upload in sent]
    return {
        row.frame_id: loop_name(stack.workspace.name, row.frame_id, row.revision, row.model_version) for row in rows
    }


def executions(stack: Connection) -> list[str]:
    client, names = stack.client("stepfunctions"), ("RetrainStateMachineArn", "DeployStateMachineArn")
    return [
        one["executionArn"]
        for name in names
        for one in client.list_executions(stateMachineArn=stack.outputs[name])["executions"]
    ]


def correct(stack: Connection, sent: list[uploads.Upload], campaign: list[tuple[Path, Path]]) -> None:
    reviewer, named = Reviewer(stack.client("s3").meta.endpoint_url), set(loops(stack, sent).values())
    truths: dict[str, LayersDocument] = truths_on_pictures(stack, sent, campaign)

    def opened() -> list:
        tasks = [task for task in reviewer.open_tasks() if task.name in named]
        return tasks if len(tasks) == len(sent) else []

    for task in wait_until(opened, 90, "a review task for each frame"):
        reviewer.correct(task, truths[task.frame_id])
    wait_until(lambda: stack.corrections.counts().total == len(sent), 60, "all corrections counted")
    wait_until(lambda: stack.corrections.counts().claimed == len(sent), 60, "a batch claimed")


def belongings(stack: Connection) -> set[str]:
    """What is the stack's own in the account, by the names that would betray it elsewhere."""
    resources = stack.client("cloudformation").get_paginator("list_stack_resources")
    name = stack.outputs["EndpointName"]
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::StepFunctions::StateMachine")
    return {
        item["PhysicalResourceId"]
        for page in resources.paginate(StackName=name)
        for item in page["StackResourceSummaries"]
        if item["ResourceType"] in kinds
    } | {stack.outputs["FlowDefinitionArn"], f'event-bus/{name}"'}


def everything_kept(stack: Connection) -> str:
    """All items of the table, names and texts of the objects in both buckets, and the functions' logs."""
    table = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["TableName"])
    found = [json.dumps(page["Items"]) for page in table]
    s3 = stack.client("s3")
    for bucket in (stack.frames.name, stack.workspace.name):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                found.append(item["Key"])
                if item["Key"].endswith(TEXTS):
                    found.append(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode())
    logs = stack.client("logs")
    groups = stack.client("cloudformation").get_paginator("list_stack_resources")
    for page in groups.paginate(StackName=stack.outputs["EndpointName"]):
        for item in page["StackResourceSummaries"]:
            if item["ResourceType"] == "AWS::Logs::LogGroup":
                lines = logs.get_paginator("filter_log_events").paginate(logGroupName=item["PhysicalResourceId"])
                found += [event["message"] for lines_page in lines for event in lines_page["events"]]
    return "\n".join(found)


def waiting(stack: Connection) -> dict[str, int]:
    """Messages in each queue and its dead letters."""
    sqs, found = stack.client("sqs"), {}
    for name in [f"{queue}{what}" for queue in QUEUES for what in ("QueueUrl", "DeadLettersUrl")]:
        counts = sqs.get_queue_attributes(QueueUrl=stack.outputs[name], AttributeNames=["All"])["Attributes"]
        found[name] = sum(int(counts.get(count, 0)) for count in COUNTS)
    return found


@pytest.mark.slow
def test_the_same_frame_has_a_loop_of_its_own_in_each_stack(neighbours: Neighbours) -> None:
    first = loops(neighbours.first, neighbours.sent_to_first)
    second = loops(neighbours.second, neighbours.sent_to_second)
    assert set(second) < set(first)
    assert not set(first.values()) & set(second.values())


@pytest.mark.slow
def test_each_stack_runs_its_loop_and_neither_hears_the_other(neighbours: Neighbours) -> None:
    first, second = neighbours.first, neighbours.second
    # When the second stack's frames are corrected, then its own retraining starts and nothing else anywhere
    correct(second, neighbours.sent_to_second, neighbours.campaign)
    wait_until(lambda: executions(second), 60, "the second stack's retraining started")
    wait_until(lambda: second.corrections.batches("DONE"), 240, "the second stack's retraining ended")
    of_second = executions(second)
    assert executions(first) == []
    assert first.corrections.counts().total == 0
    # When the first stack's are, then it trains, judges and decides, and the second one has what it had
    correct(first, neighbours.sent_to_first, neighbours.campaign)
    batch = wait_until(lambda: first.corrections.batches("DONE"), 300, "the first stack's batch decided")[0]
    told = first.client("stepfunctions").describe_execution(executionArn=batch.execution_arn)
    assert told["status"] == "SUCCEEDED"
    assert json.loads(told["output"])["outcome"] in ("promoted", "kept")
    assert executions(second) == of_second
    assert second.corrections.counts().total == FRAMES_OF_SECOND
    assert [row.model_version for row in second.models.versions()] == ["first"]
    # When somebody asks the second one for a retraining, then the first one starts none
    of_first = executions(first)
    asked = CliRunner().invoke(app, ["retrain"], env={"FIRNLINE_STACK": SECOND, "COLUMNS": "200"})
    assert asked.exit_code == 0, asked.output
    wait_until(lambda: len(executions(second)) == len(of_second) + 1, 60, "the retraining that was asked for started")
    wait_until(lambda: len(second.corrections.batches("DONE")) == len(of_second) + 1, 240, "it ended")
    assert executions(first) == of_first
    # And in the end neither has anything of the other's, and nothing waits
    assert {row.frame_id for state in uploads.PREDICTED for row in second.register.of_status(state)} == {
        upload.frame_id for upload in neighbours.sent_to_second
    }
    for stack, other in ((first, second), (second, first)):
        kept = everything_kept(stack)
        assert stack.workspace.name in kept
        assert [name for name in belongings(other) if name in kept] == []
        wait_until(lambda stack=stack: not any(waiting(stack).values()), 60, f"nothing waits: {waiting(stack)}")
