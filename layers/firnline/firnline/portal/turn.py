"""In which turn tasks are given to a reviewer."""

from collections.abc import Iterator
from dataclasses import replace

from firnline.portal.store import Listed, Store, View

_FIRST_READ, _READ = 10, 100
"""Tasks that are read at once: the first few are nearly always enough."""


def in_turn(store: Store, view: View, origin: str = "") -> Iterator[Listed]:
    """Open tasks: those of the segment of the task `origin`, whatever has become of it, then all of the view.

    Along the track it goes on behind `origin`, and from the end again with the first. A task may come twice.
    """
    frame_id = store.frame_of(origin) if origin else None
    if frame_id:
        campaign, segment, _ = frame_id.split("/", 2)
        yield from _from(store, replace(view, campaign=campaign, segment=segment), f"{frame_id}#{origin}")
    yield from _from(store, view, f"{frame_id}#{origin}" if frame_id else "")


def _from(store: Store, view: View, behind: str) -> Iterator[Listed]:
    if view.order == "track" and behind:
        yield from _all(store, view, behind)
    yield from _all(store, view, "")


def _all(store: Store, view: View, after: str) -> Iterator[Listed]:
    limit = _FIRST_READ
    while found := store.open_tasks(view, limit, after):
        yield from found
        if len(found) < limit:
            return
        after, limit = found[-1].cursor, _READ
