"""`firnline figure`: pictures for a paper."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from firnline.errors import Refused
from workbench.cli import options, terminal
from workbench.cli.terminal import console, fail

commands = terminal.Group("Frames")


class Kind(StrEnum):
    radargram = "radargram"
    map = "map"
    histograms = "histograms"


class Form(StrEnum):
    svg = "svg"
    pdf = "pdf"
    png = "png"


class Colour(StrEnum):
    ice_thickness = "ice-thickness"
    snow_depth = "snow-depth"
    accumulation = "accumulation"
    confidence = "confidence"
    status = "status"


class Width(StrEnum):
    column = "column"
    page = "page"


@commands.command()
def figure(
    kind: Annotated[Kind, typer.Argument(help="what to draw")],
    which: options.Which = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="the folder for the figure")] = Path("figures"),
    to: Annotated[list[Form] | None, typer.Option(help="a form; may be given again. svg and pdf if none is")] = None,
    colour: Annotated[Colour, typer.Option(help="what a map is coloured by")] = Colour.ice_thickness,
    width: Annotated[Width | None, typer.Option(help="89 or 183 mm of a journal; a map has a column if none is said")] = None,
    bare: Annotated[bool, typer.Option("--bare", help="a radargram without its layers")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier figure of that name")] = False,
    status: options.Statuses = None,
    box: options.InBox = None,
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
) -> None:  # fmt: skip
    """Draw a radargram with its layers, a map of the tracks, or histograms, as SVG and PDF for a paper."""
    from workbench import exporting
    from workbench.figures import making
    from workbench.progress import Stages

    shown = console()
    try:
        assumptions = options.PhysicsOptions(
            index, firn_correction, firn_depth, density, herron_langway, index_sigma, density_sigma, reviewer_rows, ground,
            surface_year, first_layer_year, gaps,
        ).assumptions()  # fmt: skip
        wanted = exporting.Wanted.of(which or [], [one.value for one in status or []], box)
        connection = terminal.connect()
        with Stages(shown) as stages:
            if kind is Kind.radargram:
                name, drawn = making.draw_radargram(
                    connection, wanted, assumptions, stages, width=width.value if width else "page", lines=not bare
                )
            elif kind is Kind.map:
                name, drawn = making.draw_map(
                    connection,
                    wanted,
                    assumptions,
                    stages,
                    width=width.value if width else "column",
                    colour=colour.value,
                )
            else:
                name, drawn = making.draw_histograms(
                    connection, wanted, assumptions, stages, width=width.value if width else "page"
                )
        files = making.write(name, drawn, out, [one.value for one in to or [Form.svg, Form.pdf]], overwrite)
    except Refused as refusal:
        raise fail(str(refusal)) from refusal
    shown.print(f"drawn: {', '.join(map(str, files))}", markup=False, soft_wrap=True)
