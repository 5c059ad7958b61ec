"""`firnline review`: where a reviewer works; `firnline segments`: whole segments; `firnline reviewers`: who may sign in."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

if TYPE_CHECKING:
    from firnline.review.task_template import WorkerTemplate
    from workbench.connection import Connection
    from workbench.reviewers import Reviewers

commands = terminal.Group("Review")
reviewers = typer.Typer()
commands.add_typer(reviewers, name="reviewers", rich_help_panel="Review")


@commands.command()
def review(
    port: Annotated[int, typer.Option(help="loopback port for the page")] = 8765,
    name: Annotated[
        str | None, typer.Option(help="who reviews, stored with each answer; your login name if none")
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="what corrections cost by model, and how well reviewers agree; no page")
    ] = False,
) -> None:
    """Show the review page: A2I's (the local cloud stands in for it), or with ReviewProvider=portal one served here."""
    connection = terminal.connect()
    if stats:
        _show_stats(connection)
        return
    if connection.outputs["ReviewProvider"] == "a2i":
        console().print(_a2i_page(connection))
        return
    _serve(connection, port, name, "review page", "/review/")


@commands.command()
def segments(
    port: Annotated[int, typer.Option(help="loopback port for the page")] = 8765,
    name: Annotated[
        str | None, typer.Option(help="who looks, and answers the tasks that are opened; your login name if none")
    ] = None,
) -> None:
    """Show whole flight segments: their frames as one radargram with the layers, and the map of the track beside it."""
    _serve(terminal.connect(), port, name, "flight segments", "/review/segments/")


def _serve(connection: "Connection", port: int, name: str | None, what: str, path: str) -> None:
    """Serve the page until Ctrl+C, and say where."""
    from firnline.portal.identity import this_machine
    from firnline.portal.segment_store import SegmentStore
    from firnline.portal.serve import PageServer
    from firnline.portal.table_store import TableStore

    store = TableStore(connection.table, connection.workspace, connection.events, _worker_template(connection))
    browsed = SegmentStore(connection.table, connection.workspace)
    try:
        server = PageServer(store, port=port, identify=this_machine(name), segments=browsed)
    except ValueError as error:
        raise fail(f"{error}.") from error
    except OSError as error:
        raise fail(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error
    with suppress(KeyboardInterrupt):
        console().print(f"{what} at http://127.0.0.1:{server.port}{path} (Ctrl+C stops it)")
        server.serve_until_stopped()


@reviewers.callback(invoke_without_command=True)
def list_reviewers(context: typer.Context) -> None:
    """Who may sign in to the review page in the account; `reviewers add` and `remove` change it."""
    from rich.table import Table

    if context.invoked_subcommand:
        return
    admitted, table = _reviewers(), Table("name", "e-mail", "groups", "state", box=None)
    for person in admitted.people():
        table.add_row(person.name, person.email, ", ".join(person.groups) or "none: sees nothing", person.state)
    out = terminal.wide_console()
    out.print(table if table.row_count else "nobody yet: `firnline reviewers add <name> <e-mail>` lets somebody in")
    out.print(f"review page {admitted.address}")


@reviewers.command("add")
def add_reviewer(
    name: Annotated[str, typer.Argument(help="stored with each answer, and what the person signs in as")],
    email: Annotated[str, typer.Argument(help="where Cognito sends the invitation")],
    arbiter: Annotated[bool, typer.Option("--arbiter", help="also decides where reviewers disagree")] = False,
    again: Annotated[bool, typer.Option("--again", help="repeat the invitation, as when its password is over")] = False,
) -> None:
    """Let somebody into the review page; Cognito sends the address and a first password."""
    from workbench.reviewers import CannotChange

    admitted = _reviewers()
    try:
        new = admitted.add(name, email, arbiter, again)
    except CannotChange as error:
        raise fail(str(error)) from error
    invited = new or again
    console().print(
        f"{name} is a reviewer{' and an arbiter' if arbiter else ''}"
        + (f"; the invitation goes to {email}" if invited else "; there was an account of the name already")
        + f"\nreview page {admitted.address}",
        soft_wrap=True,
    )


@reviewers.command("remove")
def remove_reviewer(name: Annotated[str, typer.Argument(help="as `firnline reviewers` lists it")]) -> None:
    """Take somebody's account away; what they have answered stays."""
    from workbench.reviewers import OUT_MINUTES, CannotChange

    try:
        _reviewers().remove(name)
    except CannotChange as error:
        raise fail(str(error)) from error
    console().print(f"{name} has no account any more, and is out within {OUT_MINUTES} minutes where a page is open")


def _reviewers() -> "Reviewers":
    from workbench.reviewers import CannotChange, Reviewers

    try:
        return Reviewers(terminal.connect())
    except CannotChange as error:
        raise fail(str(error)) from error


def _show_stats(connection: "Connection") -> None:
    from firnline.review.trends import standings_of, trends_of
    from workbench import review_stats

    corrections, out = list(connection.corrections.all()), terminal.wide_console()
    if not corrections:
        out.print("nobody has corrected a frame yet")
        return
    trends = trends_of(corrections)
    out.print(review_stats.by_model(trends))
    out.print(review_stats.saving(trends), soft_wrap=True)
    out.print(review_stats.by_reviewer(standings_of(corrections, connection.corrections.golds())))


def _worker_template(connection: "Connection") -> "WorkerTemplate":
    """What the stack says that people draw with; one that is older than the choice says nothing."""
    from firnline.review.task_template import WORKER_TEMPLATES

    chosen = connection.outputs.get("WorkerTemplate", WORKER_TEMPLATES[0])
    return next(template for template in WORKER_TEMPLATES if template == chosen)


def _a2i_page(connection: "Connection") -> str:
    """Where the work team finds its tasks, as a sentence."""
    if connection.local:
        return f"the local cloud serves it: {connection.client('s3').meta.endpoint_url}/review/"
    return "Amazon A2I shows the tasks in your work team's portal; its address is in the team's invitation."
