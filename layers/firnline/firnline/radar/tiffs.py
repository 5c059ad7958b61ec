"""TIFF pictures: the page with the echogram among overviews and masks, in its own numbers."""

import io
import math
from itertools import islice
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from firnline.errors import Refused
from firnline.radar.radar_frame import check_size

_MOST_PAGES = 64
_REDUCED, _MASK = 1, 4
_ALPHA = (1, 2)
"""ExtraSamples: associated and unassociated alpha."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
_ONLY_PILLOW = (5, 6, 8, 32771, 32809)
"""Photometric interpretations that Pillow turns into grey: CMYK, YCbCr, CIELAB."""
_GREY_OF_RGB = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, as Pillow weighs colours."""
_TURNS: dict[int, Any] = {
    2: lambda grid: grid[:, ::-1],
    3: lambda grid: grid[::-1, ::-1],
    4: lambda grid: grid[::-1],
    5: lambda grid: grid.swapaxes(0, 1),
    6: lambda grid: grid.swapaxes(0, 1)[:, ::-1],
    7: lambda grid: grid[::-1, ::-1].swapaxes(0, 1),
    8: lambda grid: grid.swapaxes(0, 1)[::-1],
}
"""The Orientation tag (TIFF 6.0, page 36): what makes a stored picture upright."""


def is_tiff(content: bytes) -> bool:
    """Classic TIFF or BigTIFF."""
    return content.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))


def read_tiff(content: bytes, notes: list[str]) -> np.ndarray | Image.Image:
    """The echogram's page as an upright array, or as a Pillow image where only Pillow unpacks its compression.

    The array is (rows, columns) of the file's type, float where samples are missing (by GDAL_NODATA, or transparent),
    or (rows, columns, 3) uint8 of colours. `Refused` for several pages, several bands, complex numbers and compressions
    that cannot be unpacked.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        pages = [page for page in islice(tiff.pages, _MOST_PAGES) if isinstance(page, tifffile.TiffPage)]
        if not pages:
            raise ValueError("it has no page")
        full = _full_pages(pages)
        if len(full) > 1:
            raise Refused("The picture has several pages; save the one with the echogram as a file of its own.")
        page = full[0]
        if len(pages) > 1:
            notes.append(f"the first full-size page of {len(pages)} taken; the others are overviews or masks of it")
        check_size(page.imagelength, page.imagewidth)
        if page.imagedepth != 1:
            raise Refused(
                "The picture has several layers in depth; save the one with the echogram as a file of its own."
            )
        alpha = _check_bands(page)
        if page.dtype is not None and page.dtype.kind == "c":
            raise Refused("The picture is complex: save its power, abs(picture)**2, as a real picture.")
        if page.photometric in _ONLY_PILLOW:
            return _by_pillow(content, pages.index(page), page)
        try:
            stored = page.asarray(maxworkers=1)
        except (ValueError, KeyError, ImportError, NotImplementedError, RuntimeError):
            return _by_pillow(content, pages.index(page), page)
        values = _grey(page, stored.reshape(_shape(page)), alpha, _no_data(page), notes)
        turn = _TURNS.get(int(page.tags.valueof(274, 1) or 1))
        if turn is not None:
            notes.append("turned upright, as its orientation tag says")
            values = turn(values)
        return values


def _full_pages(pages: list[tifffile.TiffPage]) -> list[tifffile.TiffPage]:
    """Pages that are no reduced-resolution version and no mask of another.

    Some programs leave the subfile type out: pages of the same form whose sides are those of the first, divided by a
    whole number, count as overviews.
    """
    first = next((page for page in pages if not page.subfiletype & (_REDUCED | _MASK)), pages[0])

    def is_overview(page: tifffile.TiffPage) -> bool:
        if page is first:
            return False
        if page.subfiletype & (_REDUCED | _MASK):
            return True
        factors = [
            round(whole / part) if part else 0
            for whole, part in ((first.imagelength, page.imagelength), (first.imagewidth, page.imagewidth))
        ]
        return (
            factors[0] == factors[1] > 1
            and page.samplesperpixel == first.samplesperpixel
            and abs(page.imagelength * factors[0] - first.imagelength) <= factors[0]
            and abs(page.imagewidth * factors[1] - first.imagewidth) <= factors[1]
        )

    return [page for page in pages if not is_overview(page)]


def _check_bands(page: tifffile.TiffPage) -> bool:
    """Whether the last band is alpha; `Refused` for more bands than a picture has."""
    colours = {_RGB: 3, 5: 4, 6: 3, 8: 3}.get(page.photometric, 1)
    extra = [int(kind) for kind in page.extrasamples]
    beyond = page.samplesperpixel - colours
    alpha = beyond == 1 and len(extra) == 1 and extra[0] in _ALPHA
    if beyond > 0 and not alpha:
        raise Refused(
            f"The picture has {page.samplesperpixel} bands, and nothing says which of them is the echogram; save that "
            "band as a file of its own."
        )
    return alpha


def _shape(page: tifffile.TiffPage) -> tuple[int, ...]:
    if page.samplesperpixel == 1:
        return page.imagelength, page.imagewidth
    if page.planarconfig == 2:
        return page.samplesperpixel, page.imagelength, page.imagewidth
    return page.imagelength, page.imagewidth, page.samplesperpixel


def _no_data(page: tifffile.TiffPage) -> float | None:
    """GDAL's mark for missing samples, which it writes as text."""
    text = page.tags.valueof(42113)
    try:
        return None if text is None else float(str(text).strip(" \0"))
    except ValueError:
        return None


def _grey(
    page: tifffile.TiffPage, values: np.ndarray, alpha: bool, no_data: float | None, notes: list[str]
) -> np.ndarray:
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    missing = None
    if no_data is not None and not math.isnan(no_data):
        colours = values if values.ndim == 2 else values[..., 0]
        mark = np.asarray(no_data).astype(colours.dtype) if colours.dtype.kind == "f" else no_data
        missing = colours == mark
    if alpha:
        transparent = values[..., -1] == 0
        missing = transparent if missing is None else missing | transparent
        values = values[..., :-1]
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if page.photometric == _PALETTE and page.colormap is not None:
        colours = np.asarray(page.colormap)
        values = (colours[:, np.minimum(values, colours.shape[1] - 1)] // 257).astype(np.uint8)
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3:
        values = _eight_bits(values) if missing is None else _eight_bits(values).astype(np.float32) @ _GREY_OF_RGB
    elif page.photometric == _WHITE_IS_ZERO:
        notes.append("white is zero in this picture: greys inverted")
        top = 1 if values.dtype.kind == "b" else np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 0
        values = top - values.astype(np.float32)
    if missing is not None and missing.any():
        values = values.astype(np.float32)
        values[missing] = np.nan
    return values


def _eight_bits(colours: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) uint8 of colours in any type."""
    if colours.dtype == np.uint8:
        return colours
    if colours.dtype.kind == "u":
        return np.asarray(colours >> (8 * colours.dtype.itemsize - 8), np.uint8)
    top = np.nanmax(colours)
    return np.nan_to_num(colours * (255.0 / top if top > 0 else 0.0)).clip(0, 255).astype(np.uint8)


def _by_pillow(content: bytes, number: int, page: tifffile.TiffPage) -> np.ndarray | Image.Image:
    """The page by Pillow's reader, which has libtiff's compressions (LZW, JPEG, fax) and turns it upright."""
    try:
        image = Image.open(io.BytesIO(content), formats=["TIFF"])
        image.seek(number)
        image.load()
    except (OSError, SyntaxError, KeyError, ValueError) as error:
        compression = getattr(page.compression, "name", str(page.compression)).replace("_", " ")
        raise Refused(
            f"The picture cannot be unpacked: it is damaged, or its kind ({page.bitspersample} bits, compression "
            f"{compression}) is one that Firnline does not read. Save it without compression, with 8, 16 or 32 bits."
        ) from error
    no_data = _no_data(page)
    if no_data is None or math.isnan(no_data) or not image.mode.startswith(("L", "I", "F")) or image.mode == "LA":
        return image
    stored = np.asarray(image)
    values = stored.astype(np.float32)
    values[stored == (np.float32(no_data) if stored.dtype.kind == "f" else no_data)] = np.nan
    return values
