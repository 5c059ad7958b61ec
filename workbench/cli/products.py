"""`firnline export`: depths, thicknesses and accumulation in the files that scientists' tools open."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail, last_words

commands = terminal.Group("Frames")


class Form(StrEnum):
    csv = "csv"
    geoparquet = "geoparquet"
    bedmap = "bedmap"
    horizons = "horizons"
    opr = "opr"
    netcdf = "netcdf"
    geopackage = "geopackage"
    geojson = "geojson"
    crossovers = "crossovers"
    layers_csv = "layers-csv"
    layers_json = "layers-json"
    layers_mat = "layers-mat"


_CREDIT = "Attributes of the files"


class Numbers(StrEnum):
    segment = "segment"
    frame = "frame"


@commands.command()
def export(
    out: Annotated[Path, typer.Option(file_okay=False, help="a folder, new or empty, for what is written")],
    which: options.Which = None,
    to: Annotated[list[Form] | None, typer.Option(help="a form; may be given again. csv if none is")] = None,
    status: options.Statuses = None,
    box: options.InBox = None,
    numbers: Annotated[
        Numbers, typer.Option(help="whether a layer keeps its number along the segment, or is counted in each frame by itself")
    ] = Numbers.segment,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what an earlier export left in that folder")] = False,
    index: options.Index = None,
    firn_correction: options.FirnCorrection = None,
    firn_depth: options.FirnDepth = None,
    density: options.Density = None,
    herron_langway: options.HerronLangway = None,
    index_sigma: options.IndexSigma = 0.01,
    density_sigma: options.DensitySigma = None,
    reviewer_rows: options.ReviewerRows = 1.0,
    ground: options.Ground = False,
    surface_year: options.SurfaceYear = None,
    first_layer_year: options.FirstLayerYear = None,
    gaps: options.GapRule = options.Gaps.leave_out,
    creator: Annotated[
        str | None, typer.Option(envvar="FIRNLINE_CREATOR", rich_help_panel=_CREDIT, help="whose work it is: 'Name <address>'")
    ] = None,
    creator_url: Annotated[
        str | None, typer.Option(envvar="FIRNLINE_CREATOR_URL", rich_help_panel=_CREDIT, help="a page or an ORCID, as https://…")
    ] = None,
    institution: Annotated[str | None, typer.Option(envvar="FIRNLINE_INSTITUTION", rich_help_panel=_CREDIT, help="where")] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", "--license", envvar="FIRNLINE_LICENCE", rich_help_panel=_CREDIT,
                                 help="what others may do with it, as CC-BY-4.0")
    ] = None,
) -> None:  # fmt: skip
    """Write the layers with depth, thickness and accumulation, and how sure they are, as tables, maps or layer files.

    `firnline models export` writes the network.
    """
    from firnline.products.credits import Credits
    from workbench import exporting
    from workbench.progress import Stages

    try:
        assumptions = options.PhysicsOptions(
            index, firn_correction, firn_depth, density, herron_langway, index_sigma, density_sigma, reviewer_rows, ground,
            surface_year, first_layer_year, gaps,
        ).assumptions()  # fmt: skip
        credits = Credits.of(creator, creator_url, institution, licence)
        wanted = exporting.Wanted.of(which or [], [one.value for one in status or []], box, numbers.value)
        exporting.check_folder(out, overwrite)
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    connection, shown = terminal.connect(), console()
    with (
        last_words(lambda: f"{out} holds what was finished; files named part-… are not whole"),
        Stages(shown) as stages,
    ):
        exported = exporting.export(
            connection,
            wanted,
            [one.value for one in to or [Form.csv]],
            assumptions,
            out,
            stages,
            terminal.command_line(),
            credits,
        )
    for sentence in exported.sentences:
        shown.print(sentence, markup=False, soft_wrap=True)
    if not exported.frames:
        raise fail("Nothing was exported.")
