"""The way between a radar frame's rows and columns and the samples and traces of the uploaded file."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Origin:
    """Where the samples of a `RadarFrame` lie in the file that it was read from.

    Frame positions are (trace, row), zero-based indices into `power_db`; file positions are (trace, sample), zero-based
    indices into the file's own echogram: of a picture, column and row as it is shown. Both are floats, whole at the
    middle of a pixel.

    first_trace, first_sample : file position of the frame's corner, where the margins of a figure were cut off
    sample_shift : (traces,) rows by which each trace lies lower in the frame than in the file, as after undoing an
        elevation correction; between traces it is interpolated
    sample_of_row : (rows,) growing; the file's sample at each row of a frame whose uneven fast time was resampled

    `sample = first_sample + sample_of_row(row - sample_shift[trace])`. Beyond their ends, `sample_shift` keeps its last
    value and `sample_of_row` its last step.
    """

    first_trace: float = 0.0
    first_sample: float = 0.0
    sample_shift: np.ndarray | None = None
    sample_of_row: np.ndarray | None = None

    def to_file(self, trace: np.ndarray | float, row: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """(trace, sample) in the file, float64, of positions in the frame; NaN stays NaN."""
        trace, row = np.broadcast_arrays(np.asarray(trace, np.float64), np.asarray(row, np.float64))
        place = row - self._shift(trace)
        if self.sample_of_row is not None:
            place = _along(place, np.arange(self.sample_of_row.size), self.sample_of_row)
        return trace + self.first_trace, place + self.first_sample

    def from_file(self, trace: np.ndarray | float, sample: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """(trace, row) in the frame, float64, of positions in the file: the inverse of `to_file`."""
        trace, sample = np.broadcast_arrays(np.asarray(trace, np.float64), np.asarray(sample, np.float64))
        trace, place = trace - self.first_trace, sample - self.first_sample
        if self.sample_of_row is not None:
            place = _along(place, self.sample_of_row, np.arange(self.sample_of_row.size))
        return trace, place + self._shift(trace)

    def _shift(self, trace: np.ndarray) -> np.ndarray | float:
        if self.sample_shift is None:
            return 0.0
        return np.asarray(np.interp(trace, np.arange(self.sample_shift.size), self.sample_shift))


def _along(places: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`values` at `places`, straight between the `known` places (both growing) and on beyond their ends."""
    before = np.clip(np.searchsorted(known, places, side="right") - 1, 0, known.size - 2)
    step = (values[before + 1] - values[before]) / (known[before + 1] - known[before])
    return np.asarray(values[before] + (places - known[before]) * step)
