"""The front of the HTTP server: the reviewers' page under /review/, everything signed to MiniStack.

What AWS serves to whoever asks is let through unsigned: the sign-in pages of user pools, and the review page behind an HTTP API.
"""

import re

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from firnline.portal.page import PREFIX

# MiniStack's own switches ask for no credentials: any web page could wipe the stack through them.
CLOSED = ("/_ministack/reset", "/_ministack/config")
UNSIGNED = ("/_ministack/",)
"""What MiniStack tells to whoever asks: its health."""
PAGE_BEHIND_AN_API = re.compile(r"[0-9a-f]{8}\.execute-api\.localhost(:\d{1,5})?")
"""Its Host; anything but the page's own addresses there stays closed."""
PAGES_ADDRESSES = re.compile(r"/(review(/.*)?|sign-in/back|sign-out|signed-out)?")
SIGN_IN = re.compile(
    r"/(oauth2/(authorize|token)|login|logout|[a-z0-9-]+_[A-Za-z0-9]+/\.well-known/(jwks\.json|openid-configuration))"
)
"""What a user pool serves at its domain and its issuer."""
SIGNATURES = ("X-Amz-Signature", "Signature")
"""The members of a query in which a presigned address carries its signature."""


class Front:
    """An ASGI application in front of MiniStack's, which also gets its lifespan and its websockets."""

    def __init__(self, ministack: ASGIApp, review_page: ASGIApp) -> None:
        self._ministack, self._review_page = ministack, review_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = self._answering(Request(scope)) if scope["type"] == "http" else self._ministack
        await answering(scope, receive, send)

    def _answering(self, request: Request) -> ASGIApp:
        path = request.scope["path"]
        if PAGE_BEHIND_AN_API.fullmatch(request.headers.get("host", "")) and PAGES_ADDRESSES.fullmatch(path):
            return self._ministack
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            return self._review_page
        if path.startswith(CLOSED):
            return PlainTextResponse("Closed in Firnline's local cloud.", 403)
        signed = "authorization" in request.headers or any(name in request.query_params for name in SIGNATURES)
        if signed or path.startswith(UNSIGNED) or SIGN_IN.fullmatch(path):
            return self._ministack
        # MiniStack serves S3 to whoever does not sign; here no bucket is public.
        return PlainTextResponse("Access denied: the request is not signed.", 403)
