"""`firnline fetch`: radar files of data centres into uploads."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail, last_words

commands = terminal.Group("Frames")


class From(StrEnum):
    nsidc = "nsidc"
    opr = "opr"
    list = "list"
    tree = "tree"


@commands.command()
def fetch(
    source: Annotated[From, typer.Argument(help="who lists the files")],
    what: Annotated[str, typer.Argument(help="a product of NSIDC as IRSNO1B, a season of Open Polar Radar as 2012_Greenland_P3, a file "
                                        "of addresses, or a folder")],
    campaign: Annotated[str | None, typer.Option(help="what the files are uploaded under; product or season if nothing is said")] = None,
    segment: Annotated[str | None, typer.Option(help="their flight segment; of opr, the one to fetch")] = None,
    box: options.InBox = None,
    since: Annotated[str | None, typer.Option(help="first day, as 2012-03-30")] = None,
    until: Annotated[str | None, typer.Option(help="last day")] = None,
    product: Annotated[str, typer.Option(help="of Open Polar Radar")] = "CSARP_standard",
    most: Annotated[int, typer.Option(min=1, help="files at most")] = 1000,
    folder: Annotated[Path, typer.Option(file_okay=False, help="for files on their way, and the list of what came")] = Path("build/fetch"),
    at_once: Annotated[int, typer.Option(min=1, max=16, help="files that are brought at the same time")] = 4,
    keep: Annotated[bool, typer.Option("--keep", help="keep the files in the folder after they were uploaded")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be fetched, and fetch nothing")] = False,
) -> None:  # fmt: skip
    """Bring radar files of NSIDC, Open Polar Radar, a list of addresses or a folder into uploads.

    What broke off goes on, what was uploaded is not brought again. Logins are taken from your ~/.netrc and kept nowhere.
    """
    from workbench.fetching import items, transfer
    from workbench.progress import Stages

    shown = console()
    try:
        session, listed = _listed(source, what, campaign, segment, box, since, until, product, most)
        wanted = items.distinct(listed)
        if len(wanted) > most:
            raise Refused(f"These are {len(wanted)} files, and --most says {most}: ask for fewer, or raise it.")
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    if not wanted:
        raise fail("There is no file of that kind: ask for other dates, another box or another product.")
    if dry_run:
        for item in wanted:
            shown.print(f"{item.address} → {item.key}", markup=False, soft_wrap=True)
        return
    frames = terminal.connect().frames
    with (
        last_words(lambda: "run the same again: what came is not brought twice"),
        Stages(shown) as stages,
    ):
        stage = stages.begin("fetching", total=len(wanted))

        def upload(path: Path, item: items.Item) -> None:
            frames.client.upload_file(str(path), frames.name, item.key)

        def tell(key: str) -> None:
            stage.advance()
            stage.note(key)

        try:
            report = transfer.fetch(wanted, folder, upload, session, at_once, keep, tell)
        except Refused as refusal:
            raise fail(str(refusal)) from refusal
    shown.print(
        f"{len(report.uploaded)} files uploaded, {len(report.before)} were before: `firnline status` shows how far they are"
    )
    for key, reason in report.failed.items():
        shown.print(f"{key}: {reason}", style="red", markup=False, soft_wrap=True)
    if report.failed:
        raise fail(f"{len(report.failed)} of {len(wanted)} files did not come; the reasons are above.")


def _listed(
    source: From, what: str, campaign: str | None, segment: str | None, box: str | None, since: str | None, until: str | None,
    product: str, most: int,
) -> tuple[Any, list[Any]]:  # fmt: skip
    """(a session or None, the items)."""
    from firnline.products.track import Box
    from workbench.fetching import items, sources

    within, dates = Box.of(box) if box else None, _dates(since, until)
    if source is From.nsidc:
        return sources.nsidc(what, within, dates, campaign, most)
    if source is From.opr:
        return None, list(sources.open_polar_radar(what, segment, within, dates, product, campaign, most))
    if within or dates:
        raise Refused("--box, --since and --until are for nsidc and opr: files of a list or a folder are all taken.")
    path = Path(what)
    if source is From.list:
        if not path.is_file():
            raise Refused(f"There is no file {path}: give one with an address a line.")
        return None, list(items.of_list(path, campaign, segment))
    if not path.is_dir():
        raise Refused(f"There is no folder {path}.")
    return None, list(items.of_tree(path, campaign, segment))


def _dates(since: str | None, until: str | None) -> tuple[str, str] | None:
    if since is None and until is None:
        return None
    try:
        first, last = date.fromisoformat(since or "1900-01-01"), date.fromisoformat(until or "2100-01-01")
    except ValueError as error:
        raise Refused(f"'{since or ''}' to '{until or ''}' are no days: give them as 2012-03-30.") from error
    if last < first:
        raise Refused(f"{last} lies before {first}.")
    return first.isoformat(), last.isoformat()
