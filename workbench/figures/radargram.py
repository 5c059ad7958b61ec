"""A radargram with its layers: distance along the track, depth below the surface.

The echogram is drawn on a grid of distance and depth, so that the axes are true: each column is shifted to its surface, and
each row stretched as the refractive index has it. Of a file that tells no travel times the axes are traces and samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.ndimage import map_coordinates

from firnline.errors import Refused
from firnline.products.frame_product import FrameProduct
from firnline.products.horizons import BED_NUMBER
from firnline.products.track import distance_along
from workbench.figures.style import SMALL_POINTS, STATUS_COLOUR, Width, caption, new_figure, styled

MOST_PIXELS = (2400, 1200)
"""Columns and rows of the echogram in a figure."""
_ABOVE_SURFACE, _BELOW_LINES = 0.04, 0.12
"""Of the depth that is shown: above the surface, and below the deepest line."""
_BRIGHTNESS = (15.0, 99.7)
"""Percentiles of the greys that are white and black."""
_LABEL_ROOM = 0.04
"""Of the axis, between the labels of two layers."""
_TIME_AXIS_INCHES = 0.42
_SEAM_TRACES = 3.0
"""Longer ways between two traces are gaps."""
_KILOMETRE = 1000.0


@dataclass(frozen=True)
class Panel:
    """A frame as it is drawn: its product, and its picture (rows, columns) uint8."""

    product: FrameProduct
    grey: np.ndarray


def radargram(
    panels: Sequence[Panel], width: Width = "page", height_inches: float = 3.0, years: bool = True, lines: bool = True
) -> Figure:
    """The frames of one segment, in the order of flight, as one radargram.

    years : name layers by their years where they are taken as annual; by their numbers otherwise
    lines : draw the layers; without them, as a reviewer would first see it

    A frame that knows no surface has no depths, and is left out beside others that do: the caption names it. `Refused` where
    several frames are given and none has depths.
    """
    surfaced = [_has_surface(panel.product) for panel in panels]
    deep = [panel for panel, known in zip(panels, surfaced, strict=True) if known]
    has_depths = any(np.isfinite(panel.product.depth_m).any() for panel in deep)
    left_out: list[str] = []
    if has_depths:
        left_out = [panel.product.stem for panel, known in zip(panels, surfaced, strict=True) if not known]
        panels = deep
    elif len(panels) > 1:
        raise Refused("None of these frames has a line whose depth is known: draw one frame at a time, in samples.")
    figure = new_figure(width, height_inches)
    with styled():
        axes = figure.subplots()
        if has_depths:
            _with_depths(axes, panels, years, lines)
            _time_axis(axes, panels[0].product, 1 + _TIME_AXIS_INCHES / figure.get_figwidth())
        else:
            _in_samples(axes, panels[0], lines)
        first = panels[0].product
        statuses = list(dict.fromkeys(panel.product.provenance.status for panel in panels))
        if lines:
            handles = [Line2D([], [], color=STATUS_COLOUR[status], lw=1.4, label=status) for status in statuses]
            axes.legend(
                handles=handles, loc="lower right", bbox_to_anchor=(1.0, 0.99), frameon=False, ncols=4, handlelength=1.4, borderpad=0.1
            )  # fmt: skip
        name = first.stem if len(panels) == 1 else f"{first.segment}, {len(panels)} frames"
        axes.set_title(
            name if width == "column" else f"{first.campaign}, {name}", loc="left", fontsize=SMALL_POINTS + 0.5
        )
        dashed = any(horizon.number < BED_NUMBER for panel in panels for horizon in panel.product.horizons)
        also = " Dashed: lines in too few frames to be counted." if lines and dashed else ""
        without = f" Without a surface, and not drawn: {', '.join(left_out)}." if left_out else ""
        caption(figure, f"Depth: {first.assumptions.medium.statement}.{also}{without}")
    return figure


def _has_surface(product: FrameProduct) -> bool:
    return bool(product.frame.dt_s) and bool(np.isfinite(product.surface_twtt_s).any())


def _with_depths(axes: Axes, panels: Sequence[Panel], years: bool, lines: bool) -> None:
    ways = _distances(panels)
    depths = np.concatenate([panel.product.depth_m.ravel() for panel in panels])
    deepest = float(np.nanmax(depths))
    top, bottom = -_ABOVE_SURFACE * deepest, (1 + _BELOW_LINES) * deepest
    whole = float(np.nanmax(ways[-1]))
    scale = _KILOMETRE if whole > 2 * _KILOMETRE else 1.0
    darkness = [_limits(panel.grey) for panel in panels]
    low, high = (float(np.mean(values)) for values in zip(*darkness, strict=True))
    for panel, way, (begin, end) in zip(panels, ways, _extents(ways), strict=True):
        share = (np.nanmax(way) - np.nanmin(way)) / max(whole, 1.0)
        image = _flattened(panel, way, top, bottom, max(2, int(MOST_PIXELS[0] * share)))
        axes.imshow(
            image, extent=(begin / scale, end / scale, bottom, top), aspect="auto", cmap="gray_r", vmin=low,
            vmax=high, interpolation="antialiased",
        )  # fmt: skip
        if lines:
            _draw_lines(axes, panel.product, way / scale)
    axes.set(xlim=(0, whole / scale), ylim=(bottom, top))
    axes.set_xlabel(f"Distance along the track ({'km' if scale == _KILOMETRE else 'm'})")
    axes.set_ylabel("Depth below the surface (m)")
    if lines:
        _label_lines(axes, panels[-1].product, years)


def _distances(panels: Sequence[Panel]) -> list[np.ndarray]:
    """(traces,) metres of each frame from the first one's beginning; traces where no positions are known."""
    north = np.concatenate([panel.product.latitude for panel in panels])
    east = np.concatenate([panel.product.longitude for panel in panels])
    along = distance_along(north, east)
    known = np.flatnonzero(np.isfinite(along))
    if known.size < 2 or np.ptp(along[known]) == 0:
        along, known = np.arange(north.size, dtype=float), np.arange(north.size)
    along = np.interp(np.arange(north.size), known, along[known])
    return np.split(along, np.cumsum([panel.product.latitude.size for panel in panels])[:-1])


def _extents(ways: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """Where the picture of each frame begins and ends: up to the next one, if that goes straight on."""
    found = []
    for way, following in zip(ways, [*ways[1:], None], strict=True):
        step = float(np.median(np.diff(way)))
        goes_on = following is not None and following[0] - way[-1] <= _SEAM_TRACES * step
        found.append((float(way[0]), float(following[0]) if goes_on and following is not None else float(way[-1])))
    return found


def _flattened(panel: Panel, way: np.ndarray, top: float, bottom: float, columns: int) -> np.ndarray:
    """The picture (rows, columns) on even distances and depths; NaN outside of it."""
    product, frame = panel.product, panel.product.frame
    across = np.linspace(way[0], way[-1], min(columns, MOST_PIXELS[0]))
    increasing = np.maximum.accumulate(way) + np.arange(way.size) * 1e-9
    trace = np.interp(across, increasing, np.arange(way.size))
    depth = np.linspace(top, bottom, min(MOST_PIXELS[1], 4 * frame.height))
    known = np.flatnonzero(np.isfinite(product.surface_twtt_s))
    surface = np.interp(trace, known, product.surface_twtt_s[known])
    time = surface[None] + product.assumptions.medium.two_way_time(depth)[:, None]
    sample = (time - (frame.time_zero_s or 0.0)) / (frame.dt_s or np.nan)
    here, _ = frame.origin.to_origin().from_file(trace, np.zeros(trace.size))
    row, column = frame.framing.row_of(sample), frame.framing.column_of(here)
    places = np.stack(np.broadcast_arrays(row, column[None]))
    return np.asarray(map_coordinates(panel.grey.astype(np.float32), places, order=1, cval=np.nan))


def _limits(grey: np.ndarray) -> tuple[float, float]:
    known = grey[grey > 0]
    low, high = np.percentile(known if known.size else grey, _BRIGHTNESS)
    return float(low), float(max(high, low + 1))


def _draw_lines(axes: Axes, product: FrameProduct, way: np.ndarray) -> None:
    colour = STATUS_COLOUR[product.provenance.status]
    for horizon, depth in zip(product.horizons, product.depth_m, strict=True):
        drawn = np.flatnonzero(np.isfinite(depth))
        if not drawn.size:
            continue
        parts = np.split(drawn, np.flatnonzero(np.diff(drawn) > _SEAM_TRACES) + 1)
        strokes = [np.column_stack([way[part], depth[part]]) for part in parts if part.size > 1]
        width = 0.9 if horizon.label == "layer" else 1.3
        style = "solid" if horizon.label != "layer" or horizon.number > 0 else (0, (2, 1.5))
        axes.add_collection(LineCollection(strokes, colors=colour, linewidths=width, linestyles=style, alpha=0.9))


def _label_lines(axes: Axes, product: FrameProduct, years: bool) -> None:
    """Numbers or years beside the right end of the lines, as many as there is room for."""
    bottom, top = axes.get_ylim()
    room, last = _LABEL_ROOM * (bottom - top), -np.inf
    whole = max(product.depth_m.shape[1] // 20, 2)
    for horizon, year, depth in zip(product.horizons, product.years, product.depth_m, strict=True):
        near = depth[-whole:]
        if (
            not np.isfinite(near).any()
            or horizon.label == "surface"
            or (horizon.label == "layer" and horizon.number < 1)
        ):
            continue
        place = float(near[np.isfinite(near)][-1])
        if place - last < room and horizon.label == "layer":
            continue
        name = (
            horizon.label
            if horizon.label != "layer"
            else f"{year:.0f}"
            if years and np.isfinite(year)
            else str(horizon.number)
        )
        axes.annotate(
            name, (1.0, place), xycoords=("axes fraction", "data"), xytext=(2, 0), textcoords="offset points", va="center",
            fontsize=SMALL_POINTS - 0.5, annotation_clip=False,
        )  # fmt: skip
        last = place


def _time_axis(axes: Axes, product: FrameProduct, place: float) -> None:
    """Two-way time below the surface, on a second axis right of the layers' names; it bends where the index does."""
    medium = product.assumptions.medium
    bottom = axes.get_ylim()[0]
    unit, per_second = ("µs", 1e6) if float(medium.two_way_time(bottom)) > 2e-6 else ("ns", 1e9)

    def time(depth: ArrayLike) -> np.ndarray:
        return medium.two_way_time(np.asarray(depth, float)) * per_second

    def depth(time: ArrayLike) -> np.ndarray:
        return medium.depth(np.asarray(time, float) / per_second)

    second = axes.secondary_yaxis(place, functions=(time, depth))
    second.set_ylabel(f"Two-way time below the surface ({unit})")


def _in_samples(axes: Axes, panel: Panel, lines: bool) -> None:
    """A frame that tells no travel times, as its picture is."""
    low, high = _limits(panel.grey)
    frame = panel.product.frame
    (left, right), (top, bottom) = (
        (float(edge[0]), float(edge[1]))
        for edge in (
            frame.framing.trace_of(np.array([-0.5, frame.width - 0.5])),
            frame.framing.sample_of(np.array([-0.5, frame.height - 0.5])),
        )
    )
    axes.imshow(panel.grey, extent=(left, right, bottom, top), aspect="auto", cmap="gray_r", vmin=low, vmax=high)
    if lines:
        colour = STATUS_COLOUR[panel.product.provenance.status]
        for sample in panel.product.sample:
            axes.plot(np.arange(sample.size), sample, color=colour, lw=0.9)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="Trace of the file", ylabel="Sample of the file")
