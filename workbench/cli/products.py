"""`firnline export`: depths, thicknesses and accumulation in the files that scientists' tools open."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail, last_words

if TYPE_CHECKING:
    from firnline.exports.request import ExportRequest
    from workbench.connection import Connection

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
_CLOUD = "In the cloud"


class Numbers(StrEnum):
    segment = "segment"
    frame = "frame"


@commands.command()
def export(
    which: options.Which = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="a folder, new or empty, for what is written; --in-cloud does without")
    ] = None,
    to: Annotated[list[Form] | None, typer.Option(help="a form; may be given again. csv if none is")] = None,
    status: options.Statuses = None,
    box: options.InBox = None,
    numbers: Annotated[
        Numbers, typer.Option(help="whether a layer keeps its number along the segment, or is counted in each frame by itself")
    ] = Numbers.segment,
    in_cloud: Annotated[
        bool, typer.Option("--in-cloud", rich_help_panel=_CLOUD, help="let the stack write the products, several segments at a time, each "
                           "into a folder of its own below products/ of the workspace bucket; with --out they are fetched. Not of "
                           "geoparquet, netcdf, geopackage and crossovers, which are written on a machine")
    ] = False,
    name: Annotated[
        str | None, typer.Option(rich_help_panel=_CLOUD, help="the export's name in the cloud; the same again goes on with what is missing")
    ] = None,
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
    from firnline.exports.request import ExportRequest
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
        forms = [one.value for one in to or [Form.csv]]
        if name and not in_cloud:
            raise Refused("--name goes with --in-cloud: it is the export's name in the bucket.")
        if out is not None:
            exporting.check_folder(out, overwrite)
        asked = None
        if in_cloud:
            asked = ExportRequest.of(wanted, forms, assumptions, credits, terminal.command_line())
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    if asked is not None:
        _in_cloud(terminal.connect(), name, asked, out)
        return
    if out is None:
        raise fail("Say with --out where to: a folder, new or empty.")
    connection, shown = terminal.connect(), console()
    try:
        with (
            last_words(lambda: f"{out} holds what was finished; files named part-… are not whole"),
            Stages(shown) as stages,
        ):
            exported = exporting.export(
                connection, wanted, forms, assumptions, out, stages, terminal.command_line(), credits
            )  # fmt: skip
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    for sentence in exported.sentences:
        shown.print(sentence, markup=False, soft_wrap=True)
    if not exported.frames:
        raise fail("Nothing was exported.")


def _in_cloud(connection: "Connection", name: str | None, request: "ExportRequest", out: Path | None) -> None:
    from workbench import cloud_export
    from workbench.progress import Stages

    shown, name = console(), name or cloud_export.new_name()
    products = connection.workspace.uri(f"products/{name}/")
    missing = ""
    with (
        last_words(
            lambda: (
                f"what has begun goes on in the cloud, and writes below {products}; the same command with --name {name} waits for it"
            )
        ),
        Stages(shown) as stages,
    ):
        try:
            execution = cloud_export.start(connection, name, request)
        except Refused as refusal:
            raise fail(str(refusal)) from refusal
        shown.print(f"export {name}, execution {execution.rpartition(':')[2]}", markup=False, soft_wrap=True)
        try:
            summary = cloud_export.wait(connection, execution, stages)["summary"]
        except cloud_export.Incomplete as incomplete:
            missing = str(incomplete)
        fetched = None
        if out is not None:
            try:
                fetched = cloud_export.fetch(connection, name, out, stages)
            except FileNotFoundError as error:
                raise fail(missing or f"{error} is gone: look for who deleted it") from error
    if fetched is not None:
        shown.print(f"{fetched} files in {out}", markup=False, soft_wrap=True)
    if missing:
        raise fail(f"{missing}. The same command with --name {name} goes on with what is missing.")
    kept = f"the products lie below {products}, and stay until somebody deletes them (aws s3 rm --recursive {products})"
    shown.print(f"{summary}; {kept}", markup=False, soft_wrap=True)
