"""The stack on this machine: the local cloud, and `sam build && sam deploy` against it as against any account."""

import hashlib
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from workbench import local_cloud, local_environment
from workbench.connection import connect
from workbench.local_cloud.settings import REGION, ROOT, default_port, default_state_dir, demo_state_dir
from workbench.troubles import full_folders

STACK_NAME = "firnline"
LOCAL_PARAMETERS = {
    "WorkteamArn": f"arn:aws:sagemaker:{REGION}:000000000000:workteam/private-crowd/local",
    "ReviewProvider": "a2i",
}
_LAYER_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_SOURCES = ("template.yaml", "services", "layers", "statemachines")


DEPLOY = "sam deploy"
_DEPLOYED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_SAM_BUCKET_STACK = "aws-sam-cli-managed-default"
"""In which SAM keeps the bucket that it uploads to."""
_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
_STILLBORN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS")
_SETTLE_SECONDS = 300

logger = logging.getLogger("firnline")


class CommandFailed(Exception):
    """Deploying did not come to its end; the message says why, and what to do."""


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
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # a profile would go before the keys
        del os.environ[name]
    os.environ.update(environment)
    _build_and_deploy(LOCAL_PARAMETERS | _deployed().get("parameters", {}) | parameters, console)
    outputs = stack_outputs()
    environment |= {f"FIRNLINE_{name}": value for name, value in outputs.items()}
    local_environment.write(environment)
    _mend_endpoint(outputs["EndpointName"], console)
    _wait_for_endpoint(outputs["EndpointName"], console)
    return environment


def down(state_dir: Path | None = None) -> bool:
    """Stop the local cloud; what it holds stays in its state directory. False if it was not running."""
    return local_cloud.stop(state_dir or default_state_dir(), say=lambda _: None)


def states_of_this_clone() -> list[Path]:
    """Where `up` and the demonstration keep theirs; none if FIRNLINE_STATE says that another place is meant."""
    own = [ROOT / "build" / "local", demo_state_dir()]
    return own if default_state_dir() in own else []


def what_is_left() -> str:
    """After a failure or Ctrl+C: what still runs, how to stop it, and how to go on."""
    port = local_cloud.running_port(default_state_dir())
    if port is None:
        return "the local cloud does not run\ngo on    make up"
    return f"the local cloud still runs at http://127.0.0.1:{port}\nstop     make down\ngo on    make up"


def stack_outputs() -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _build_and_deploy(parameters: dict[str, str], console: Console) -> None:
    fingerprint = _fingerprint()
    built = built_folder() / "built-from"
    wanted = {"source": fingerprint, "parameters": parameters}
    if _settled_status(STACK_NAME, console) in _DEPLOYED and _deployed() == wanted:
        console.print("· deployed already, nothing has changed")
        return
    for name in (STACK_NAME, _SAM_BUCKET_STACK):
        if (status := _settled_status(name, console)) in _STILLBORN:
            console.print(
                f"· an earlier deployment did not come to its end ({name} is {status}): what is left of it is removed",
                soft_wrap=True,
            )
            _remove_stack(name)
    if not (built.exists() and built.read_text() == fingerprint):
        folders = ["--build-dir", str(built_folder() / "build"), "--cache-dir", str(built_folder() / "cache")]
        _run(["sam", "build", *folders], "sam build", console)
        built.write_text(fingerprint)
    overrides = [f"{name}={value}" for name, value in sorted(parameters.items())]
    _run(
        ["sam", "deploy", "--template-file", str(built_folder() / "build" / "template.yaml"), "--stack-name", STACK_NAME,
         "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
         "--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND",
         "--region", REGION, "--parameter-overrides", *overrides],
        DEPLOY, console,
    )  # fmt: skip
    _deployed_file().write_text(json.dumps(wanted))


def built_folder() -> Path:
    """Beside what `sam build` makes for AWS: the layer is for this Python, in which the local cloud runs its Lambdas."""
    return ROOT / ".aws-sam" / "local"


def _status(stack_name: str) -> str | None:
    """CloudFormation's word for how a stack is; None if there is none."""
    try:
        return boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _settled_status(stack_name: str, console: Console) -> str | None:
    """The same, once what an interrupted deployment began has ended."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    with console.status("waiting for an earlier deployment to end"):
        while (status := _status(stack_name)) and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            if time.monotonic() > deadline:
                raise CommandFailed(f"an earlier deployment is {status} after {_SETTLE_SECONDS} s: {_start_anew()}")
            time.sleep(0.5)
    return status


def _remove_stack(stack_name: str) -> None:
    """CloudFormation changes no stack that was never there whole; buckets and table are kept, and made again."""
    boto3.client("cloudformation").delete_stack(StackName=stack_name)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (status := _status(stack_name)) not in (None, "DELETE_COMPLETE"):
        if status == "DELETE_FAILED" or time.monotonic() > deadline:
            raise CommandFailed(f"what is left of an earlier deployment is {status}: {_start_anew()}")
        time.sleep(0.5)


def _start_anew() -> str:
    state_dir = shlex.quote(str(default_state_dir()))
    return f"`make down && mv {state_dir} {state_dir}.kept && make up` starts with an empty one beside it"


def _deployed_file() -> Path:
    return default_state_dir() / "deployed.json"


def _deployed() -> dict:
    """What this state directory's stack was deployed from, and with which parameters; empty if it was not."""
    return json.loads(_deployed_file().read_text()) if _deployed_file().exists() else {}


def _fingerprint() -> str:
    """A hash over everything that `sam build` packs, and the Python that it packs it for."""
    digest = hashlib.sha256(_LAYER_PYTHON.encode())
    for source in _SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(command: list[str], title: str, console: Console) -> None:
    log = default_state_dir() / f"{title.replace(' ', '-')}.log"
    started = time.monotonic()
    with (
        console.status(title) as status,
        tempfile.TemporaryDirectory(prefix="sam-", dir=default_state_dir()) as scratch,
        log.open("w") as out,
    ):
        process = subprocess.Popen(
            command, cwd=ROOT, env=_tool_environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
        try:
            assert process.stdout is not None  # noqa: S101 - told to Popen in the line above
            for line in process.stdout:
                out.write(line)
                if line.strip():
                    status.update(f"{title} · {time.monotonic() - started:.0f} s · {line.strip()[:90]}")
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        raise CommandFailed(_why(title, code, log, _causes() if title == DEPLOY else []))
    console.print(f"· {title} took {time.monotonic() - started:.0f} s")


def _why(title: str, code: int, log: Path, causes: list[str]) -> str:
    """Why a tool failed: no space, what CloudFormation says, or else its last lines; a traceback stays in the log."""
    if full := full_folders():
        return f"{title} failed, since the disk is full ({full[0]}): free some space and run the command again."
    if causes:
        return "\n".join([f"{title} failed:", *causes, f"The whole of it is in {log}."])
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    tail = [line for line in lines if "Traceback (most" not in line and not line.startswith(("  ", "\t"))][-12:]
    return f"{title} failed with exit code {code}; the whole of it is in {log}, and ends:\n" + "\n".join(tail)


def _causes() -> list[str]:
    """What CloudFormation could not make in the deployment that it began last, and why; the first one first."""
    causes = []
    try:
        for event in _events():
            if event["ResourceStatus"].endswith("_FAILED") and event["LogicalResourceId"] != STACK_NAME:
                causes.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
            elif event["LogicalResourceId"] == STACK_NAME and event["ResourceStatus"] in _BEGUN:
                break
    except (BotoCoreError, ClientError) as error:  # the tool's own last words remain
        logger.info("no events of the deployment: %s", error)
    return causes[::-1]


def _events() -> Iterator[Any]:
    """CloudFormation's events of the stack, newest first; a rollback alone fills a page."""
    client: Any = boto3.client("cloudformation")
    token: dict[str, str] = {}
    while True:
        page = client.describe_stack_events(StackName=STACK_NAME, **token)
        yield from page["StackEvents"]
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


def _tool_environment(scratch: str) -> dict[str, str]:
    """This environment's own tools first: `sam`, and the `pip` that `sam build` calls.

    What they leave behind, in the temporary directory and in the home folder, goes with `scratch`.
    """
    tools = str(Path(sys.executable).parent)
    return os.environ | {"PATH": tools + os.pathsep + os.environ.get("PATH", ""), "SAM_CLI_TELEMETRY": "0",
                         "LAYER_PYTHON": _LAYER_PYTHON, "TMPDIR": scratch, "__SAM_CLI_APP_DIR": scratch}  # fmt: skip


def _mend_endpoint(name: str, console: Console) -> None:
    """Make an endpoint anew that failed or is gone, from the configuration that it had or that the champion has.

    What was in its way may have passed, and nothing else would try again: deployed is deployed.
    """
    sagemaker = boto3.client("sagemaker")
    try:
        failed = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "could not find" not in str(error).lower():
            raise
        champion = connect(STACK_NAME).models.champion()
        if champion is None:
            raise CommandFailed(f"there is no endpoint {name} and no model to serve: {_start_anew()}") from error
        console.print(f"· endpoint {name} was gone; it is made anew")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=champion["endpoint_config"])
        return
    if failed["EndpointStatus"] != "Failed":
        return
    console.print(
        f"· endpoint {name} had failed ({_first_line(failed.get('FailureReason', ''))}); it is made anew",
        soft_wrap=True,
    )
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=failed["EndpointConfigName"])


def _wait_for_endpoint(name: str, console: Console, seconds: float = 180) -> None:
    sagemaker = boto3.client("sagemaker")
    deadline = time.monotonic() + seconds
    with console.status(f"waiting for endpoint {name}") as status:
        while (state := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "InService":
            if state["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
                raise CommandFailed(_endpoint_trouble(name, state))
            status.update(f"waiting for endpoint {name}: {state['EndpointStatus']}")
            time.sleep(0.5)


def _endpoint_trouble(name: str, state: dict) -> str:
    chosen = {k: v for k, v in _deployed().get("parameters", {}).items() if LOCAL_PARAMETERS.get(k) != v}
    kept = ", ".join(f"{parameter}={value}" for parameter, value in sorted(chosen.items()))
    return (
        f"endpoint {name} is {state['EndpointStatus']}: {state.get('FailureReason') or 'no reason given'}\n"
        f"The local cloud's log is {default_state_dir() / 'local-cloud.log'}. `make down && make up` tries again"
        + (f"; parameters given earlier are kept ({kept}), `firnline up -p Name=Value` changes one." if kept else ".")
    )


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0][:200]
