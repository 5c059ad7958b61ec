"""The review page on a reviewer's own machine, on loopback, served by uvicorn."""

import socket

import uvicorn

from firnline.portal.application import make_app
from firnline.portal.identity import Identify, this_machine
from firnline.portal.segment_store import Segments
from firnline.portal.store import Store

LAST_ANSWERS_SECONDS = 5
"""For which a server that is asked to end waits for answers that are being given."""


class PageServer(uvicorn.Server):
    """Listens from the start, on a free port if `port` is 0; raises OSError where it cannot.

    Without `identify` the reviewer is whom the operating system knows; without `segments` there is no segment browser.
    """

    def __init__(
        self,
        store: Store,
        host: str = "127.0.0.1",
        port: int = 0,
        identify: Identify | None = None,
        segments: Segments | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(store, identify or this_machine(), segments=segments),
                http="h11",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
            )
        )
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]

    def serve_until_stopped(self) -> None:
        """Serve until `stop`, or until a signal ends it; Ctrl+C raises KeyboardInterrupt afterwards."""
        self.run(sockets=[self._socket])

    def stop(self) -> None:
        """End, from whatever thread; answers that are being given are given."""
        self.should_exit = True
