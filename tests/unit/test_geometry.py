"""Polylines, rows, their vertices, their order: also run in MXNet's environment (tests/mxnet/test_geometry.py)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firnline import geometry
from firnline.geometry import (
    BED,
    KINDS,
    LABELS,
    along_track,
    bridged,
    corners,
    dense_rows,
    depth_order,
    first_crossing,
    halved,
    kinds_of,
    majority_order,
    pieces,
    runs,
    simplified,
)

NAN = np.nan


# ------------------------------------------------------------------------------------------------ polylines and rows


def test_a_line_has_rows_between_its_ends_and_in_the_traces_that_these_lie_in() -> None:
    rows = dense_rows([[(0.6, 10), (2.4, 28)], np.array([[1.5, 4.0], [2.5, 4.0]]), []], 5)
    np.testing.assert_allclose(rows, [[NAN, 14, 24, NAN, NAN], [NAN, 4, 4, 4, NAN], [NAN] * 5])


def test_a_line_between_whole_traces_ends_at_them() -> None:
    np.testing.assert_array_equal(dense_rows([[(1, 10), (3, 14)]], 6), [[NAN, 10, 12, 14, NAN, NAN]])
    assert dense_rows([], 5).shape == (0, 5)


def test_pieces_are_parted_by_gaps_and_one_trace_is_none() -> None:
    row = np.array([1, 2, NAN, 4, 5, NAN, NAN, NAN, 9, NAN])
    assert [piece.tolist() for piece in pieces(row)] == [[0, 1], [3, 4]]
    assert [piece.tolist() for piece in pieces(row, longest_gap=1)] == [[0, 1, 3, 4]]
    assert [piece.tolist() for piece in pieces(row, longest_gap=3)] == [[0, 1, 3, 4, 8]]
    assert pieces(np.full(4, NAN)) == []


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_runs_are_those_of_the_mask_and_short_gaps_between_them_are_bridged(values: list[bool], gap: int) -> None:
    mask = np.array(values, dtype=bool)
    again = np.zeros_like(mask)
    for start, end in runs(mask):
        assert mask[start:end].all()
        again[start:end] = True
    np.testing.assert_array_equal(again, mask)
    wide = bridged(mask, gap)
    assert all(end - start > gap for start, end in runs(~wide) if start > 0 and end < mask.size)
    assert (wide >= mask).all()
    assert runs(wide)[:1] == [] if not mask.any() else runs(wide)[0][0] == np.flatnonzero(mask)[0]


def test_vertices_in_any_order_become_a_line_along_the_track() -> None:
    vertices = np.array([(63.0, 5.0), (40.0, 7.0), (40.0, 9.0), (0.0, 6.0)])
    assert along_track(vertices).tolist() == [[0, 6], [40, 8], [63, 5]]


def test_kinds_are_places_among_the_labels() -> None:
    assert [LABELS[kind] for kind in kinds_of(["bed", "surface", "layer"])] == ["bed", "surface", "layer"]
    assert KINDS["bed"] == BED == 2
    assert kinds_of([]).dtype == int


# ------------------------------------------------------------------------------------------------ fewer vertices


def split_where_it_strays(line: np.ndarray, tolerance: float) -> list[int]:
    """Douglas & Peucker (1973) as the books have it, one line and one part after the other."""
    kept, waiting = {0, len(line) - 1}, [(0, len(line) - 1)]
    while waiting:
        first, last = waiting.pop()
        x, y = line[first : last + 1].T
        off = np.abs(y - np.interp(x, x[[0, -1]], y[[0, -1]]))
        worst = int(off.argmax())
        if off[worst] > tolerance:
            kept.add(first + worst)
            waiting += [(first, first + worst), (first + worst, last)]
    return sorted(kept)


def drawn(seed: int, count: int, roughness: float, whole: bool) -> np.ndarray:
    rng = np.random.RandomState(seed)
    steps = rng.randint(1, 4, count) if whole else rng.uniform(0.1, 2, count)
    return np.column_stack([np.cumsum(steps), np.cumsum(rng.normal(0, roughness, count))])


lines = st.lists(
    st.builds(drawn, st.integers(0, 2**32 - 1), st.integers(2, 120), st.floats(0, 3), st.booleans()),
    min_size=1,
    max_size=4,
)
tolerances = st.sampled_from([0.0, 0.05, 0.25, 0.5, 2.0])


@given(lines, tolerances)
def test_all_lines_at_once_are_simplified_as_each_alone(lines: list[np.ndarray], tolerance: float) -> None:
    expected = [split_where_it_strays(line, tolerance) for line in lines]
    assert [places.tolist() for places in simplified(lines, tolerance)] == expected


@given(lines, tolerances)
def test_thinned_lines_have_fewer_vertices_and_stay_as_near(lines: list[np.ndarray], tolerance: float) -> None:
    for line, split, thin in zip(lines, simplified(lines, tolerance), simplified(lines, tolerance, thinned=True)):
        assert set(thin.tolist()) <= set(split.tolist())
        assert {0, len(line) - 1} <= set(thin.tolist())
        assert np.abs(np.interp(line[:, 0], *line[thin].T) - line[:, 1]).max() <= tolerance + 1e-9


def test_a_vertex_that_later_ones_made_needless_is_dropped() -> None:
    rows = np.concatenate([np.linspace(10, 30, 100), np.linspace(30, 12, 60)])
    line = np.column_stack([np.arange(160), rows])
    assert len(simplified([line], 0.5, thinned=True)[0]) == 3
    assert simplified([], 0.5) == []
    assert simplified([line[:2], line[5:6]], 0.5)[0].tolist() == [0, 1]


def test_corners_leave_out_what_lies_on_the_line() -> None:
    assert corners(np.array([(0, 0), (1, 1), (2, 2), (4, 4), (5, 4), (6, 4.0)])).tolist() == [0, 3, 5]


@given(lines, st.integers(8, 300))
def test_halved_lines_are_few_enough_and_as_near_as_a_hand(lines: list[np.ndarray], together: int) -> None:
    fitted = halved(lines, each=together, together=together)
    if fitted is None:
        assert sum(map(len, lines)) > together
        return
    assert sum(map(len, fitted)) <= together
    for line, given_line in zip(fitted, lines):
        assert (line[[0, -1]] == given_line[[0, -1]]).all()
        off = np.abs(np.interp(given_line[:, 0], *line.T) - given_line[:, 1])
        assert off.max() <= geometry.COARSEST_TOLERANCE_PX


# ------------------------------------------------------------------------------------------------ order and crossing


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(4, 60))
def test_lines_that_do_not_cross_come_in_order_wherever_two_share_a_trace(seed: int, count: int, width: int) -> None:
    rng = np.random.RandomState(seed)
    rows = np.cumsum(rng.uniform(0.6, 5, (count, width)), axis=0) + rng.normal(0, 9, width) - 0.4
    for row in rows:
        left, right = sorted(rng.randint(0, width + 1, 2))
        row[:left] = row[right:] = NAN
    shuffled = rows[rng.permutation(count)]
    ordered = shuffled[depth_order(shuffled)]
    assert first_crossing(ordered) is None
    lines = [row for row in shuffled if np.isfinite(row).any()]
    assert len(majority_order(np.array(lines).reshape(-1, width))) == len(lines)


def test_lines_above_the_first_rows_centre_are_ordered_like_all_others() -> None:
    # Given a surface at row -0.3, whose sums are negative, and two lines that share ten traces, the upper one there
    # deeper elsewhere
    traces = np.arange(100)
    surface = np.full(100, -0.3)
    lower, upper = np.where(traces < 90, NAN, 80.0), np.where(traces < 90, 100.0, 70.0)
    # Then what they share decides, not their mean rows
    assert depth_order(np.array([lower, upper, surface])) == [2, 1, 0]


def test_where_lines_go_round_in_circles_their_mean_rows_decide() -> None:
    rows = np.array([[1.0, NAN, 9.0], [2.0, 5.0, NAN], [NAN, 6.0, 3.0]])
    assert majority_order(rows) == [1, 2, 0]
