"""Buckets and table that a deleted stack left behind, into a new stack (`firnline adopt`).

CloudFormation imports existing resources into a stack that may be new, and touches nothing in them ("Import AWS resources into
a CloudFormation stack"). An import creates nothing else, so the new stack holds the three alone at first; `sam deploy` then
finds it and adds the rest.
"""

import json
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

from workbench.local_cloud.settings import ROOT

TEMPLATE = ROOT / "template.yaml"
KEPT = {
    "FramesBucket": ("AWS::S3::Bucket", "BucketName"),
    "WorkspaceBucket": ("AWS::S3::Bucket", "BucketName"),
    "FirnlineTable": ("AWS::DynamoDB::Table", "TableName"),
}
"""Type and identifier of what the template retains."""
CHANGE_SET = "adopt"
WAIT_SECONDS = 300
_POLL_SECONDS = 2.0


class CannotAdopt(Exception):
    """CloudFormation did not take the resources; the message says why."""


def import_template(template: Path = TEMPLATE) -> str:
    """A template of what is kept alone, as `template` has it."""
    resources = yaml_parse(template.read_text())["Resources"]
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {name: resources[name] for name in KEPT}})


def refuse_another_name(stack_name: str, table: str) -> None:
    """Raise CannotAdopt if CloudFormation named the table for a stack of another name.

    The champion in the table serves from a model and a configuration that begin with that stack's name, and the roles of a
    new stack reach names of its own only.
    """
    earlier, found, _ = table.rpartition("-FirnlineTable-")
    if found and earlier != stack_name:
        raise CannotAdopt(
            f"The table {table} is of a stack {earlier}, and its champion's model is named after that. "
            f"Adopt it under that name: --stack {earlier}"
        )


def adopt(cloudformation: Any, stack_name: str, names: dict[str, str], wait_seconds: float = WAIT_SECONDS) -> None:
    """Make the stack `stack_name` of the resources of these names, by logical id (`KEPT`). Raises CannotAdopt."""
    refuse_another_name(stack_name, names["FirnlineTable"])
    try:
        cloudformation.create_change_set(
            StackName=stack_name,
            ChangeSetName=CHANGE_SET,
            ChangeSetType="IMPORT",
            TemplateBody=import_template(),
            ResourcesToImport=[
                {"ResourceType": kind, "LogicalResourceId": logical_id, "ResourceIdentifier": {key: names[logical_id]}}
                for logical_id, (kind, key) in KEPT.items()
            ],
        )
        made = _once(
            lambda: cloudformation.describe_change_set(StackName=stack_name, ChangeSetName=CHANGE_SET),
            lambda found: not found["Status"].endswith(("_PENDING", "_IN_PROGRESS")),
            wait_seconds,
        )
        if made["Status"] != "CREATE_COMPLETE":
            raise CannotAdopt(made.get("StatusReason", made["Status"]))
        cloudformation.execute_change_set(StackName=stack_name, ChangeSetName=CHANGE_SET)
        stack = _once(
            lambda: cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0],
            lambda found: not found["StackStatus"].endswith("_IN_PROGRESS"),
            wait_seconds,
        )
    except ClientError as error:
        raise CannotAdopt(error.response["Error"]["Message"]) from error
    if stack["StackStatus"] != "IMPORT_COMPLETE":
        raise CannotAdopt(
            f"The stack is {stack['StackStatus']}: {stack.get('StackStatusReason', 'no reason is given')}"
        )


def _once(look: Any, settled: Any, seconds: float) -> Any:
    until = time.monotonic() + seconds
    while not settled(found := look()):
        if time.monotonic() > until:
            raise CannotAdopt(f"CloudFormation has not finished after {seconds:g} s; its console shows how far it is.")
        time.sleep(_POLL_SECONDS)
    return found
