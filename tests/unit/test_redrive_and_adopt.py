"""Dead letters go back, and what a stack left behind gets into another one; both calls against botocore's own models."""

import json

import boto3
import pytest
from botocore.stub import Stubber

from workbench import adopt as adoption
from workbench.redrive import QUEUES, redrive

ACCOUNT = {"region_name": "eu-central-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
ARN = "arn:aws:sqs:eu-central-1:123456789012:"
NAMES = {"FramesBucket": "f-bucket", "WorkspaceBucket": "w-bucket", "FirnlineTable": "t"}


class Connection:
    """As much of a stack as `redrive` asks for."""

    def __init__(self):
        self.sqs = boto3.client("sqs", **ACCOUNT)
        self.outputs = {
            f"{queue}{what}": f"https://sqs/{queue}{what}"
            for queue in QUEUES
            for what in ("QueueUrl", "DeadLettersUrl")
        }

    def client(self, service):
        assert service == "sqs"
        return self.sqs


def test_only_queues_with_dead_letters_are_redriven_and_to_where_they_were():
    connection = Connection()
    with Stubber(connection.sqs) as aws:
        for queue, waiting in (("Ingest", "0"), ("Predict", "7")):
            for name, count in ((f"{queue}Queue", "0"), (f"{queue}DeadLetters", waiting)):
                attributes = {"QueueArn": ARN + name, "ApproximateNumberOfMessages": count}
                aws.add_response("get_queue_attributes", {"Attributes": attributes})
        aws.add_response(
            "start_message_move_task",
            {"TaskHandle": "1"},
            {"SourceArn": ARN + "PredictDeadLetters", "DestinationArn": ARN + "PredictQueue"},
        )
        moved = redrive(connection, ("Ingest", "Predict"))
        aws.assert_no_pending_responses()
    assert [(one.queue, one.messages) for one in moved] == [("ingest", 0), ("predict", 7)]


def test_what_is_imported_is_what_the_template_keeps():
    template = json.loads(adoption.import_template())
    assert template["Resources"].keys() == adoption.KEPT.keys()
    for name, resource in template["Resources"].items():
        assert resource["Type"] == adoption.KEPT[name][0]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    told = json.dumps(template)
    assert '"Ref"' not in told, "an import has no other resources and no parameters to refer to"
    assert "Fn::" not in told


@pytest.fixture
def cloudformation(monkeypatch):
    monkeypatch.setattr(adoption.time, "sleep", lambda _: None)
    client = boto3.client("cloudformation", **ACCOUNT)
    with Stubber(client) as aws:
        yield client, aws


def test_adoption_imports_and_waits(cloudformation):
    client, aws = cloudformation
    asked = []
    client.meta.events.register(
        "provide-client-params.cloudformation.CreateChangeSet", lambda params, **_: asked.append(params)
    )
    aws.add_response("create_change_set", {})
    aws.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    aws.add_response("describe_change_set", {"Status": "CREATE_COMPLETE"})
    aws.add_response("execute_change_set", {})
    stack = {"StackName": "firnline", "CreationTime": "2026-11-26"}
    aws.add_response("describe_stacks", {"Stacks": [stack | {"StackStatus": "IMPORT_IN_PROGRESS"}]})
    aws.add_response("describe_stacks", {"Stacks": [stack | {"StackStatus": "IMPORT_COMPLETE"}]})
    adoption.adopt(client, "firnline", NAMES)
    aws.assert_no_pending_responses()
    [call] = asked
    assert call["ChangeSetType"] == "IMPORT"
    assert [item["ResourceIdentifier"] for item in call["ResourcesToImport"]] == [
        {"BucketName": "f-bucket"},
        {"BucketName": "w-bucket"},
        {"TableName": "t"},
    ]


def test_a_stack_of_another_name_is_refused_before_anything_is_made(cloudformation):
    """Its roles would not reach the champion's model, so that `sam deploy` could not complete it."""
    client, aws = cloudformation
    kept = NAMES | {"FirnlineTable": "firnline-FirnlineTable-1ABCDEF"}
    with pytest.raises(adoption.CannotAdopt, match=r"--stack firnline$"):
        adoption.adopt(client, "firnline-2", kept)
    aws.add_client_error("create_change_set", "ValidationError", "Stack firnline exists")
    with pytest.raises(adoption.CannotAdopt, match="exists"):
        adoption.adopt(client, "firnline", kept)


def test_what_cloudformation_refuses_is_told(cloudformation):
    client, aws = cloudformation
    aws.add_response("create_change_set", {})
    reason = "Resource f-bucket is already in a stack."
    aws.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    with pytest.raises(adoption.CannotAdopt, match="already in a stack"):
        adoption.adopt(client, "firnline", NAMES)
    aws.add_client_error("create_change_set", "ValidationError", "Stack firnline exists")
    with pytest.raises(adoption.CannotAdopt, match="exists"):
        adoption.adopt(client, "firnline", NAMES)
