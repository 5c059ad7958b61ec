"""ReviewProvider=portal on the deployed stack: the table holds the tasks, and `firnline review` serves the page."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port, truths_on_pictures, wait_until

from workbench import uploads
from workbench.connection import Connection, connect
from workbench.reviewer import Reviewer


def _set_review_provider(connection: Connection, provider: str) -> Connection:
    """Update the stack's one parameter, which takes a second where `sam deploy` takes twenty."""
    client = connection.client("cloudformation")
    names = [item["ParameterKey"] for item in client.describe_stacks(StackName="firnline")["Stacks"][0]["Parameters"]]
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in names if name != "ReviewProvider"]
    client.update_stack(
        StackName="firnline",
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[*kept, {"ParameterKey": "ReviewProvider", "ParameterValue": provider}],
    )
    client.get_waiter("stack_update_complete").wait(StackName="firnline", WaiterConfig={"Delay": 1})
    return connect()


@pytest.fixture
def stack_with_portal(deployed: Connection) -> Iterator[Connection]:
    yield _set_review_provider(deployed, "portal")
    _set_review_provider(deployed, "a2i")


@pytest.fixture
def page(stack_with_portal: Connection) -> Iterator[str]:
    """The address at which `firnline review` serves the page; Ctrl+C ends it."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("firnline")), "review", "--port", str(port)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in a shell's background, they ignore Ctrl+C, and their children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        said = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/review/" in said
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert (process.returncode, rest) == (0, "")
    finally:
        process.kill()


def test_corrections_made_at_the_portal_fill_a_batch(
    stack_with_portal: Connection, page: str, campaign: list[tuple[Path, Path]]
) -> None:
    stack = stack_with_portal
    assert stack.outputs["FlowDefinitionArn"] == "none"
    before = stack.corrections.counts()
    sent = [uploads.upload(stack, frame, "portal") for frame, _ in campaign[:4]]
    uploads.follow(stack, sent, 120, lambda _done, _rejected: None)
    truth_of = truths_on_pictures(stack, sent, campaign)
    reviewer = Reviewer(page)
    tasks = wait_until(lambda: len(tasks := reviewer.open_tasks()) == 4 and tasks, 60, "a task for each frame")
    for task in tasks:
        reviewer.correct(task, truth_of[task.frame_id])
    assert reviewer.open_tasks() == []

    counts = wait_until(
        lambda: (counts := stack.corrections.counts()).total == before.total + 4 and counts, 60, "four counted"
    )
    counts = wait_until(
        lambda: (counts := stack.corrections.counts()).last_batch == before.last_batch + 1 and counts,
        60,
        "a batch claimed",
    )
    assert counts.claimed == before.claimed + 4
    for item in sent:
        # A delivery beside it may have counted its correction before it has moved its own frame.
        frame = wait_until(
            lambda item=item: (row := stack.register.get(item.frame_id)).status == "CORRECTED" and row,
            60,
            "a corrected frame",
        )
        assert stack.corrections.get(frame.review).layers == len(truth_of[item.frame_id].layers)
