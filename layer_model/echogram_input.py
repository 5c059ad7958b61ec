"""What the network sees of an echogram: the same in training and in serving."""

from __future__ import annotations

import io
from typing import Tuple

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter1d

from firnline.limits import MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS

CHANNELS = 5
NEIGHBOURHOOD = 31
SMOOTHING = (5, 9)
ALONG = 257
"""Windows in pixels: square; (rows, traces); traces."""
CLEAR = 6
"""Rows about a pixel that belong to its own return."""
MULTIPLE = 16
_PNG = b"\x89PNG\r\n\x1a\n"


class EchogramError(ValueError):
    """The bytes are not an echogram that the model takes; the message says why, for people.

    `status` is the HTTP status that fits.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def decode_png(data: bytes) -> np.ndarray:
    """(rows, traces) uint8 array of an 8-bit grey PNG. Sizes are checked before pixels are decoded.

    Raises EchogramError.
    """
    data = bytes(data)
    if len(data) > MAX_PICTURE_BYTES:
        raise EchogramError(
            f"The image has {len(data)} bytes; at most {MAX_PICTURE_BYTES} are taken. Cut the frame along the track.",
            413,
        )
    if data[:8] != _PNG or data[12:16] != b"IHDR" or len(data) < 33:
        raise EchogramError("The body is not a PNG image. Send an 8-bit grey PNG as image/png.")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if width * height > MAX_PICTURE_PIXELS:
        raise EchogramError(
            f"The image has {width} x {height} pixels; at most {MAX_PICTURE_PIXELS} in all are taken. Cut the frame along the track.",
            413,
        )
    if (data[24], data[25]) != (8, 0):
        raise EchogramError(
            f"The PNG is not 8-bit grey (bit depth {data[24]}, colour type {data[25]}). Convert it to 8-bit grey first."
        )
    if width < 2 or height < 2:
        raise EchogramError(f"The image has {width} x {height} pixels; an echogram has at least 2 x 2.")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()  # or an older NumPy is handed what is left of a damaged picture, and says something else
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise EchogramError(f"The PNG is damaged and can't be decoded ({error}). Export it again.") from error


def normalise(grey: np.ndarray, channels: int = CHANNELS) -> np.ndarray:
    """Network input (channels, rows, traces) float32 of an echogram (rows, traces), grey levels 0..255; all five, or the
    first one or two, of:

    0. grey about its median, in units of the frame's 2nd to 98th percentile range;
    1. contrast against the neighbourhood (local contrast normalisation, Jarrett et al. 2009), which takes out gain
       differences between radars, range spreading and trace-to-trace gain;
    2. what lies above and 3. what lies below: grey against the brightest smoothed grey farther up or down the trace. A
       surface is the first strong return and a bed the last, which no neighbourhood tells;
    4. grey against its row's mean along the track: a transmitter's level lines vanish, the ground stays.
    """
    counts = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).histogram()
    low, middle, high = np.searchsorted(np.cumsum(counts), np.array([0.02, 0.5, 0.98]) * grey.size)
    scale = np.float32(2.0 / max(high - low, 16))
    values = np.asarray(grey, dtype=np.float32)
    image = np.empty((channels, *values.shape), np.float32)
    np.multiply(values - np.float32(middle), scale, out=image[0])
    if channels > 1:
        mean = box_mean(values, (NEIGHBOURHOOD, NEIGHBOURHOOD))
        deviation = np.sqrt(np.maximum(box_mean(values * values, (NEIGHBOURHOOD, NEIGHBOURHOOD)) - mean * mean, 0.0))
        np.divide(values - mean, deviation + np.float32(6.0), out=image[1])
    if channels > 2:
        smooth = box_mean(values, SMOOTHING)
        np.multiply(smooth - brightest_before(smooth), 2 * scale, out=image[2])
        np.multiply(smooth - brightest_before(smooth[::-1])[::-1], 2 * scale, out=image[3])
        np.multiply(values - uniform_filter1d(values, ALONG, axis=1, mode="nearest"), 2 * scale, out=image[4])
    return np.clip(image, -3.0, 3.0, out=image)


def box_mean(values: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Mean of `values` (rows, traces) float32 over boxes of `size` (rows, traces), both odd; edges mirrored.

    What `scipy.ndimage.uniform_filter` gives, which takes its time down the columns: here sums of 1, 2, 4, ... rows are
    added up, whole echograms at a time.
    """
    rows = size[0]
    power = np.pad(values, ((rows // 2, rows // 2), (0, 0)), mode="symmetric")
    total, span, taken = np.zeros_like(values), 1, 0
    while True:
        if rows & span:
            total += power[taken : taken + len(values)]
            taken += span
        if taken == rows:
            total /= np.float32(rows)
            return uniform_filter1d(total, size[1], axis=1, output=total)
        power = power[:-span] + power[span:]
        span *= 2


def brightest_before(values: np.ndarray) -> np.ndarray:
    """For each pixel the largest of `values` (rows, traces) more than `CLEAR` rows above it; 0 where there are none."""
    highest = np.zeros_like(values)
    for row in range(CLEAR, len(values)):
        np.maximum(highest[row - 1], values[row - CLEAR], out=highest[row])
    return highest


def prominence(image: np.ndarray, below: int, above: int, own: int, above_weight: float) -> np.ndarray:
    """`image` (rows, columns) float32 less its mean over `below` rows below, plus `above_weight` times the same against the
    `above` rows above; `own` rows either way belong to a pixel's own echo.
    """
    found = np.float32(1.0 + above_weight) * image
    found -= _mean_below(image, below, own)
    found -= np.float32(above_weight) * _mean_below(image[::-1], above, own + 1)[::-1]
    return found


def _mean_below(image: np.ndarray, window: int, skip: int) -> np.ndarray:
    """Mean of rows `row + skip` to `row + skip + window - 1`, the last row repeated."""
    total = np.pad(image, ((1, window + skip), (0, 0)), mode="edge")
    for above, row in zip(total, total[1:]):  # NumPy's cumsum goes down the columns one by one, at six times the time
        np.add(above, row, out=row)
    height = len(image)
    return (total[skip + window : skip + window + height] - total[skip : skip + height]) / np.float32(window)


def pad(image: np.ndarray, multiple: int = MULTIPLE) -> np.ndarray:
    """(C, rows, traces) padded at the bottom and right, with its edge, to multiples of `multiple`; itself if it fits."""
    down, right = (-image.shape[1]) % multiple, (-image.shape[2]) % multiple
    if not down and not right:
        return image
    return np.pad(image, ((0, 0), (0, down), (0, right)), mode="edge")
