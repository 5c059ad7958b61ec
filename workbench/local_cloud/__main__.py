"""The process of the local cloud: `python -m workbench.local_cloud`, which `firnline up` starts."""

from pathlib import Path
from typing import Annotated

import typer

from .process import settings_for
from .settings import default_port, default_state_dir


def main(
    state: Annotated[Path | None, typer.Option(file_okay=False, help="folder of the stack's state")] = None,
    port: Annotated[int | None, typer.Option(help="on the loopback address")] = None,
) -> None:
    """Serve until SIGTERM or SIGINT."""
    from .server import serve

    serve(settings_for(state or default_state_dir(), port or default_port()))


if __name__ == "__main__":
    typer.run(main)
