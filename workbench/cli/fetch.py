"""`firnline fetch`: frames from archives, lists of addresses or folders into the uploads."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail, last_words

if TYPE_CHECKING:
    from firnline.products.track import Box
    from workbench.fetching.catalogues import Dates
    from workbench.fetching.fetch import Plan
    from workbench.fetching.remote import Remote

commands = terminal.Group("Frames")
fetching = typer.Typer(no_args_is_help=True)
commands.add_typer(fetching, name="fetch", rich_help_panel="Frames")

Campaign = Annotated[str | None, typer.Option(help="the campaign that the frames belong to")]
Named = Annotated[str, typer.Option("--campaign", help="the campaign that the frames belong to")]
Segment = Annotated[
    str | None, typer.Option(help="their flight segment; by default what the file's name tells, or its folder")
]
Folder = Annotated[
    Path, typer.Option(file_okay=False, help="where files lie until they are uploaded, and the journal of what was")
]
Parallel = Annotated[int, typer.Option(min=1, max=16, help="files at a time")]
Keep = Annotated[bool, typer.Option("--keep", help="leave the files in the folder after their upload")]
Again = Annotated[bool, typer.Option("--again", help="fetch also what the journal says was uploaded")]
Only = Annotated[bool, typer.Option("--list", help="print what would be fetched, and end")]
Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="first day, as 2012-03-30; goes with --until")
]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="last day; goes with --since")]

DEFAULT_FOLDER = Path("fetched")
_MEGABYTE = 1_000_000


@fetching.callback()
def fetch() -> None:
    """Fetch frames into the uploads: several at a time, checked, and continued where an earlier attempt stopped.

    Names and passwords come from your own ~/.netrc and are stored nowhere.
    """


@fetching.command("list")
def fetch_list(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="an address a line, or a checksum and an address")
    ],
    campaign: Named = "adhoc",
    segment: Segment = None,
    folder: Folder = DEFAULT_FOLDER,
    parallel: Parallel = 4,
    keep: Keep = False,
    again: Again = False,
    only: Only = False,
) -> None:
    """The files that a list of https addresses names."""
    from workbench.fetching import remote
    from workbench.fetching.fetch import Plan

    _bring(lambda: remote.listed(file, segment), Plan(campaign, folder, parallel, keep, again), only)


@fetching.command("folder")
def fetch_folder(
    tree: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="a folder, with all below it")],
    campaign: Named = "adhoc",
    segment: Segment = None,
    folder: Folder = DEFAULT_FOLDER,
    parallel: Parallel = 4,
    again: Again = False,
    only: Only = False,
) -> None:
    """The frames and annotations in a folder of this machine; they stay where they are."""
    from workbench.fetching import remote
    from workbench.fetching.fetch import Plan

    plan = Plan(campaign, folder, parallel, keep=True, again=again)
    _bring(lambda: list(remote.in_folder(tree, segment)), plan, only)


@fetching.command("nsidc")
def fetch_nsidc(
    short_name: Annotated[str, typer.Argument(help="of the dataset, IRSNO1B for example")],
    version: Annotated[str | None, typer.Option(help="of the dataset; by default all there are")] = None,
    box: options.InBox = None,
    since: Since = None,
    until: Until = None,
    campaign: Campaign = None,
    segment: Segment = None,
    folder: Folder = DEFAULT_FOLDER,
    parallel: Parallel = 4,
    keep: Keep = False,
    again: Again = False,
    only: Only = False,
) -> None:
    """A dataset of the National Snow and Ice Data Center; the campaign is called as the dataset is, if nothing is said."""
    from workbench.fetching import catalogues, remote
    from workbench.fetching.fetch import Plan

    def found() -> "list[Remote]":
        answered = catalogues.listed("nsidc", short_name, version=version, box=_box(box), dates=_dates(since, until))
        return [remote.Remote(one.address, segment, one.digest, one.size) for one in answered] if segment else answered

    _bring(found, Plan(campaign or short_name, folder, parallel, keep, again), only)


@fetching.command("opr")
def fetch_opr(
    season: Annotated[
        str, typer.Argument(help="a collection of Open Polar Radar, 2022_Antarctica_BaslerMKB for example")
    ],
    segments: Annotated[list[str] | None, typer.Option("--segment", help="YYYYMMDD_NN; may be repeated")] = None,
    product: Annotated[str, typer.Option(help="CSARP_standard, CSARP_qlook …")] = "CSARP_standard",
    box: options.InBox = None,
    since: Since = None,
    until: Until = None,
    catalogue: Annotated[str | None, typer.Option(help="another catalogue than theirs: a STAC GeoParquet file")] = None,
    campaign: Campaign = None,
    folder: Folder = DEFAULT_FOLDER,
    parallel: Parallel = 4,
    keep: Keep = False,
    again: Again = False,
    only: Only = False,
) -> None:
    """A season of Open Polar Radar; the campaign is called as the season is, if nothing is said."""
    from workbench.fetching import catalogues
    from workbench.fetching.fetch import Plan

    def found() -> "list[Remote]":
        return catalogues.listed(
            "opr",
            season,
            product=product,
            segments=segments,
            box=_box(box),
            dates=_dates(since, until),
            catalogue=catalogue,
        )

    _bring(found, Plan(campaign or season, folder, parallel, keep, again), only)


def _bring(find: "Callable[[], list[Remote]]", plan: "Plan", only: bool) -> None:
    from workbench.fetching.fetch import Account, fetch
    from workbench.fetching.remote import CannotFetch
    from workbench.progress import Stages

    out = console()
    try:
        remotes = find()
        if not remotes:
            raise fail("There is nothing to fetch: no file fits.")
        if only:
            _show(remotes)
            return
        connection = terminal.connect()
        goes_on = f"what has come is kept in {plan.folder}: the same command goes on from there"
        with last_words(lambda: goes_on), Stages(out) as stages:
            stage = stages.begin("fetching", len(remotes))

            def tell(account: Account) -> None:
                stage.reach(account.done)
                stage.note(f"{len(account.uploaded)} uploaded, {len(account.refused)} refused")

            account = fetch(connection, remotes, plan, tell)
    except CannotFetch as error:
        raise fail(str(error)) from error
    for address, sentence in account.refused.items():
        out.print(f"{address}: {sentence}", style="yellow", markup=False, soft_wrap=True)
    total = sum(entry.bytes for entry in account.uploaded) / _MEGABYTE
    known = f", {account.known} were there already" if account.known else ""
    out.print(f"{len(account.uploaded)} files uploaded ({total:.0f} MB){known}", soft_wrap=True)
    if account.refused:
        raise fail(f"{len(account.refused)} of {len(remotes)} files did not come; the reasons are above.")
    out.print("next: `firnline status` shows how far they are")


def _show(remotes: "Iterable[Remote]") -> None:
    """One line a file on standard output, in the form that `firnline fetch list` reads."""
    for one in remotes:
        typer.echo(f"{one.digest.value}  {one.address}" if one.digest else one.address)


def _box(text: str | None) -> "Box | None":
    from firnline.products.track import Box

    try:
        return Box.of(text) if text else None
    except Refused as refused:
        raise fail(str(refused)) from None


def _dates(since: datetime | None, until: datetime | None) -> "Dates | None":
    if since is None and until is None:
        return None
    if since is None or until is None or until < since:
        raise fail("Give both --since and --until, the earlier day first.")
    return since.date(), until.date()
