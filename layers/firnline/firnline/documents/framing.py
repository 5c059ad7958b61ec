"""Where the picture of an echogram lies on the uploaded file, and back.

The picture is what the network, the reviewer and the training share. It is cut and averaged from the file's echogram;
this module only says how its pixels and the file's samples correspond. `sampling` measures, `picture` averages.
"""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Framing(BaseModel):
    """An even grid of cells over an echogram: pixel (column, row) is the mean of one cell.

    The cell of row r reaches from sample edge `first_sample + r * samples_per_row` to the next one, where sample s
    reaches from edge s to edge s + 1; columns and traces likewise. So pixel centres and sample centres, both counted
    from zero, map onto each other exactly, as floats.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_sample: Finite = 0.0
    samples_per_row: Positive = 1.0
    first_trace: Finite = 0.0
    traces_per_column: Positive = 1.0
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]
    repeated: bool = False
    """The file draws each trace several times, so that all columns of a cell lie at the trace's own sample."""

    @property
    def is_identity(self) -> bool:
        return (self.first_sample, self.samples_per_row, self.first_trace, self.traces_per_column) == (0, 1, 0, 1)

    def trace_of(self, column: np.ndarray | float) -> np.ndarray:
        """Trace of the file at a column of the picture; floats."""
        return self.first_trace + (np.asarray(column, float) + 0.5) * self.traces_per_column - 0.5

    def sample_of(self, row: np.ndarray | float) -> np.ndarray:
        """Sample of the file at a row of the picture; floats."""
        return self.first_sample + (np.asarray(row, float) + 0.5) * self.samples_per_row - 0.5

    def column_of(self, trace: np.ndarray | float) -> np.ndarray:
        """Column of the picture at a trace of the file; floats."""
        return (np.asarray(trace, float) + 0.5 - self.first_trace) / self.traces_per_column - 0.5

    def row_of(self, sample: np.ndarray | float) -> np.ndarray:
        """Row of the picture at a sample of the file; floats."""
        return (np.asarray(sample, float) + 0.5 - self.first_sample) / self.samples_per_row - 0.5

    def cell_of(self, trace: np.ndarray | float) -> np.ndarray:
        """Column of the picture whose line passes a trace of the file: its own place, or its whole cell's where traces are
        repeated.
        """
        column = self.column_of(trace)
        return np.rint(column) if self.repeated else column

    def lines_on_picture(self, lines: np.ndarray) -> np.ndarray:
        """Lines (n, traces), a sample for each trace of the file, as (n, columns) rows of the picture; NaN in gaps.

        Where a column holds several traces, its row is the mean of theirs, at the column's middle; a column of less
        than half picked traces has none.
        """
        lines = np.atleast_2d(np.asarray(lines, float))
        if self.traces_per_column == 1.0 and float(self.first_trace).is_integer():
            taken = self.trace_of(np.arange(self.columns)).astype(int)
            inside = (taken >= 0) & (taken < lines.shape[1])
            rows = np.where(inside, self.row_of(lines[:, np.clip(taken, 0, lines.shape[1] - 1)]), np.nan)
        else:
            picked = np.isfinite(lines)
            sums = self._cell_sums(np.where(picked, lines, 0.0))
            share = self._cell_sums(picked.astype(float))
            middle = self._cell_sums(np.where(picked, np.arange(lines.shape[1]), 0.0))
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = sums / share
                # The mean of a partly picked cell lies off the cell's middle; the slope of the line corrects this.
                off = middle / share - self.trace_of(np.arange(self.columns))
            slope = np.gradient(mean, axis=1) / self.traces_per_column if self.columns > 1 else 0.0
            mean = np.where(np.isfinite(slope), mean - slope * off, mean)
            rows = np.where(share >= 0.5 * self.traces_per_column, self.row_of(mean), np.nan)
        return np.where((rows >= -0.5) & (rows <= self.rows - 0.5), rows, np.nan)

    def _cell_sums(self, values: np.ndarray) -> np.ndarray:
        """Integrals of `values` (n, traces) over the columns' cells; beyond the file's edge there is nothing."""
        total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
        edges = np.clip(self.first_trace + np.arange(self.columns + 1) * self.traces_per_column, 0, values.shape[1])
        at = np.array([np.interp(edges, np.arange(total.shape[1]), row) for row in total])
        return np.diff(at, axis=1)
