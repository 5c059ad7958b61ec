"""`build/local/env.sh`: the variables with which any AWS client talks to the local cloud."""

import os
import shlex
from pathlib import Path

from rich.console import Console

from workbench.local_cloud.settings import ROOT, default_state_dir

_CHOOSERS = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")


def path() -> Path:
    return default_state_dir() / "env.sh"


def write(variables: dict[str, str]) -> Path:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f'export PATH={shlex.quote(str(ROOT / ".venv/app/bin"))}:"$PATH"')
    path().parent.mkdir(parents=True, exist_ok=True)
    path().unlink(missing_ok=True)  # a file that is there keeps its mode, and this one holds the stack's secret key
    descriptor = os.open(path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(["# The local cloud. `source` this, then use firnline, aws or boto3.", *lines, ""]))
    return path()


def read() -> dict[str, str]:
    """The variables of `env.sh` but PATH; empty if there is no such file."""
    if not path().exists():
        return {}
    words = (shlex.split(line, comments=True) for line in path().read_text().splitlines())
    pairs = (word.partition("=") for line in words if line[:1] == ["export"] for word in line[1:])
    return {name: value for name, _, value in pairs if name != "PATH"}


def load_if_none_is_chosen() -> None:
    """Use the local cloud where nobody has said which AWS account is meant, and say so."""
    if any(os.environ.get(name) for name in _CHOOSERS):
        return
    variables = read()
    if variables:
        os.environ.update(variables)
        Console(stderr=True).print(f"[dim]using the local stack at {variables['AWS_ENDPOINT_URL']}[/dim]")
