"""`firnline models`, `models export` and `rollback`: the models that there are."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

commands = terminal.Group("Models")
models = typer.Typer()
commands.add_typer(models, name="models", rich_help_panel="Models")


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """The champion, and what was decided about every model that was trained; `models export` writes one as ONNX."""
    from workbench import operations

    if context.invoked_subcommand:
        return

    connection, out = terminal.connect(), console()
    champion = connection.models.champion()
    listing = operations.model_listing(connection.models.versions(), champion)
    out.print(listing if listing.row_count else "no model has been trained yet")
    if champion:
        out.print(f"serving: {champion.model_version}")


@commands.command()
def rollback(model_version: Annotated[str, typer.Argument(help="a version that `firnline models` lists")]) -> None:
    """Deploy an earlier model again; the champion serves until that one answers."""
    from workbench import operations

    try:
        execution = operations.roll_back(terminal.connect(), model_version)
    except operations.CannotRollBack as error:
        raise fail(str(error)) from error
    console().print(f"started {execution}; `firnline executions` shows how it goes")


@models.command("export")
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
            else onnx_export.export_registered(terminal.connect(), model_version, out, store)
        )
    except (onnx_export.NotExportable, onnx_export.NotReadable) as error:
        raise fail(str(error)) from error
    console().print(f"{out / onnx_export.MODEL}: {exported}\nnext: {out / onnx_export.README} says how to use it")
