"""`firnline upload`, `predict`, `inspect` and `status`: a scientist's frames."""

import json
from pathlib import Path
from typing import Annotated

import typer

from firnline.documents.polarity import Polarity
from firnline.errors import Refused
from workbench.cli import terminal
from workbench.cli.terminal import console, fail, last_words

commands = terminal.Group("Frames")

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="radar frames")]
Campaign = Annotated[str, typer.Option(help="the campaign that the frames belong to")]
Segment = Annotated[
    str | None, typer.Option(help="their flight segment; by default what the file's name tells, or its folder")
]
PolarityOfPictures = Annotated[
    Polarity | None,
    typer.Option(help="whether strong echoes are drawn bright or dark; found from the picture without it"),
]


@commands.command()
def upload(
    files: Files, campaign: Campaign = "adhoc", segment: Segment = None, polarity: PolarityOfPictures = None
) -> None:
    """Upload frames, or annotations named <frame>.layers.json|csv|mat|png, and return."""
    from workbench import uploads
    from workbench.progress import Stages

    connection, out = terminal.connect(), console()
    with Stages(out) as stages:
        for file in stages.track(files, "uploading"):
            sent = uploads.upload(connection, file, campaign, segment, polarity)
            out.print(f"{file} → {sent.key}", markup=False, soft_wrap=True)
    out.print("next: `firnline status` shows how far they are")


@commands.command()
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
    from workbench import predictions, uploads
    from workbench.progress import Stages

    shown = console()
    refusals = {file: reason for file in files if (reason := uploads.refusal_of(file, campaign, segment))}
    for file, reason in refusals.items():
        shown.print(predictions.refused(file, reason), soft_wrap=True)
    good = [file for file in files if file not in refusals]
    try:
        uploads.check_outputs(good, out, overwrite)
    except uploads.CannotPredict as error:
        raise fail(str(error)) from error
    rejected = len(refusals)
    if good:
        connection = terminal.connect()
        with last_words(_still_predicting), Stages(shown) as stages:
            try:
                sent = predictions.predict(connection, good, campaign, segment, polarity, timeout, stages)
            except TimeoutError as error:
                raise fail(str(error)) from error
        answers = predictions.fetch(connection, sent, out, overwrite)
        rejected += sum(answer.document is None for answer in answers)
        shown.print(predictions.listing(answers))
        for sentence in predictions.guesses(answers):
            shown.print(sentence, style="yellow", markup=False, soft_wrap=True)
    if rejected:
        raise fail(f"{rejected} of {len(files)} files were rejected; the reasons are above.")


def _still_predicting() -> str:
    return "what was uploaded is worked on all the same: `firnline status` shows it"


@commands.command()
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
            console().print(inspection_report.report(found, written))
    if refused:
        raise typer.Exit(1)


@commands.command()
def status(
    segment: Annotated[str | None, typer.Argument(help="<campaign>/<segment>; all frames without it")] = None,
    limit: Annotated[int, typer.Option(help="frames to list of each status")] = 20,
) -> None:
    """How far the frames are, which were rejected and why, and how many corrections wait for the next training."""
    from workbench import frame_status

    connection, out = terminal.connect(), console()
    try:
        rows = frame_status.rows_of(connection, segment)
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    out.print(frame_status.counted(rows))
    out.print(frame_status.listing(rows, limit))
    out.print(frame_status.corrections(connection))
