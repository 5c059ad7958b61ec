"""`firnline redrive` and `adopt`: what an operator does when something went wrong, or away."""

from enum import StrEnum
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

commands = terminal.Group("Operation")


class Queue(StrEnum):
    ingest = "ingest"
    predict = "predict"
    review = "review"
    completion = "completion"
    retraining = "retraining"


@commands.command()
def redrive(
    queue: Annotated[
        list[Queue] | None, typer.Argument(help="whose dead letters; without it those of all queues")
    ] = None,
) -> None:
    """Send what failed for good back to its queue, once what was in its way is mended."""
    from workbench import redrive as letters

    out = console()
    chosen = tuple(name for name in letters.QUEUES if not queue or name.lower() in queue)
    moved = [one for one in letters.redrive(terminal.connect(), chosen) if one.messages]
    for one in moved:
        out.print(f"{one.queue}: about {one.messages} dead letters go back to the queue")
    out.print("`firnline status` shows how far they are" if moved else "there are no dead letters")


@commands.command()
def adopt(
    frames_bucket: Annotated[str, typer.Option(help="the bucket of uploads that the earlier stack left")],
    workspace_bucket: Annotated[str, typer.Option(help="its workspace bucket")],
    table: Annotated[str, typer.Option(help="its table")],
    stack_name: Annotated[
        str, typer.Option("--stack", help="the name that the earlier stack had; there must be none of it now")
    ] = "firnline",
) -> None:
    """Bring buckets and table of a deleted stack into a new one of its name, which `sam deploy` then completes."""
    import boto3

    from workbench import adopt as adoption
    from workbench import local_environment

    local_environment.load_if_none_is_chosen()
    names = {"FramesBucket": frames_bucket, "WorkspaceBucket": workspace_bucket, "FirnlineTable": table}
    try:
        adoption.adopt(boto3.client("cloudformation"), stack_name, names)
    except adoption.CannotAdopt as error:
        raise fail(f"Nothing was adopted: {error}") from error
    console().print(f"the stack {stack_name} holds them now\nnext: sam build && sam deploy --stack-name {stack_name}")
