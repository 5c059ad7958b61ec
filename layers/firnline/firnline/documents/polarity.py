"""The polarity that a picture was read with, and what people are told of it: in `status`, by `predict`, on the review page."""

from dataclasses import dataclass
from typing import Literal, Protocol

Polarity = Literal["bright-strong", "dark-strong"]

PICTURE_FORMATS = frozenset({"png", "jpeg", "tiff"})
SURE_OF_POLARITY = 0.9
"""Below this confidence people are told that the polarity of a picture is a guess."""

OPPOSITE: dict[Polarity, Polarity] = {"bright-strong": "dark-strong", "dark-strong": "bright-strong"}


@dataclass(frozen=True)
class ToldPolarity:
    """`short` fits a table; `sentence` says how it was decided, and what to do where it is unsure."""

    short: str
    sentence: str
    sure: bool


def told_polarity(form: str, polarity: Polarity, confidence: float | None, decided_by: str = "") -> ToldPolarity | None:
    """What to say of a file of format `form`; None for numeric files, where large means strong.

    `confidence`, 0.5 to 1, is that of the guess; None where the polarity was given with the upload, or by the reviewer
    `decided_by`.
    """
    if form not in PICTURE_FORMATS:
        return None
    if decided_by:
        return ToldPolarity(
            f"{polarity}, by {decided_by}", f"Polarity {polarity}, as the reviewer {decided_by} decided.", True
        )
    if confidence is None:
        return ToldPolarity(f"{polarity}, given", f"Polarity {polarity}, as given with the upload.", True)
    if confidence >= SURE_OF_POLARITY:
        sentence = f"Polarity {polarity}, found from the picture (confidence {confidence:.2f})."
        return ToldPolarity(f"{polarity} {confidence:.2f}", sentence, True)
    drawn = "dark" if polarity == "dark-strong" else "bright"
    return ToldPolarity(
        f"{polarity}? {confidence:.2f}",
        f"Polarity {polarity} is a guess (confidence {confidence:.2f}): if strong echoes are not drawn {drawn} in the "
        f"file, upload it with --polarity {OPPOSITE[polarity]}.",
        False,
    )


class ReadWithPolarity(Protocol):
    """What tells the polarity that a file was read with: a frame's row."""

    @property
    def format(self) -> str | None: ...

    @property
    def polarity(self) -> Polarity | None: ...

    @property
    def polarity_confidence(self) -> float | None: ...

    @property
    def polarity_by(self) -> str: ...


def polarity_of_row(row: ReadWithPolarity) -> ToldPolarity | None:
    """What to say of the polarity of a frame's row in the table; None where the row tells nothing of it."""
    if not row.format or not row.polarity:
        return None
    return told_polarity(row.format, row.polarity, row.polarity_confidence, row.polarity_by)
