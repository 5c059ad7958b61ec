"""The front of the HTTP server: the reviewers' page under /review/, everything signed to MiniStack."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from .errors import ConflictException, ResourceNotFoundException
from .human_review import HumanReview, Loop
from .settings import ROOT

PREFIX = "/review"
BODY_LIMIT = 8 << 20
# MiniStack's own switches ask for no credentials: any web page could wipe the stack through them.
CLOSED = ("/_ministack/reset", "/_ministack/config")
SIGNED = ("X-Amz-Signature", "Signature")

Asgi = Callable[[dict, Callable, Callable], Awaitable[None]]
Response = tuple[int, dict[str, str], bytes]


class ReviewSite:
    def __init__(self, ministack: Asgi, reviews: HumanReview):
        self._ministack, self._reviews = ministack, reviews
        self._store: Any = None

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self._ministack(scope, receive, send)
            return
        path = scope.get("path", "")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if path == PREFIX or path.startswith(PREFIX + "/"):
            body = await _read(receive)
            answer = (
                await asyncio.to_thread(self._respond, scope["method"], path, query, headers, body)
                if body is not None
                else _too_large()
            )
            await _send(send, *answer)
        elif path.startswith(CLOSED):
            await _send(send, *_refusal(403, "Closed in Firnline's local cloud."))
        elif "authorization" in headers or any(n in query for n in SIGNED) or path.startswith("/_ministack/"):
            await self._ministack(scope, receive, send)
        else:
            # MiniStack serves S3 to whoever does not sign; here no bucket is public.
            await _send(send, *_refusal(403, "Access denied: the request is not signed."))

    def _respond(
        self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> Response:
        for folder in (ROOT / "services", ROOT / "layers" / "firnline"):
            if str(folder) not in sys.path:
                sys.path.append(str(folder))
        from firnline.portal import page

        self._store = self._store or PortalStore(self._reviews)
        return page.respond(
            self._store, method, path, {name: values[0] for name, values in query.items()}, headers, body
        )


class PortalStore:
    """The store that `review_portal.page` asks for, over the A2I part's human loops."""

    def __init__(self, reviews: HumanReview):
        from firnline.portal import store

        self._reviews, self._portal = reviews, store

    def list_tasks(self) -> list[Any]:
        return [self._task(loop) for loop in self._reviews.loops()]

    def get(self, name: str) -> Any:
        loop = self._reviews.loop(name)
        return self._task(loop) if loop else None

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        try:
            self._reviews.submit(name, answer_content, worker_id, seconds)
        except ResourceNotFoundException as error:
            raise self._portal.UnknownTask(name) from error
        except ConflictException as error:
            raise self._portal.AlreadyAnswered(name) from error

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        return self._reviews.read_object(name, s3_uri)

    def _task(self, loop: Loop) -> Any:
        return self._portal.Task(
            name=loop.name,
            created=loop.created,
            status=loop.state,
            input_content=loop.input_content,
            template=loop.template,
        )


def _refusal(status: int, sentence: str) -> Response:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, sentence.encode()


def _too_large() -> Response:
    from firnline.portal.page import TOO_LARGE

    return 413, {"Content-Type": "application/json"}, json.dumps({"error": TOO_LARGE}).encode()


async def _read(receive: Callable) -> bytes | None:
    body = b""
    while True:
        message: dict[str, Any] = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body"):
            return body


async def _send(send: Callable, status: int, headers: dict[str, str], body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in {**headers, "Content-Length": str(len(body))}.items()
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
