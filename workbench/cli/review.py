"""`firnline review`: where a reviewer works."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import terminal
from workbench.cli.terminal import console, fail

if TYPE_CHECKING:
    from firnline.review.task_template import WorkerTemplate
    from workbench.connection import Connection

commands = terminal.Group("Review")


@commands.command()
def review(port: Annotated[int, typer.Option(help="loopback port for the page")] = 8765) -> None:
    """Show the review page: A2I's (the local cloud stands in for it), or with ReviewProvider=portal one served here."""
    connection = terminal.connect()
    if connection.outputs["ReviewProvider"] == "a2i":
        console().print(_a2i_page(connection))
        return
    from firnline.portal.serve import PageServer
    from firnline.portal.table_store import TableStore

    store = TableStore(connection.table, connection.workspace, connection.events, _worker_template(connection))
    try:
        server = PageServer(store, port=port)
    except OSError as error:
        raise fail(f"Port {port} cannot be used ({error.strerror}). Choose another with --port.") from error
    with suppress(KeyboardInterrupt):
        console().print(f"review page at http://127.0.0.1:{server.port}/review/ (Ctrl+C stops it)")
        server.serve_until_stopped()


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
