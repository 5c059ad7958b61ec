"""What the reviewers' page needs to know and do about tasks, whoever keeps them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from firnline.review.trends import Trend

Order = Literal["priority", "track"]


@dataclass(frozen=True)
class Task:
    """`template` is the worker template in Liquid; `told` says in a sentence why a task is not open, where there is more
    to say than that.
    """

    name: str
    created: datetime
    status: Literal["open", "completed", "failed", "withdrawn"]
    input_content: dict[str, Any]
    template: str
    told: str = ""
    for_arbiter: bool = False


@dataclass(frozen=True)
class View:
    """Which open tasks are shown: all, or those of a campaign, or of one of its segments; and in which order."""

    order: Order = "priority"
    campaign: str = ""
    segment: str = ""
    """Without its campaign."""


@dataclass(frozen=True)
class Listed:
    """An open task as the list shows it. `cursor` is its place in the view that it was listed in."""

    name: str
    created: datetime
    frame_id: str
    reason: str
    confidence: float | None
    priority: float
    cursor: str
    held_by: tuple[str, ...] = ()
    """Those who work on it."""
    answered_by: tuple[str, ...] = ()
    wanted: int = 1
    """Answers of different people that it takes."""
    for_arbiter: bool = False

    @property
    def campaign(self) -> str:
        return self.frame_id.partition("/")[0]

    @property
    def segment(self) -> str:
        """`<campaign>/<segment>`."""
        return self.frame_id.rpartition("/")[0]

    def is_free_for(self, reviewer: str, arbiter: bool) -> bool:
        """Whether this person can be given it."""
        if reviewer in self.answered_by or (self.for_arbiter and not arbiter):
            return False
        others = [name for name in self.held_by if name != reviewer]
        return len(self.answered_by) + len(others) < self.wanted


@dataclass(frozen=True)
class Counted:
    """Tasks of a campaign or of a segment (without its campaign)."""

    name: str
    waiting: int
    done: int


@dataclass(frozen=True)
class Overview:
    """What stands above the list. `segments` are those of the view's campaign."""

    waiting: int
    done: int
    failed: int = 0
    campaigns: list[Counted] = field(default_factory=list)
    segments: list[Counted] = field(default_factory=list)
    unclaimed: int | None = None
    """Corrections since the last batch; None where it is not known."""
    every: int | None = None
    """Corrections that make a batch."""
    trends: list[Trend] = field(default_factory=list)
    """By model, the newest first."""


class NotGiven(Exception):
    """The task cannot be had, or takes no answer of this person; the sentence says why."""


class Held(NotGiven):
    """Others work on it."""


class AlreadyAnswered(NotGiven):
    """Somebody else's answer, or an earlier one, was accepted for this task."""


class Withdrawn(NotGiven):
    """Its frame was uploaded anew."""


class TooLarge(Exception):
    """The answer has more bytes, as it would be kept, than one may have."""


class UnknownTask(Exception):
    """There is no task of this name."""


class Store(Protocol):
    def overview(self, view: View) -> Overview: ...

    def open_tasks(self, view: View, limit: int, after: str = "") -> list[Listed]:
        """The next `limit` open tasks of a view after the one whose cursor is `after`; nothing more is read."""

    def get(self, name: str) -> Task | None: ...

    def frame_of(self, name: str) -> str | None:
        """The frame_id of a task, whatever has become of it; None if there is no such task."""

    def claim(self, name: str, reviewer: str, arbiter: bool = False) -> datetime:
        """Keep an open task for a reviewer, who may be an arbiter, until that moment; `NotGiven` or `UnknownTask`."""

    def release(self, name: str, reviewer: str) -> None:
        """Give it back; it is no error if it is not this reviewer's."""

    def submit(
        self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float, arbiter: bool = False
    ) -> None:
        """Accept an answer for good; `NotGiven`, `TooLarge` or `UnknownTask` if it cannot be.

        The sentence of `NotGiven` says where what was sent is kept.
        """

    def thumbnail(self, name: str) -> bytes:
        """A small PNG of the task's echogram; `KeyError` or `UnknownTask`."""

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        """Bytes and content type of an object that the task's input refers to; `KeyError` for any other."""
