"""Who is signed in, in an account: an ASGI application around the page that knows its reviewers by their cookies.

Cookies and not a header, since a browser sends no header of ours where a person follows a link. They are HttpOnly, so that no script
reads them, and the ID token among them is Cognito's own: the page keeps no sessions and no secret. A token is good for minutes and
renewed with the refresh token, so that a person who is taken out of a group, or away, is out within that time.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firnline.observability import logger
from firnline.portal.application import tell
from firnline.portal.guards import Site, check_sender
from firnline.portal.identity import Reviewer, of_claims
from firnline.portal.page import PREFIX, problem_page
from firnline.portal.problems import Problem
from portal.pool import Expired, Refused, UserPool

BACK = "/sign-in/back"
"""Where Cognito sends a browser that has signed in; the template names it as the client's one CallbackURL."""
SIGN_OUT = "/sign-out"
SIGNED_OUT = "/signed-out"
"""Where Cognito sends a browser that has signed out; the client's one LogoutURL."""
SESSION_SECONDS = 12 * 3600
"""For which a browser keeps its cookies; a refresh token ends then too (the client's RefreshTokenValidity)."""
SIGNING_IN_SECONDS = 600
RENEW_BEFORE_SECONDS = 30
"""A token that ends so soon is renewed at once."""
STATE = re.compile(r"[A-Za-z0-9_-]{43}")
CODE = re.compile(r"[A-Za-z0-9._~-]{1,500}")
WANTED = re.compile(rf"(?!.*\.\.){PREFIX}/[A-Za-z0-9/_.?=&%-]{{0,500}}")
"""Where a person may be led after signing in: a page of ours, and nothing that a browser could take for another site."""
SIGN_IN = "You are signed out. Reload the page to sign in again: your drawing is kept."
NOT_FINISHED = "Signing in was not finished in time, or in another browser. Open the list of tasks to begin again."


@dataclass(frozen=True)
class _Session:
    claims: dict[str, Any]
    key: bytes
    renewed: str | None


def identify(request: Request) -> Reviewer:
    """Who is signed in, for `firnline.portal.application.make_app`."""
    session: _Session = request.scope["firnline.session"]
    return of_claims(session.claims, session.key, SIGN_OUT)


class SignedIn:
    """ASGI application: people who are not signed in reach nothing of `page` but the way to do so."""

    def __init__(self, page: ASGIApp, pool: UserPool, site: Site, secure: bool) -> None:
        self._page, self._pool, self._site = page, pool, site
        self._cookies = _Cookies(secure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._page(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            check_sender(request, self._site)
            answer = await self._own_answer(request)
        except Problem as problem:
            answer = tell(request, problem)
        if answer is not None:
            for name, value in self._site.headers.items():
                answer.headers.setdefault(name, value)
            await answer(scope, receive, send)
            return
        await self._page(scope, receive, self._renewing(scope, send))

    async def _own_answer(self, request: Request) -> Response | None:
        """The answer to who is not signed in, or signs in or out; None where the page answers."""
        path = request.url.path
        if path == BACK:
            return await run_in_threadpool(self._come_back, request)
        if path == SIGN_OUT:
            return await run_in_threadpool(self._sign_out, request)
        if path == SIGNED_OUT:
            return Response(problem_page("You are signed out of Firnline."), media_type="text/html")
        session = await run_in_threadpool(self._session, request)
        if session is not None:
            request.scope["firnline.session"] = session
            return None
        if request.method == "GET" and _navigates(request):
            return await run_in_threadpool(self._send_to_sign_in, request)
        return tell(request, Problem(401, SIGN_IN))

    def _session(self, request: Request) -> _Session | None:
        identity, refresh = self._cookies.read(request)
        if not refresh:
            return None
        key = hmac.new(refresh.encode(), b"the forms of this session", hashlib.sha256).digest()
        try:
            if identity:
                return _Session(self._pool.claims(identity), key, None)
        except Expired:
            pass
        except Refused:
            return None
        try:
            renewed = self._pool.renew(refresh)
            return _Session(self._pool.claims(renewed), key, renewed)
        except Refused:
            return None

    def _renewing(self, scope: Scope, send: Send) -> Send:
        session: _Session = scope["firnline.session"]

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and session.renewed:
                kept = Response()
                self._cookies.keep_identity(kept, session.renewed)
                MutableHeaders(scope=message).append("set-cookie", kept.headers["set-cookie"])
            await send(message)

        return send_with_cookie

    def _send_to_sign_in(self, request: Request) -> Response:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        answer = RedirectResponse(self._pool.sign_in_address(state, verifier), 303)
        self._cookies.begin(answer, state, verifier, wanted if WANTED.fullmatch(wanted) else f"{PREFIX}/")
        return answer

    def _come_back(self, request: Request) -> Response:
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        begun = self._cookies.begun(request, state) if STATE.fullmatch(state) else None
        if begun is None or not CODE.fullmatch(code):
            raise Problem(400, NOT_FINISHED)
        verifier, wanted = begun
        try:
            tokens = self._pool.exchange(code, verifier)
            self._pool.claims(tokens.identity)
        except Refused as error:
            raise Problem(400, NOT_FINISHED) from error
        answer = RedirectResponse(wanted if WANTED.fullmatch(wanted) else f"{PREFIX}/", 303)
        self._cookies.end(answer, state)
        self._cookies.keep_identity(answer, tokens.identity)
        self._cookies.keep_refresh(answer, tokens.refresh)
        return answer

    def _sign_out(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Problem(403, "Another site's page asked to sign you out, which was refused.")
        _, refresh = self._cookies.read(request)
        if refresh:
            try:
                self._pool.revoke(refresh)
            except (Refused, Problem) as error:  # this browser forgets it all the same
                logger.warning("a session was not revoked", extra={"why": str(error)})
        [origin] = self._site.origins(request.headers["host"])
        answer = RedirectResponse(self._pool.sign_out_address(origin + SIGNED_OUT), 303)
        self._cookies.forget(answer)
        return answer


class _Cookies:
    """`__Host-`: a browser takes such a cookie over TLS only, and from no other host, not even a sibling."""

    def __init__(self, secure: bool) -> None:
        self._secure = secure
        prefix = "__Host-" if secure else ""
        self._identity, self._refresh = f"{prefix}firnline-identity", f"{prefix}firnline-refresh"
        self._begun = f"{prefix}firnline-signing-in-"

    def read(self, request: Request) -> tuple[str, str]:
        """The ID token and the refresh token; empty where there is none."""
        return request.cookies.get(self._identity, ""), request.cookies.get(self._refresh, "")

    def keep_identity(self, answer: Response, token: str) -> None:
        self._set(answer, self._identity, token, SESSION_SECONDS)

    def keep_refresh(self, answer: Response, token: str) -> None:
        self._set(answer, self._refresh, token, SESSION_SECONDS)

    def begin(self, answer: Response, state: str, verifier: str, wanted: str) -> None:
        """Remember who was sent to sign in; one cookie each, since a browser opens all its tabs at once in the morning."""
        self._set(answer, self._begun + state, urlencode({"verifier": verifier, "wanted": wanted}), SIGNING_IN_SECONDS)

    def begun(self, request: Request, state: str) -> tuple[str, str] | None:
        kept = parse_qs(request.cookies.get(self._begun + state, ""))
        try:
            return kept["verifier"][0], kept["wanted"][0]
        except KeyError:
            return None

    def end(self, answer: Response, state: str) -> None:
        self._set(answer, self._begun + state, "", 0)

    def forget(self, answer: Response) -> None:
        for name in (self._identity, self._refresh):
            self._set(answer, name, "", 0)

    def _set(self, answer: Response, name: str, value: str, seconds: int) -> None:
        # Lax and not Strict: the way back from Cognito's page is another site's.
        answer.set_cookie(name, value, seconds, path="/", secure=self._secure, httponly=True, samesite="lax")


def _navigates(request: Request) -> bool:
    """Whether a person opens a page, and not the page one of its parts."""
    mode = request.headers.get("sec-fetch-mode")
    return mode == "navigate" if mode else "text/html" in request.headers.get("accept", "")
