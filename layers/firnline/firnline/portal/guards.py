"""Where the page is served, how much it reads, and what its answers forbid the browser.

The page answers only to its own names, so that no other site can reach it through the reviewer's browser.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firnline.limits import MAX_ANSWER_BYTES
from firnline.portal.problems import NO_LENGTH, TOO_LARGE, TOO_SLOW, Problem

LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
LONGEST_LENGTH = 11
"""Digits of a Content-Length that is looked at."""
MOST_UNREAD = 10 * MAX_ANSWER_BYTES
"""A browser hears an answer only when all that it sends has been read; of more than this nothing is."""
BODY_SECONDS = 60.0
"""In which a body has to arrive."""
HSTS = "max-age=31536000"


def security_headers(pictures: str = "") -> dict[str, str]:
    """What every answer carries; `pictures` is the origin that the browser may fetch pictures from besides the page's own."""
    elsewhere = f" {pictures}" if pictures else ""
    return _COMMON | {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:{elsewhere}; connect-src 'self'{elsewhere}; worker-src blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    }


_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Site:
    """Where the page is served. `origins` gives those of a Host that `serves` takes; `refusal` is told to any other."""

    serves: Callable[[str], bool]
    origins: Callable[[str], tuple[str, ...]]
    refusal: str
    headers: Mapping[str, str]


THIS_MACHINE = Site(
    serves=lambda host: bool(LOOPBACK.fullmatch(host)),
    origins=lambda host: (f"http://{host}", f"https://{host}"),
    refusal="This page answers on this machine only, as localhost, not as",
    headers=MappingProxyType(security_headers()),
)
"""Any loopback name, since a browser may come through a tunnel from a port of another number."""


def site_at(address: str, pictures: str) -> Site:
    """The site at one origin, such as `https://<name>`, whose pictures come from the origin `pictures`."""
    parts = urlsplit(address)
    headers = security_headers(pictures) | ({"Strict-Transport-Security": HSTS} if parts.scheme == "https" else {})
    return Site(
        serves=lambda host: host == parts.netloc,
        origins=lambda _host: (f"{parts.scheme}://{parts.netloc}",),
        refusal=f"This page answers as {parts.netloc}, not as",
        headers=MappingProxyType(headers),
    )


class SecurityHeaders:
    """ASGI middleware: every answer carries these headers, unless it has its own of that name."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app, self._headers = app, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def check_sender(request: Request, site: Site) -> None:
    """Raise Problem unless the request names the site, and comes from no other site's page.

    The connection ends then, so that nothing of what such a request carries is read.
    """
    host = request.headers.get("host", "")
    if not site.serves(host):
        raise Problem(421, f"{site.refusal} '{host[:100]}'.", closes=True)
    own = site.origins(host)
    if any(origin not in own for origin in request.headers.getlist("origin")):
        raise Problem(403, "The request came from another site's page and was refused.", closes=True)


async def check_length(request: Request) -> None:
    """Raise Problem for a body of unknown length or of more than `MAX_ANSWER_BYTES`, before any of it is kept."""
    told = request.headers.get("content-length", "0")
    known = told.isascii() and told.isdecimal() and len(told) <= LONGEST_LENGTH
    if not known or "transfer-encoding" in request.headers:
        raise Problem(411, NO_LENGTH, closes=True)
    if int(told) > MAX_ANSWER_BYTES:
        if int(told) <= MOST_UNREAD:
            await _pour_away(request)
        raise Problem(413, TOO_LARGE, closes=True)


async def _pour_away(request: Request) -> None:
    with anyio.move_on_after(BODY_SECONDS):
        try:
            async for _ in request.stream():
                pass
        except ClientDisconnect:
            return


async def read_body(request: Request) -> bytes:
    """The body, of `MAX_ANSWER_BYTES` at most, whatever the request said of its length."""
    pieces, size = [], 0
    with anyio.move_on_after(BODY_SECONDS) as waited:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise Problem(413, TOO_LARGE, closes=True)
            pieces.append(piece)
    if waited.cancelled_caught:
        raise Problem(408, TOO_SLOW, closes=True)
    return b"".join(pieces)
