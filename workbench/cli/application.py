"""The command `firnline`. Each subcommand says what it did and what to do next."""

from typing import Any

import typer

from workbench.cli import (
    bench,
    fetch,
    figures,
    frames,
    layers,
    making,
    models,
    operation,
    products,
    review,
    stack,
    training,
)
from workbench.cli.terminal import fail


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


def make_app() -> Commands:
    commands = Commands(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_show_locals=False)
    for group in (frames, fetch, products, figures, layers, review, models, training, operation, stack, bench, making):
        commands.add_typer(group.commands)
    return commands


app = make_app()
