"""Building and deploying the stack, out of whatever an earlier deployment left."""

from pathlib import Path

import boto3
from botocore.exceptions import ClientError, WaiterError
from rich.console import Console

from workbench.local_cloud.settings import REGION, ROOT
from workbench.waiting import wait_until

from . import record, sam
from .record import STACK_NAME, CommandFailed, start_anew

_DEPLOYED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_SAM_BUCKET_STACK = "aws-sam-cli-managed-default"
"""In which SAM keeps the bucket that it uploads to."""
_STILLBORN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS")
_SETTLE_SECONDS = 300
_DELETION_PACE = 1


def build_and_deploy(parameters: dict[str, str], console: Console) -> None:
    """Do so unless the stack is there and neither sources nor parameters have changed. Raises CommandFailed."""
    fingerprint = record.fingerprint()
    wanted = {"source": fingerprint, "parameters": parameters}
    if _settled_status(STACK_NAME, console) in _DEPLOYED and record.deployed() == wanted:
        console.print("· deployed already, nothing has changed")
        return
    _clear_away(console)
    folder = built_folder()
    built = folder / "built-from"
    if not (built.exists() and built.read_text() == fingerprint):
        folders = ["--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache")]
        sam.run(["sam", "build", *folders], sam.BUILD, console)
        built.write_text(fingerprint)
    deploy(STACK_NAME, parameters, console)
    record.note(fingerprint, parameters)


def deploy(stack_name: str, parameters: dict[str, str], console: Console) -> None:
    """`sam deploy` of what was built last, under this name. Raises CommandFailed."""
    overrides = [f"{name}={value}" for name, value in sorted(parameters.items())]
    sam.run(
        ["sam", "deploy", "--template-file", str(built_folder() / "build" / "template.yaml"), "--stack-name", stack_name,
         "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
         "--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND",
         "--region", REGION, "--parameter-overrides", *overrides],
        sam.DEPLOY, console,
    )  # fmt: skip


def built_folder() -> Path:
    """Beside what `sam build` makes for AWS: the layer is for this Python, in which the local cloud runs its Lambdas."""
    return ROOT / ".aws-sam" / "local"


def outputs() -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _clear_away(console: Console) -> None:
    """Remove what is left of a deployment that did not come to its end."""
    for name in (STACK_NAME, _SAM_BUCKET_STACK):
        if (status := _settled_status(name, console)) in _STILLBORN:
            console.print(
                f"· an earlier deployment did not come to its end ({name} is {status}): what is left of it is removed",
                soft_wrap=True,
            )
            _remove(name)


def _status(stack_name: str) -> str | None:
    """CloudFormation's word for how a stack is; None if there is none."""
    try:
        return boto3.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _settled_status(stack_name: str, console: Console) -> str | None:
    """The same, once what an interrupted deployment began has ended, however it does: boto3's waiters each wait for one
    way only."""
    status: str | None = None

    def settled() -> bool:
        nonlocal status
        status = _status(stack_name)
        return status is None or status == "REVIEW_IN_PROGRESS" or not status.endswith("_IN_PROGRESS")

    def too_long() -> CommandFailed:
        return CommandFailed(f"an earlier deployment is {status} after {_SETTLE_SECONDS} s: {start_anew()}")

    with console.status("waiting for an earlier deployment to end"):
        wait_until(settled, _SETTLE_SECONDS, too_long)
    return status


def _remove(stack_name: str) -> None:
    """CloudFormation changes no stack that was never there whole; buckets and table are kept, and made again."""
    formation = boto3.client("cloudformation")
    formation.delete_stack(StackName=stack_name)
    waiter = formation.get_waiter("stack_delete_complete")
    attempts = _SETTLE_SECONDS // _DELETION_PACE
    try:
        waiter.wait(StackName=stack_name, WaiterConfig={"Delay": _DELETION_PACE, "MaxAttempts": attempts})
    except WaiterError as error:
        raise CommandFailed(
            f"what is left of an earlier deployment is {_status(stack_name)}: {start_anew()}"
        ) from error
