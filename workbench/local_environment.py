"""`env.sh` in a stack's state directory: the variables with which any AWS client talks to that local cloud."""

import os
import shlex
from pathlib import Path

from rich.console import Console

from workbench.local_cloud.settings import ROOT, default_state_dir, demo_state_dir

CLONE = "FIRNLINE_CLONE"
"""The variable that says which clone's `env.sh` a shell has loaded."""
_CHOOSERS = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
_OF_A_STACK = ("FIRNLINE_STATE", "FIRNLINE_STACK", CLONE)
_OWNER_ONLY = 0o600


def path() -> Path:
    return default_state_dir() / "env.sh"


def write(variables: dict[str, str]) -> Path:
    """Write `env.sh`, readable by its owner only, since it holds the secret key. The file is written whole or not at all."""
    variables = variables | {CLONE: str(ROOT)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append("unset AWS_PROFILE AWS_SESSION_TOKEN")
    lines.append(f'export PATH={shlex.quote(str(ROOT / ".venv/app/bin"))}:"$PATH"')
    path().parent.mkdir(parents=True, exist_ok=True)
    partial = path().with_name("env.sh.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as stream:  # noqa: PTH123
        stream.write("\n".join(["# The local cloud. `source` this, then use firnline, aws or boto3.", *lines, ""]))
    partial.replace(path())
    return path()


def read(state_dir: Path | None = None) -> dict[str, str]:
    """The variables of a state directory's `env.sh` but PATH; empty if there is no such file."""
    file = (state_dir or default_state_dir()) / "env.sh"
    if not file.exists():
        return {}
    words = (shlex.split(line, comments=True) for line in file.read_text().splitlines())
    pairs = (word.partition("=") for line in words if line[:1] == ["export"] for word in line[1:])
    return {name: value for name, _, value in pairs if name not in ("PATH", CLONE)}


def load_if_none_is_chosen() -> None:
    """Use the local cloud if no AWS account is named, and say so.

    It is that of `make up`, or the demonstration's if there never was one.
    """
    if any(os.environ.get(name) for name in _CHOOSERS):
        if other := other_clone():
            Console(stderr=True).print(f"[dim]using the stack of {other}, whose env.sh this shell has loaded[/dim]")
        return
    variables = read() or read(demo_state_dir())
    if variables:
        os.environ.update(variables)
        Console(stderr=True).print(f"[dim]using the local stack at {variables['AWS_ENDPOINT_URL']}[/dim]")


def other_clone() -> str | None:
    """The clone whose `env.sh` this shell has loaded, if it is not this one."""
    clone = os.environ.get(CLONE)
    return clone if clone and Path(clone).resolve() != ROOT else None


def forget_other_clone() -> str | None:
    """Drop what another clone's `env.sh` has set, so that this clone's stack is meant; returns that clone."""
    other = other_clone()
    if other:
        forget_stack()
        os.environ.pop("FIRNLINE_PORT", None)
    return other


def forget_stack() -> None:
    """Drop what an `env.sh`, or the user, has set for AWS accounts and stacks; a chosen port stays."""
    chosen = read() if os.environ.get("FIRNLINE_STATE") else {}
    for name in [name for name in os.environ if name.startswith("AWS_") or name in {*chosen, *_OF_A_STACK}]:
        if name != "FIRNLINE_PORT":
            del os.environ[name]
