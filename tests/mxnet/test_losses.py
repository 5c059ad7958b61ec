import losses
import mxnet as mx
import numpy as np
import pytest

NAN = np.nan


def test_a_line_becomes_a_narrow_soft_ridge():
    target, weight = losses.draw_targets(np.array([[5.0, 5.5]]), [1], True, 12)
    assert target[1, :, 0].argmax() == 5
    assert target[1, 5, 0] == 1.0
    assert target[1, 5, 1] == pytest.approx(target[1, 6, 1]) == pytest.approx(np.exp(-0.125))
    assert not target[[0, 2]].any()
    assert (weight[:2] == 1).all()
    assert (weight[2] == np.float32(losses.ABSENT_BED_WEIGHT)).all()


def test_pairs_of_traces_become_one_column_and_gaps_are_left_out():
    columns = losses.columns_of(np.array([[4.0, 6.0, 3.0, NAN, NAN]]), 2)
    np.testing.assert_array_equal(columns, [[5, 3, NAN]])


def test_a_partial_annotation_vouches_for_a_band_and_half_for_the_rest_of_a_drawn_trace():
    target, weight = losses.draw_targets(np.array([[10.0, NAN]]), [1], False, 30, band=3)
    np.testing.assert_array_equal(np.flatnonzero(weight[1, :, 0] == 1.0), range(7, 14))
    assert (weight[1, :, 0] >= losses.DOUBT).all()
    np.testing.assert_array_equal(np.flatnonzero(weight[2, :, 0]), range(7, 14))
    assert not weight[:, :, 1].any()
    assert target[1, 10, 0] == 1.0


def test_a_drawn_surface_vouches_for_the_air_above_it_and_that_there_is_no_other_surface():
    _, weight = losses.draw_targets(np.array([[10.0]]), [0], False, 30, band=3)
    assert weight[0].all()
    np.testing.assert_array_equal(np.flatnonzero(weight[1, :, 0]), range(14))


def test_a_surface_without_a_bed_says_nothing_of_a_bed_that_lies_on_it():
    _, weight = losses.draw_targets(np.array([[10.0]]), [0], False, 30, band=3)
    np.testing.assert_array_equal(np.flatnonzero(weight[2, :, 0]), range(7))
    target, weight = losses.draw_targets(np.array([[10.0], [11.0]]), [0, 2], False, 30, band=3)
    assert weight[2].all()
    assert target[2, 11, 0] == 1.0


def test_a_drawn_bed_vouches_for_what_lies_below_it():
    _, weight = losses.draw_targets(np.array([[10.0]]), [2], False, 30, band=3)
    assert weight[2].all()
    np.testing.assert_array_equal(np.flatnonzero(weight[1, :, 0]), range(7, 30))


def test_lines_beyond_the_edge_are_no_error():
    target, _ = losses.draw_targets(np.array([[-2.0], [40.0]]), [0, 2], True, 30)
    assert target[0, 0, 0] > 0
    assert not target[2].any()


def entropy(logits, target, weight, balance=0.5):
    return float(
        losses.balanced_cross_entropy(*(mx.nd.array(a) for a in (logits, target, weight)), balance=balance).asscalar()
    )


def test_balanced_entropy_by_hand():
    # One ridge pixel in four, all logits 0: entropy ln 2 everywhere, whatever the weights; weights sum to 3 + sqrt(3).
    target = np.zeros((1, 1, 2, 2))
    target[0, 0, 0, 0] = 1
    total = 3 + np.sqrt(3)
    assert entropy(np.zeros((1, 1, 2, 2)), target, np.ones((1, 1, 2, 2))) == pytest.approx(
        np.log(2) * total / (total + 1), rel=1e-5
    )


def test_a_missed_ridge_costs_more_than_a_false_one_of_the_same_size():
    target = np.zeros((1, 1, 4, 4))
    target[0, 0, 0, 0] = 1
    sure = np.where(target > 0, 5.0, -5.0)
    missed, false = sure.copy(), sure.copy()
    missed[0, 0, 0, 0] = -5
    false[0, 0, 2, 2] = 5
    ones = np.ones_like(target)
    assert entropy(missed, target, ones) > entropy(false, target, ones) > entropy(sure, target, ones)


def test_what_nobody_vouches_for_costs_nothing():
    target, weight = np.zeros((1, 3, 4, 4)), np.zeros((1, 3, 4, 4))
    assert entropy(np.full((1, 3, 4, 4), 9.0), target, weight) == 0.0
    weight[0, 1, :2] = 1
    quiet = np.full((1, 3, 4, 4), -9.0)
    loud = quiet.copy()
    loud[0, 1, 2:] = 9.0
    assert entropy(quiet, target, weight) == entropy(loud, target, weight)


def test_side_outputs_are_supervised_at_their_own_scale():
    target, weight = mx.nd.zeros((1, 3, 8, 8)), mx.nd.ones((1, 3, 8, 8))
    target[0, 1, 3, 3] = 1
    fused, right, wrong = mx.nd.zeros((1, 3, 8, 8)), mx.nd.zeros((1, 3, 4, 4)), mx.nd.zeros((1, 3, 4, 4))
    right[0, 1, 1, 1], wrong[0, 1, 2, 2] = 4, 4
    losses_of = [
        float(losses.deep_supervision_loss([fused, side], target, weight).asscalar()) for side in (right, wrong)
    ]
    assert losses_of[0] < losses_of[1]
