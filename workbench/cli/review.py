"""`firnline review`: where a reviewer works."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

if TYPE_CHECKING:
    from workbench.connection import Connection

commands = terminal.Group("Review")


@commands.command()
def review(
    port: Annotated[int, typer.Option(help="loopback port for the page")] = 8765,
    name: Annotated[
        str | None, typer.Option(help="who reviews, stored with each answer; your login name if none")
    ] = None,
) -> None:
    """Show the review page: A2I's (the local cloud stands in for it), or with ReviewProvider=portal one served here."""
    connection = terminal.connect()
    if connection.outputs["ReviewProvider"] == "a2i":
        console().print(_a2i_page(connection))
        return
    from firnline.portal.identity import this_machine
    from firnline.portal.serve import PageServer
    from firnline.portal.table_store import TableStore

    store = TableStore(connection.table, connection.workspace, connection.events)
    try:
        server = PageServer(store, port=port, identify=this_machine(name))
    except ValueError as error:
        raise fail(f"{error}.") from error
    except OSError as error:
        raise fail(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error
    with suppress(KeyboardInterrupt):
        console().print(f"review page at http://127.0.0.1:{server.port}/review/ (Ctrl+C stops it)")
        server.serve_until_stopped()


def _a2i_page(connection: "Connection") -> str:
    """Where the work team finds its tasks, as a sentence."""
    if connection.local:
        return f"the local cloud serves it: {connection.client('s3').meta.endpoint_url}/review/"
    return "Amazon A2I shows the tasks in your work team's portal; its address is in the team's invitation."
