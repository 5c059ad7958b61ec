"""The deployed stack as the command line sees it: a boto3 session, the stack's outputs, and the gateways over them."""

import os
import shlex
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from firnline.events import EventBus
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.models import Models
from firnline.store.table import Table
from workbench import local_environment
from workbench.local_cloud.settings import ROOT

_LOOPBACK = ("127.0.0.1", "localhost")


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
        return EventBus(self.client("events"), self.outputs["EventBusName"])


def connect(stack_name: str | None = None) -> Connection:
    """Connect to the stack named by FIRNLINE_STACK (default `firnline`).

    With AWS credentials or a profile in the environment, that account is meant. With none, the local stack is, if there is one.
    Raises NotConnected.
    """
    local_environment.load_if_none_is_chosen()
    stack_name = stack_name or os.environ.get("FIRNLINE_STACK", "firnline")
    address = os.environ.get("AWS_ENDPOINT_URL", "")
    local = urlsplit(address).hostname in _LOOPBACK
    if local and not _listens(address):
        raise NotConnected(f"The local stack at {address} is not running: `{_starter()}` starts it; its state is kept.")
    try:
        session = boto3.Session()
        if session.region_name is None:
            raise NotConnected(
                "There is no stack to talk to. Start one here with `make up`; or, for one in an AWS account, "
                "set AWS_PROFILE and AWS_DEFAULT_REGION."
            )
        client = session.client("cloudformation", config=Config(connect_timeout=5, retries={"total_max_attempts": 2}))
        stacks = client.describe_stacks(StackName=stack_name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        deploy = "`make up` deploys it" if local else "`sam build && sam deploy --guided` deploys it"
        raise NotConnected(
            f"There is no stack '{stack_name}' to talk to ({error}): {deploy}. If yours has another name, set FIRNLINE_STACK to it."
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
    if not outputs:
        again = "`make up`" if local else "`sam deploy`"
        raise NotConnected(
            f"The stack '{stack_name}' is {stacks[0]['StackStatus']}: its deployment has not come to its end; {again} goes on."
        )
    return Connection(session, outputs, local)


def _listens(address: str) -> bool:
    parts = urlsplit(address)
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((parts.hostname, parts.port or 80)) == 0


def _starter() -> str:
    state_dir = os.environ.get("FIRNLINE_STATE")
    beside = state_dir and Path(state_dir) != ROOT / "build" / "local"
    return f"source {shlex.quote(str(Path(state_dir or '') / 'env.sh'))} && firnline up" if beside else "make up"
