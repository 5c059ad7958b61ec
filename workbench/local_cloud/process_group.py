"""Child processes that must end with the work they do: started in their own group, ended by that group."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


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
