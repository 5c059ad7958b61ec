"""Framing: pixels of the picture and samples of the uploaded file lie to each other as cells of an even grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.documents.framing import Framing

SIZES = st.integers(2, 12_000)
SCALES = st.floats(0.25, 12, allow_nan=False)
OFFSETS = st.floats(-50, 9_000, allow_nan=False)


@given(OFFSETS, SCALES, OFFSETS, SCALES, SIZES, SIZES)
def test_a_pixel_comes_back_from_the_file_where_it_was(first_sample, per_row, first_trace, per_column, rows, columns):
    framing = Framing(
        first_sample=first_sample,
        samples_per_row=per_row,
        first_trace=first_trace,
        traces_per_column=per_column,
        rows=rows,
        columns=columns,
    )
    row, column = np.linspace(-0.5, rows - 0.5, 97), np.linspace(-0.5, columns - 0.5, 97)
    assert np.abs(framing.row_of(framing.sample_of(row)) - row).max() * per_row < 0.01
    assert np.abs(framing.column_of(framing.trace_of(column)) - column).max() * per_column < 0.01


def test_cells_lie_edge_to_edge_and_centres_on_centres():
    framing = Framing(first_sample=10, samples_per_row=4, first_trace=0, traces_per_column=7, rows=5, columns=3)
    assert framing.sample_of([0, 1]) == pytest.approx([11.5, 15.5])  # the middle of samples 10 to 13, and 14 to 17
    assert framing.trace_of(0) == pytest.approx(3)  # the middle of traces 0 to 6
    assert framing.row_of([9.5, 29.5]) == pytest.approx([-0.5, 4.5])  # the picture's upper and lower edge


def test_a_line_of_the_file_runs_through_the_picture_at_the_same_place():
    framing = Framing(first_sample=100, samples_per_row=2.5, traces_per_column=4, rows=80, columns=25)
    trace = np.arange(100.0)
    line = 120 + 0.9 * trace
    rows = framing.lines_on_picture(line[None])
    assert rows[0] == pytest.approx(framing.row_of(120 + 0.9 * framing.trace_of(np.arange(25))))


def test_a_gap_of_most_of_a_cell_is_a_gap_and_one_of_little_of_it_is_not():
    framing = Framing(traces_per_column=4, rows=50, columns=4)
    line = np.full(16, 20.0)
    line[4:7], line[8] = np.nan, np.nan
    assert np.isnan(framing.lines_on_picture(line[None])[0]).tolist() == [False, True, False, False]


def test_a_line_outside_the_window_is_not_on_the_picture():
    framing = Framing(first_sample=100, rows=50, columns=6)
    lines = np.array([[99, 99.4, 100, 149, 149.4, 150]])
    assert np.isnan(framing.lines_on_picture(lines)[0]).tolist() == [True, True, False, False, False, True]


def test_an_empty_or_turned_picture_is_no_framing():
    with pytest.raises(ValueError, match="samples_per_row"):
        Framing(samples_per_row=0, rows=5, columns=5)
    with pytest.raises(ValueError, match="traces_per_column"):
        Framing(traces_per_column=float("nan"), rows=5, columns=5)
