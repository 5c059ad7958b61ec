"""Which uncertain frames look so much alike that one review stands for both (diversity beside uncertainty, as in
Settles 2009).

Pure functions on a few figures of a prediction; neighbours along the track are compared, since they show the same ice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from firnline.documents.layers import LayersDocument
from firnline.store.rows import Look

QUANTILES = (0.1, 0.5, 0.9)
"""Of an echogram's brightness: dark, middle, bright."""
CLEARLY_LESS = 0.1
"""Confidence by which a frame must lie below its neighbour to be reviewed although they look alike."""
_WHITE = 255.0
_DIGITS = 4
_NUMBER = re.compile(r"(?<!\d)(\d{1,6})\D*$")
"""More digits are a time or a date, and count no frames."""


@dataclass(frozen=True)
class Diversity:
    """A frame is passed over that lies within `apart` frames along the track of a reviewed one from which no figure
    differs by more than `difference`. With `apart` 0 no frame is.
    """

    apart: int = 0
    difference: float = 0.15

    @property
    def wanted(self) -> bool:
        return self.apart > 0

    def alike(self, look: Look, reviewed: Iterable[Look]) -> list[Look]:
        """The reviewed frames that stand for this one, the nearest first. An earlier revision of the frame itself does
        not.
        """
        near = []
        for other in reviewed:
            away = frames_between(look.stem, other.stem)
            if away is None or not 0 < away <= self.apart or look.confidence < other.confidence - CLEARLY_LESS:
                continue
            if difference(look, other) <= self.difference:
                near.append((away, other))
        return [other for _, other in sorted(near, key=lambda pair: pair[0])]


NO_DIVERSITY = Diversity()


def frames_between(one: str, other: str) -> int | None:
    """How many frames along the track two stems of a segment are apart, by their last numbers; None if one has none of
    six digits at most.

    >>> frames_between("IRSNO1B_20120330_04_003", "Data_20120330_04_005")
    2
    """
    numbers = [_NUMBER.search(stem) for stem in (one, other)]
    if numbers[0] is None or numbers[1] is None:
        return None
    return abs(int(numbers[0][1]) - int(numbers[1][1]))


def passed_over(sentence: str, look: Look, other: Look) -> str:
    """The note of a frame that is not reviewed since another stands for it."""
    away = frames_between(look.stem, other.stem)
    return (
        f"{sentence} It is passed over: it looks like {other.stem}, {away} frame{'s' * (away != 1)} along the track, whose "
        f"confidence of {other.confidence:.0%} is not clearly higher and whose review is open or done."
    )


def look_of(stem: str, loop_name: str, confidence: float, document: LayersDocument, grey: np.ndarray) -> Look:
    """The figures of a prediction on an echogram (rows, traces) uint8, rounded as they are stored."""
    sure = [layer.confidence for layer in document.layers if layer.confidence is not None]
    dark, middle, bright = (float(value) / _WHITE for value in np.quantile(grey, QUANTILES))
    return Look(
        stem=stem,
        loop_name=loop_name,
        confidence=confidence,
        layers=len(document.layers),
        line_confidence=round(float(np.mean(sure)), _DIGITS) if sure else 0.0,
        spacing=round(mean_spacing(document.rows()), _DIGITS),
        brightness=(round(dark, _DIGITS), round(middle, _DIGITS), round(bright, _DIGITS)),
    )


def mean_spacing(rows: np.ndarray) -> float:
    """Mean distance in pixels between neighbouring layers of (layers, traces) rows, NaN in gaps; 0 where no trace has
    two.
    """
    gaps = np.diff(np.sort(rows, axis=0), axis=0)  # NaN sorts last
    known = gaps[np.isfinite(gaps)]
    return float(known.mean()) if known.size else 0.0


def difference(one: Look, other: Look) -> float:
    """The largest difference between two frames' figures, each from 0 to 1: number of layers and spacing as a share of
    the larger, mean confidence of the lines and brightness as they are.
    """
    return max(
        _share(one.layers, other.layers),
        _share(one.spacing, other.spacing),
        abs(one.line_confidence - other.line_confidence),
        *(abs(a - b) for a, b in zip(one.brightness, other.brightness, strict=True)),
    )


def _share(one: float, other: float) -> float:
    return abs(one - other) / max(one, other) if one or other else 0.0
