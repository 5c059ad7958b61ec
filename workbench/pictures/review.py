"""One frame under review: the page served on loopback, its answer, and how it looks in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from firnline.documents.echogram import encode_png
from firnline.documents.layers import LayersDocument, Source
from firnline.documents.overlay import draw_layers
from firnline.portal.queue import Claims, counted, following
from firnline.portal.segment_store import Segments
from firnline.portal.serve import PageServer
from firnline.portal.store import AlreadyAnswered, Listed, Overview, Task, UnknownTask, View
from firnline.review.answer import as_document, read_answer
from firnline.review.axes import axes_of
from firnline.review.human_loop import loop_name
from firnline.review.policy import Policy
from firnline.review.task_input import input_content
from firnline.review.task_template import task_template
from firnline.review.thumbnail import thumbnail
from workbench.pictures.frames import UPLOADED, Traced
from workbench.reviewer import Reviewer

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
POLICY = Policy(confidence=0.85, audit_rate=1.0)
"""The template's default confidence, and an audit of all frames above it: a frame that is shown is under review."""
_SETTLED_MS = 300


class OneTask:
    """A store (`firnline.portal.store.Store`) that holds the review of one frame in memory."""

    def __init__(self, traced: Traced) -> None:
        frame, proposal = traced.frame, traced.proposal
        reason = POLICY.reason_to_review(frame.frame_id, frame.revision, proposal.confidence)
        self._objects = {
            "s3://workspace/echogram.png": encode_png(traced.grey),
            "s3://workspace/overlay.png": encode_png(draw_layers(traced.grey, proposal)),
        }
        content = input_content(
            proposal,
            revision=frame.revision,
            reason=reason.sentence if reason else "",
            model_output_image="s3://workspace/overlay.png",
            labeled_image="s3://workspace/echogram.png",
            unlabeled_image="s3://workspace/echogram.png",
            axes=axes_of(frame),
        )
        name = loop_name("workspace", frame.frame_id, frame.revision, proposal.source.model_version or "")
        self._task = Task(name, datetime.now(UTC), "open", content, task_template())
        self._listed = Listed(
            name=name, created=self._task.created, frame_id=frame.frame_id, reason=reason.sentence if reason else "",
            confidence=proposal.confidence, priority=1 - (proposal.confidence or 0.0), cursor="",
        )  # fmt: skip
        self._claims = Claims()
        self.answer: dict[str, Any] | None = None
        """The submitted `answerContent`."""

    def overview(self, view: View) -> Overview:
        return counted([self._listed], view, done=0, failed=0)

    def open_tasks(self, view: View, limit: int, after: str = "") -> list[Listed]:
        return following([self._listed], view, limit, after)

    def get(self, name: str) -> Task | None:
        return self._task if name == self._task.name else None

    def frame_of(self, name: str) -> str | None:
        return self._listed.frame_id if name == self._task.name else None

    def claim(self, name: str, reviewer: str) -> datetime:
        if name != self._task.name:
            raise UnknownTask(name)
        return self._claims.take(name, reviewer)

    def release(self, name: str, reviewer: str) -> None:
        self._claims.release(name, reviewer)

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        if name != self._task.name:
            raise UnknownTask(name)
        if self.answer is not None:
            raise AlreadyAnswered("This task has been answered already.")
        self.answer = answer_content

    def thumbnail(self, name: str) -> bytes:
        return thumbnail(self._objects["s3://workspace/echogram.png"])

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        if name != self._task.name:
            raise KeyError(s3_uri)
        return self._objects[s3_uri], "image/png"


def mended(traced: Traced) -> LayersDocument:
    """The layers that come of a review in which the scripted reviewer submits the true layers through the page."""
    store = OneTask(traced)
    with served(store) as address:
        reviewer = Reviewer(address)
        (task,) = reviewer.open_tasks()
        reviewer.correct(task, traced.truth)
    width, height = traced.frame.width, traced.frame.height
    drawing = read_answer(store.answer, width, height)
    return as_document(drawing, traced.frame.frame_id, width, height, Source(kind="human", created=UPLOADED))


def screenshot(traced: Traced, path: Path, layer: int, width: int = 1400, height: int = 850) -> None:
    """Take a picture of the review page of a frame, one of its layers selected, with Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with served(OneTask(traced)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{address}/review/next")
        page.wait_for_selector("crowd-form[data-ready]", state="attached")
        page.click(f'[data-select-layer="{layer}"]')
        page.wait_for_timeout(_SETTLED_MS)
        page.screenshot(path=path)
        browser.close()


@contextmanager
def served(store: OneTask, segments: Segments | None = None) -> Iterator[str]:
    """The address of the review page of `store`, on a free loopback port."""
    server = PageServer(store, segments=segments)
    thread = Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join()
