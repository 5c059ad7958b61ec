"""Child processes that must end with the work they do: started in their own group, ended by that group."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def hears(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal. A container's first process is sent no others (pid_namespaces(7))."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def end_container(process: subprocess.Popen, grace: float) -> None:
    """End a group as AWS ends a container: SIGTERM to its first process if that hears it, SIGKILL to all of it later.

    The group's other processes are told nothing. What SageMaker's training toolkit starts is one of them: the toolkit
    has no handler and passes nothing on (sagemaker-training-toolkit issues 125 and 173).
    """
    with suppress(ProcessLookupError, FileNotFoundError):
        if hears(process.pid, signal.SIGTERM):
            os.kill(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_group(process: subprocess.Popen, grace: float) -> None:
    """SIGTERM to the process's group, SIGKILL after `grace` seconds."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_orphan(pid: int, marker: str) -> None:
    """End a group left by a killed local cloud, if `pid` still is that process: its environment holds `marker`."""
    with suppress(OSError):
        if marker.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            os.killpg(pid, signal.SIGKILL)
            time.sleep(0.1)
