"""Predicted layers as a table of picks in the uploaded file: `<stem>.picks.csv`."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.placement import samples_in_file
from firnline.geometry import Label
from firnline.ice import metres_in_ice


class PickRow(NamedTuple):
    """Where one layer lies in one trace of the uploaded file; None where the file does not tell.

    layer : zero-based place of the polyline in the layers document, which is in order of depth; a layer that was traced
        in pieces has a number for each of them
    trace, sample : zero-based indices of the uploaded file, `sample` fractional; of a picture, column and row
    twtt_s : two-way travel time in seconds
    depth_m : metres of solid ice below the surface at this trace, negative above it
    """

    layer: int
    label: Label
    trace: int
    sample: float
    twtt_s: float | None
    depth_m: float | None
    latitude: float | None
    longitude: float | None
    confidence: float | None


def picks_rows(document: LayersDocument, frame: FrameDocument) -> Iterator[PickRow]:
    """One row for each layer and each trace of the uploaded file that it passes, layer by layer from above to below.

    `document` lies on the picture of `frame`. The surface that depths are counted from is the document's, and in traces
    where it has none, the file's own.
    """
    samples = samples_in_file(document, frame)
    twtt = two_way_times(samples, frame)
    surface = on_file(frame.surface_twtt_s, frame)
    for times, layer in zip(twtt, document.layers, strict=True):
        if layer.label == "surface":
            surface = np.where(np.isfinite(times), times, surface)
    depth = metres_in_ice(1.0) * (twtt - surface)
    latitude, longitude = on_file(frame.latitude, frame), on_file(frame.longitude, frame)
    for number, layer in enumerate(document.layers):
        passed = np.flatnonzero(np.isfinite(samples[number]))
        known = (_or_none(values[passed]) for values in (twtt[number], depth[number], latitude, longitude))
        places = zip(passed.tolist(), samples[number, passed].tolist(), *known, strict=True)
        for trace, sample, time, below, north, east in places:
            yield PickRow(number, layer.label, trace, sample, time, below, north, east, layer.confidence)


def picks_csv(document: LayersDocument, frame: FrameDocument) -> bytes:
    """`picks_rows` as CSV with a header: samples and depths to a thousandth, positions to a centimetre."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PickRow._fields)
    for row in picks_rows(document, frame):
        writer.writerow((
            row.layer, row.label, row.trace, f"{row.sample:.3f}", _text(row.twtt_s, ".9g"), _text(row.depth_m, ".3f"),
            _text(row.latitude, ".7f"), _text(row.longitude, ".7f"), _text(row.confidence, ".4g"),
        ))  # fmt: skip
    return text.getvalue().encode()


def two_way_times(samples: np.ndarray, frame: FrameDocument) -> np.ndarray:
    """Travel times (layers, file_traces) at samples of the file; NaN where it tells none."""
    if frame.dt_s is None or frame.time_zero_s is None:
        return np.full(samples.shape, np.nan)
    rows = frame.origin.to_origin().from_file(np.arange(frame.file_traces), samples)[1]
    return frame.time_zero_s + frame.dt_s * rows


def on_file(values: Sequence[float | None] | None, frame: FrameDocument) -> np.ndarray:
    """Values over the echogram's traces as (file_traces,), NaN where unknown."""
    found = np.full(frame.file_traces, np.nan)
    if values is not None:
        first = round(frame.origin.first_trace)
        found[first : first + frame.traces] = np.array(values, dtype=float)[: frame.file_traces - first]
    return found


def _or_none(values: np.ndarray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
