"""The segment browser: a whole flight segment as one radargram with its layers, and the map of its track beside it.

Everything is read only. `segment_browser.js` asks for the frames of a segment one after the other and puts them together, so that
no answer grows with the segment.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from firnline.portal import page, polar
from firnline.portal.coastline import in_file
from firnline.portal.identity import Reviewer
from firnline.portal.page import PREFIX
from firnline.portal.problems import Problem
from firnline.portal.scripts import joined
from firnline.portal.segment_store import PICTURE_SIZES, SegmentCounts, SegmentFrame, Segments
from firnline.portal.views import is_part
from firnline.store.rows import STATUSES, FrameStatus

SHOWN_SEGMENTS = 40
PICTURE_CACHE = "private, max-age=3600, immutable"
"""An address names the revision whose picture it is."""
SHOWN_CACHE = "private, max-age=20"
"""Lines change when somebody answers: going back and forth is quick, and a minute later everything is new."""
COASTS_CACHE = "private, max-age=86400"
SAID: dict[FrameStatus, str] = {
    "READY": "not predicted yet",
    "PREDICTED": "predicted",
    "IN_REVIEW": "in review",
    "ACCEPTED": "accepted",
    "CORRECTED": "reviewed",
    "REJECTED": "refused",
}
PARALLELS = np.arange(40, 90, 0.25)
"""Degrees from the equator of the circles that the map may draw."""
_Found = TypeVar("_Found")

_NO_SEGMENT = "There is no such segment, or it has no frames. Go back to the list of segments."
_NO_FRAME = "There is no such frame in this segment."
_NO_COASTS = "There are coasts of the projections EPSG:3413 and EPSG:3031 only."


def addresses(store: Segments) -> list[Route]:
    """The addresses of the browser, below the page's own."""
    pages = _Pages(store)
    frame = "/segments/{campaign}/{segment}/{stem}"
    return [
        Route("/segments", lambda _: RedirectResponse(f"{PREFIX}/segments/", 308)),
        Route("/segments/", pages.list),
        Route("/segment_browser.js", pages.script),
        Route("/coasts/{number}", pages.coasts),
        Route("/segments/{campaign}/{segment}", pages.segment),
        Route(frame, pages.frame),
        Route(f"{frame}/shown", pages.shown),
        Route(f"{frame}/picture/{{revision}}/{{size}}", pages.picture),
    ]


class _Pages:
    """They run on threads, since a store waits for AWS."""

    def __init__(self, store: Segments) -> None:
        self._store = store

    def list(self, request: Request) -> Response:
        campaigns = self._store.campaigns()
        asked, after = (request.query_params.get(name, "") for name in ("campaign", "after"))
        campaign = asked if is_part(asked) else next(iter(campaigns), "")
        after = after if is_part(after) else ""
        found = self._store.segments(campaign, SHOWN_SEGMENTS + 1, after) if campaign else []
        return HTMLResponse(list_page(campaigns, campaign, found, after))

    def script(self, request: Request) -> Response:
        return Response(joined("segment_browser"), media_type="text/javascript")

    def coasts(self, request: Request) -> Response:
        content = _found(lambda: in_file(f"EPSG:{request.path_params['number']}"), _NO_COASTS)
        headers = {"Content-Encoding": "gzip", "Cache-Control": COASTS_CACHE}
        return Response(content, media_type="application/json", headers=headers)

    def segment(self, request: Request) -> Response:
        campaign, segment = _part(request, "campaign"), _part(request, "segment")
        frames = self._store.frames(campaign, segment)
        if not frames:
            raise Problem(404, _NO_SEGMENT)
        return HTMLResponse(segment_page(campaign, segment, frames))

    def frame(self, request: Request) -> Response:
        """The frame's open task, where this reviewer can have it; else its picture with its layers."""
        frame_id = _frame_id(request)
        campaign, segment, stem = frame_id.split("/")
        reviewer: Reviewer = request.state.reviewer
        name, note = _found(lambda: self._store.task(frame_id, reviewer.name, arbiter=reviewer.is_arbiter))
        if name:
            return RedirectResponse(page.address(name), 303)
        frames = self._store.frames(campaign, segment)
        return HTMLResponse(segment_page(campaign, segment, frames, stem, note))

    def shown(self, request: Request) -> Response:
        frame_id = _frame_id(request)
        return JSONResponse(_found(lambda: self._store.shown(frame_id)), headers={"Cache-Control": SHOWN_CACHE})

    def picture(self, request: Request) -> Response:
        frame_id, revision, size = _frame_id(request), _part(request, "revision"), request.path_params["size"]
        if size not in PICTURE_SIZES:
            raise Problem(404, f"Pictures have {', '.join(PICTURE_SIZES)} columns.")
        png = _found(lambda: self._store.picture(frame_id, revision, size))
        return Response(png, media_type="image/png", headers={"Cache-Control": PICTURE_CACHE})


def list_page(campaigns: list[str], campaign: str, segments: list[SegmentCounts], after: str = "") -> str:
    """Campaigns, and the first `SHOWN_SEGMENTS` of these segments; `after` says behind which they begin."""
    shown = segments[:SHOWN_SEGMENTS]
    total = sum((sum(segment.frames.values()) for segment in shown), 0)
    return page.render_own(
        "segment_list.liquid.html",
        campaign=campaign,
        campaigns=[{"name": name, "chosen": name == campaign, "address": list_address(name)} for name in campaigns],
        segments=[
            {
                "name": segment.name,
                "address": segment_address(campaign, segment.name),
                "total": sum(segment.frames.values()),
                "counts": _counts(segment.frames),
            }
            for segment in shown
        ],
        statuses=[{"name": status, "said": SAID[status]} for status in STATUSES],
        total=total,
        sums=_counts(
            {status: sum(segment.frames.get(status, 0) for segment in shown) for status in STATUSES}
        ),
        first=list_address(campaign) if after else "",
        further=list_address(campaign, shown[-1].name) if len(segments) > len(shown) else "",
    )  # fmt: skip


def segment_page(campaign: str, segment: str, frames: list[SegmentFrame], stem: str = "", note: str = "") -> str:
    """The browser on a whole segment, or on one frame of it; `note` says why its task is not shown."""
    shown = [frame for frame in frames if frame.status != "REJECTED" and stem in ("", frame.stem)]
    if stem and not any(frame.stem == stem for frame in frames):
        raise Problem(404, _NO_FRAME)
    stems = [frame.stem for frame in frames if frame.status != "REJECTED"]
    place = stems.index(stem) if stem in stems else -1
    given = {
        "address": segment_address(campaign, segment),
        "whole": not stem,
        "pictures": dict(PICTURE_SIZES),
        "frames": [
            {
                "frame": frame.stem, "revision": frame.revision, "state": SAID[frame.status], "status": frame.lines,
                "confidence": frame.confidence,
            }
            for frame in shown
        ],
        "projections": {projection.code: _graticule(projection) for projection in (polar.ARCTIC, polar.ANTARCTIC)},
    }  # fmt: skip
    refused = [{"stem": frame.stem, "reason": frame.reason} for frame in frames if frame.status == "REJECTED"]
    return page.render_own(
        "segment.liquid.html",
        campaign=campaign,
        segment=segment,
        stem=stem,
        note=note,
        given=json.dumps(given),
        shown=len(shown),
        refused=[one for one in refused if stem in ("", one["stem"])],
        campaign_address=list_address(campaign),
        segment_address=segment_address(campaign, segment),
        before=f"{segment_address(campaign, segment)}/{stems[place - 1]}" if place > 0 else "",
        behind=f"{segment_address(campaign, segment)}/{stems[place + 1]}" if 0 <= place < len(stems) - 1 else "",
    )


def list_address(campaign: str, after: str = "") -> str:
    return f"{PREFIX}/segments/?campaign={campaign}" + (f"&after={after}" if after else "")


def segment_address(campaign: str, segment: str) -> str:
    return f"{PREFIX}/segments/{campaign}/{segment}"


def _graticule(projection: polar.Projection) -> dict[str, Any]:
    """What the map needs to draw meridians, which are straight lines from the pole, and parallels, which are circles, in km;
    and where its coasts are.
    """
    _, y = projection.xy(projection.pole * PARALLELS, np.full(PARALLELS.shape, projection.straight_down))
    return {
        "pole": projection.pole,
        "straightDown": projection.straight_down,
        "coast": f"{PREFIX}/coasts/{projection.code.removeprefix('EPSG:')}",
        "parallels": [
            [float(degrees), round(abs(radius) / 1000, 3)] for degrees, radius in zip(PARALLELS, y, strict=True)
        ],
    }


def _counts(frames: dict[FrameStatus, int]) -> list[dict[str, Any]]:
    total = sum(frames.values()) or 1
    return [
        {
            "status": status,
            "said": SAID[status],
            "count": frames.get(status, 0),
            "share": 100 * frames.get(status, 0) / total,
        }
        for status in STATUSES
    ]


def _found(read: Callable[[], _Found], otherwise: str = _NO_FRAME) -> _Found:
    try:
        return read()
    except KeyError as error:
        raise Problem(404, otherwise) from error


def _part(request: Request, name: str) -> str:
    part: str = request.path_params[name]
    if not is_part(part):
        raise Problem(404, _NO_SEGMENT)
    return part


def _frame_id(request: Request) -> str:
    return "/".join(_part(request, name) for name in ("campaign", "segment", "stem"))
