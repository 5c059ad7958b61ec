"""The tasks of the review page over the A2I part's human loops: the local cloud's worker page."""

from typing import Any

from firnline.portal.store import AlreadyAnswered, Task, UnknownTask

from .errors import ConflictException, ResourceNotFoundException
from .human_review import HumanReview, Loop


class LoopStore:
    """The store that `firnline.portal.application` asks for."""

    def __init__(self, reviews: HumanReview) -> None:
        self._reviews = reviews

    def list_tasks(self) -> list[Task]:
        return [_task(loop) for loop in self._reviews.loops()]

    def get(self, name: str) -> Task | None:
        loop = self._reviews.loop(name)
        return _task(loop) if loop else None

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        try:
            self._reviews.submit(name, answer_content, worker_id, seconds)
        except ResourceNotFoundException as error:
            raise UnknownTask(name) from error
        except ConflictException as error:
            raise AlreadyAnswered(name) from error

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        try:
            return self._reviews.read_object(name, s3_uri)
        except ResourceNotFoundException as error:
            raise UnknownTask(name) from error


def _task(loop: Loop) -> Task:
    return Task(loop.name, loop.created, loop.state, loop.input_content, loop.template)
