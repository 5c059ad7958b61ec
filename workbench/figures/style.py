"""What all figures have in common: sizes of journals, type, colours that people see apart whatever their eyes."""

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredText

from firnline.products.frame_product import Status

Width = Literal["column", "page"]
WIDTH_INCHES: dict[Width, float] = {"column": 89 / 25.4, "page": 183 / 25.4}
"""One and two columns of a journal's page."""
FORMATS = ("svg", "pdf", "png")
DOTS_PER_INCH = 300
POINTS, SMALL_POINTS = 7.5, 6.0
_LETTER_SHARE = 0.52
"""Width of a letter, of its height, on average."""

STATUS_COLOUR: dict[Status, str] = {
    "reviewed": "#0072B2", "accepted": "#009E73", "unreviewed": "#E69F00", "imported": "#CC79A7",
}  # fmt: skip
"""Of Okabe and Ito (2008), as in the GeoPackage's style."""
CONTINUOUS = "viridis"
"""Grows evenly in lightness, and is read the same with any form of colour blindness."""
_STYLE: Any = {
    "font.size": POINTS, "axes.titlesize": POINTS, "axes.labelsize": POINTS, "xtick.labelsize": SMALL_POINTS + 0.5,
    "ytick.labelsize": SMALL_POINTS + 0.5, "legend.fontsize": SMALL_POINTS + 0.5, "axes.linewidth": 0.6,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.direction": "out", "ytick.direction": "out",
    "font.family": "sans-serif", "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "svg.fonttype": "none", "pdf.fonttype": 42, "savefig.dpi": DOTS_PER_INCH, "svg.hashsalt": "firnline",
}  # fmt: skip
"""Text stays text in SVG and PDF, so that a journal can set it."""


def new_figure(width: Width, height_inches: float) -> Figure:
    """An empty figure in the house's style."""
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(WIDTH_INCHES[width], height_inches), layout="constrained", facecolor="white")


def styled() -> AbstractContextManager[None]:
    """A context in which what is drawn has the style."""
    return mpl.rc_context(_STYLE)


def caption(figure: Figure, text: str) -> None:
    """What a reader has to know of the values, small below the figure."""
    letters = int(figure.get_figwidth() * 72 / (_LETTER_SHARE * (SMALL_POINTS - 0.5)))
    text = "\n".join(wrapped for line in text.splitlines() for wrapped in textwrap.wrap(line, letters))
    figure.supxlabel(text, fontsize=SMALL_POINTS - 0.5, color="0.35", x=0.01, ha="left")


def note(axes: Axes, text: str, place: str = "upper left") -> None:
    """A word within the axes, on white."""
    box = AnchoredText(text, loc=place, prop={"size": SMALL_POINTS}, frameon=True, pad=0.25, borderpad=0.4)
    box.patch.set(boxstyle="round,pad=0.1", alpha=0.85, linewidth=0)
    axes.add_artist(box)


def save(figure: Figure, path: Path, formats: Sequence[str]) -> list[Path]:
    """Write a figure under its name in each format; returns the files."""
    files = []
    with styled():
        for form in formats:
            file = path.with_name(f"{path.name}.{form}")
            metadata = {"Date": None} if form == "svg" else {"CreationDate": None} if form == "pdf" else None
            figure.savefig(file, format=form, metadata=metadata)
            files.append(file)
    return files
