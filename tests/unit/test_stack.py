"""`make up` gets out of what an earlier one left: a failed endpoint, a deployment that did not come to its end."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.waiter import NormalizedOperationMethod, Waiter
from rich.console import Console

from workbench import demo, local_cloud, local_environment, stack
from workbench.demo import place
from workbench.local_cloud import process
from workbench.stack import deployment, endpoint, record, sam

CREATED = "CREATE_COMPLETE"


def not_found(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "Describe")


class Aws:
    """CloudFormation and SageMaker, as far as `up` asks them; `did` is what it had them and the tools do."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.statuses: dict[str, str] = {}
        self.endpoint: dict[str, str] | None = None
        self.endpoint_after = "InService"
        self.events: list[dict[str, str]] = []

    def describe_stacks(self, StackName: str) -> dict:
        if StackName not in self.statuses:
            raise not_found(f"Stack with id {StackName} does not exist")
        outputs = [{"OutputKey": "EndpointName", "OutputValue": "firnline"}]
        return {"Stacks": [{"StackStatus": self.statuses[StackName], "Outputs": outputs}]}

    def describe_stack_events(self, StackName: str, NextToken: str = "0") -> dict:
        """A page of two; AWS's have a hundred, of which a rollback fills one."""
        start = int(NextToken)
        more = {"NextToken": str(start + 2)} if start + 2 < len(self.events) else {}
        return {"StackEvents": self.events[start : start + 2], **more}

    def get_paginator(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(paginate=getattr(self, f"pages_of_{name}"))

    def pages_of_describe_stack_events(self, **asked: str) -> Iterator[dict]:
        while True:
            page = self.describe_stack_events(**asked)
            yield page
            if "NextToken" not in page:
                return
            asked["NextToken"] = page["NextToken"]

    def delete_stack(self, StackName: str) -> None:
        self.did.append(f"delete_stack {StackName}")
        del self.statuses[StackName]

    def get_waiter(self, name: str) -> Waiter:
        """boto3's own, over these answers."""
        service = "sagemaker" if name.startswith("endpoint") else "cloudformation"
        model = botocore.session.get_session().get_waiter_model(service)
        config = next(model.get_waiter(own) for own in model.waiter_names if xform_name(own) == name)
        return Waiter(name, config, NormalizedOperationMethod(getattr(self, xform_name(config.operation))))

    def describe_endpoint(self, EndpointName: str) -> dict:
        if self.endpoint is None:
            raise not_found(f'Could not find endpoint "{EndpointName}".')
        return self.endpoint

    def delete_endpoint(self, EndpointName: str) -> None:
        self.did.append("delete_endpoint")
        self.endpoint = None

    def create_endpoint(self, EndpointName: str, EndpointConfigName: str) -> None:
        self.did.append(f"create_endpoint {EndpointConfigName}")
        self.endpoint = {
            "EndpointStatus": self.endpoint_after,
            "EndpointConfigName": EndpointConfigName,
            "FailureReason": "it failed again",
        }


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    aws = Aws()
    monkeypatch.setattr(os, "environ", os.environ.copy())  # `up` chooses the stack for what comes after it

    def run(command: list[str], title: str, console: Console) -> None:
        aws.did.append(title)
        if title == sam.DEPLOY:
            aws.statuses["firnline"] = CREATED
            aws.endpoint = aws.endpoint or {"EndpointStatus": "InService", "EndpointConfigName": "first"}

    (tmp_path / "state").mkdir()
    (tmp_path / "clone" / ".aws-sam" / "local").mkdir(parents=True)
    monkeypatch.setenv("FIRNLINE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_PROFILE", "glaciology")
    monkeypatch.setattr(deployment.boto3, "client", lambda _service: aws)
    monkeypatch.setattr(sam, "run", run)
    monkeypatch.setattr(record, "fingerprint", lambda: "sources")
    monkeypatch.setattr(deployment, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(local_cloud, "start", lambda *_, **__: 1)
    return aws


def up(parameters: dict[str, str] | None = None) -> str:
    console = Console(width=300)
    with console.capture() as said:
        stack.up(parameters or {}, console)
    return said.get()


def test_what_is_deployed_and_serves_is_left_alone(aws: Aws) -> None:
    up()
    assert aws.did == ["sam build", "sam deploy"]
    aws.did.clear()
    assert "deployed already" in up()
    assert aws.did == []


def test_a_failed_endpoint_is_made_anew_though_nothing_has_changed(aws: Aws) -> None:
    up()
    aws.did.clear()
    aws.endpoint = {"EndpointStatus": "Failed", "EndpointConfigName": "batch-3", "FailureReason": "no memory\nat all"}
    assert "endpoint firnline had failed (no memory); it is made anew" in up()
    assert aws.did == ["delete_endpoint", "create_endpoint batch-3"]


def test_an_endpoint_that_fails_again_is_told_with_its_new_reason_and_the_kept_parameters(aws: Aws) -> None:
    up({"InferenceImageUri": "mine:1"})
    aws.endpoint = {"EndpointStatus": "Failed", "EndpointConfigName": "first", "FailureReason": "an old error"}
    aws.endpoint_after = "Failed"
    with pytest.raises(stack.CommandFailed, match="it failed again") as told:
        up()
    assert "kept (InferenceImageUri=mine:1)" in str(told.value)
    assert "`make down && make up` tries again" in str(told.value)


def test_an_endpoint_that_is_gone_is_made_for_the_champion(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    up()
    aws.endpoint = None
    models = SimpleNamespace(champion=lambda: SimpleNamespace(endpoint_config="batch-7"))
    monkeypatch.setattr(endpoint, "connect", lambda _name: SimpleNamespace(models=models))
    aws.did.clear()
    up()
    assert aws.did == ["create_endpoint batch-7"]


@pytest.mark.parametrize("left", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "REVIEW_IN_PROGRESS"])
@pytest.mark.parametrize("name", ["firnline", "aws-sam-cli-managed-default"])
def test_a_deployment_that_never_came_to_its_end_is_removed_first(aws: Aws, name: str, left: str) -> None:
    aws.statuses[name] = left
    assert left in up()
    assert aws.did == [f"delete_stack {name}", "sam build", "sam deploy"]


def test_a_stack_that_is_gone_is_deployed_again_whatever_was_written_down(aws: Aws) -> None:
    up()
    aws.statuses, aws.endpoint = {}, None
    aws.did.clear()
    up()
    assert aws.did == ["sam deploy"]


def test_what_cloudformation_could_not_make_is_told_and_not_the_whole_rollback(aws: Aws, tmp_path: Path) -> None:
    def event(name: str, status: str, reason: str = "") -> dict[str, str]:
        return {"LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": reason}

    aws.events = [  # the newest first, as CloudFormation lists them
        event("firnline", "ROLLBACK_COMPLETE"),
        event("Provision", "CREATE_FAILED", "FileNotFoundError: the model is missing"),
        event("firnline", "CREATE_IN_PROGRESS"),
        event("Table", "CREATE_FAILED", "of an earlier time"),
    ]
    log = tmp_path / "sam-deploy.log"
    log.write_text("much\n")
    said = sam.why("sam deploy", 1, log, sam.causes())
    assert said.splitlines() == [
        "sam deploy failed:",
        "Provision: FileNotFoundError: the model is missing",
        f"The whole of it is in {log}.",
    ]


def test_a_tool_s_traceback_stays_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "sam-build.log"
    log.write_text('Traceback (most recent call last):\n  File "x.py", line 1\n    boom()\nOSError: it broke\n')
    said = sam.why("sam build", 2, log, [])
    assert said.endswith("ends:\nOSError: it broke")


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam, "full_folders", lambda: [tmp_path])
    said = sam.why("sam deploy", 1, tmp_path / "log", [])
    assert said == f"sam deploy failed, since the disk is full ({tmp_path}): free some space and run the command again."


# ------------------------------------------------------------------------------------------------ the demonstration


@pytest.fixture
def demo_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    state = tmp_path / "build" / "demo" / "stack"
    monkeypatch.setattr(place, "demo_state_dir", lambda: state)
    monkeypatch.delenv("FIRNLINE_STATE", raising=False)
    monkeypatch.setenv("FIRNLINE_PORT", "4566")
    monkeypatch.setattr(process, "is_free", lambda port: port != 4566)
    return state


def begin() -> str:
    console = Console(width=300)
    with console.capture() as said:
        place.begin(console, minutes=7)
    return said.get()


def test_the_demonstration_runs_beside_a_stack_that_is_kept(
    demo_state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Given a stack of `make up` whose env.sh is loaded, when the demonstration begins, then it has a place and a port
    of its own."""
    kept = tmp_path / "build" / "local"
    kept.mkdir(parents=True)
    monkeypatch.setenv("FIRNLINE_STATE", str(kept))
    local_environment.write({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "FIRNLINE_TableName": "kept"})
    monkeypatch.setenv("FIRNLINE_TableName", "kept")
    said = begin()
    assert "about 7 minutes" in said
    assert "port 4566 is taken; the demonstration uses 4567" in said
    assert (os.environ["FIRNLINE_STATE"], os.environ["FIRNLINE_PORT"]) == (str(demo_state), "4567")
    assert "FIRNLINE_TableName" not in os.environ
    assert (kept / "env.sh").exists()


def test_demonstrations_do_not_pile_up(demo_state: Path) -> None:
    demo_state.mkdir(parents=True)
    (demo_state / "deployed.json").write_text(json.dumps({}))
    assert "what the demonstration before had stored was removed" in begin()
    assert list(demo_state.iterdir()) == []
    assert [path.name for path in demo_state.parent.iterdir()] == ["stack"]


def test_too_little_room_is_said_before_anything_is_computed(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(demo.DidNotHappen, match=r"has 1\.0 GB free, and about 2 GB are needed"):
        begin()


def test_the_last_lines_say_what_runs_and_how_to_stop_it(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing of it runs any more" in demo.what_is_left()
    monkeypatch.setattr(local_cloud, "running_port", lambda _: 4567)
    left = demo.what_is_left()
    assert "still runs at http://127.0.0.1:4567" in left
    assert "make demo-down" in left
    assert "env.sh" not in left  # as long as there is none
    demo_state.mkdir(parents=True)
    (demo_state / "env.sh").touch()
    assert "env.sh && firnline status" in demo.what_is_left()


def test_up_says_after_a_failure_how_to_stop_and_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_cloud, "running_port", lambda _: 4566)
    assert stack.what_is_left().splitlines() == [
        "the local cloud still runs at http://127.0.0.1:4566",
        "stop     make down",
        "go on    make up",
    ]


# ------------------------------------------------------------------------------------------------ ports


@pytest.fixture
def any_listener() -> Any:
    """A program that takes a port and never answers."""
    with process.socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_another_program_has_is_named_at_once(any_listener: int, tmp_path: Path) -> None:
    assert not process.is_free(any_listener)
    assert process.free_port(any_listener) > any_listener
    with pytest.raises(local_cloud.LocalCloudError, match=f"Port {any_listener} is taken by another program"):
        process.start(tmp_path, any_listener)
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_the_demonstration_has_is_named_with_the_command_that_frees_it(
    any_listener: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demonstration = tmp_path / "demo"
    monkeypatch.setattr(process, "demo_state_dir", lambda: demonstration)
    monkeypatch.setattr(process, "running_port", lambda state: any_listener if state == demonstration else None)
    with pytest.raises(local_cloud.LocalCloudError, match="stop it with `make demo-down`"):
        process.start(tmp_path / "state", any_listener)
