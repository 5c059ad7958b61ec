"""Echograms that come as pictures: PNG, JPEG and TIFF, grey or RGB, 8, 16 or 32 bits, bright or dark = strong."""

import io
import warnings

import numpy as np
from PIL import Image

from firnline.errors import Refused
from firnline.radar.radar_frame import Polarity, RadarFrame, check_size

_FORMATS = ["PNG", "JPEG", "TIFF"]
_COLOURED_SHARE = 0.3
_CLEARLY_DARK = -0.25


def is_picture(content: bytes) -> bool:
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"))


def read_picture(content: bytes, polarity: Polarity | None = None) -> RadarFrame:
    """The frame in a picture; its greys stand for power in equal steps, as radar pictures are drawn in decibels.

    `polarity` overrides `guess_polarity`. `Refused` for bombs, for several pages, and where colours carry the power.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damage in metadata, which nothing here reads
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
            raise Refused(
                "The picture unpacks to far more pixels than can be read. Split it along the track and upload the parts."
            ) from bomb
        with image:
            check_size(image.height, image.width)
            if getattr(image, "is_animated", False):
                raise Refused("The picture has several pages; save the one with the echogram as a file of its own.")
            form, mode = (image.format or "").lower(), image.mode
            power = _power(image)
    notes = [f"{form} picture of mode {mode}: grey values taken as power in equal steps"]
    if polarity is None:
        polarity = guess_polarity(power)
        notes.append(f"polarity {polarity} found from the distribution of grey values")
    else:
        notes.append(f"polarity {polarity} as given with the upload")
    if polarity == "dark-strong":
        power = -power
        notes.append("inverted, so that bright is strong")
    return RadarFrame(power_db=power, format=form, polarity=polarity, transforms=notes)


def guess_polarity(grey: np.ndarray) -> Polarity:
    """Tell dark = strong from bright = strong.

    Strong echoes are few and stand out from a background that fills the air and the depths below the last echo: so the
    distribution has its tail, and the lower edge of the picture lies away from the mean, on opposite sides. Both are
    measured in standard deviations and added. Pictures of signed voltage are symmetric about their middle grey and stay
    as they are.
    """
    finite = np.isfinite(grey)
    values = grey[finite].astype(np.float64)
    if not values.size or values.std() == 0:
        return "bright-strong"
    mean, deviation = values.mean(), values.std()
    skewness = np.mean(((values - mean) / deviation) ** 3)
    depths = grey[-max(1, len(grey) // 8) :]
    depths = depths[np.isfinite(depths)]
    background = (mean - np.median(depths)) / deviation if depths.size else 0.0
    return "dark-strong" if skewness + background < _CLEARLY_DARK else "bright-strong"


def _power(image: Image.Image) -> np.ndarray:
    """(rows, columns) float32; transparent pixels are NaN."""
    if image.mode.startswith(("I", "F")):
        return np.asarray(image, dtype=np.float32)
    transparent = None
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        transparent, rgb = rgba[..., 3] == 0, rgba[..., :3]
    elif image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32)
    else:
        rgb = np.asarray(image.convert("RGB"))
    coloured = np.mean(np.ptp(rgb[::4, ::4].astype(np.int16), axis=-1) > 60)
    if coloured > _COLOURED_SHARE:
        raise Refused("The picture is drawn in a colour map, which does not tell weak from strong; export it in grey.")
    power = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.float32)
    return power if transparent is None else np.where(transparent, np.float32(np.nan), power)
