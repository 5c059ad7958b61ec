"""`firnline first-model` and what else makes parts of Firnline itself: fitted constants, simulated frames."""

import os
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

commands = terminal.Group("For developers")

Workers = Annotated[int | None, typer.Option(min=1, help="processes for what runs in parallel; by default all cores")]


@commands.command("first-model")
def first_model(
    max_seconds: Annotated[int | None, typer.Option(min=1, help="time for training")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="of the training")] = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="use the simulated data of the run before")] = False,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="train on from the model in the box; --max-seconds 1 recalibrates it")
    ] = False,
    code_only: Annotated[
        bool, typer.Option("--code-only", help="only put today's serving modules into the model in the box, where they "
                           "answer as those before")
    ] = False,
    workers: Workers = None,
) -> None:  # fmt: skip
    """Train the model that comes in the box, on simulated campaigns; about 80 minutes."""
    from workbench import first_model as first

    if code_only:
        first.carry_todays_code()
        return
    given = {"max-seconds": max_seconds, "learning-rate": learning_rate}
    try:
        first.make(
            {name: value for name, value in given.items() if value is not None},
            keep_data=keep_data,
            go_on=go_on,
            workers=workers or _cores(),
            command=terminal.command_line(),
            console=console(),
        )
    except first.TrainingFailed as error:
        raise fail(str(error)) from error


@commands.command("polarity-fit", hidden=True)
def polarity_fit(workers: Workers = None) -> None:
    """Fit the weights by which a picture's polarity is told, and print them and how often they are right."""
    from workbench import polarity_fit as fitting

    for line in fitting.fitted(workers or _cores()):
        typer.echo(line)


@commands.command("classical-fit", hidden=True)
def classical_fit(
    only: Annotated[str | None, typer.Option(help="one group of constants")] = None, workers: Workers = None
) -> None:
    """Choose the constants of the benchmark's classical trackers on frames of the training campaigns."""
    from workbench.benchmark import tune

    if only and only not in tune.GRIDS:
        raise fail(f"There are no constants '{only}': choose one of {', '.join(tune.GRIDS)}.")
    tune.choose(only, workers or _cores(), console())


@commands.command("simulate")
def simulate(
    campaign: Annotated[str, typer.Argument(help="a campaign of the simulator")],
    out: Annotated[Path, typer.Argument(file_okay=False, help="the folder for the frames")],
    frames: Annotated[int, typer.Option(min=1, help="how many")] = 12,
    segments: Annotated[int, typer.Option(min=1, help="flight segments that they are taken from")] = 3,
) -> None:
    """Write frames of a simulated campaign, half .nc and half .mat, with their true layers."""
    from workbench.progress import Stages
    from workbench.simulator import simulate_campaign

    with Stages(console()) as stages:
        stage = stages.begin("simulating", total=frames)
        try:
            written = simulate_campaign(campaign, out, frames, segments, tell=stage.advance)
        except ValueError as error:
            raise fail(str(error)) from error
    console().print(f"{len(written)} frames in {out}, their true layers in {out / 'truth'}")


def _cores() -> int:
    return len(os.sched_getaffinity(0))
