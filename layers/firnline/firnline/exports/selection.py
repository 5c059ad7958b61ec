"""Which frames an export is of, and which of their lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, cast

from firnline.errors import Refused
from firnline.products.frame_product import Numbering, Status
from firnline.products.track import Box
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.line_status import line_statuses
from firnline.store.rows import USABLE, FrameRow
from firnline.store.table import Table

_DEFAULT: tuple[Status, ...] = ("accepted", "reviewed")


class Holdings(Protocol):
    """What a stack holds, as far as products are made of it."""

    @property
    def table(self) -> Table: ...

    @property
    def register(self) -> FrameRegister: ...

    @property
    def corrections(self) -> Corrections: ...

    @property
    def workspace(self) -> Bucket: ...


@dataclass(frozen=True)
class Wanted:
    """Which frames: of each of `which`, as (campaign,), (campaign, segment) or (campaign, segment, frame), and all if there is
    none; that pass through `box`; and whose lines. `numbering` says what the layers' numbers count along.
    """

    which: tuple[tuple[str, ...], ...]
    statuses: tuple[Status, ...]
    box: Box | None = None
    numbering: Numbering = "segment"

    @classmethod
    def of(
        cls, which: Sequence[str], statuses: Sequence[str], box: str | None, numbering: Numbering = "segment"
    ) -> Self:
        """What a command line says; `Refused` where it says nothing of sense."""
        named = tuple(tuple(part for part in one.strip("/").split("/") if part) for one in which)
        for given, parts in zip(which, named, strict=True):
            if not 1 <= len(parts) <= 3:
                raise Refused(
                    f"'{given}' names no frames: give <campaign>, <campaign>/<segment> or <campaign>/<segment>/<frame>."
                )
        chosen = cast(tuple[Status, ...], tuple(dict.fromkeys(statuses)) or _DEFAULT)
        return cls(named, chosen, Box.of(box) if box else None, numbering)

    def names(self, frame_id: str) -> bool:
        parts = tuple(frame_id.split("/"))
        return not self.which or any(parts[: len(one)] == one for one in self.which)


def frames_named(holdings: Holdings, wanted: Wanted) -> list[str]:
    """The frames' names, in order. A frame that moves on while they are listed is met in its next status."""
    register, found = holdings.register, set[str]()
    wide = not wanted.which or any(len(one) == 1 for one in wanted.which)
    if wide:
        rows: Iterator[FrameRow] = (row for status in USABLE for row in register.of_status(status))
    else:
        segments = dict.fromkeys((one[0], one[1]) for one in wanted.which)
        rows = (row for campaign, segment in segments for row in register.of_segment(campaign, segment))
    found.update(row.frame_id for row in rows if wanted.names(row.frame_id))
    return sorted(found)


def status_of(row: FrameRow, wanted: Sequence[Status]) -> Status | None:
    """Which of the lines of a frame are wanted, the surest first; None where it has none of them."""
    return next((status for status in line_statuses(row) if status in wanted), None)
