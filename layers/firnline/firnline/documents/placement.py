"""Layers between the picture, on which they are drawn, and the uploaded file, in which they are wanted."""

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layer_lines import as_layers
from firnline.documents.layers import ImageSize, LayersDocument, order_by_depth
from firnline.geometry import BEYOND_ITS_END


def rows_on_picture(samples: np.ndarray, frame: FrameDocument) -> np.ndarray:
    """Lines (n, file_traces) of samples of the uploaded file as (n, width) rows of the picture; NaN in gaps."""
    origin = frame.origin.to_origin()
    _, rows = origin.from_file(np.arange(frame.file_traces, dtype=float), np.atleast_2d(samples))
    first = round(origin.first_trace)
    echogram = np.full((len(rows), frame.traces), np.nan)
    from_, to = max(0, first), min(frame.file_traces, first + frame.traces)
    echogram[:, from_ - first : to - first] = rows[:, from_:to]
    return frame.framing.lines_on_picture(echogram)


def samples_in_file(document: LayersDocument, frame: FrameDocument) -> np.ndarray:
    """The layers of a picture as (layers, file_traces) samples of the uploaded file, a value for each trace that the
    line passes; NaN elsewhere.
    """
    origin, framing = frame.origin.to_origin(), frame.framing
    traces = np.arange(frame.file_traces, dtype=float) - origin.first_trace
    column, cell = framing.column_of(traces), framing.cell_of(traces)
    found = np.full((len(document.layers), frame.file_traces), np.nan)
    for samples, layer in zip(found, document.layers, strict=True):
        x, y = np.array([(vertex.x, vertex.y) for vertex in layer.vertices]).T
        # A column's cell belongs to the line whole, repeated traces at its edges included.
        inside = (column >= x[0] - BEYOND_ITS_END) & (column <= x[-1] + BEYOND_ITS_END)
        trace = np.flatnonzero(inside).astype(float)
        row = np.interp(cell[inside], x, y)
        samples[inside] = origin.to_file(trace - origin.first_trace, framing.sample_of(row))[1]
    return np.where((found >= -0.5) & (found <= frame.file_samples - 0.5), found, np.nan)


def on_picture(document: LayersDocument, frame: FrameDocument) -> LayersDocument:
    """A document that was drawn on the uploaded file, of `file_traces` x `file_samples`, as one of the picture.

    Raises ValidationError where layers that were apart in the file come to cross in the picture.
    """
    if frame.framing.is_identity and (frame.file_traces, frame.file_samples) == (frame.width, frame.height):
        return document.model_copy(update={"frame_id": frame.frame_id})
    rows = rows_on_picture(document.rows(), frame)
    layers = [part for row, layer in zip(rows, document.layers, strict=True) for part in as_layers(row, layer)]
    return LayersDocument(
        frame_id=frame.frame_id,
        image=ImageSize(width=frame.width, height=frame.height),
        source=document.source,
        coverage=document.coverage,
        confidence=document.confidence,
        layers=order_by_depth(layers, frame.width),
    )
