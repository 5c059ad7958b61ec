"""From a radar frame's rows to the samples of the uploaded file, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firnline.documents.origin import Origin
from firnline.radar.formats import read_frame
from tests.support.ingest_files import DT, START, cresis_variables, echoes, impdar, mat5

_POSITIONS = st.floats(-1e4, 1e5)


def test_without_anything_done_positions_stay() -> None:
    trace, sample = Origin().to_file([0.0, 2.5], [7.0, np.nan])
    np.testing.assert_array_equal(trace, [0, 2.5])
    np.testing.assert_array_equal(sample, [7, np.nan])


def test_cut_margins_shifts_and_uneven_rows_by_hand() -> None:
    assert Origin(first_trace=40, first_sample=25).to_file(1, 2) == (41, 27)
    assert Origin(sample_shift=np.array([3.0, 0.0])).to_file([0, 0.5, 1], 10.0)[1].tolist() == [7, 8.5, 10]
    uneven = Origin(sample_of_row=np.array([0.0, 0.5, 2.0]))
    assert uneven.to_file(0, [-1, 0.5, 1.5, 3])[1].tolist() == [-0.5, 0.25, 1.25, 3.5]


@given(
    trace=arrays(float, 5, elements=_POSITIONS),
    row=arrays(float, 5, elements=_POSITIONS),
    corner=st.tuples(st.integers(0, 900), st.integers(0, 900)),
    shift=st.none() | arrays(float, 4, elements=st.integers(-300, 300)),
    steps=st.none() | arrays(float, 6, elements=st.floats(0.05, 20)),
)
def test_every_way_there_leads_back(
    trace: np.ndarray, row: np.ndarray, corner: tuple[int, int], shift: np.ndarray | None, steps: np.ndarray | None
) -> None:
    origin = Origin(*corner, shift, None if steps is None else np.cumsum(steps))
    back = origin.from_file(*origin.to_file(trace, row))
    np.testing.assert_allclose(back, (trace, row), atol=1e-6)
    there = origin.to_file(*origin.from_file(trace, row))
    np.testing.assert_allclose(there, (trace, row), atol=1e-6)


def test_an_undone_elevation_correction_leads_back_to_the_file() -> None:
    kept = echoes(25, 18)[5:]
    correction = np.array([3.0, 0] + [1] * 16)
    frame = read_frame(
        mat5(
            cresis_variables(
                kept,
                Time=START + DT * np.arange(40),
                Truncate_Bins=np.arange(6, 26.0),
                Elevation_Correction=correction,
            )
        )
    )
    rows, traces = np.nonzero(np.isfinite(frame.power_db))
    of_file = np.asarray(frame.origin.to_file(traces, rows)).astype(int)
    np.testing.assert_allclose(frame.power_db[rows, traces], kept[of_file[1], of_file[0]], atol=1e-4)
    assert frame.file_shape == kept.shape
    assert frame.missing_samples == 0


def test_resampled_rows_lead_back_to_the_file() -> None:
    travel_time = 4e-3 * np.concatenate([[0], np.arange(64)[1:] + 0.5])
    frame = read_frame(impdar(travel_time=travel_time))
    _, sample = frame.origin.to_file(0, np.arange(len(frame.power_db)))
    np.testing.assert_allclose(np.interp(sample, np.arange(64), travel_time * 1e-6), 4e-9 * np.arange(sample.size))
    assert frame.file_shape == (64, 30)


@pytest.mark.parametrize("rows", [np.arange(3.0), np.zeros((4, 7))])
def test_shapes_are_kept(rows: np.ndarray) -> None:
    assert Origin(sample_of_row=np.arange(5.0)).from_file(0, rows)[1].shape == rows.shape
