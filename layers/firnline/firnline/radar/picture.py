"""From an echogram at its own size and sampling to the picture of it, by steps that are measured and written down."""

from dataclasses import dataclass, field

import numpy as np

from firnline.documents.framing import Framing
from firnline.documents.polarity import PICTURE_FORMATS
from firnline.limits import MAX_PICTURE_PIXELS, MAX_PICTURE_ROWS
from firnline.radar.radar_frame import RadarFrame
from firnline.radar.sampling import Extent, TraceGrid, echo_extent, filled, samples_per_row, trace_grid

MARGIN_ROWS = 48
"""Rows of noise that are kept above the first and below the last echo: the network takes a surface for the first strong
return of a trace, and a bed for the last."""

_WORTH_CUTTING = 0.8
"""A cut that keeps more than this share of the samples is not made."""
_FEWEST_ROWS, _FEWEST_COLUMNS = 64, 16
_SAME_TRACE = 1.5
"""A file with fewer columns a trace than this keeps its columns."""
_COLUMNS_AT_ONCE = 64
_DISAGREE = 3.0


@dataclass(frozen=True)
class Picture:
    """`power_db` (rows, columns) float32, NaN = no data; `notes` say what was done, for people."""

    power_db: np.ndarray
    framing: Framing
    notes: list[str] = field(default_factory=list)


PICTURE_DECIBELS = 40.0
"""Decibels that the range of greys of an uploaded picture is taken for: no picture tells its own."""


def picture_of(frame: RadarFrame) -> Picture:
    """The picture of a radar frame, whatever kind of file it came in."""
    step = 1.0
    if frame.format in PICTURE_FORMATS:
        low, high = np.nanpercentile(frame.power_db, [2, 99.7])
        step = PICTURE_DECIBELS / float(high - low)
    pulse = 1 / (frame.bandwidth_hz * frame.dt_s) if frame.bandwidth_hz and frame.dt_s else None
    return make_picture(frame.power_db, step, pulse)


def make_picture(power_db: np.ndarray, decibels_per_step: float = 1.0, pulse_samples: float | None = None) -> Picture:
    """Trim an echogram to its echo, and scale it so that a trace is one column and a pulse as wide as the network knows.

    Parameters
    ----------
    power_db : (samples, traces), in equal steps; NaN = no data
    decibels_per_step : decibels in a step of `power_db`, since averages are taken of power
    pulse_samples : width of the pulse in samples as the file's bandwidth tells it, where it does
    """
    samples, traces = power_db.shape
    notes: list[str] = []
    whole = filled(power_db)
    if whole.size == 0:
        whole = np.nan_to_num(power_db.astype(np.float32), nan=float(np.nanmedian(power_db)))
    grid = trace_grid(whole)
    if grid.width < _SAME_TRACE or traces / grid.width < _FEWEST_COLUMNS:
        grid = TraceGrid()
    per_column = grid.width
    if per_column > 1:
        notes.append(f"each independent trace takes {per_column:.2f} columns of the file: averaged to one")
    extent = echo_extent(power_db)
    part = _merged(whole[extent.top : extent.bottom], grid, decibels_per_step)
    per_row, why = samples_per_row(part)
    del whole, part
    if pulse_samples and per_row > _DISAGREE * max(1.0, pulse_samples):
        notes.append(f"the bandwidth that the file tells makes a pulse of {pulse_samples:.2f} samples, far fewer")
    top, bottom = _window(extent, samples, per_row)
    if bottom - top < samples:
        notes.append(f"trimmed to the echo: samples {top} to {bottom - 1} of {samples}")
    per_row = min(per_row, max(1.0, (bottom - top) / _FEWEST_ROWS))
    if per_row > 1:
        notes.append(f"{per_row:.2f} samples averaged into a row in power, since {why}")
    if (bottom - top) / per_row > MAX_PICTURE_ROWS:
        per_row = (bottom - top) / MAX_PICTURE_ROWS
        notes.append(f"{per_row:.2f} samples averaged into a row, to stay within {MAX_PICTURE_ROWS:,} rows")
    columns = max(2, round((traces - grid.first) / per_column))
    rows = max(2, round((bottom - top) / per_row))
    if rows * columns > MAX_PICTURE_PIXELS:
        notes.append(
            f"averaged further along the track, from {columns} columns, to stay within "
            f"{MAX_PICTURE_PIXELS // 1_000_000} million pixels"
        )
        columns = max(2, MAX_PICTURE_PIXELS // rows)
        per_column = (traces - grid.first) / columns
    framing = Framing(
        first_sample=float(top),
        samples_per_row=per_row,
        first_trace=grid.first,
        traces_per_column=per_column,
        rows=rows,
        columns=columns,
        repeated=grid.repeated and per_column == grid.width,
    )
    return Picture(averaged(power_db, framing, decibels_per_step), framing, notes)


def _window(extent: Extent, samples: int, per_row: float) -> tuple[int, int]:
    margin = int(np.ceil(MARGIN_ROWS * per_row))
    top, bottom = max(0, extent.top - margin), min(samples, extent.bottom + margin)
    short = int(_FEWEST_ROWS * per_row) - (bottom - top)
    if short > 0:
        top, bottom = max(0, top - short), min(samples, bottom + short)
    return (top, bottom) if bottom - top < _WORTH_CUTTING * samples else (0, samples)


def _merged(power_db: np.ndarray, grid: TraceGrid, decibels_per_step: float) -> np.ndarray:
    if grid.width == 1:
        return power_db
    columns = int((power_db.shape[1] - grid.first) / grid.width)
    framing = Framing(rows=len(power_db), columns=columns, first_trace=grid.first, traces_per_column=grid.width)
    return filled(averaged(power_db, framing, decibels_per_step))


def averaged(power_db: np.ndarray, framing: Framing, decibels_per_step: float = 1.0) -> np.ndarray:
    """The picture (rows, columns) float32 of an echogram (samples, traces): the mean power of each pixel's cell.

    Cells cut samples at their edges in proportion. Samples without data and what lies beyond the file's edge have no
    weight; a cell with less than half of its area in data is NaN.
    """
    whole_cells = framing.samples_per_row == framing.traces_per_column == 1.0
    if whole_cells:
        top, left = int(framing.first_sample), int(framing.first_trace)
        return np.asarray(power_db[top : top + framing.rows, left : left + framing.columns], np.float32)
    samples, traces = power_db.shape
    sample_edges = framing.first_sample + np.arange(framing.rows + 1) * framing.samples_per_row
    trace_edges = framing.first_trace + np.arange(framing.columns + 1) * framing.traces_per_column
    picture = np.empty((framing.rows, framing.columns), np.float32)
    scale = np.float32(decibels_per_step * np.log(10) / 10)
    top, bottom = max(0, int(sample_edges[0])), min(samples, int(np.ceil(sample_edges[-1])))
    for start in range(0, framing.columns, _COLUMNS_AT_ONCE):
        edges = trace_edges[start : start + _COLUMNS_AT_ONCE + 1]
        left, right = max(0, int(edges[0])), min(traces, int(np.ceil(edges[-1])))
        block = np.asarray(power_db[top:bottom, left:right], np.float32) * scale
        finite = np.isfinite(block)
        # Powers are taken about the block's largest, so that float32 overflows for no unit of decibels.
        peak = block[finite].max() if finite.any() else np.float32(0)
        power = np.where(finite, np.exp(np.where(finite, block - peak, 0)), 0)
        weighted = _cells(_cells(power, sample_edges - top, 0), edges - left, 1)
        weight = _cells(_cells(finite.astype(np.float32), sample_edges - top, 0), edges - left, 1)
        area = np.outer(
            np.diff(np.clip(sample_edges - top, 0, bottom - top)), np.diff(np.clip(edges - left, 0, right - left))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (np.log(weighted / weight) + peak) / scale
        picture[:, start : start + part.shape[1]] = np.where(
            (weight >= 0.5 * area) & (weight > 0) & np.isfinite(part), part, np.nan
        )
    return picture


def _cells(values: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """Integrals of `values` along an axis between `edges`, given in samples; beyond the array there is nothing."""
    length = values.shape[axis]
    if np.array_equal(edges, np.arange(length + 1)):
        return values
    total = np.cumsum(values, axis=axis, dtype=np.float64)
    zero = np.zeros_like(np.take(total, [0], axis=axis))
    total = np.concatenate([zero, total], axis=axis)
    edges = np.clip(edges, 0, length)
    below = np.minimum(edges.astype(int), length - 1)
    part = edges - below
    part = part[:, None] if axis == 0 else part[None, :]
    at = np.take(total, below, axis=axis) * (1 - part) + np.take(total, below + 1, axis=axis) * part
    return np.diff(at, axis=axis)
