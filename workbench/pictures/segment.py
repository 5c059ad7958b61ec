"""A flight segment in the segment browser, as it looks in a browser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firnline.documents.echogram import encode_png
from firnline.portal.segment_store import PICTURE_SIZES, SegmentCounts, SegmentFrame, shown_frame
from firnline.review.policy import Policy
from firnline.review.thumbnail import thumbnail
from firnline.store.line_status import LineStatus
from firnline.store.rows import FrameStatus
from workbench.pictures.frames import Traced
from workbench.pictures.review import CHROMIUM, CHROMIUM_ARGUMENTS, OneTask, served

_STATUS: dict[LineStatus, FrameStatus] = {"reviewed": "CORRECTED", "accepted": "ACCEPTED", "unreviewed": "IN_REVIEW"}
_POLICY = Policy(confidence=0.78, audit_rate=0.0)
"""ReviewConfidence as a lab may set it: of the segment that is shown the model is sure enough of some frames and not of others."""
_SETTLED_MS = 300


class OneSegment:
    """What the browser asks for (`firnline.portal.segment_store.Segments`), of frames in memory; those at `reviewed` have their
    true lines, and of the others the policy accepts those that the model is sure of.
    """

    def __init__(self, frames: Sequence[Traced], reviewed: Sequence[int]) -> None:
        self._frames = {one.frame.frame_id: one for one in frames}
        self._reviewed = {frames[place].frame.frame_id for place in reviewed}

    def campaigns(self) -> list[str]:
        return sorted({name.partition("/")[0] for name in self._frames})

    def segments(self, campaign: str, limit: int, after: str = "") -> list[SegmentCounts]:
        return []

    def frames(self, campaign: str, segment: str) -> list[SegmentFrame]:
        return [self._listed(one) for one in self._frames.values()]

    def task(self, frame_id: str, reviewer: str, *, arbiter: bool) -> tuple[str, str]:
        return "", ""

    def picture(self, frame_id: str, revision: str, size: str) -> bytes:
        return thumbnail(encode_png(self._frames[frame_id].grey), *PICTURE_SIZES[size])

    def shown(self, frame_id: str) -> dict[str, Any]:
        one = self._frames[frame_id]
        status = self._status(one)
        return shown_frame(one.frame, status, one.truth if status == "reviewed" else one.proposal)

    def _listed(self, one: Traced) -> SegmentFrame:
        status = self._status(one)
        stem = one.frame.frame_id.rpartition("/")[2]
        return SegmentFrame(stem, one.frame.revision, _STATUS[status], status, one.proposal.confidence, "")

    def _status(self, one: Traced) -> LineStatus:
        if one.frame.frame_id in self._reviewed:
            return "reviewed"
        frame = one.frame
        asked = _POLICY.reason_to_review(frame.frame_id, frame.revision, one.proposal.confidence)
        return "accepted" if asked is None else "unreviewed"


def screenshot_of_segment(
    frames: Sequence[Traced], reviewed: Sequence[int], path: Path, width: int = 1400, height: int = 850
) -> None:
    """Take a picture of the browser on a segment, the pointer in its middle, with Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    address = f"/review/segments/{frames[0].frame.frame_id.rpartition('/')[0]}"
    with served(OneTask(frames[0]), OneSegment(frames, reviewed)) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(site + address)
        for one in frames:
            page.wait_for_selector(
                f'[data-frame="{one.frame.frame_id.rpartition("/")[2]}"][data-pictured]', state="attached"
            )
        page.mouse.move(width * 0.4, height * 0.45)
        page.wait_for_timeout(_SETTLED_MS)
        page.screenshot(path=path)
        browser.close()
