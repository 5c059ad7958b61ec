"""The stack on this machine: the local cloud, and `sam build && sam deploy` against it as against any account."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
from rich.console import Console

from workbench import local_cloud, local_environment
from workbench.local_cloud.settings import REGION, ROOT, default_port, default_state_dir

STACK_NAME = "firnline"
LOCAL_PARAMETERS = {
    "WorkteamArn": f"arn:aws:sagemaker:{REGION}:000000000000:workteam/private-crowd/local",
    "ReviewProvider": "a2i",
}
_SOURCES = ("template.yaml", "services", "layers", "statemachines")


class CommandFailed(Exception):
    """A tool that we called failed; the message ends with what it printed."""


def up(parameters: dict[str, str], console: Console) -> dict[str, str]:
    """Start the local cloud if it is not running, deploy if anything changed, and wait for the endpoint.

    A parameter that is not given stays as it was deployed before.
    Returns the environment that `build/local/env.sh` carries.
    """
    state_dir, port = default_state_dir(), default_port()
    with console.status(f"starting the local cloud on 127.0.0.1:{port}"):
        local_cloud.start(state_dir, port, say=lambda _: None)
    environment = local_cloud.client_environment(state_dir, port) | {
        "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "FIRNLINE_STACK": STACK_NAME,
        "FIRNLINE_STATE": str(state_dir), "FIRNLINE_PORT": str(port),
    }  # fmt: skip
    local_environment.write(environment)
    os.environ.update(environment)
    _build_and_deploy(LOCAL_PARAMETERS | _deployed().get("parameters", {}) | parameters, console)
    outputs = stack_outputs()
    environment |= {f"FIRNLINE_{name}": value for name, value in outputs.items()}
    local_environment.write(environment)
    _wait_for_endpoint(outputs["EndpointName"], console)
    return environment


def down() -> bool:
    """Stop the local cloud; what it holds stays in its state directory. False if it was not running."""
    return local_cloud.stop(default_state_dir(), say=lambda _: None)


def set_state_aside() -> Path | None:
    """Move an earlier stack's state away, so that a new one starts empty; nothing is deleted."""
    state_dir = default_state_dir()
    if not state_dir.exists():
        return None
    aside = state_dir.with_name(f"{state_dir.name}.{time.strftime('%Y%m%d-%H%M%S')}")
    shutil.move(state_dir, aside)
    return aside


def stack_outputs() -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _build_and_deploy(parameters: dict[str, str], console: Console) -> None:
    fingerprint = _fingerprint()
    built = ROOT / ".aws-sam" / "built-from"
    wanted = {"source": fingerprint, "parameters": parameters}
    if _deployed() == wanted:
        console.print("· deployed already, nothing has changed")
        return
    if not (built.exists() and built.read_text() == fingerprint):
        _run(["sam", "build"], "sam build", console)
        built.write_text(fingerprint)
    overrides = [f"{name}={value}" for name, value in sorted(parameters.items())]
    _run(
        ["sam", "deploy", "--stack-name", STACK_NAME, "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
         "--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND",
         "--region", REGION, "--parameter-overrides", *overrides],
        "sam deploy", console,
    )  # fmt: skip
    _deployed_file().write_text(json.dumps(wanted))


def _deployed_file() -> Path:
    return default_state_dir() / "deployed.json"


def _deployed() -> dict:
    """What this state directory's stack was deployed from, and with which parameters; empty if it was not."""
    return json.loads(_deployed_file().read_text()) if _deployed_file().exists() else {}


def _fingerprint() -> str:
    """A hash over everything that `sam build` packs."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(command: list[str], title: str, console: Console) -> None:
    log = default_state_dir() / f"{title.replace(' ', '-')}.log"
    started = time.monotonic()
    with console.status(title) as status, log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_tool_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None  # noqa: S101 - told to Popen in the line above
        for line in process.stdout:
            out.write(line)
            if line.strip():
                status.update(f"{title} · {time.monotonic() - started:.0f} s · {line.strip()[:90]}")
        code = process.wait()
    if code:
        tail = "".join(log.read_text().splitlines(keepends=True)[-25:])
        raise CommandFailed(f"{title} failed with exit code {code}; the whole of it is in {log}:\n{tail}")
    console.print(f"· {title} took {time.monotonic() - started:.0f} s")


def _tool_environment() -> dict[str, str]:
    """This environment's own tools first: `sam`, and the `pip` that `sam build` calls."""
    tools = str(Path(sys.executable).parent)
    return os.environ | {"PATH": tools + os.pathsep + os.environ.get("PATH", ""), "SAM_CLI_TELEMETRY": "0"}


def _wait_for_endpoint(name: str, console: Console, seconds: float = 180) -> None:
    sagemaker = boto3.client("sagemaker")
    deadline = time.monotonic() + seconds
    with console.status(f"waiting for endpoint {name}") as status:
        while (state := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "InService":
            if state["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
                raise CommandFailed(
                    f"endpoint {name} is {state['EndpointStatus']}: {state.get('FailureReason', 'no reason given')}; "
                    f"the local cloud's log is in {default_state_dir()}"
                )
            status.update(f"waiting for endpoint {name}: {state['EndpointStatus']}")
            time.sleep(0.5)
