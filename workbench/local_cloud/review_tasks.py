"""The tasks of the review page over the A2I part's human loops: the local cloud's worker page."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from firnline.portal.queue import Claims, counted, following
from firnline.portal.store import AlreadyAnswered, Listed, Overview, Task, UnknownTask, View
from firnline.review.thumbnail import thumbnail

from .errors import ConflictException, ResourceNotFoundException
from .human_review import HumanReview, Loop

_THUMBNAILS = 500


class LoopStore:
    """The store that `firnline.portal.application` asks for."""

    def __init__(self, reviews: HumanReview) -> None:
        self._reviews = reviews
        self._claims = Claims()
        self._small = lru_cache(maxsize=_THUMBNAILS)(self._thumbnail)

    def overview(self, view: View) -> Overview:
        loops = self._reviews.loops()
        states = [loop.state for loop in loops]
        return counted(self._open(loops), view, states.count("completed"), states.count("failed"))

    def open_tasks(self, view: View, limit: int, after: str = "") -> list[Listed]:
        return following(self._open(self._reviews.loops()), view, limit, after)

    def get(self, name: str) -> Task | None:
        loop = self._reviews.loop(name)
        return _task(loop) if loop else None

    def frame_of(self, name: str) -> str | None:
        loop = self._reviews.loop(name)
        return None if loop is None else _frame_of(loop)

    def claim(self, name: str, reviewer: str, arbiter: bool = False) -> datetime:
        loop = self._reviews.loop(name)
        if loop is None:
            raise UnknownTask(name)
        if loop.state != "open":
            raise AlreadyAnswered("This task has been answered already; that answer counts.")
        return self._claims.take(name, reviewer)

    def release(self, name: str, reviewer: str) -> None:
        self._claims.release(name, reviewer)

    def submit(
        self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float, arbiter: bool = False
    ) -> None:
        try:
            self._reviews.submit(name, answer_content, worker_id, seconds)
        except ResourceNotFoundException as error:
            raise UnknownTask(name) from error
        except ConflictException as error:
            raise AlreadyAnswered(
                "This task has been answered already, and that answer counts; A2I keeps no second one."
            ) from error

    def thumbnail(self, name: str) -> bytes:
        return self._small(name)

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        try:
            return self._reviews.read_object(name, s3_uri)
        except ResourceNotFoundException as error:
            raise UnknownTask(name) from error

    def _thumbnail(self, name: str) -> bytes:
        loop = self._reviews.loop(name)
        if loop is None:
            raise UnknownTask(name)
        return thumbnail(self.read_object(name, str(loop.input_content["unlabeled_image"]))[0])

    def _open(self, loops: list[Loop]) -> list[Listed]:
        return [self._listed(loop) for loop in loops if loop.state == "open"]

    def _listed(self, loop: Loop) -> Listed:
        content = loop.input_content
        confidence = content.get("confidence")
        return Listed(
            name=loop.name,
            created=loop.created,
            frame_id=_frame_of(loop),
            reason=str(content.get("reason") or ""),
            confidence=confidence,
            priority=1 - (confidence or 0.0) if content.get("priority") is None else float(content["priority"]),
            cursor="",
            held_by=self._claims.holders(loop.name),
        )


def _frame_of(loop: Loop) -> str:
    return str(loop.input_content.get("frame_id") or f"-/-/{loop.name}")


def _task(loop: Loop) -> Task:
    return Task(loop.name, loop.created, loop.state, loop.input_content, loop.template)
