"""What the network is given of an echogram, and what is no echogram."""

import numpy as np
import pytest
from conftest import png_of
from echogram_input import EchogramError, box_mean, brightest_before, decode_png, normalise, pad
from scipy.ndimage import uniform_filter

from firnline.limits import MAX_PICTURE_BYTES


def test_the_input_does_not_depend_on_gain(rng):
    grey = (60 + 20 * rng.standard_normal((64, 64))).clip(20, 110)
    one, other = normalise(np.rint(grey)), normalise(np.rint(2 * grey))
    assert np.abs(one - other).mean() < 0.15


def returns(traces=80):
    """Ice from row 30 to 60: a surface, scattering, a bed; dark air and noise; a transmitter's level line at row 8."""
    grey = np.full((90, traces), 20)
    grey[30:61] = 90
    for row in (8, 30, 60):
        grey[row - 2 : row + 3] = 220
    return grey


def test_the_first_return_has_nothing_bright_above_it_and_the_last_nothing_below():
    above, below = normalise(returns())[2:4, :, 40]
    assert above[8] > 1
    assert above[45] < 0
    assert below[60] > 1
    assert below[45] < 0
    assert abs(below[30]) < 0.1


def test_a_transmitters_level_line_vanishes_and_a_layer_that_moves_stays():
    grey = returns(600)
    rows = np.rint(45 + 10 * np.sin(np.arange(600) / 40.0)).astype(int)
    grey[rows, np.arange(600)] = 200
    level = normalise(grey)[4]
    assert abs(level[8]).max() < 0.1
    assert np.median(level[rows, np.arange(600)]) > 0.5


def test_the_brightest_before_leaves_a_returns_own_rows_out():
    values = np.arange(20, dtype=np.float32)[::-1, None]
    np.testing.assert_array_equal(brightest_before(values)[:, 0], [0] * 6 + [19] * 14)


@pytest.mark.parametrize("size", [(31, 31), (5, 9), (1, 3), (9, 1)])
@pytest.mark.parametrize("shape", [(2, 3), (7, 40), (64, 90)])
def test_a_box_mean_is_scipys(rng, shape, size):
    grey = rng.randint(0, 256, shape).astype(np.float32)
    np.testing.assert_array_equal(box_mean(grey, size), uniform_filter(grey, size))
    noise = rng.uniform(0, 255, shape).astype(np.float32)
    np.testing.assert_allclose(box_mean(noise, size), uniform_filter(noise, size), rtol=1e-6)


def test_padding_goes_on_with_the_edge_and_leaves_what_fits_alone():
    image = np.arange(2 * 17 * 16, dtype=np.float32).reshape(2, 17, 16)
    padded = pad(image)
    assert padded.shape == (2, 32, 16)
    np.testing.assert_array_equal(padded[:, 17:], np.repeat(image[:, -1:], 15, axis=1))
    assert pad(padded) is padded


@pytest.mark.parametrize("channels", [1, 2])
def test_fewer_channels_are_the_first_ones(rng, channels):
    grey = rng.randint(0, 255, (40, 50)).astype(np.uint8)
    np.testing.assert_array_equal(normalise(grey, channels), normalise(grey)[:channels])


def huge():
    head = bytearray(png_of(np.zeros((20, 30), np.uint8)))
    head[16:24] = (60000).to_bytes(4, "big") * 2
    return bytes(head)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"\x89PNG\r\n\x1a\n", 400),
        (b"x" * (MAX_PICTURE_BYTES + 1), 413),
        (huge(), 413),
        (png_of(np.zeros((20, 30, 3), np.uint8)), 400),
        (png_of(np.arange(600, dtype=np.uint8).reshape(20, 30))[:70], 400),
        (png_of(np.zeros((1, 30), np.uint8)), 400),
    ],
)
def test_what_is_no_echogram_is_refused_with_a_sentence(data, status):
    with pytest.raises(EchogramError, match=r"\.$") as refusal:
        decode_png(data)
    assert refusal.value.status == status
