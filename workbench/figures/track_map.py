"""Tracks on a map in the polar stereographic projection of their hemisphere, coloured by what is known along them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import BboxBase
from pyproj import Transformer

from firnline.errors import Refused
from firnline.geodesy import wrapped
from firnline.portal.coastline import coasts
from firnline.products.frame_product import FrameProduct, Status
from firnline.products.track import projection_of
from workbench.figures.style import CONTINUOUS, SMALL_POINTS, STATUS_COLOUR, Width, caption, new_figure, styled

Colour = Literal["ice-thickness", "snow-depth", "accumulation", "confidence", "status"]
LABEL: dict[Colour, str] = {
    "ice-thickness": "Ice thickness (m)", "snow-depth": "Depth of the first layer (m)",
    "accumulation": "Accumulation (m w.e. a$^{-1}$)", "confidence": "Mean confidence", "status": "Status",
}  # fmt: skip
PROJECTION_NAME = {"EPSG:3413": "NSIDC Sea Ice Polar Stereographic North", "EPSG:3031": "Antarctic Polar Stereographic"}
_OF_SHELVES = {"EPSG:3413": "", "EPSG:3031": " (ice shelves as sea)"}
MOST_POINTS = 600
"""Of a frame's track on the map."""
_MARGIN = 0.12
_COLOUR_LIMITS = (2.0, 98.0)
_NICE = (1, 2, 5)
_BAR_SHARE = 0.3
_GRID_STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)
_GRID_LINES = 5
_GRID_POINTS = 200
_SEA, _COAST = "#e6eff5", "#6d7f8c"
_ON_WHITE = {"boxstyle": "square,pad=0.08", "facecolor": "white", "alpha": 0.75, "linewidth": 0}


@dataclass(frozen=True)
class MapLine:
    """A frame's track: latitude and longitude (points,), value (points,) of what it is coloured by, and its status."""

    latitude: np.ndarray
    longitude: np.ndarray
    value: np.ndarray
    status: Status


def map_line(product: FrameProduct, colour: Colour) -> MapLine | None:
    """What a map needs of a frame; None where it has no positions."""
    placed = np.flatnonzero(np.isfinite(product.latitude) & np.isfinite(product.longitude))
    if placed.size < 2:
        return None
    values = _values(product, colour)
    kept = placed[np.unique(np.linspace(0, placed.size - 1, min(placed.size, MOST_POINTS)).round().astype(int))]
    return MapLine(product.latitude[kept], product.longitude[kept], values[kept], product.provenance.status)


def _values(product: FrameProduct, colour: Colour) -> np.ndarray:
    if colour == "ice-thickness":
        return product.ice_thickness_m
    if colour == "snow-depth":
        return product.snow_depth_m
    if colour == "status":
        return np.zeros(product.latitude.size)
    lines = product.confidence if colour == "confidence" else product.accumulation_m_we_a
    known = np.isfinite(lines)
    sums = np.where(known, lines, 0.0).sum(axis=0)
    return np.divide(sums, known.sum(axis=0), out=np.full(lines.shape[1], np.nan), where=known.any(axis=0))


def track_map(lines: Sequence[MapLine], colour: Colour, statement: str, width: Width = "column") -> Figure:
    """The map of frames; `Refused` where none has a position, or nothing is known that they could be coloured by."""
    if not lines:
        raise Refused("No frame has positions, so there is no map: choose other frames.")
    if colour != "status" and not any(np.isfinite(line.value).any() for line in lines):
        raise Refused(
            f"No frame tells a value for '{colour}': choose another --colour, or say --surface-year for accumulation."
        )
    projection = projection_of(np.concatenate([line.latitude for line in lines]))
    to_plane = Transformer.from_crs("EPSG:4326", projection, always_xy=True)
    tracks = [np.column_stack(to_plane.transform(line.longitude, line.latitude)) / 1000.0 for line in lines]
    low, high = _framed(np.concatenate(tracks))
    figure = new_figure(width, 3.3 if width == "column" else 6.0)
    with styled():
        axes = figure.subplots()
        known = _land(axes, projection, low, high)
        names = _graticule(axes, to_plane, low, high)
        _draw(figure, axes, lines, tracks, colour)
        axes.set(
            xlim=(low[0], high[0]),
            ylim=(low[1], high[1]),
            aspect="equal",
            xlabel="Easting (km)",
            ylabel="Northing (km)",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.set_major_formatter("{x:g}")
        names.insert(0, _scale_bar(axes, low, high))
        coast = f" Coast{_OF_SHELVES[projection]}: Natural Earth." if known else ""
        caption(figure, f"{projection}, {PROJECTION_NAME[projection]}.{coast}\n{statement}")
        _leave_out_what_overlaps(figure, names)
    return figure


def _framed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a square around all points, with a margin."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    half = max(float((high - low).max()) * (0.5 + _MARGIN), 0.5)
    middle = (low + high) / 2
    return middle - half, middle + half


def _draw(figure: Figure, axes: Axes, lines: Sequence[MapLine], tracks: Sequence[np.ndarray], colour: Colour) -> None:
    if colour == "status":
        for line, track in zip(lines, tracks, strict=True):
            axes.plot(*track.T, color=STATUS_COLOUR[line.status], lw=1.6, solid_capstyle="round")
        shown = [status for status in STATUS_COLOUR if any(line.status == status for line in lines)]
        handles = [Line2D([], [], color=STATUS_COLOUR[status], lw=2, label=status) for status in shown]
        axes.legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1.0, 0.99), frameon=False, ncols=2, borderpad=0.1
        )
        return
    known = np.concatenate([line.value[np.isfinite(line.value)] for line in lines])
    limits = np.percentile(known, _COLOUR_LIMITS)
    for line, track in zip(lines, tracks, strict=True):
        axes.plot(*track.T, color="0.75", lw=0.8, zorder=1)
        pieces = np.stack([track[:-1], track[1:]], axis=1)
        means = (line.value[:-1] + line.value[1:]) / 2
        shown_pieces = np.isfinite(means)
        drawn = LineCollection(list(pieces[shown_pieces]), cmap=CONTINUOUS, linewidths=2.2, capstyle="butt", zorder=2)
        drawn.set_array(means[shown_pieces])
        drawn.set_clim(*limits)
        axes.add_collection(drawn)
    extend = "both" if known.min() < limits[0] and known.max() > limits[1] else "neither"
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)), extend=extend)
    bar.set_label(LABEL[colour])
    bar.outline.set_linewidth(0.5)


def _land(axes: Axes, projection: str, low: np.ndarray, high: np.ndarray) -> bool:
    """Coasts, with the sea in colour; False, and nothing drawn, where the map leaves what is known of them."""
    rings = coasts(projection).within(low, high)
    if rings is None:
        return False
    axes.set_facecolor(_SEA)
    drawn = PolyCollection(rings, facecolor="white", edgecolor=_COAST, linewidths=0.4, zorder=0)
    axes.add_collection(drawn, autolim=False)
    return True


def _graticule(axes: Axes, to_plane: Transformer, low: np.ndarray, high: np.ndarray) -> list[Annotation]:
    """Parallels and meridians, named where they leave the map; returns the names."""
    edge = np.linspace(0, 1, _GRID_POINTS)
    sides = [
        (edge, np.zeros_like(edge)),
        (edge, np.ones_like(edge)),
        (np.zeros_like(edge), edge),
        (np.ones_like(edge), edge),
    ]
    border = np.concatenate([np.column_stack(side) for side in sides]) * (high - low) + low
    grid = np.stack(np.meshgrid(edge[::10], edge[::10]), axis=-1).reshape(-1, 2) * (high - low) + low
    places = np.concatenate([border, grid]) * 1000.0
    east, north = to_plane.transform(places[:, 0], places[:, 1], direction="INVERSE")
    turned = np.degrees(np.angle(np.exp(1j * np.radians(east)).mean()))
    east = wrapped(east - turned) + turned
    names = []
    for values, is_parallel in ((north, True), (east, False)):
        step = next((one for one in _GRID_STEPS if np.ptp(values) / one <= _GRID_LINES), _GRID_STEPS[-1])
        for value in np.arange(np.ceil(values.min() / step), np.floor(values.max() / step) + 1) * step:
            other = np.linspace(
                *((east.min(), east.max()) if is_parallel else (north.min(), north.max())), _GRID_POINTS
            )
            along = (other, np.full_like(other, value)) if is_parallel else (np.full_like(other, value), other)
            x, y = (np.asarray(part) / 1000.0 for part in to_plane.transform(*along))
            axes.plot(x, y, color="0.8", lw=0.5, zorder=0)
            names += _name_line(axes, x, y, low, high, _degrees(value, step, is_parallel))
    return names


def _name_line(
    axes: Axes, x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray, name: str
) -> list[Annotation]:
    """At the right edge of the map if the line runs across it, and at the upper one if it runs up."""
    inside = np.flatnonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
    if inside.size < _GRID_POINTS // 10:
        return []
    across = np.ptp(x[inside]) >= np.ptp(y[inside])
    at = inside[np.argmax(x[inside] if across else y[inside])]
    written = axes.annotate(
        name, (x[at], y[at]), xytext=(-2, -1.5) if across else (2, -1.5), textcoords="offset points", va="top",
        ha="right" if across else "left", fontsize=SMALL_POINTS - 0.5, color="0.4", zorder=0, bbox=_ON_WHITE,
    )  # fmt: skip
    return [written]


def _leave_out_what_overlaps(figure: Figure, names: Sequence[Annotation]) -> None:
    """Take away names that lie on one before them, or reach out of the map."""
    figure.draw_without_rendering()  # where they lie is known only then
    edge, kept = figure.axes[0].bbox.padded(1), list[BboxBase]()
    for name in names:
        box = name.get_window_extent()
        within = box.x0 >= edge.x0 and box.x1 <= edge.x1 and box.y0 >= edge.y0 and box.y1 <= edge.y1
        if within and not any(box.overlaps(other) for other in kept):
            kept.append(box)
        else:
            name.remove()


def _degrees(value: float, step: float, is_parallel: bool) -> str:
    decimals = 0 if step >= 1 else 1 if step >= 0.1 else 2
    value = value if is_parallel else wrapped(value)
    letter = ("N" if value >= 0 else "S") if is_parallel else ("E" if value >= 0 else "W")
    return f"{abs(value):.{decimals}f}°{letter}"


def _scale_bar(axes: Axes, low: np.ndarray, high: np.ndarray) -> Annotation:
    """A bar of a round length, in the projection, which near the standard parallel is true to a percent; its name."""
    room = _BAR_SHARE * float(high[0] - low[0])
    power = 10.0 ** np.floor(np.log10(room))
    length = max(nice * power for nice in _NICE if nice * power <= room)
    left, level = low[0] + 0.05 * (high[0] - low[0]), low[1] + 0.05 * (high[1] - low[1])
    axes.plot([left, left + length], [level, level], color="black", lw=2.2, solid_capstyle="butt", zorder=3)
    name = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    return axes.annotate(
        name,
        (left + length / 2, level),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL_POINTS,
        bbox=_ON_WHITE,
    )
