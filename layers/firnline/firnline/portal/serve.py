"""The reviewers' page on a reviewer's own machine."""

import json
import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from firnline.limits import MAX_ANSWER_BYTES
from firnline.portal.page import PREFIX, TOO_LARGE, respond
from firnline.portal.store import Store

logger = logging.getLogger(__name__)

_MOST_UNREAD = 10 * MAX_ANSWER_BYTES
"""A browser reads the answer only when all that it sends has been read. Of a longer body nothing is read."""
_PIECE = 1 << 20


def _refusal(sentence: str) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/json"}, json.dumps({"error": sentence}).encode()


def make_server(store: Store, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """A server for the page, not yet running; with port 0 it takes a free one (`server.server_port`)."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 60
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            url = urlsplit(self.path)
            size = self.headers.get("Content-Length", "0")
            if not (size.isascii() and size.isdecimal() and len(size) < 12) or "Transfer-Encoding" in self.headers:
                self.close_connection = True
                self._send(411, *_refusal("An answer has to be sent with its Content-Length."))
                return
            if int(size) > MAX_ANSWER_BYTES:
                self.close_connection = True
                left = int(size) if int(size) <= _MOST_UNREAD else 0
                while left and (piece := self.rfile.read(min(left, _PIECE))):
                    left -= len(piece)
                self._send(413, *_refusal(TOO_LARGE))
                return
            body = self.rfile.read(int(size))
            if not url.path.startswith(f"{PREFIX}/"):
                self._send(303, {"Location": f"{PREFIX}/"}, b"")
                return
            try:
                answer = respond(store, self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
            except Exception:
                logger.exception("%s %s failed", self.command, url.path)
                sentence = (
                    b'{"error": "The server could not do it; its log says why. Your drawing is kept: try again."}'
                )
                answer = 500, {"Content-Type": "application/json"}, sentence
            self._send(*answer)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            logger.debug(format, *args)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server
