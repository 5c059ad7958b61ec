"""Starting and stopping the local cloud in the background."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workbench.waiting import Pace, wait_until

from .identity import Credentials, admin_credentials
from .settings import REGION, ROOT, Settings, default_port, default_state_dir, demo_state_dir

START_SECONDS = 60.0
STOP_SECONDS = 90.0
CLOSE_SECONDS = 5.0
SAYING_SECONDS = 2.0
FULL_BYTES = 64 << 20
"""With less free space than this, what fails fails for want of space."""
PORTS_TRIED = 50
Say = Callable[[str], None]


class LocalCloudError(Exception):
    """The local cloud could not be started or stopped; the message says what to do."""


def settings_for(state_dir: Path | None = None, port: int | None = None) -> Settings:
    return Settings((state_dir or default_state_dir()).resolve(), port or default_port())


def start(state_dir: Path | None = None, port: int | None = None, say: Say = print) -> int:
    """Start the local cloud unless it runs already, wait until it answers, and return its process id.

    Raises LocalCloudError if the port belongs to somebody else or the process ends at once.
    """
    settings = settings_for(state_dir, port)
    running = running_pid(settings.state_dir)
    if running is not None:
        say(f"The local cloud runs already (process {running}) at {settings.endpoint}.")
        return running
    if not _free_by_now(settings):
        raise LocalCloudError(
            f"Port {settings.port} is taken by {_holder(settings.port)}, or choose another port: "
            f"FIRNLINE_PORT={free_port(settings.port)} before the command."
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with settings.log_file.open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "workbench.local_cloud",
                "--state",
                settings.state_dir,
                "--port",
                str(settings.port),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    settings.pid_file.write_text(json.dumps({"pid": process.pid, "port": settings.port}))

    def answers() -> bool:
        if _answers(settings):
            return True
        if process.poll() is not None:
            settings.pid_file.unlink(missing_ok=True)
            raise LocalCloudError(f"The local cloud ended while it started: {_last_words(settings)}")
        return False

    def too_long() -> LocalCloudError:
        return LocalCloudError(f"The local cloud does not answer after {START_SECONDS:.0f} s; see {settings.log_file}.")

    wait_until(answers, START_SECONDS, too_long, Pace.PROCESS, _now_and_then(say, "Starting the local cloud"))
    say(f"The local cloud is up at {settings.endpoint} (process {process.pid}, log {settings.log_file}).")
    return process.pid


def stop(state_dir: Path | None = None, say: Say = print) -> bool:
    """Stop the local cloud, which saves its state; False if it was not running."""
    settings = settings_for(state_dir)
    pid = running_pid(settings.state_dir)
    if pid is None:
        say("The local cloud is not running.")
        return False
    os.kill(pid, signal.SIGTERM)
    saying = _now_and_then(say, "Saving and stopping the local cloud")
    try:
        wait_until(lambda: not _is_local_cloud(pid), STOP_SECONDS, TimeoutError, Pace.PROCESS, saying)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        say(f"The local cloud did not end within {STOP_SECONDS:.0f} s and was killed; its journal keeps the state.")
    settings.pid_file.unlink(missing_ok=True)
    say("The local cloud is stopped; its state is kept.")
    return True


def _now_and_then(say: Say, what: str) -> Callable[[float], None]:
    """Says what is being waited for, and for how long so far, every other second."""
    said = 0.0

    def tell(waited: float) -> None:
        nonlocal said
        if waited - said >= SAYING_SECONDS:
            said = waited
            say(f"{what} … {waited:.0f} s")

    return tell


def running_pid(state_dir: Path | None = None) -> int | None:
    """The process id of the local cloud that serves this state directory, or None."""
    record = _record(settings_for(state_dir))
    return record["pid"] if record and _is_local_cloud(record["pid"]) else None


def running_port(state_dir: Path | None = None) -> int | None:
    record = _record(settings_for(state_dir))
    return record["port"] if record and _is_local_cloud(record["pid"]) else None


def credentials(state_dir: Path | None = None) -> Credentials:
    """The developer's key of this state directory's stack; made if there is none yet."""
    return admin_credentials(settings_for(state_dir).credentials_file)


def client_environment(state_dir: Path | None = None, port: int | None = None) -> dict[str, str]:
    """What boto3, the AWS CLI and SAM need in their environment to talk to this stack and to no other."""
    settings = settings_for(state_dir, port or running_port(state_dir))
    return {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        **credentials(state_dir).environment(),
    }


def review_url(state_dir: Path | None = None, port: int | None = None) -> str:
    return f"{settings_for(state_dir, port or running_port(state_dir)).endpoint}/review/"


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what lingers of a closed one is in nobody's way
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_by_now(settings: Settings) -> bool:
    """A killed local cloud has no command line any more a moment before its sockets are closed."""
    record = _record(settings)
    seconds = CLOSE_SECONDS if record and record["port"] == settings.port else 0
    try:
        return wait_until(lambda: is_free(settings.port), seconds, TimeoutError, Pace.PROCESS)
    except TimeoutError:
        return False


def free_port(first: int) -> int:
    """The first free port from `first` on."""
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        if is_free(port):
            return port
    raise LocalCloudError(f"No port from {first} on is free; choose one with FIRNLINE_PORT.")


def _holder(port: int) -> str:
    """Who has a port, with what to do about it, as the first half of a sentence."""
    for state_dir, command in ((demo_state_dir(), "make demo-down"), (ROOT / "build" / "local", "make down")):
        if running_port(state_dir) == port:
            return f"the local cloud of {state_dir}: stop it with `{command}`"
    return "another program: stop that one"


def _record(settings: Settings) -> dict | None:
    with suppress(OSError, ValueError):
        return json.loads(settings.pid_file.read_text())
    return None


def _is_local_cloud(pid: int) -> bool:
    """Whether `pid` is alive and ours: after a reboot the number may belong to anybody."""
    with suppress(OSError):
        # A child that ended but was not waited for has an empty command line.
        return b"workbench.local_cloud" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _answers(settings: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.endpoint}/_ministack/health", timeout=2):  # noqa: S310 - loopback
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _last_words(settings: Settings) -> str:
    """Why it ended, of its log; a traceback stays there."""
    if shutil.disk_usage(settings.state_dir).free < FULL_BYTES:
        return f"the disk is full ({settings.state_dir}). Free some space and run the command again."
    lines = [line for line in settings.log_file.read_text(errors="replace").splitlines() if line[:1].strip()]
    return f"{lines[-1][:300] if lines else 'it said nothing'}\nIts log is {settings.log_file}."
