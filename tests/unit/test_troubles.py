"""A machine's troubles reach the user as sentences, and what is Firnline's own fault as what it is."""

import errno
import os
import socket
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from typer import Typer

from workbench import connection, troubles
from workbench.cli.application import Commands
from workbench.cli.terminal import last_words


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "FIRNLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("FIRNLINE_STATE", str(tmp_path / "no-stack"))
    monkeypatch.setattr(connection.local_environment, "demo_state_dir", lambda: tmp_path / "no-demo")


@pytest.fixture
def nobody_listens() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "The disk is full (/data/x)"),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), "/data cannot be used (Permission denied)"),
        (OSError(errno.EROFS, "Read-only file system", "/data"), "/data cannot be used (Read-only file system)"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "`make up` starts it again"),
        (urllib.error.URLError("refused"), "`make up` starts it again"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "`make up` starts it again"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "PutObject"), "refused PutObject"),
        (
            ClientError({"Error": {"Code": "Internal", "Message": "[Errno 28] No space left on device"}}, "PutObject"),
            "The disk of the local cloud is full",
        ),
    ],
)
def test_what_is_the_machine_s_fault_is_a_sentence(error: Exception, said: str) -> None:
    sentence = troubles.sentence(error)
    assert sentence is not None
    assert said in sentence


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file", "/x"), ParamValidationError(report="ours")]
)
def test_what_is_firnline_s_own_fault_keeps_its_traceback(error: Exception) -> None:
    assert troubles.sentence(error) is None


def test_a_developer_can_have_every_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(troubles.TRACEBACKS, "1")
    assert troubles.sentence(OSError(errno.ENOSPC, "No space left on device")) is None


def command_that(error: Exception) -> Typer:
    commands = Commands()

    @commands.command()
    def fails() -> None:
        raise error

    return commands


def test_a_command_ends_with_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_that(OSError(errno.ENOSPC, "No space left on device", "/data/x"))([])
    assert ended.value.code == 1
    assert capsys.readouterr().err == ("The disk is full (/data/x): free some space and run the command again.\n")
    with pytest.raises(FileNotFoundError):
        command_that(FileNotFoundError(errno.ENOENT, "No such file"))([])


def test_a_local_stack_that_does_not_run_is_said_at_once(monkeypatch: pytest.MonkeyPatch, nobody_listens: str) -> None:
    """Given that nobody listens, when a command connects, then no client tries for ten seconds."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody_listens)
    monkeypatch.setattr(boto3, "Session", lambda: pytest.fail("the stack was asked"))
    with pytest.raises(connection.NotConnected, match=r"is not running: `.*firnline up` starts it"):
        connection.connect()
    monkeypatch.delenv("FIRNLINE_STATE")
    with pytest.raises(connection.NotConnected, match="is not running: `make up` starts it; its state is kept"):
        connection.connect()


def test_without_a_stack_and_without_an_account_both_ways_are_named() -> None:
    with pytest.raises(connection.NotConnected, match=r"`make up`; or, .* set AWS_PROFILE and AWS_DEFAULT_REGION"):
        connection.connect()


def test_a_profile_that_does_not_exist_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "glaciology")
    with pytest.raises(connection.NotConnected, match="glaciology"):
        connection.connect()


def test_after_ctrl_c_and_after_a_signal_the_last_words_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands()

    @commands.command()
    def waits() -> None:
        with last_words(lambda: "it still runs"):
            threading.Timer(0.2, os.kill, (os.getpid(), 15)).start()
            threading.Event().wait(20)

    with pytest.raises(SystemExit) as ended:
        commands([])
    assert ended.value.code == 130
    assert capsys.readouterr().out.strip() == "stopped, as you asked; it still runs"
