"""What the reviewers' page needs to know and do about tasks, whoever keeps them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Task:
    """`template` is the worker template in Liquid. In a listing `input_content` may be shortened to what is shown."""

    name: str
    created: datetime
    status: Literal["open", "completed", "failed"]
    input_content: dict[str, Any]
    template: str


class AlreadyAnswered(Exception):
    """Somebody else's answer, or an earlier one, was accepted for this task."""


class UnknownTask(Exception):
    """There is no task of this name."""


class Store(Protocol):
    def list_tasks(self) -> list[Task]: ...

    def get(self, name: str) -> Task | None: ...

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        """Accept an answer for good; `AlreadyAnswered` or `UnknownTask` if it cannot be."""

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        """Bytes and content type of an object that the task's input refers to; `KeyError` for any other."""
