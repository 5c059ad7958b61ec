"""Tasks that a process keeps in its memory: who works on which, and which come next in a view.

The local cloud's worker page and the pictures of the documentation stand on it. `TableStore` does the same with the table.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock

from firnline.portal.store import Counted, Held, Listed, Overview, View
from firnline.store.loops import CLAIM_MINUTES


class Claims:
    """Who works on which task, each for `CLAIM_MINUTES` after they said so last."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._held: dict[str, tuple[str, datetime]] = {}
        self._lock = Lock()

    def take(self, name: str, reviewer: str) -> datetime:
        """Until when the task is theirs; `Held` if it is somebody else's."""
        with self._lock:
            by, until = self._held.get(name, (reviewer, self._now()))
            if by != reviewer and until > self._now():
                raise Held(f"{by} is working on this task, until {until:%H:%M} UTC at least. Go on with the next one.")
            until = self._now() + timedelta(minutes=CLAIM_MINUTES)
            self._held[name] = reviewer, until
            return until

    def release(self, name: str, reviewer: str) -> None:
        with self._lock:
            if self._held.get(name, ("", None))[0] == reviewer:
                del self._held[name]

    def holders(self, name: str) -> tuple[str, ...]:
        with self._lock:
            by, until = self._held.get(name, ("", self._now()))
            return (by,) if until > self._now() else ()


def following(tasks: Iterable[Listed], view: View, limit: int, after: str = "") -> list[Listed]:
    """The next `limit` of all open tasks in a view, each with its cursor there."""
    segment = f"{view.campaign}/{view.segment}"
    shown = [
        replace(task, cursor=_cursor(task, view))
        for task in tasks
        if view.campaign in ("", task.campaign) and (not view.segment or task.segment == segment)
    ]
    return [task for task in sorted(shown, key=lambda task: task.cursor) if task.cursor > after][:limit]


def counted(tasks: Iterable[Listed], view: View, done: int, failed: int) -> Overview:
    """What stands above the list of these open tasks."""
    campaigns: dict[str, int] = {}
    segments: dict[str, int] = {}
    for task in tasks:
        campaigns[task.campaign] = campaigns.get(task.campaign, 0) + 1
        if task.campaign == view.campaign:
            name = task.segment.partition("/")[2]
            segments[name] = segments.get(name, 0) + 1
    return Overview(
        waiting=sum(campaigns.values()),
        done=done,
        failed=failed,
        campaigns=[Counted(name, count, 0) for name, count in sorted(campaigns.items())],
        segments=[Counted(name, count, 0) for name, count in sorted(segments.items())],
    )


def _cursor(task: Listed, view: View) -> str:
    if view.order == "track":
        return f"{task.frame_id}#{task.name}"
    return f"{1 - task.priority:.6f}#{task.created.isoformat()}#{task.name}"
