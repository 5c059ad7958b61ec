"""Echograms as figures show them: either polarity, a gamma, white margins with axes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from firnline.documents.echogram import to_grey

from .frame import SimulatedFrame

_TICK_PX = 5
_FEWEST_PX = 32
"""Smallest width of a margin that holds an axis with its numbers, px."""


@dataclass(frozen=True)
class Figure:
    """How a picture is drawn.

    `gamma`: exponent of the grey between black and white. `margins`: white pixels at the left, the top, the right and
    the bottom. `axes`: a frame around the echogram, with ticks and numbers in the margins.
    """

    polarity: Literal["bright-strong", "dark-strong"] = "bright-strong"
    gamma: float = 1.0
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    axes: bool = False

    def __post_init__(self) -> None:
        left, _, _, bottom = self.margins
        if min(self.margins) < 0 or self.gamma <= 0 or (self.axes and min(left, bottom) < _FEWEST_PX):
            raise ValueError(
                f"{self} cannot be drawn: margins are not negative, gamma is positive, and axes take {_FEWEST_PX} pixels "
                "at the left and at the bottom"
            )


def draw_figure(frame: SimulatedFrame, figure: Figure) -> np.ndarray:
    """(rows, columns) uint8 picture of a frame: a pixel for each sample and column, and the margins."""
    grey = 255 * (to_grey(frame.echogram_db) / 255) ** figure.gamma
    grey = np.rint(255 - grey if figure.polarity == "dark-strong" else grey).astype(np.uint8)
    left, top, right, bottom = figure.margins
    picture = np.pad(grey, ((top, bottom), (left, right)), constant_values=255)
    return _with_axes(picture, grey.shape, figure) if figure.axes else picture


def figure_rows(frame: SimulatedFrame, figure: Figure) -> np.ndarray:
    """(layers, columns) the layers' rows in the picture's pixels, NaN in the margins."""
    left, top, right, _ = figure.margins
    return np.pad(frame.rows + top, ((0, 0), (left, right)), constant_values=np.nan)


def write_figure(frame: SimulatedFrame, path: Path, figure: Figure) -> Path:
    """Write the picture as PNG: grey, or in colours as plotting programs do where it has axes. `path` is the file, or a
    folder that gets `Picture_YYYYMMDD_SS_FFF.png`; returns the file.
    """
    path = Path(path)
    path = path / f"Picture_{frame.name}.png" if path.is_dir() else path
    picture = Image.fromarray(draw_figure(frame, figure))
    (picture.convert("RGB") if figure.axes else picture).save(path)
    return path


def _with_axes(picture: np.ndarray, shape: tuple[int, ...], figure: Figure) -> np.ndarray:
    """`picture` with a black frame around the echogram of `shape`, and ticks with their round numbers."""
    left, top, _, _ = figure.margins
    height, width = shape
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    pen.rectangle((left - 1, top - 1, left + width, top + height), outline=0)
    for row in range(0, height, _round_step(height)):
        pen.line((left - 1 - _TICK_PX, top + row, left - 1, top + row), fill=0)
        pen.text((2, top + row - _TICK_PX), str(row), fill=0)
    for column in range(0, width, _round_step(width)):
        pen.line((left + column, top + height, left + column, top + height + _TICK_PX), fill=0)
        pen.text((left + column, top + height + _TICK_PX + 2), str(column), fill=0)
    return np.asarray(image)


def _round_step(length: int) -> int:
    """A power of ten, or twice or five times one, that makes four to ten ticks of `length`."""
    power = 10 ** int(np.log10(max(length, 10) / 4))
    return next(step * power for step in (1, 2, 5, 10) if length / (step * power) <= 10)
