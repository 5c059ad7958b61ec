"""Frames under review: the page served on loopback, its answer, and how it looks in a browser."""

from collections.abc import Iterator, Sequence
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


class Tasks:
    """A store (`firnline.portal.store.Store`) that holds the reviews of frames in memory. `answers` are the submitted
    `answerContent` by task.
    """

    def __init__(self, frames: Sequence[Traced]) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self._claims = Claims()
        self._objects: dict[str, bytes] = {}
        self._tasks = {task.name: task for task in map(self._task, frames)}
        self._listed = [_listed(task) for task in self._tasks.values()]

    def overview(self, view: View) -> Overview:
        return counted(self._listed, view, done=len(self.answers), failed=0)

    def open_tasks(self, view: View, limit: int, after: str = "") -> list[Listed]:
        return following(self._listed, view, limit, after)

    def get(self, name: str) -> Task | None:
        return self._tasks.get(name)

    def frame_of(self, name: str) -> str | None:
        return next((listed.frame_id for listed in self._listed if listed.name == name), None)

    def claim(self, name: str, reviewer: str, arbiter: bool = False) -> datetime:
        self._known(name)
        return self._claims.take(name, reviewer)

    def release(self, name: str, reviewer: str) -> None:
        self._claims.release(name, reviewer)

    def submit(
        self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float, arbiter: bool = False
    ) -> None:
        self._known(name)
        if name in self.answers:
            raise AlreadyAnswered("This task has been answered already.")
        self.answers[name] = answer_content

    def thumbnail(self, name: str) -> bytes:
        return thumbnail(self._objects[self._known(name).input_content["unlabeled_image"]])

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        if s3_uri not in self._known(name).input_content.values():
            raise KeyError(s3_uri)
        return self._objects[s3_uri], "image/png"

    def _known(self, name: str) -> Task:
        if name not in self._tasks:
            raise UnknownTask(name)
        return self._tasks[name]

    def _task(self, traced: Traced) -> Task:
        frame, proposal = traced.frame, traced.proposal
        reason = POLICY.reason_to_review(frame.frame_id, frame.revision, proposal.confidence)
        echogram, overlay = (f"s3://workspace/{frame.frame_id}/{name}.png" for name in ("echogram", "overlay"))
        self._objects[echogram] = encode_png(traced.grey)
        self._objects[overlay] = encode_png(draw_layers(traced.grey, proposal))
        content = input_content(
            proposal,
            revision=frame.revision,
            reason=reason.sentence if reason else "",
            model_output_image=overlay,
            labeled_image=echogram,
            unlabeled_image=echogram,
            axes=axes_of(frame),
        )
        name = loop_name("workspace", frame.frame_id, frame.revision, proposal.source.model_version or "")
        return Task(name, datetime.now(UTC), "open", content, task_template())


class OneTask(Tasks):
    """The review of one frame."""

    def __init__(self, traced: Traced) -> None:
        super().__init__([traced])

    @property
    def answer(self) -> dict[str, Any] | None:
        """The submitted `answerContent`."""
        return next(iter(self.answers.values()), None)


def _listed(task: Task) -> Listed:
    content = task.input_content
    return Listed(
        name=task.name, created=task.created, frame_id=content["frame_id"], reason=content["reason"],
        confidence=content["confidence"], priority=1 - (content["confidence"] or 0.0), cursor="",
    )  # fmt: skip


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


def list_screenshot(frames: Sequence[Traced], path: Path, width: int = 1280, height: int = 720) -> None:
    """Take a picture of the list of tasks of these frames."""
    from playwright.sync_api import sync_playwright

    with served(Tasks(frames)) as address, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{address}/review/", wait_until="networkidle")
        page.screenshot(path=path)
        browser.close()


@contextmanager
def served(store: Tasks, segments: Segments | None = None) -> Iterator[str]:
    """The address of the review page of `store`, on a free loopback port."""
    server = PageServer(store, segments=segments)
    thread = Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join()
