"""Where the demonstration runs: a state, a port and a folder of its own, and what is left there."""

import os
import shlex
import shutil
from pathlib import Path

from rich.console import Console

from workbench import local_cloud, local_environment, stack
from workbench.local_cloud.settings import ROOT, default_port, demo_state_dir

from .timeline import DidNotHappen

OUT = ROOT / "build" / "demo"
NEEDED_BYTES = 2_000_000_000
STOP = "make demo-down   (`make down` stops the stack of `make up`, too, if one runs)"


def begin(console: Console, minutes: int) -> None:
    """Before anything is computed: a port, room on the disk, and an empty state of the demonstration's own.

    The stack of `make up` stays as it is. Of demonstrations there is one: the state of the one before is removed.
    """
    state_dir = demo_state_dir()
    local_environment.forget_stack()
    console.print(
        f"This takes about {minutes} minutes on two free cores, more on busy ones. Ctrl+C stops it.", soft_wrap=True
    )
    if stack.down(state_dir):
        console.print("· the stack of the demonstration before was stopped")
    if state_dir.exists():
        shutil.rmtree(state_dir)
        console.print("· what the demonstration before had stored was removed")
    state_dir.mkdir(parents=True)
    if (free := shutil.disk_usage(state_dir).free) < NEEDED_BYTES:
        raise DidNotHappen(
            f"{OUT} has {free / 1e9:.1f} GB free, and about {NEEDED_BYTES / 1e9:.0f} GB are needed: free some space."
        )
    port = local_cloud.free_port(default_port())
    if port != default_port():
        console.print(f"· port {default_port()} is taken; the demonstration uses {port}")
    os.environ |= {"FIRNLINE_STATE": str(state_dir), "FIRNLINE_PORT": str(port)}


def empty(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def environment_file() -> str:
    return shlex.quote(os.path.relpath(demo_state_dir() / "env.sh"))


def what_is_left() -> str:
    """After a failure or Ctrl+C: what still runs, how to look at it, to stop it, or to begin again."""
    port = local_cloud.running_port(demo_state_dir())
    if port is None:
        return "nothing of it runs any more\nagain    make demo"
    look = f"look     source {environment_file()} && firnline status\n"
    return (
        f"its stack still runs at http://127.0.0.1:{port}\n"
        + (look if (demo_state_dir() / "env.sh").exists() else "")
        + f"stop     {STOP}\n"
        "again    make demo, which begins anew"
    )
