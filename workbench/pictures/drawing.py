"""An echogram, what the model proposes and what the reviewer submits, side by side, with the axes of the file.

Colours are of Okabe and Ito (2008), which readers with any form of colour blindness can tell apart.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.geometry import Label

COLOURS: dict[Label, str] = {"surface": "#56B4E9", "layer": "#F0E442", "bed": "#D55E00"}
ADDED = "#FF7FC8"
"""Okabe and Ito's reddish purple, lightened to stand out of grey."""
MOVED_ROWS = 2.0
"""A mended line counts as drawn by the reviewer where no proposed line lies within this many rows, Firnline's tolerance."""
LINE_WIDTH = {"surface": 1.6, "layer": 1.0, "bed": 1.6}
TITLE_POINTS, LABEL_POINTS, TICK_POINTS = 15, 13, 11
GREYS = 18
"""Levels of grey left in the PNG: speckle compresses badly."""
_DARK, _BRIGHT, _GAMMA = 26.0, 99.8, 0.9
"""Percentiles of the picture's greys that are black and white, and the exponent between them."""
_COLOURLESS, _COLOUR_STEP, _PALETTE = 24, 32, 256
_SHORTEST_STRETCH = 4
"""Columns; shorter stretches would be specks."""


@dataclass(frozen=True)
class View:
    """What is shown of a picture: rows `top` to `bottom`, and the unit of the axis of time."""

    top: int
    bottom: int
    unit: Literal["ns", "µs"]

    @property
    def per_second(self) -> float:
        return {"ns": 1e9, "µs": 1e6}[self.unit]


def three_panels(
    grey: np.ndarray,
    frame: FrameDocument,
    proposal: LayersDocument,
    mended: LayersDocument,
    view: View,
    inches: tuple[float, float],
) -> Figure:
    """Draw a frame, the proposal over it, and the mended layers over it.

    Parameters
    ----------
    grey : (rows, columns) uint8 array
        The picture that the network and the reviewer see.
    frame : FrameDocument
        Where the picture lies on the file; it has to tell `dt_s` and `time_zero_s`.
    proposal, mended : LayersDocument
        On the picture.
    view : View
        The rows to show.
    inches : (float, float)
        Width and height of the figure.
    """
    figure = Figure(figsize=inches, layout="constrained", facecolor="white")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for panel, title in zip(
        panels, ("radar frame (simulated)", "proposed by the model", "mended by the reviewer"), strict=True
    ):
        _echogram(panel, grey, frame, view)
        panel.set_title(title, fontsize=TITLE_POINTS)
        panel.set_xlabel("trace", fontsize=LABEL_POINTS)
    _lines(panels[1], proposal, frame, view)
    _lines(panels[2], mended, frame, view)
    added = _added(panels[2], proposal, mended, frame, view)
    panels[0].set_ylabel(f"two-way travel time ({view.unit})", fontsize=LABEL_POINTS)
    labels = [label for label in COLOURS if any(layer.label == label for layer in mended.layers)]
    handles = [Line2D([], [], color=COLOURS[label], lw=2.5, label=label) for label in labels]
    if added:
        handles.append(Line2D([], [], color=ADDED, lw=2.5, label="drawn by the reviewer"))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=LABEL_POINTS)
    legend.get_frame().set(facecolor="#303030", edgecolor="none")
    for text in legend.get_texts():
        text.set_color("white")
    return figure


def write(figure: Figure, path: Path, dots_per_inch: int = 110) -> int:
    """Write a figure as a PNG of few colours; its size in bytes."""
    plain = io.BytesIO()
    figure.savefig(plain, format="png", dpi=dots_per_inch)
    return write_small(Image.open(plain), path)


def write_small(image: Image.Image, path: Path) -> int:
    """Write a picture as a PNG of a few greys and colours, without dithering, which would compress badly; its size in bytes."""
    rgb = np.asarray(image.convert("RGB")).astype(int)
    grey = np.round(rgb.mean(axis=2) * (GREYS - 1) / 255) * 255 / (GREYS - 1)
    coarse = np.clip(np.round(rgb / _COLOUR_STEP) * _COLOUR_STEP, 0, 255)
    colourless = np.ptp(rgb, axis=2) < _COLOURLESS
    few = np.where(colourless[..., None], grey[..., None], coarse).astype(np.uint8)
    Image.fromarray(few).quantize(_PALETTE, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


def _echogram(panel: Axes, grey: np.ndarray, frame: FrameDocument, view: View) -> None:
    """The picture in few greys, its noise dark, on the axes of the file."""
    shown = grey[view.top : view.bottom].astype(float)
    low, high = np.percentile(shown[shown > 0], [_DARK, _BRIGHT])
    level = np.clip((shown - low) / (high - low), 0, 1) ** _GAMMA
    left, right = _trace(frame, np.array([-0.5, frame.width - 0.5]))
    top, bottom = _time(frame, np.array([view.top - 0.5, view.bottom - 0.5]), view)
    panel.imshow(
        np.round(level * (GREYS - 1)) / (GREYS - 1), cmap="gray", vmin=0, vmax=1, aspect="auto",
        extent=(left, right, bottom, top), interpolation="antialiased",
    )  # fmt: skip
    panel.set_xlim(left, right)
    panel.set_ylim(bottom, top)
    panel.tick_params(labelsize=TICK_POINTS)
    panel.locator_params(axis="x", nbins=5)


def _lines(panel: Axes, document: LayersDocument, frame: FrameDocument, view: View) -> None:
    for layer in document.layers:
        x, y = np.array([(vertex.x, vertex.y) for vertex in layer.vertices]).T
        panel.plot(_trace(frame, x), _time(frame, y, view), color=COLOURS[layer.label], lw=LINE_WIDTH[layer.label])


def _added(panel: Axes, proposal: LayersDocument, mended: LayersDocument, frame: FrameDocument, view: View) -> int:
    """Mark the stretches of mended lines that no proposed line lies near; how many there are."""
    proposed, drawn = proposal.rows(), mended.rows()
    stretches: list[np.ndarray] = []
    for row in drawn:
        near = (np.abs(proposed - row) <= MOVED_ROWS).any(axis=0)
        alone = np.flatnonzero(np.isfinite(row) & ~near)
        for columns in np.split(alone, np.flatnonzero(np.diff(alone) > 1) + 1):
            if columns.size >= _SHORTEST_STRETCH:
                stretches.append(np.column_stack([_trace(frame, columns), _time(frame, row[columns], view)]))
    panel.add_collection(LineCollection(stretches, colors=ADDED, linewidths=1.2, zorder=3))
    return len(stretches)


def _trace(frame: FrameDocument, column: np.ndarray) -> np.ndarray:
    return frame.framing.trace_of(column)


def _time(frame: FrameDocument, row: np.ndarray | Sequence[float], view: View) -> np.ndarray:
    """Two-way travel time of rows of the picture, in the view's unit."""
    if frame.dt_s is None or frame.time_zero_s is None:
        raise ValueError(f"{frame.frame_id} tells no two-way travel time")
    return (frame.time_zero_s + frame.framing.sample_of(np.asarray(row)) * frame.dt_s) * view.per_second
