"""How drawings of several people agree, on tiny arrays, and what holds for any drawings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.geometry import LABELS
from firnline.review.agreement import Lines, agreement, by_layer, consensus, mean_agreement, pairs

NAN = np.nan


def lines(*rows, labels=None):
    drawn = np.array(rows, dtype=float).reshape(len(rows), -1)
    return Lines(drawn, tuple(labels or ["layer"] * len(rows)))


FLAT, NEAR, FAR = [10.0] * 8, [11.5] * 8, [14.0] * 8


def test_a_line_agrees_with_itself_and_with_one_that_is_near():
    assert agreement(lines(FLAT), lines(FLAT)) == 1
    assert agreement(lines(FLAT), lines(NEAR)) == 1
    assert agreement(lines(FLAT), lines(FAR)) == 0


def test_two_pixels_are_within_and_a_hair_more_is_not():
    assert agreement(lines([10.0, 10.0]), lines([12.0, 12.0001])) == 0.5


def test_a_line_that_only_one_has_lowers_the_agreement():
    both, one = lines(FLAT, FAR), lines(FLAT)
    assert agreement(both, one) == pytest.approx(2 * 8 / 24)
    assert [(layer.share, layer.traces) for layer in by_layer(both, one)] == [(1.0, 8), (None, 8)]
    assert [(layer.share, layer.traces) for layer in by_layer(one, both)] == [(1.0, 8), (None, 8)]


def test_lines_of_different_labels_are_different_layers():
    assert agreement(lines(FLAT, labels=["bed"]), lines(FLAT, labels=["surface"])) == 0


def test_nothing_agrees_with_nothing_and_not_with_something():
    nothing = Lines(np.zeros((0, 8)), ())
    assert agreement(nothing, nothing) == 1
    assert agreement(nothing, lines(FLAT)) == 0
    assert mean_agreement([nothing]) is None
    assert consensus([nothing, nothing]).agreed.rows.shape == (0, 8)


def test_lines_are_paired_so_that_most_traces_agree():
    """The best partner of the first line is the second one's only partner."""
    first = lines([10.0] * 8, [11.0] * 8)
    second = lines([12.0] * 5 + [30.0] * 3, [9.5] * 8)
    assert sorted((pair.first, pair.second, pair.within) for pair in pairs(first, second)) == [(0, 1, 8), (1, 0, 5)]


def test_two_people_agree_on_the_mean_where_both_drew():
    found = consensus([lines([10.0] * 11 + [NAN]), lines([NAN] + [11.0] * 11)])
    assert found.disputed == ()
    np.testing.assert_array_equal(found.agreed.rows, [[NAN] + [10.5] * 10 + [NAN]])


def test_a_layer_that_one_of_two_follows_much_farther_is_disputed_and_of_three_the_majority_decides():
    long, short = lines(FLAT), lines([10.0] * 5 + [NAN] * 3)
    assert consensus([long, short]).disputed == ((0, 0), (1, 0))
    found = consensus([long, short, short])
    np.testing.assert_array_equal(found.agreed.rows, [[10.0] * 5 + [NAN] * 3])
    assert (found.disputed, found.outvoted) == ((), ())


def test_three_people_agree_on_the_median_and_two_outvote_one():
    three = [lines(FLAT, [30.0] * 8), lines([10.5] * 8), lines([12.0] * 8)]
    found = consensus(three)
    np.testing.assert_array_equal(found.agreed.rows, [[10.5] * 8])
    assert (found.disputed, found.outvoted) == ((), ((0, 1),))


def test_three_who_see_a_layer_at_three_depths_have_not_voted_against_it():
    found = consensus([lines([10.0] * 8), lines([20.0] * 8), lines([30.0] * 8)])
    assert (len(found.agreed.rows), found.disputed, found.outvoted) == (0, ((0, 0), (1, 0), (2, 0)), ())
    two = consensus([lines(FLAT, [20.0] * 8), lines(FLAT, [30.0] * 8), lines(FLAT)])
    assert (len(two.agreed.rows), two.disputed) == (1, ((0, 1), (1, 1)))


def test_two_lines_of_one_person_that_are_the_same_layer_to_others_are_disputed():
    between = lines([11.5] * 7 + [10.0])  # agrees with both
    found = consensus([lines([10.0] * 8, [13.0] * 8), between, lines([13.0] * 8)])
    assert (len(found.agreed.rows), len(found.disputed), found.outvoted) == (0, 4, ())


def test_what_one_of_two_drew_is_disputed():
    found = consensus([lines(FLAT, [30.0] * 8), lines(FLAT)])
    assert (len(found.agreed.rows), found.disputed, found.outvoted) == (1, ((0, 1),), ())


def test_lines_that_touch_for_a_while_are_not_the_same_layer():
    found = consensus([lines([10.0] * 8), lines([10.0] * 4 + [20.0] * 4)])
    assert found.disputed == ((0, 0), (1, 0))


WIDTH = 6
ROW = st.lists(st.one_of(st.just(NAN), st.integers(0, 12).map(float)), min_size=WIDTH, max_size=WIDTH)


@st.composite
def drawings(draw):
    count = draw(st.integers(0, 4))
    rows = np.array(draw(st.lists(ROW, min_size=count, max_size=count)), dtype=float).reshape(count, WIDTH)
    return Lines(rows, tuple(draw(st.lists(st.sampled_from(LABELS), min_size=count, max_size=count))))


@given(drawings(), drawings())
def test_agreement_is_symmetric_and_a_share(first, second):
    assert agreement(first, second) == agreement(second, first)
    assert 0 <= agreement(first, second) <= 1


@given(drawings())
def test_every_drawing_agrees_with_itself(lines):
    assert agreement(lines, lines) == 1


@given(drawings(), drawings(), st.data())
def test_the_order_of_the_lines_says_nothing(first, second, data):
    order = data.draw(st.permutations(range(len(first.rows))))
    shuffled = Lines(first.rows[order], tuple(first.labels[index] for index in order))
    assert agreement(shuffled, second) == agreement(first, second)


@given(st.lists(drawings(), min_size=1, max_size=4), st.data())
def test_the_order_of_the_people_says_nothing(people, data):
    order = data.draw(st.permutations(range(len(people))))
    found, again = consensus(people), consensus([people[number] for number in order])
    assert mean_agreement(people) == (
        pytest.approx(mean_agreement([people[n] for n in order])) if len(people) > 1 else None
    )
    np.testing.assert_array_equal(found.agreed.rows, again.agreed.rows)
    assert found.agreed.labels == again.agreed.labels
    for one, other in ((found.disputed, again.disputed), (found.outvoted, again.outvoted)):
        drawn = sorted(_line(people[number], line) for number, line in one)
        assert drawn == sorted(_line(people[order[number]], line) for number, line in other)


@given(drawings(), st.integers(2, 4))
def test_people_who_drew_the_same_agree_on_all_of_it(lines, people):
    """Each line alone: two equal lines of one drawing, or one inside a gap of another, are nobody's fault."""
    for row, label in zip(lines.rows, lines.labels, strict=True):
        if np.isfinite(row).any():
            found = consensus([Lines(row[None], (label,))] * people)
            np.testing.assert_array_equal(found.agreed.rows, row[None])
            assert (found.disputed, found.outvoted) == ((), ())


@given(st.lists(drawings(), min_size=1, max_size=4))
def test_a_consensus_lies_between_what_people_drew(people):
    found = consensus(people)
    drawn = np.concatenate([lines.rows for lines in people])
    for row in found.agreed.rows:
        there = np.isfinite(row)
        assert (row[there] >= np.nanmin(drawn[:, there], axis=0)).all() if there.any() else True
        assert (row[there] <= np.nanmax(drawn[:, there], axis=0)).all() if there.any() else True


def _line(lines, index):
    return lines.rows[index].tobytes(), lines.labels[index]
