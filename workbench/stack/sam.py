"""SAM's own command, with a log, and why it failed."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from workbench.local_cloud.settings import ROOT, default_state_dir
from workbench.logged import last_lines, run_logged
from workbench.troubles import full_folders

from .record import LAYER_PYTHON, STACK_NAME, CommandFailed

BUILD, DEPLOY = "sam build", "sam deploy"
LAST_LINES = 12
_SHOWN_CHARACTERS = 90
_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")

logger = logging.getLogger("firnline")


def run(command: list[str], title: str, console: Console) -> None:
    """Run one of SAM's commands; its output goes into a log of the state directory. Raises CommandFailed."""
    log = default_state_dir() / f"{title.replace(' ', '-')}.log"
    started = time.monotonic()
    with (
        console.status(title) as status,
        tempfile.TemporaryDirectory(prefix="sam-", dir=default_state_dir()) as scratch,
    ):

        def hear(line: str) -> None:
            status.update(f"{title} · {time.monotonic() - started:.0f} s · {line[:_SHOWN_CHARACTERS]}")

        code = run_logged(command, log, hear, _tool_environment(scratch), ROOT)
    if code:
        raise CommandFailed(why(title, code, log, causes() if title == DEPLOY else []))
    console.print(f"· {title} took {time.monotonic() - started:.0f} s")


def why(title: str, code: int, log: Path, causes: list[str]) -> str:
    """Why a tool failed: no space, what CloudFormation says, or else its last lines; a traceback stays in the log."""
    if full := full_folders():
        return f"{title} failed, since the disk is full ({full[0]}): free some space and run the command again."
    if causes:
        return "\n".join([f"{title} failed:", *causes, f"The whole of it is in {log}."])
    return (
        f"{title} failed with exit code {code}; the whole of it is in {log}, and ends:\n{last_lines(log, LAST_LINES)}"
    )


def causes() -> list[str]:
    """What CloudFormation could not make in the deployment that it began last, and why; the first one first."""
    found = []
    try:
        for event in _events():
            if event["ResourceStatus"].endswith("_FAILED") and event["LogicalResourceId"] != STACK_NAME:
                found.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
            elif event["LogicalResourceId"] == STACK_NAME and event["ResourceStatus"] in _BEGUN:
                break
    except (BotoCoreError, ClientError) as error:  # the tool's own last words remain
        logger.info("no events of the deployment: %s", error)
    return found[::-1]


def _events() -> Iterator[Any]:
    """CloudFormation's events of the stack, newest first; a rollback alone fills a page."""
    pages = boto3.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=STACK_NAME)
    for page in pages:
        yield from page["StackEvents"]


def _tool_environment(scratch: str) -> dict[str, str]:
    """This environment's own tools first: `sam`, and the `pip` that `sam build` calls.

    What they leave behind, in the temporary directory and in the home folder, goes with `scratch`.
    """
    tools = str(Path(sys.executable).parent)
    return os.environ | {"PATH": tools + os.pathsep + os.environ.get("PATH", ""), "SAM_CLI_TELEMETRY": "0",
                         "LAYER_PYTHON": LAYER_PYTHON, "TMPDIR": scratch, "__SAM_CLI_APP_DIR": scratch}  # fmt: skip
