"""From the products of a segment's frames to numbers of layers that hold along the segment, and back into the products."""

from dataclasses import replace

import numpy as np

from firnline.errors import Refused
from firnline.products.frame_product import FrameProduct
from firnline.products.horizons import BED_NUMBER
from firnline.products.segment import FrameLines, SegmentLayers, frame_lines

_NEAREST = 0.5
"""Of the way to the next line within which a line is still the one that a place was said to be on."""


def lines_of(product: FrameProduct) -> FrameLines:
    """What a frame's internal layers show to its neighbours: in seconds below the surface, or where the file tells no times
    in samples."""
    layers = layer_rows(product)
    timed = np.isfinite(product.twtt_s).any()
    lines = product.twtt_s if timed else product.sample
    surface = product.surface_twtt_s if timed else _surface_sample(product)
    known = np.flatnonzero(np.isfinite(surface))
    traces = np.arange(surface.size)
    level = np.interp(traces, known, surface[known]) if known.size else np.zeros(surface.size)
    off = product.pick_error_rows.standard_deviation * product.frame.framing.samples_per_row
    off = off * ((product.frame.dt_s or 1.0) if timed else 1.0)
    of_line = np.array([np.median(off[line][np.isfinite(lines[line])]) for line in layers])
    return frame_lines(product.frame_id, lines[layers] - level, of_line, product.latitude, product.longitude)


def layer_rows(product: FrameProduct) -> np.ndarray:
    """Which of the product's lines are internal layers, drawn somewhere where the file tells their place."""
    timed = np.isfinite(product.twtt_s).any()
    drawn = np.isfinite(product.twtt_s if timed else product.sample).any(axis=1)
    return np.flatnonzero((product.labels == "layer") & drawn)


def numbered(product: FrameProduct, layers: SegmentLayers, lines: FrameLines) -> FrameProduct:
    """The product with the numbers of its layers along the segment; `lines` as `lines_of` gave them."""
    numbers = layers.numbers[product.frame_id]
    joins = {join.line: join.confidence for join in layers.joins if join.frame == product.frame_id}
    rows = layer_rows(product)
    found = {int(rows[row]): line for line, pieces in enumerate(lines.pieces) for row in pieces}
    uncounted = BED_NUMBER
    horizons = list(product.horizons)
    for place, horizon in enumerate(horizons):
        if horizon.label != "layer":
            continue
        line = found.get(place)
        if line is not None and numbers[line]:
            horizons[place] = horizon.along(int(numbers[line]), joins.get(line, np.nan))
        else:
            uncounted -= 1
            horizons[place] = horizon.along(uncounted, np.nan)
    return replace(product, horizons=horizons, numbering="segment")


def place_on(product: FrameProduct, number: int) -> str:
    """`<stem>:<trace>:<sample>` of a place on the longest line of a number within the frame; `Refused` if there is none."""
    rows = [place for place in layer_rows(product) if product.horizons[place].in_frame == number]
    if not rows:
        has = sorted({product.horizons[place].in_frame for place in layer_rows(product)})
        told = f"it has {has[0]} to {has[-1]}" if has else "it has none"
        raise Refused(f"{product.frame_id} has no layer {number}: {told}, counted within the frame (column `number`).")
    sample = max((product.sample[row] for row in rows), key=lambda line: int(np.isfinite(line).sum()))
    drawn = np.flatnonzero(np.isfinite(sample))
    trace = int(drawn[drawn.size // 2])
    return f"{product.stem}:{trace}:{sample[trace]:.2f}"


def line_at(product: FrameProduct, lines: FrameLines, place: str) -> int | None:
    """The line that passes a place as `place_on` gives it; None where none does any more."""
    _, trace_text, sample_text = place.split(":")
    trace, sample = int(trace_text), float(sample_text)
    rows = layer_rows(product)
    if trace >= product.frame.file_traces:
        return None
    apart = np.abs(product.sample[rows, trace] - sample)
    if not np.isfinite(apart).any():
        return None
    nearest = int(np.nanargmin(apart))
    others = np.abs(np.delete(product.sample[rows, trace], nearest) - product.sample[rows[nearest], trace])
    room = float(np.nanmin(others)) if np.isfinite(others).any() else np.inf
    return lines.line_of(nearest) if apart[nearest] <= _NEAREST * room else None


def _surface_sample(product: FrameProduct) -> np.ndarray:
    drawn = product.sample[product.labels == "surface"]
    return drawn[0] if len(drawn) else np.full(product.frame.file_traces, np.nan)
