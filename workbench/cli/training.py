"""`firnline train`, `tune`, `retrain` and `executions`: how models are made, and how that goes."""

from enum import StrEnum
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

commands = terminal.Group("Training")


class Network(StrEnum):
    layers = "layers"
    reference = "reference"


class Strategy(StrEnum):
    Random = "Random"
    Grid = "Grid"
    Bayesian = "Bayesian"


Snapshot = Annotated[str | None, typer.Option(help="the data snapshot to train on; by default the newest")]
FromVersion = Annotated[str | None, typer.Option(help="the model version to start from; by default the champion")]
FromScratch = Annotated[bool, typer.Option("--from-scratch", help="start from random weights")]
Seconds = Annotated[int | None, typer.Option(min=1, max=86400, help="training time; by default that of retraining")]
Hyperparameters = Annotated[
    list[str] | None, typer.Option("--hyperparameter", help="a hyperparameter of train.py, name=value; may be repeated")
]
Pipe = Annotated[bool, typer.Option("--pipe", help="stream the data (Pipe mode) in place of copying it first")]
WhichNetwork = Annotated[Network, typer.Option(help="ours, or the one that the authors published")]


@commands.command()
def train(
    snapshot: Snapshot = None,
    from_version: FromVersion = None,
    from_scratch: FromScratch = False,
    seconds: Seconds = None,
    network: WhichNetwork = Network.layers,
    hyperparameter: Hyperparameters = None,
    pipe: Pipe = False,
) -> None:
    """Train a model on a data snapshot as a SageMaker job; it is not put into service."""
    from workbench import training_jobs

    connection, out = terminal.connect(), console()
    wanted = training_jobs.Wanted(
        snapshot, from_version, from_scratch, seconds, network.value, hyperparameter or [], pipe
    )
    try:
        job = training_jobs.train(connection, wanted, out)
    except training_jobs.CannotTrain as error:
        raise fail(str(error)) from error
    out.print(training_jobs.training_listing(job))
    if job["TrainingJobStatus"] != "Completed":
        raise fail(f"{job['TrainingJobName']} was stopped ({job['SecondaryStatus']}); its model is not listed.")
    out.print(training_jobs.what_next(job), soft_wrap=True)


@commands.command()
def tune(
    number_range: Annotated[
        list[str] | None, typer.Option("--range", help="name=low:high, or name=low:high:log; may be repeated")
    ] = None,
    choices: Annotated[list[str] | None, typer.Option(help="name=value,value,...; may be repeated")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=500, help="trainings; Grid tries every combination")] = 6,
    parallel: Annotated[int, typer.Option(min=1, max=100, help="trainings at a time")] = 1,
    strategy: Annotated[Strategy, typer.Option(help="Bayesian wants an AWS account")] = Strategy.Random,
    early_stopping: Annotated[bool, typer.Option("--early-stopping", help="stop trainings that fall behind")] = False,
    snapshot: Snapshot = None,
    from_version: FromVersion = None,
    from_scratch: FromScratch = False,
    seconds: Seconds = None,
    network: WhichNetwork = Network.layers,
    hyperparameter: Hyperparameters = None,
    pipe: Pipe = False,
) -> None:
    """Search hyperparameters with a SageMaker tuning job; the best model is not put into service."""
    from workbench import training_jobs

    connection, out = terminal.connect(), console()
    wanted = training_jobs.Wanted(
        snapshot, from_version, from_scratch, seconds, network.value, hyperparameter or [], pipe
    )
    search = training_jobs.Search(
        number_range or [], choices or [], strategy.value, jobs, parallel, early_stopping=early_stopping
    )
    try:
        found = training_jobs.tune(connection, wanted, search, out)
    except training_jobs.CannotTrain as error:
        raise fail(str(error)) from error
    out.print(training_jobs.tuning_listing(found.trainings, found.best_name))
    if found.best is None:
        raise fail("No training ran to its end, so there is no best one: the table says how they ended.")
    out.print(training_jobs.what_next(found.best), soft_wrap=True)


@commands.command()
def retrain() -> None:
    """Ask for a retraining on all corrections and annotations now, whatever their count; it waits its turn like any batch."""
    from firnline.events import CorrectionBatchClaimed

    terminal.connect().events.send(CorrectionBatchClaimed(batch=0))
    console().print("asked; `firnline executions` shows it, `firnline models` what was decided")


@commands.command()
def executions() -> None:
    """The latest retrainings, deployments and exports in the cloud, and how they ended."""
    from workbench import operations

    console().print(operations.execution_listing(terminal.connect()))
