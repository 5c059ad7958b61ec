"""The slope that a map shows, and the map averaged along it."""

import numpy as np
import pytest
import slope_field
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate1d, map_coordinates
from test_vectorise import X, ridge_map


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0, slope_field.SLOPES.steepest),
    st.sampled_from([(1,), (3,), (1, 3), (5,), (1, 3, 5), (7, 1)]),
)
def test_the_quick_average_is_the_plain_one_bit_for_bit(seed, height, width, steepest, steps):
    rng = np.random.RandomState(seed)
    image = rng.rand(height, width).astype(np.float32)
    blocks = (height + 1) // 2, (width + 1) // 2
    slope = rng.uniform(-steepest, steepest, blocks).astype(np.float32)
    plain = slope_field.plainly_averaged_along(image, slope, steps)
    np.testing.assert_array_equal(slope_field.averaged_along(image, slope, steps), plain)


def test_the_slope_of_a_layer_is_told_wherever_it_lies():
    rows = np.where(X < 64, 20 + 0.5 * X, 52 - 2.0 * (X - 64) / 4.0)
    slope = slope_field.slopes(ridge_map([(1, rows, 0.9)], 96, 128)[1])
    assert slope.shape == (48, 64)
    assert abs(slope[15, 10] - 0.5) < 0.1
    assert abs(slope[18, 47] + 0.5) < 0.1


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(40, 31), (1, 2)])
def test_weighted_sums_mirror_the_edges(rng, axis, shape):
    image = rng.rand(*shape).astype(np.float32)
    for weights in (slope_field.gaussian(), [0.2] * 5):
        expected = correlate1d(image, weights, axis)
        np.testing.assert_allclose(slope_field.weighted(image, weights, axis), expected, atol=1e-6)


def test_the_average_follows_the_slope():
    diagonal, flat = np.eye(16, dtype=np.float32), np.zeros((8, 8), np.float32)
    rising = slope_field.averaged_along(diagonal, flat + 1, (1, 3))
    assert abs(rising[8, 8] - 1.0) < 1e-5
    assert abs(rising[8, 9]) < 1e-5
    assert (
        abs(slope_field.averaged_along(diagonal, flat, (1, 3))[8, 8] - 1 / 9) < 1e-5
    )  # 9 columns, a point in each row


@pytest.mark.parametrize("shape", [(40, 64), (33, 51), (3, 4)])
def test_the_average_reads_between_the_rows_and_carries_the_edges_on(rng, shape):
    image = rng.rand(*shape).astype(np.float32)
    slope = rng.uniform(-5, 5, ((shape[0] + 1) // 2, (shape[1] + 1) // 2)).astype(np.float32)
    expected = image.astype(float)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for reach in (1, 3):
        moved = []
        for step in (-reach, reach):
            rise = slope_field.rise_along(slope, step).repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
            moved.append(map_coordinates(expected, [rows + rise, columns + step], order=1, mode="nearest"))
        expected = (expected + sum(moved)) / 3
    np.testing.assert_allclose(slope_field.plainly_averaged_along(image, slope, (1, 3)), expected, atol=1e-5)


@pytest.mark.parametrize("step", [-5, -3, 3, 5])
def test_a_path_follows_the_slope_round_a_bend(step):
    middle = 2 * np.arange(32) + 0.5  # of each column of blocks
    slope = np.tile((0.1 * (middle - 32)).astype(np.float32), (16, 1))  # of layers 0.05 (x - 32) ^ 2
    rise = 0.05 * ((middle + step - 32) ** 2 - (middle - 32) ** 2)
    assert np.abs(slope_field.rise_along(slope, step) - rise)[:, 1:-1].max() < 0.3  # a straight path misses by 1.25
    np.testing.assert_array_equal(slope_field.rise_along(slope, 1), slope)
