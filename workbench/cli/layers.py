"""`firnline layers`: which lines of a segment's frames are one layer, and what people say of that."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail, wide_console

if TYPE_CHECKING:
    from firnline.products.frame_product import FrameProduct
    from workbench.connection import Connection

commands = terminal.Group("Frames")
layers = typer.Typer(no_args_is_help=True)
commands.add_typer(layers, name="layers", rich_help_panel="Frames", help=__doc__)


Line = Annotated[
    str, typer.Argument(help="<campaign>/<segment>/<frame>:<number>, the number within the frame (column `number`)")
]


@layers.command("list")
def list_joins(
    segment: Annotated[str, typer.Argument(help="<campaign>/<segment>")],
    status: options.Statuses = None,
    below: Annotated[float, typer.Option(min=0, max=1, help="only joins of less confidence")] = 0.9,
) -> None:
    """The joins of a segment that are not sure, and what people said of its lines."""
    from firnline.exports.segment_numbers import JOIN_COLUMNS
    from firnline.store.joins import Joins
    from workbench import exporting
    from workbench.frame_status import named_segment

    connection, out = terminal.connect(), wide_console()
    try:
        named_segment(segment)
        wanted = exporting.Wanted.of([segment], [one.value for one in status or []], None)
        numbers = exporting.numbers_of(connection, wanted, segment, exporting.Assumptions(), keep=lambda _: False)
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    if not numbers.lines:
        raise fail(
            f"There are no frames of {segment} with such lines: `firnline status {segment}` shows what there is."
        )
    table = Table(*JOIN_COLUMNS)
    shown = [join for join in numbers.layers.joins if join.confidence < below or join.said]
    for join in shown:
        table.add_row(*numbers.row_of(join))
    if shown:
        out.print(table)
    for row in Joins(connection.table).of_segment(segment):
        out.print(f"said: {row.one} is {'' if row.same else 'not '}the layer of {row.other} ({row.said})", markup=False)
    for note in numbers.notes:
        out.print(note, style="yellow", markup=False, soft_wrap=True)
    count = max((int(of_frame.max(initial=0)) for of_frame in numbers.layers.numbers.values()), default=0)
    out.print(
        f"{count} layers along {len(numbers.lines)} frames by {len(numbers.layers.joins)} joins; {len(shown)} are shown",
        markup=False,
        soft_wrap=True,
    )


@layers.command()
def join(one: Line, other: Line, status: options.Statuses = None) -> None:
    """Say that two lines of a segment are one layer, whatever Firnline found."""
    _say(one, other, status, same=True)


@layers.command()
def part(one: Line, other: Line, status: options.Statuses = None) -> None:
    """Say that two lines of a segment are not one layer."""
    _say(one, other, status, same=False)


@layers.command()
def forget(
    segment: Annotated[str, typer.Argument(help="<campaign>/<segment>")],
    one: Annotated[str, typer.Argument(help="a place as `firnline layers list` shows it")],
    other: Annotated[str, typer.Argument(help="the other one")],
) -> None:
    """Take back what was said of two lines."""
    from firnline.store.joins import Joins

    joins = Joins(terminal.connect().table)
    found = [row for row in joins.of_segment(segment) if {row.one, row.other} == {one, other}]
    if not found:
        raise fail(
            f"Nothing was said of {one} and {other} in {segment}: `firnline layers list {segment}` shows what was."
        )
    joins.take_back(found[0])
    console().print("taken back; the next export matches these lines by itself")


def _say(one: str, other: str, status: list[options.Status] | None, same: bool) -> None:
    from firnline.exports import segment_numbers
    from firnline.store.joins import Joins
    from workbench import exporting

    connection = terminal.connect()
    try:
        lines = [_line(connection, named, [one.value for one in status or []]) for named in (one, other)]
        row = segment_numbers.say(Joins(connection.table), lines[0], lines[1], same)
        segment = row.segment
        wanted = exporting.Wanted.of([segment], [one.value for one in status or []], None)
        try:
            exporting.numbers_of(connection, wanted, segment, exporting.Assumptions(), keep=lambda _: False)
        except Refused:
            Joins(connection.table).take_back(row)
            raise
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    console().print(
        f"noted: {row.one} is {'' if same else 'not '}the layer of {row.other}; exports of {segment} follow it from now on",
        markup=False,
        soft_wrap=True,
    )


def _line(connection: "Connection", named: str, statuses: list[str]) -> "tuple[FrameProduct, int]":
    """The frame's product and the number that `<frame>:<number>` means."""
    from firnline.products.frame_product import FrameProduct
    from workbench import exporting

    frame_id, _, number = named.rpartition(":")
    if frame_id.count("/") != 2 or not number.isdigit():
        raise Refused(f"'{named}' names no line: give <campaign>/<segment>/<frame>:<number>.")
    wanted = exporting.Wanted.of([frame_id], statuses, None)
    made = exporting.product_of(connection, wanted, frame_id, exporting.Assumptions())
    if not isinstance(made, FrameProduct):
        raise Refused(f"{frame_id} is {made}.")
    return made, int(number)
