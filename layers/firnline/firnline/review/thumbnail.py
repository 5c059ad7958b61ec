"""An echogram so small that a list can show many."""

import io

from PIL import Image

from firnline.limits import MAX_PICTURE_PIXELS

WIDTH, HEIGHT = 168, 72
"""Pixels that a thumbnail has at most; the echogram fills them, since a frame is often many times wider than high."""


def thumbnail(png: bytes, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A PNG of at most `width` x `height` grey pixels, each the mean of those that it stands for.

    Refuses more than `MAX_PICTURE_PIXELS` with ValueError.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if image.width * image.height > MAX_PICTURE_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than an echogram may have")
        size = min(width, image.width), min(height, image.height)
        out = io.BytesIO()
        image.convert("L").resize(size, Image.Resampling.BOX).save(out, format="PNG", optimize=True)
    return out.getvalue()
