"""The command `firnline`. Each subcommand says what it did and what to do next."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Listing

from firnline.documents.polarity import Polarity


class Commands(typer.Typer):
    """Ends with a sentence where the machine, and not Firnline, is at fault."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from workbench import troubles

        try:
            return super().__call__(*args, **options)
        except troubles.OF_THE_MACHINE as error:
            sentence = troubles.sentence(error)
            if sentence is None:
                raise
            raise SystemExit(fail(sentence).exit_code) from None


app = Commands(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_show_locals=False)
console = Console(highlight=False)

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="radar frames")]
Campaign = Annotated[str, typer.Option(help="the campaign that the frames belong to")]
Segment = Annotated[
    str | None, typer.Option(help="their flight segment; by default what the file's name tells, or its folder")
]
PolarityOfPictures = Annotated[
    Polarity | None,
    typer.Option(help="whether strong echoes are drawn bright or dark; found from the picture without it"),
]


def progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def fail(message: str) -> typer.Exit:
    Console(stderr=True, highlight=False).print(message, style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


def connect():
    from workbench.connection import NotConnected
    from workbench.connection import connect as connect_to_stack

    try:
        return connect_to_stack()
    except NotConnected as error:
        raise fail(str(error)) from error


@contextmanager
def last_words(say: Callable[[], str], what: str = "", *failures: type[Exception]) -> Iterator[None]:
    """The last lines are those that `say` gives: after Ctrl+C, after a signal that asks the command to end, after one
    of `failures`, and after a trouble of the machine. `what` begins the sentence of a failure."""
    from workbench import troubles

    def interrupt(number: int, _frame: Any) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"\n[bold]stopped, as you asked[/bold]; {say()}", soft_wrap=True)
        raise typer.Exit(130) from None
    except failures as error:
        raise fail(f"{what}{error}\n{say()}") from error
    except troubles.OF_THE_MACHINE as error:
        sentence = troubles.sentence(error)
        if sentence is None:
            raise
        raise fail(f"{what}{sentence}\n{say()}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def own_stack() -> None:
    """What starts and stops a stack means that of this clone, whatever this shell has loaded."""
    from workbench import local_environment

    if other := local_environment.forget_other_clone():
        console.print(
            f"[dim]this shell has loaded the env.sh of {other}; this is about the stack of this clone[/dim]",
            soft_wrap=True,
        )


@app.command()
def up(
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="a template parameter, Name=Value; may be repeated")
    ] = None,
) -> None:
    """Start the local cloud in the background and deploy the stack to it."""
    from workbench import stack
    from workbench.local_cloud import LocalCloudError

    own_stack()
    if wrong := [pair for pair in parameter or [] if "=" not in pair]:
        raise fail(f"'{wrong[0]}' is no Name=Value.")
    with last_words(stack.what_is_left, "", stack.CommandFailed, LocalCloudError):
        environment = stack.up(dict(pair.split("=", 1) for pair in parameter or []), console)
    _say_where(environment)


def _say_where(environment: dict[str, str]) -> None:
    from workbench import local_environment

    portal = environment["FIRNLINE_ReviewProvider"] == "portal"
    page = "firnline review serves it" if portal else f"{environment['AWS_ENDPOINT_URL']}/review/"
    console.print(
        f"\nreview page   {page}\n"
        f"environment   source {local_environment.path()}\n"
        "next          firnline predict FRAME... --out build/layers\n"
        "stop          make down"
    )


@app.command()
def down(
    demo: Annotated[bool, typer.Option("--demo", help="only the demonstration's stack")] = False,
) -> None:
    """Stop this clone's local clouds, that of `up` and the demonstration's; what they hold is kept."""
    from workbench import stack
    from workbench.local_cloud.settings import default_state_dir, demo_state_dir

    own_stack()
    states = {demo_state_dir()} if demo else {default_state_dir(), *stack.states_of_this_clone()}
    stopped = [state_dir for state_dir in sorted(states) if stack.down(state_dir)]
    for state_dir in stopped:
        if state_dir == demo_state_dir():
            console.print(f"the demonstration's stack is stopped; `source {state_dir}/env.sh && firnline up` goes on")
        else:
            console.print("stopped; `make up` goes on where it was")
    if not stopped:
        console.print("it was not running")


@app.command()
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

    own_stack()
    failures = (demonstration.DidNotHappen, stack.CommandFailed, LocalCloudError, TimeoutError)
    with last_words(demonstration.what_is_left, "the demonstration failed: ", *failures):
        if frames:
            demonstration.on_real_frames(frames, retrain_every or 10, console)
        else:
            demonstration.on_simulated_campaign(retrain_every or 100, console)


@app.command()
def upload(
    files: Files, campaign: Campaign = "adhoc", segment: Segment = None, polarity: PolarityOfPictures = None
) -> None:
    """Upload frames, or annotations named <frame>.layers.json|csv|mat|png, and return."""
    from workbench import uploads

    connection = connect()
    with progress() as bar:
        for file in bar.track(files, description="uploading"):
            sent = uploads.upload(connection, file, campaign, segment, polarity)
            console.print(f"{file} → {sent.key}")
    console.print("next: `firnline status` shows how far they are")


@app.command()
def predict(
    files: Files,
    out: Annotated[Path, typer.Option(file_okay=False, help="where the layers and overlays go")],
    campaign: Campaign = "adhoc",
    segment: Segment = None,
    polarity: PolarityOfPictures = None,
    timeout: Annotated[float, typer.Option(help="seconds to wait for all of them")] = 900,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace earlier outputs in that folder")] = False,
) -> None:
    """Upload frames, wait for their layers, and write <stem>.layers.json, .overlay.png and .picks.csv for each."""
    from firnline.documents.polarity import polarity_of_row
    from workbench import uploads

    refusals = {file: reason for file in files if (reason := uploads.refusal_of(file, campaign, segment))}
    for file, reason in refusals.items():
        console.print(f"[red]{escape(str(file))} is refused:[/red] {escape(reason)}", soft_wrap=True)
    good = [file for file in files if file not in refusals]
    try:
        uploads.check_outputs(good, out, overwrite)
    except uploads.CannotPredict as error:
        raise fail(str(error)) from error
    rows: dict[str, dict] = {}
    sent: list[uploads.Upload] = []
    if good:
        connection = connect()
        with last_words(_still_predicting), progress() as bar:
            sent = [
                uploads.upload(connection, file, campaign, segment, polarity)
                for file in bar.track(good, description="uploading")
            ]
            task = bar.add_task("predicting", total=len(sent))
            try:
                rows = uploads.follow(connection, sent, timeout, lambda done, _: bar.update(task, completed=done))
            except TimeoutError as error:
                raise fail(str(error)) from error
    listing = Listing("frame", "layers", "confidence", "polarity", "status", "written to", box=None)
    unsure = []
    for item in sent:
        row = rows[item.frame_id]
        if row["status"] == "REJECTED":
            listing.add_row(item.file.name, "", "", "", "[red]rejected[/red]", escape(row["reason"]))
            continue
        document = uploads.fetch_layers(connection, row, out, item.file.stem, overwrite).document
        layers = json.loads(document.read_text())["layers"]
        told = polarity_of_row(row)
        if told and not told.sure:
            unsure.append(f"{item.file.name}: {told.sentence}")
        listing.add_row(
            item.file.name, str(len(layers)), f"{row['confidence']:.2f}", told.short if told else "", row["status"],
            str(document),
        )  # fmt: skip
    if sent:
        console.print(listing)
    for sentence in unsure:
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)
    rejected = len(refusals) + sum(row["status"] == "REJECTED" for row in rows.values())
    if rejected:
        raise fail(f"{rejected} of {len(files)} files were rejected; the reasons are above.")


def _still_predicting() -> str:
    return "what was uploaded is worked on all the same: `firnline status` shows it"


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(help="radar frames")],
    layer_file: Annotated[
        Path | None, typer.Option("--with", help="an annotation, read as if it lay beside the one frame given")
    ] = None,
    polarity: PolarityOfPictures = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, and nothing else")] = False,
    picture: Annotated[
        Path | None, typer.Option(file_okay=False, help="a folder for <stem>.picture.png, what the network would see")
    ] = None,
) -> None:
    """Say how Firnline reads files: what is in them, what was decided, and how they are framed. Needs no stack."""
    from workbench import inspection, inspection_pictures, inspection_report

    if layer_file and len(files) > 1:
        raise typer.BadParameter(
            f"an annotation belongs to one frame, and {len(files)} were given: inspect them one by one.",
            param_hint="--with",
        )
    try:
        pictures = inspection_pictures.places(files, picture, layer_file) if picture else {}
    except inspection_pictures.InTheWay as error:
        raise fail(str(error)) from error
    refused = 0
    for file in files:
        found = inspection.inspect(file, polarity, layer_file)
        refused += found.told.outcome == "refused"
        written = pictures[file] if picture and inspection_pictures.write(found, pictures[file]) else None
        if as_json:
            typer.echo(json.dumps(found.told.model_dump(), allow_nan=False))
        else:
            console.print(inspection_report.report(found, written))
    if refused:
        raise typer.Exit(1)


@app.command()
def status(
    segment: Annotated[str | None, typer.Argument(help="<campaign>/<segment>; all frames without it")] = None,
    limit: Annotated[int, typer.Option(help="frames to list of each status")] = 20,
) -> None:
    """How far the frames are, which were rejected and why, and how many corrections wait for the next training."""
    from firnline.documents.polarity import polarity_of_row

    connection = connect()
    statuses = ("READY", "PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED", "REJECTED")
    if segment:
        rows = list(connection.register.of_segment(*segment.split("/", 1)))
    else:
        rows = [row for name in statuses for row in connection.register.of_status(name)]
    counted = Counter(row["status"] for row in rows)
    console.print("  ".join(f"{name} {counted[name]}" for name in statuses))
    annotated = Counter(row["annotated"] for row in rows if row.get("annotated"))
    console.print(
        f"annotated {annotated.total()}, of them {annotated['complete']} completely; "
        "they count in the next training, `firnline retrain` starts one"
        if annotated
        else "annotated 0"
    )
    shown: Counter[str] = Counter()
    listing = Listing("frame", "status", "confidence", "model", "polarity", "note", box=None)
    for row in rows:
        shown[row["status"]] += 1
        notes = ("reason", "review_reason", "annotation_reason", "picks_reason")
        polarity = polarity_of_row(row)
        note = next((row[name] for name in notes if row.get(name)), "")
        if polarity and not polarity.sure:
            note = f"{note} {polarity.sentence}".lstrip()
        if shown[row["status"]] <= limit:
            confidence = f"{row['confidence']:.2f}" if "confidence" in row else ""
            listing.add_row(
                row["frame_id"], row["status"], confidence, row.get("model_version", ""),
                polarity.short if polarity else "", escape(note),
            )  # fmt: skip
    console.print(listing)
    counts = connection.corrections.counts()
    pending = [item["batch"] for item in connection.corrections.batches("PENDING")]
    console.print(
        f"corrections {counts['total']}, of them {counts['total'] - counts['claimed']} not yet in a batch; "
        f"{counts['last_batch']} batches claimed" + (f", waiting: {pending}" if pending else "")
    )


@app.command()
def review(port: Annotated[int, typer.Option(help="loopback port for the page")] = 8765) -> None:
    """Show the review page: A2I's (the local cloud stands in for it), or with ReviewProvider=portal one served here."""
    from contextlib import suppress

    connection = connect()
    if connection.outputs["ReviewProvider"] == "a2i":
        console.print(a2i_page(connection))
        return
    from firnline.portal.serve import make_server
    from firnline.portal.table_store import TableStore

    store = TableStore(connection.table, connection.workspace, connection.events)
    try:
        server = make_server(store, port=port)
    except OSError as error:
        raise fail(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error
    with server, suppress(KeyboardInterrupt):
        console.print(f"review page at http://127.0.0.1:{server.server_port}/review/ (Ctrl+C stops it)")
        server.serve_forever()


def a2i_page(connection) -> str:
    """Where the work team finds its tasks, as a sentence."""
    if connection.local:
        return f"the local cloud serves it: {connection.client('s3').meta.endpoint_url}/review/"
    return "Amazon A2I shows the tasks in your work team's portal; its address is in the team's invitation."


@app.command()
def executions() -> None:
    """The latest retraining executions and how they ended."""
    connection = connect()
    machines = connection.client("stepfunctions")
    listing = Listing("execution", "status", "started", "stopped", "outcome", box=None)
    for name in ("RetrainStateMachineArn", "DeployStateMachineArn"):
        answer = machines.list_executions(stateMachineArn=connection.outputs[name], maxResults=20)
        for item in answer["executions"]:
            stopped = f"{item['stopDate']:%Y-%m-%d %H:%M:%S}" if "stopDate" in item else ""
            ended = machines.describe_execution(executionArn=item["executionArn"]) if stopped else {}
            told = json.loads(ended.get("output") or "{}")
            outcome = ": ".join(told[word] for word in ("outcome", "reason") if told.get(word)) or ended.get(
                "cause", ""
            )
            started = f"{item['startDate']:%Y-%m-%d %H:%M:%S}"
            listing.add_row(item["name"], item["status"], started, stopped, outcome)
    console.print(listing)


@app.command()
def models() -> None:
    """The champion, and what was decided about every model that was trained."""
    connection = connect()
    champion = connection.models.champion()
    listing = Listing("model", "decision", "reason", box=None)
    for item in connection.models.versions():
        name = item["model_version"]
        serving = "  [green]← serves[/green]" if champion and champion["model_version"] == name else ""
        listing.add_row(name + serving, str(item.get("decision", "")), str(item.get("reason", "")))
    console.print(listing if listing.row_count else "no model has been trained yet")
    if champion:
        console.print(f"serving: {champion['model_version']}")


@app.command()
def retrain() -> None:
    """Ask for a retraining on all corrections and annotations now, whatever their count; it waits its turn like any batch."""
    from firnline.events import CorrectionBatchClaimed

    connection = connect()
    connection.events.send(CorrectionBatchClaimed(batch=0))
    console.print("asked; `firnline executions` shows it, `firnline models` what was decided")


class Queue(StrEnum):
    ingest = "ingest"
    predict = "predict"
    review = "review"
    completion = "completion"
    retraining = "retraining"


@app.command()
def redrive(
    queue: Annotated[
        list[Queue] | None, typer.Argument(help="whose dead letters; without it those of all queues")
    ] = None,
) -> None:
    """Send what failed for good back to its queue, once what was in its way is mended."""
    from workbench import redrive as letters

    chosen = tuple(name for name in letters.QUEUES if not queue or name.lower() in queue)
    moved = [one for one in letters.redrive(connect(), chosen) if one.messages]
    for one in moved:
        console.print(f"{one.queue}: about {one.messages} dead letters go back to the queue")
    console.print("`firnline status` shows how far they are" if moved else "there are no dead letters")


@app.command()
def adopt(
    frames_bucket: Annotated[str, typer.Option(help="the bucket of uploads that the earlier stack left")],
    workspace_bucket: Annotated[str, typer.Option(help="its workspace bucket")],
    table: Annotated[str, typer.Option(help="its table")],
    stack_name: Annotated[
        str, typer.Option("--stack", help="the new stack's name; there must be none of it")
    ] = "firnline",
) -> None:
    """Bring buckets and table of a deleted stack into a new one, which `sam deploy` then completes."""
    import boto3

    from workbench import adopt as adoption
    from workbench import local_environment

    local_environment.load_if_none_is_chosen()
    names = {"FramesBucket": frames_bucket, "WorkspaceBucket": workspace_bucket, "FirnlineTable": table}
    try:
        adoption.adopt(boto3.client("cloudformation"), stack_name, names)
    except adoption.CannotAdopt as error:
        raise fail(f"Nothing was adopted: {error}") from error
    console.print(f"the stack {stack_name} holds them now\nnext: sam build && sam deploy --stack-name {stack_name}")


@app.command()
def rollback(model_version: Annotated[str, typer.Argument(help="a version that `firnline models` lists")]) -> None:
    """Deploy an earlier model again; the champion serves until that one answers."""
    connection = connect()
    champion, version = connection.models.champion(), connection.models.version(model_version)
    if champion is None or version is None or "model_data" not in version:
        raise fail(f"There is no model '{model_version}' to go back to: `firnline models` lists those there are.")
    if champion["model_version"] == model_version:
        raise fail(f"{model_version} serves already.")
    request = {"model_version": model_version, "model_data": version["model_data"],
               "expected_champion": champion["model_version"], "reason": "rolled back by an operator"}  # fmt: skip
    answer = connection.client("stepfunctions").start_execution(
        stateMachineArn=connection.outputs["DeployStateMachineArn"], input=json.dumps(request)
    )
    console.print(f"started {answer['executionArn'].rsplit(':', 1)[1]}; `firnline executions` shows how it goes")


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


@app.command()
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
    from workbench import training_arguments, training_jobs

    connection = connect()
    try:
        given = training_arguments.read_hyperparameters(hyperparameter or [])
        with training_jobs.sentences():
            wanted = training_jobs.plan(
                connection, snapshot, from_version, from_scratch, seconds, network.value, given, pipe
            )
        job = training_jobs.train(connection, wanted, console)
        if job["TrainingJobStatus"] == "Completed":
            training_jobs.keep(connection, job, wanted)
    except training_arguments.CannotTrain as error:
        raise fail(str(error)) from error
    console.print(training_jobs.training_listing(job))
    if job["TrainingJobStatus"] != "Completed":
        raise fail(f"{job['TrainingJobName']} was stopped ({job['SecondaryStatus']}); its model is not listed.")
    console.print(training_jobs.what_next(job), soft_wrap=True)


@app.command()
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
    from workbench import training_arguments, training_jobs
    from workbench.local_cloud.training import JOBS_AT_ONCE

    connection = connect()
    if connection.local and parallel > JOBS_AT_ONCE:
        console.print(f"this machine has cores for {JOBS_AT_ONCE} training at a time: the others wait")
    try:
        given = training_arguments.read_hyperparameters(hyperparameter or [])
        tuned = training_arguments.read_tuned(number_range or [], choices or [])
        with training_jobs.sentences():
            wanted = training_jobs.plan(
                connection, snapshot, from_version, from_scratch, seconds, network.value, given, pipe, tuned
            )
        description, summaries = training_jobs.tune(
            connection, wanted, tuned, strategy.value, jobs, parallel, early_stopping, console
        )
        best = description.get("BestTrainingJob", {}).get("TrainingJobName")
        console.print(training_jobs.tuning_listing(summaries, best))
        if best is None:
            raise fail("No training ran to its end, so there is no best one: the table says how they ended.")
        job = connection.client("sagemaker").describe_training_job(TrainingJobName=best)
        training_jobs.keep(connection, job, wanted)
    except training_arguments.CannotTrain as error:
        raise fail(str(error)) from error
    console.print(training_jobs.what_next(job), soft_wrap=True)


@app.command("export")
def export_model(
    out: Annotated[Path, typer.Option(file_okay=False, help="where model.onnx and what belongs to it go")],
    model_version: Annotated[
        str | None, typer.Option(help="a version that `firnline models` lists; by default the champion")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a model.tar.gz to take instead of the stack's")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="also put model.onnx beside the stack's model.tar.gz")] = False,
) -> None:
    """Write a model as ONNX, with all that it takes to use it without MXNet."""
    from workbench import onnx_export

    if archive and (model_version or store):
        raise fail("Give either --archive, or --model-version and --store, which mean the stack's models.")
    try:
        exported = (
            onnx_export.export(archive, out)
            if archive
            else onnx_export.export_registered(connect(), model_version, out, store)
        )
    except (onnx_export.NotExportable, onnx_export.NotReadable) as error:
        raise fail(str(error)) from error
    console.print(f"{out / onnx_export.MODEL}: {exported}\nnext: {out / onnx_export.README} says how to use it")


if __name__ == "__main__":
    app()
