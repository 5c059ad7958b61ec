"""From the frames of a stack to figures in a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from firnline.documents.echogram import decode_png
from firnline.errors import Refused
from firnline.limits import MAX_FILE_BYTES
from firnline.products.frame_product import Assumptions, FrameProduct
from firnline.store import keys
from workbench import exporting
from workbench.connection import Connection
from workbench.figures.histograms import Counts, histograms
from workbench.figures.radargram import Panel, radargram
from workbench.figures.style import Width, save
from workbench.figures.track_map import Colour, map_line, track_map
from workbench.progress import Stages

MOST_PANELS = 60
"""Frames of one radargram: more cannot be told apart on a page."""


def products(
    connection: Connection, wanted: exporting.Wanted, physics: Assumptions, stages: Stages
) -> Iterator[FrameProduct]:
    """The products that are wanted, one by one; frames that have none are passed over."""
    frames = exporting.frames_named(connection, wanted)
    for made in exporting.numbered_products(connection, wanted, stages.track(frames, "reading", len(frames)), physics):
        if isinstance(made, FrameProduct):
            yield made


def draw_radargram(
    connection: Connection, wanted: exporting.Wanted, physics: Assumptions, stages: Stages, *, width: Width, lines: bool
) -> tuple[str, Figure]:
    """(name, figure) of the frames of one segment."""
    panels: list[Panel] = []
    for product in products(connection, wanted, physics, stages):
        if panels and (product.campaign, product.segment) != (panels[0].product.campaign, panels[0].product.segment):
            raise Refused("A radargram shows frames of one segment: name a segment, or a frame.")
        if len(panels) == MOST_PANELS:
            raise Refused(f"A radargram shows at most {MOST_PANELS} frames: name fewer.")
        png = connection.workspace.read(keys.echogram(product.frame_id, product.frame.revision), MAX_FILE_BYTES)
        panels.append(Panel(product, decode_png(png)))
    if not panels:
        raise Refused("There is no frame to draw.")
    panels.sort(key=lambda panel: _flown(panel.product))
    first = panels[0].product
    name = first.frame_id if len(panels) == 1 else f"{first.campaign}/{first.segment}"
    return f"{name.replace('/', '_')}_radargram", radargram(panels, width, lines=lines)


def _flown(product: FrameProduct) -> tuple[float, str]:
    """When a frame was recorded, and its name where the file does not tell."""
    known = product.gps_time_s[np.isfinite(product.gps_time_s)]
    return (float(known[0]) if known.size else np.inf), product.frame_id


def draw_map(
    connection: Connection,
    wanted: exporting.Wanted,
    physics: Assumptions,
    stages: Stages,
    *,
    width: Width,
    colour: Colour,
) -> tuple[str, Figure]:
    lines = [
        line
        for product in products(connection, wanted, physics, stages)
        if (line := map_line(product, colour)) is not None
    ]
    return f"map_{colour}", track_map(lines, colour, f"{physics.statement}.", width)


def draw_histograms(
    connection: Connection, wanted: exporting.Wanted, physics: Assumptions, stages: Stages, *, width: Width
) -> tuple[str, Figure]:
    counts = Counts()
    for product in products(connection, wanted, physics, stages):
        counts.add(product)
    return "histograms", histograms(counts, f"{physics.statement}.", width)


def write(name: str, figure: Figure, out: Path, formats: Sequence[str], overwrite: bool) -> list[Path]:
    """Write a figure in each format; `Refused` where a file is there that may not be replaced."""
    out.mkdir(parents=True, exist_ok=True)
    taken = [path for form in formats if (path := out / f"{name}.{form}").exists()]
    if taken and not overwrite:
        raise Refused(f"{taken[0]} exists: choose another folder with --out, or say --overwrite.")
    return save(figure, out / name, formats)
