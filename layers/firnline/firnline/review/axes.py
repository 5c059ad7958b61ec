"""What the axes of an echogram's picture measure, for the reviewer's page."""

from typing import TypedDict

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.geodesy import distance_along


class Axes(TypedDict):
    """Of the picture that the reviewer sees: its columns and rows. None: not known."""

    trace_spacing_m: float | None
    sample_interval_s: float | None
    first_sample_s: float | None
    metres_per_sample: float | None


def axes_of(frame: FrameDocument) -> Axes:
    """Spacing of columns along the track, two-way travel time of a row and of row 0, and a row's thickness in ice."""
    first = None
    if frame.dt_s is not None and frame.time_zero_s is not None:
        first = frame.time_zero_s + float(frame.framing.sample_of(0)) * frame.dt_s
    spacing = _mean_spacing_m(frame)
    return Axes(
        trace_spacing_m=None if spacing is None else spacing * frame.framing.traces_per_column,
        sample_interval_s=None if frame.dt_s is None else frame.dt_s * frame.framing.samples_per_row,
        first_sample_s=first,
        metres_per_sample=frame.metres_per_row_ice,
    )


def _mean_spacing_m(frame: FrameDocument) -> float | None:
    """Length of the track over its traces, between the first and the last place that is known."""
    if frame.latitude is None or frame.longitude is None:
        return None
    along = distance_along(np.array(frame.latitude, float), np.array(frame.longitude, float))
    known = np.flatnonzero(np.isfinite(along))
    if known.size < 2 or along[known[-1]] <= 0:
        return None
    return float(along[known[-1]]) / float(known[-1] - known[0])
