"""What a browser remembers for a reviewer between two requests: the view of the list, and which tasks were skipped.

The server keeps none of it, so that any of several servers can answer.
"""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from firnline.portal.store import View

VIEW, SKIPPED = "firnline_view", "firnline_skipped"
MOST_SKIPPED = 150
"""Tasks that are remembered; a cookie holds 4 kB."""
_REMEMBERED_SECONDS = 12 * 3600
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{10}")


def asked_view(query: Mapping[str, str]) -> View:
    """The view that an address asks for; what cannot be the name of a campaign or a segment asks for all."""
    campaign = query.get("campaign", "")
    segment = query.get("segment", "")
    if not _NAME.fullmatch(campaign):
        campaign = segment = ""
    return View(
        order="track" if query.get("order") == "track" else "priority",
        campaign=campaign,
        segment=segment if _NAME.fullmatch(segment) else "",
    )


def is_part(name: str) -> bool:
    """Whether a text can be the name of a campaign, a segment or a frame."""
    return bool(_NAME.fullmatch(name))


def query_of(view: View, **more: str) -> str:
    """The query of an address that asks for a view."""
    asked = {"order": view.order, "campaign": view.campaign, "segment": view.segment, **more}
    return urlencode({name: value for name, value in asked.items() if value and value != "priority"})


def remembered_view(request: Request) -> View:
    """The view of the list that was looked at last."""
    order, _, rest = request.cookies.get(VIEW, "").partition("|")
    campaign, _, segment = rest.partition("|")
    return asked_view({"order": order, "campaign": campaign, "segment": segment})


def remember_view(request: Request, response: Response, view: View) -> None:
    _remember(request, response, VIEW, "|".join((view.order, view.campaign, view.segment)))


def digest(name: str) -> str:
    """A task's name, as it is remembered."""
    return hashlib.sha256(name.encode()).hexdigest()[:10]


def skipped(request: Request) -> list[str]:
    """Digests of the tasks that were skipped, the last one last."""
    told = request.cookies.get(SKIPPED, "").split(".")
    return [part for part in told if _DIGEST.fullmatch(part)][-MOST_SKIPPED:]


def remember_skipped(request: Request, response: Response, digests: list[str]) -> None:
    _remember(request, response, SKIPPED, ".".join(digests[-MOST_SKIPPED:]))


def _remember(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=_REMEMBERED_SECONDS,
        path="/review",
        httponly=True,
        samesite="lax",  # a link from a message opens the list as it was left
        secure=request.url.scheme == "https",
    )
