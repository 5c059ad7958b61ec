"""`firnline bench`: our tracker, the authors' network and classical trackers, measured in one run."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import fail

commands = terminal.Group("For developers")

TrainingSeconds = Annotated[int | None, typer.Option(min=1, help="seconds of that training")]


@commands.command()
def bench(
    full: Annotated[
        bool, typer.Option("--full", help="train the reference to convergence, all folds, halving: hours")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="where data and results go; by default build/benchmark")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="this stage alone (may be given again); the others' results are kept")
    ] = None,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="after an interrupted run: keep its data, results and finished trainings")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="measure nothing: print the tables of the last run")
    ] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="frames of the unseen campaign")] = None,
    train_frames: Annotated[int | None, typer.Option(min=1, help="simulated frames to train on, at most")] = None,
    folds: Annotated[int | None, typer.Option(min=1, max=5, help="folds of the real frames to run")] = None,
    halving_epochs: Annotated[
        int | None, typer.Option(min=0, help="passes of each training with half of the annotation removed")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes for what runs in parallel")] = None,
    ours_seconds: TrainingSeconds = None,
    reference_seconds: TrainingSeconds = None,
    rate_seconds: Annotated[
        int | None, typer.Option(min=0, help="seconds for each learning rate of the reference; 0: take the known best")
    ] = None,
    fold_seconds: TrainingSeconds = None,
) -> None:
    """Measure our tracker, the authors' network and classical trackers; under 20 minutes, hours with --full."""
    from workbench.benchmark import run
    from workbench.benchmark.plan import plan_of
    from workbench.first_model import TrainingFailed

    plan = plan_of(
        full=full, out=out, go_on=go_on, unseen_frames=frames, train_frames=train_frames, folds=folds,
        halving_epochs=halving_epochs, workers=workers, ours_seconds=ours_seconds,
        reference_seconds=reference_seconds, rate_seconds=rate_seconds, fold_seconds=fold_seconds,
    )  # fmt: skip
    try:
        if markdown:
            typer.echo(run.last_tables(plan.out))
        else:
            run.run(plan, only or [], terminal.command_line(), terminal.wide_console())
    except (run.NoResults, run.NoSuchStage, TrainingFailed) as error:
        raise fail(str(error)) from error


@commands.command("bench-labels")
def bench_labels(
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="where everything goes; by default build/label_efficiency")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="processes, of one thread each")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="repetitions, each on campaigns of its own")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="retrainings in a row")] = 3,
    per_round: Annotated[int, typer.Option(min=1, help="corrections before each")] = 100,
    segments: Annotated[int, typer.Option(min=1, help="flight segments of each campaign to choose from")] = 8,
    frames: Annotated[int, typer.Option(min=1, help="frames of each segment")] = 30,
    epochs: Annotated[int, typer.Option(min=1, help="passes of each training")] = 4,
    apart: Annotated[int, typer.Option(min=0, help="ReviewApart; 0: no frame is passed over")] = 3,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="run nothing: print the tables of what is there")
    ] = False,
) -> None:
    """Measure what our choice of frames to review saves; started again, it goes on where it was."""
    from workbench.label_efficiency import OUT, Plan, measure
    from workbench.label_efficiency import markdown as tables

    plan = Plan(out or OUT, seeds, rounds, per_round, segments=segments, frames=frames, epochs=epochs, apart=apart)
    try:
        plan.check()
        if not markdown:
            measure(plan, jobs, typer.echo)
        typer.echo(tables(plan))
    except (LookupError, ValueError) as error:
        raise fail(str(error)) from error
