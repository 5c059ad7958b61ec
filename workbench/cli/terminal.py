"""What the commands share: how they print, fail, reach the stack, and end when they are asked to."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from workbench.connection import Connection

LOG_WIDTH = 180
"""Columns of a table that goes into a file."""


class Group(typer.Typer):
    """Commands that `firnline --help` shows under one heading."""

    def __init__(self, heading: str) -> None:
        super().__init__()
        self._heading = heading

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        return super().command(name, rich_help_panel=self._heading, **options)


def console() -> Console:
    """A new one for each command, since it looks at the terminal when it is made."""
    return Console(highlight=False)


def wide_console() -> Console:
    """As wide as the terminal, or wide enough for any table where there is none."""
    found = console()
    return found if found.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def fail(message: str) -> typer.Exit:
    """Print why a command ends, and make the exception to raise."""
    Console(stderr=True, highlight=False).print(message, style="red", markup=False, soft_wrap=True)
    return typer.Exit(1)


def connect() -> "Connection":
    from workbench.connection import NotConnected
    from workbench.connection import connect as connect_to_stack

    try:
        return connect_to_stack()
    except NotConnected as error:
        raise fail(str(error)) from error


def command_line() -> str:
    """What was typed, to be noted beside what came of it."""
    return " ".join(["firnline", *sys.argv[1:]])


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
        console().print(f"\n[bold]stopped, as you asked[/bold]; {say()}", soft_wrap=True)
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
