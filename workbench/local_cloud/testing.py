"""A stack of its own for a test: a free port, a folder for its state, clients with the developer's key."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from workbench.waiting import Pace, wait_until

from .identity import Credentials
from .process import credentials, running_pid, start, stop
from .settings import REGION


@dataclass(frozen=True)
class TestStack:
    __test__ = False

    folder: Path
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, key: Credentials | None = None) -> Any:
        key = key or credentials(self.folder)
        session: Any = boto3.session.Session()  # its own, since boto3's shared one is not safe on threads
        return session.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            aws_session_token=key.token,
            config=Config(retries={"max_attempts": 1}, read_timeout=120),
        )

    def start(self) -> None:
        start(self.folder, self.port)

    def stop(self) -> None:
        stop(self.folder)

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        pid = running_pid(self.folder)
        if pid is None:
            raise RuntimeError("the stack is not running")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: running_pid(self.folder) is None, 10)


@contextmanager
def temporary_stack(folder: Path) -> Iterator[TestStack]:
    """A running stack, stopped at the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        stack = TestStack(folder, probe.getsockname()[1])
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """What `condition` returns once it is true; TimeoutError after `seconds`."""
    return wait_until(condition, seconds, lambda: TimeoutError(f"not so after {seconds:.0f} s"), Pace.PROCESS)
