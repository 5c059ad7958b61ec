"""What the writers of all forms have in common: they take products one by one, hold one at a time, and end whole or not
at all.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from firnline.products.frame_product import FrameProduct

PART = "part-"
"""Begins the name of a file that is still being written."""


class Writer(Protocol):
    """One form of export. Products come in the order of their frames' names."""

    def add(self, product: FrameProduct) -> None:
        """Write what one frame tells; `Refused`, with nothing written, where it lacks what the form needs."""

    def close(self) -> list[Path]:
        """Finish all files, and say which they are."""


@runtime_checkable
class Tells(Protocol):
    """A writer that has something to say of what it wrote."""

    @property
    def sentences(self) -> list[str]: ...


class Unfinished:
    """A file under a name of its own until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(PART + path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.part.unlink(missing_ok=True)

    def finish(self) -> Path:
        self.part.replace(self.path)
        return self.path


def utc_texts(utc_s: np.ndarray) -> np.ndarray:
    """(traces,) ISO 8601 with milliseconds and Z, empty where the time is unknown."""
    known = np.isfinite(utc_s)
    moments = np.where(known, np.rint(np.where(known, utc_s, 0.0) * 1000), 0).astype("datetime64[ms]")
    return np.where(known, np.char.add(np.datetime_as_string(moments), "Z"), "")
