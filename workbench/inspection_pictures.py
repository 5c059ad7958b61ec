"""The pictures of `firnline inspect --picture`: what the network would see of each file."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from firnline.documents.echogram import to_grey
from firnline.documents.overlay import draw_layers
from workbench.inspection import Inspected

_SOFTWARE = "firnline inspect"
"""The mark in a picture that Firnline wrote, so that the next inspection may replace it, and no other file."""


class InTheWay(Exception):
    """Nothing was read or written. The message says what is in the way of each picture, and what to do."""


def places(files: Sequence[Path], folder: Path, layer_file: Path | None = None) -> dict[Path, Path]:
    """Where the picture of each file goes; makes the folder. Raises `InTheWay` if any would replace a file of the user's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InTheWay(f"{folder} cannot be made ({error.strerror}): choose another folder with --picture.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InTheWay(f"{folder} cannot be written to: choose another folder with --picture.")
    inputs = {file.resolve() for file in (*files, *([layer_file] if layer_file else []))}
    said, meant_for = [], dict[Path, Path]()
    for file in files:
        path = folder / f"{file.stem}.picture.png"
        if (other := meant_for.setdefault(path, file)) != file:
            said.append(f"The pictures of {file} and {other} would both be {path}: inspect them one by one.")
        elif path.resolve() in inputs or (os.path.lexists(path) and not _written_by_us(path)):
            said.append(f"{path} exists and is none of Firnline's pictures: choose another folder with --picture.")
    if said:
        raise InTheWay("\n".join(said))
    return {file: path for path, file in meant_for.items()}


def write(found: Inspected, path: Path) -> bool:
    """Write the picture, with the annotation drawn over it if there is one; False if there is nothing to be seen."""
    if found.picture is None:
        return False
    pixels = to_grey(found.picture.power_db)
    if found.drawn is not None:
        pixels = draw_layers(pixels, found.drawn)
    mark = PngInfo()
    mark.add_text("Software", _SOFTWARE)
    Image.fromarray(pixels).save(path, format="PNG", pnginfo=mark)
    return True


def _written_by_us(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == _SOFTWARE
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
