"""`firnline up`, `down` and `demo`: the stack on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail, last_words

commands = terminal.Group("The stack on this machine")


@commands.command()
def up(
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="a template parameter, Name=Value; may be repeated")
    ] = None,
) -> None:
    """Start the local cloud in the background and deploy the stack to it."""
    from workbench import stack
    from workbench.local_cloud import LocalCloudError

    _mean_this_clone()
    if wrong := [pair for pair in parameter or [] if "=" not in pair]:
        raise fail(f"'{wrong[0]}' is no Name=Value.")
    with last_words(stack.what_is_left, "", stack.CommandFailed, LocalCloudError):
        environment = stack.up(dict(pair.split("=", 1) for pair in parameter or []), console())
    _say_where(environment)


def _say_where(environment: dict[str, str]) -> None:
    from workbench import local_environment

    portal = environment["FIRNLINE_ReviewProvider"] == "portal"
    own = "firnline review serves it" if portal else f"{environment['AWS_ENDPOINT_URL']}/review/"
    page = environment.get("FIRNLINE_ReviewPageAddress", own)
    console().print(
        f"\nreview page   {page}\n"
        f"environment   source {local_environment.path()}\n"
        "next          firnline predict FRAME... --out build/layers\n"
        "stop          make down"
    )


@commands.command()
def down(
    demo: Annotated[bool, typer.Option("--demo", help="only the demonstration's stack")] = False,
) -> None:
    """Stop this clone's local clouds, that of `up` and the demonstration's; what they hold is kept."""
    from workbench import stack
    from workbench.local_cloud.settings import default_state_dir, demo_state_dir

    _mean_this_clone()
    states = {demo_state_dir()} if demo else {default_state_dir(), *stack.states_of_this_clone()}
    stopped = [state_dir for state_dir in sorted(states) if stack.down(state_dir)]
    for state_dir in stopped:
        if state_dir == demo_state_dir():
            console().print(f"the demonstration's stack is stopped; `source {state_dir}/env.sh && firnline up` goes on")
        else:
            console().print("stopped; `make up` goes on where it was")
    if not stopped:
        console().print("it was not running")


@commands.command()
def demo(
    frames: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="a folder of frames with expert picks (*.picks.csv)"),
    ] = None,
    retrain_every: Annotated[int | None, typer.Option(min=2, help="corrections in a batch")] = None,
) -> None:
    """Run the whole loop, and write build/demo/summary.json and build/demo/report.html."""
    from workbench import demo as demonstration
    from workbench import stack
    from workbench.local_cloud import LocalCloudError

    _mean_this_clone()
    failures = (demonstration.DidNotHappen, stack.CommandFailed, LocalCloudError, TimeoutError)
    with last_words(demonstration.what_is_left, "the demonstration failed: ", *failures):
        if frames:
            demonstration.on_real_frames(frames, retrain_every or 10, console())
        else:
            demonstration.on_simulated_campaign(retrain_every or 100, console())


def _mean_this_clone() -> None:
    """What starts and stops a stack means that of this clone, whatever this shell has loaded."""
    from workbench import local_environment

    if other := local_environment.forget_other_clone():
        console().print(
            f"[dim]this shell has loaded the env.sh of {other}; this is about the stack of this clone[/dim]",
            soft_wrap=True,
        )
