"""From echo power to the 8-bit picture that people and the network look at."""

import io

import numpy as np
from PIL import Image

from firnline.limits import MAX_PICTURE_PIXELS

_LOW_PERCENTILE, _HIGH_PERCENTILE = 2.0, 99.7


def to_grey(power_db: np.ndarray) -> np.ndarray:
    """Scale echo power to 8 bits, bright = strong.

    Parameters
    ----------
    power_db : (samples, traces) array, decibels or any other scale of equal steps; NaN = no data

    Returns
    -------
    (samples, traces) uint8 array. The 2nd percentile of the finite values maps to 1, the 99.7th to 255; missing samples
    are 0. A frame without contrast becomes 128 wherever it has data.
    """
    power_db = np.asarray(power_db, dtype=np.float32)
    finite = np.isfinite(power_db)
    if not finite.any():
        raise ValueError("an echogram without a single finite sample has no picture")
    low, high = np.percentile(power_db[finite], [_LOW_PERCENTILE, _HIGH_PERCENTILE])
    if high <= low:
        return np.where(finite, 128, 0).astype(np.uint8)
    with np.errstate(invalid="ignore"):
        grey = np.clip(1 + (power_db - low) * (254.0 / (high - low)), 1, 255)
    return np.where(finite, np.rint(grey), 0).astype(np.uint8)


def encode_png(grey: np.ndarray) -> bytes:
    """PNG bytes of a (rows, columns) uint8 array or of a (rows, columns, 3) one."""
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG")
    return out.getvalue()


def decode_png(png: bytes) -> np.ndarray:
    """The (rows, columns) uint8 array of an echogram that Firnline wrote itself; refuses more than `MAX_PICTURE_PIXELS`."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if image.width * image.height > MAX_PICTURE_PIXELS:
            raise ValueError(
                f"{image.width} x {image.height} pixels are more than the {MAX_PICTURE_PIXELS} that an echogram may have"
            )
        return np.asarray(image.convert("L"))
