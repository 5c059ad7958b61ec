"""Echograms that come as pictures: PNG, JPEG and TIFF, grey or RGB, 1 to 64 bits, bright or dark = strong."""

import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from firnline.documents.origin import Origin
from firnline.documents.polarity import SURE_OF_POLARITY, Polarity
from firnline.errors import Refused
from firnline.radar.figures import echogram_in_figure
from firnline.radar.polarity import guess_polarity
from firnline.radar.power import decibels, decibels_of_power, looks_linear
from firnline.radar.radar_frame import RadarFrame, check_size
from firnline.radar.tiffs import is_tiff, read_tiff

_FORMATS = ["PNG", "JPEG"]
_COLOURED_SHARE = 0.3
_COLOURED = 60
"""A pixel whose channels differ by more is coloured."""
_COLOUR_STEP = 4
_PIXELS_AT_ONCE = 4_000_000


def is_picture(content: bytes) -> bool:
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or is_tiff(content)


def read_picture(content: bytes, polarity: Polarity | None = None) -> RadarFrame:
    """The frame in a picture; its greys stand for power in equal steps, as radar pictures are drawn in decibels.

    `polarity` overrides `guess_polarity`. `Refused` for bombs, for several pages or bands, and where colours carry the
    power.
    """
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # about damaged metadata, which is not read, and about size, which is checked below
        if is_tiff(content):
            form, picture = "tiff", read_tiff(content, notes)
        else:
            form, picture = _open(content, notes)
        power, coloured = _grey_values(picture, notes)
        del picture
    shape = (power.shape[0], power.shape[1])
    rows, columns = echogram_in_figure(power)
    cut = (rows.stop - rows.start, columns.stop - columns.start) != shape
    if cut:
        power = power[rows, columns]
        notes.append(
            f"the margins and axes of a figure cut off: columns {columns.start} to {columns.stop - 1} and rows "
            f"{rows.start} to {rows.stop - 1} of {shape[1]} x {shape[0]} kept"
        )
    if coloured is not None:
        inside = coloured[
            rows.start // _COLOUR_STEP : -(-rows.stop // _COLOUR_STEP),
            columns.start // _COLOUR_STEP : -(-columns.stop // _COLOUR_STEP),
        ]
        if inside.mean() > _COLOURED_SHARE:
            raise Refused(
                "The picture is drawn in a colour map, which does not tell weak from strong; export it in grey."
            )
    check_size(*power.shape)
    confidence = None
    if polarity is None:
        polarity, confidence = guess_polarity(power)
        notes.append(f"polarity {polarity} found from the picture (confidence {confidence:.2f})")
        if confidence < SURE_OF_POLARITY:
            notes.append("this polarity is a guess: check it, and give the polarity with the upload if it is wrong")
    else:
        notes.append(f"polarity {polarity} as given with the upload")
    missing = int(np.isnan(power).sum())
    if polarity == "dark-strong":
        np.negative(power, out=power)
        notes.append("inverted, so that bright is strong")
    return RadarFrame(
        power_db=power,
        format=form,
        polarity=polarity,
        origin=Origin(first_trace=columns.start, first_sample=rows.start),
        file_shape=shape,
        missing_samples=missing,
        polarity_confidence=confidence,
        transforms=notes,
    )


def _open(content: bytes, notes: list[str]) -> tuple[str, Image.Image]:
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as bomb:
        raise Refused(
            "The picture unpacks to far more pixels than can be read. Split it along the track and upload the parts."
        ) from bomb
    check_size(image.height, image.width)
    if getattr(image, "is_animated", False):
        raise Refused("The picture has several pages; save the one with the echogram as a file of its own.")
    form, mode = (image.format or "").lower(), image.mode
    image.load()
    notes.append(f"{form} picture of mode {mode}: grey values taken as power in equal steps")
    try:
        upright = ImageOps.exif_transpose(image)
    except (ValueError, KeyError, TypeError, SyntaxError, OSError, OverflowError):
        return form, image  # broken metadata; nothing says how to turn it
    if upright.size != image.size or upright.getexif().get(274) != image.getexif().get(274):
        notes.append("turned upright, as its EXIF orientation says")
    return form, upright


def _grey_values(picture: np.ndarray | Image.Image, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """(rows, columns) float32, missing samples NaN; and where every fourth pixel of every fourth row is coloured, None
    for pictures without colours."""
    if isinstance(picture, np.ndarray) and picture.ndim == 3:
        picture = Image.fromarray(picture)
    if isinstance(picture, np.ndarray):
        notes.append(f"picture of {picture.dtype.name} numbers: taken as power in equal steps")
        return _of_numbers(picture, notes), None
    if picture.mode.startswith(("I", "F")):
        return _of_numbers(np.asarray(picture), notes), None
    power = np.empty((picture.height, picture.width), np.float32)
    if picture.mode in ("1", "L") and not picture.has_transparency_data:
        for rows, strip in _strips(picture):
            power[rows] = np.asarray(strip.convert("L"))
        return power, None
    coloured = np.zeros((-(-picture.height // _COLOUR_STEP), -(-picture.width // _COLOUR_STEP)), bool)
    transparent = picture.has_transparency_data
    for rows, strip in _strips(picture):
        colours = strip.convert("RGBA" if transparent else "RGB")
        power[rows] = np.asarray(colours.convert("L"))
        pixels = np.asarray(colours)
        few = pixels[::_COLOUR_STEP, ::_COLOUR_STEP, :3].astype(np.int16)
        coloured[rows.start // _COLOUR_STEP :][: len(few)] = np.ptp(few, axis=-1) > _COLOURED
        if transparent:
            power[rows][pixels[..., 3] == 0] = np.nan
    return power, coloured


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """The picture in strips of rows, so that no second copy of a large one is needed."""
    step = max(_COLOUR_STEP, _PIXELS_AT_ONCE // image.width // _COLOUR_STEP * _COLOUR_STEP)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _of_numbers(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Numbers of more than 8 bits, as they are; floating-point numbers that look like linear power become decibels."""
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.array(values, dtype=np.float32, order="C")
    if values.dtype.kind == "f" and looks_linear(power):
        return decibels_of_power(power, notes)
    return decibels(power, notes) if values.dtype.kind in "if" else power
