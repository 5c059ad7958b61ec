"""The deployed stack as the command line sees it: a boto3 session, the stack's outputs, and the gateways over them."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from firnline.champion import Models
from firnline.corrections import Corrections
from firnline.events import EventBus
from firnline.frame_register import FrameRegister
from firnline.table import Table
from firnline.workspace import Bucket
from workbench import local_environment


class NotConnected(Exception):
    """There is no stack to talk to; the message says what to do."""


@dataclass(frozen=True)
class Connection:
    session: Any
    outputs: dict[str, str]
    local: bool

    def client(self, service: str) -> Any:
        return self.session.client(service, config=Config(retries={"mode": "standard"}, read_timeout=120))

    @cached_property
    def frames(self) -> Bucket:
        return Bucket(self.client("s3"), self.outputs["FramesBucketName"])

    @cached_property
    def workspace(self) -> Bucket:
        return Bucket(self.client("s3"), self.outputs["WorkspaceBucketName"])

    @cached_property
    def table(self) -> Table:
        return Table(self.session.resource("dynamodb").Table(self.outputs["TableName"]))

    @cached_property
    def register(self) -> FrameRegister:
        return FrameRegister(self.table)

    @cached_property
    def corrections(self) -> Corrections:
        return Corrections(self.table)

    @cached_property
    def models(self) -> Models:
        return Models(self.table)

    @cached_property
    def events(self) -> EventBus:
        return EventBus(self.client("events"), "default")


def connect(stack_name: str | None = None) -> Connection:
    """Connect to the stack named by FIRNLINE_STACK (default `firnline`).

    With AWS credentials or a profile in the environment, that account is meant. With none, the local stack is, if there is one.
    """
    local_environment.load_if_none_is_chosen()
    stack_name = stack_name or os.environ.get("FIRNLINE_STACK", "firnline")
    session = boto3.Session()
    try:
        stacks = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise NotConnected(
            f"No stack '{stack_name}' answers ({error}). Start one here with `make up`, "
            "or deploy to your account with `sam build && sam deploy --guided` and set AWS_PROFILE."
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
    return Connection(session, outputs, local="127.0.0.1" in os.environ.get("AWS_ENDPOINT_URL", ""))
