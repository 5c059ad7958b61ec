"""How a picture of a task reaches the browser: its bytes through the page, or an address at the bucket, signed for minutes."""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from firnline.portal.problems import Problem
from firnline.portal.store import Store

SIGNED_SECONDS = 300
"""For which a signed address is good: a browser follows it at once."""
_SERVED_CACHE = "private, max-age=3600"

Pictures = Callable[[str, str], Response]
"""The answer to who asks for an object (s3:// address) of a task (name); KeyError or UnknownTask where it has none."""


class SigningStore(Protocol):
    def sign_object(self, name: str, s3_uri: str, seconds: int) -> str:
        """An address at which anybody can read the object for so long; `KeyError` unless the task's input refers to it."""


def served(store: Store) -> Pictures:
    """Bytes, read by the page itself."""

    def answer(name: str, s3_uri: str) -> Response:
        content, kind = store.read_object(name, s3_uri)
        if not kind.startswith("image/"):
            raise Problem(415, "The task refers to something that is not a picture.")
        return Response(content, media_type=kind, headers={"Cache-Control": _SERVED_CACHE})

    return answer


def signed(store: SigningStore) -> Pictures:
    """A redirection to the bucket, which an answer of Lambda, of 6 MB at most, is too small for.

    The page's own address stays the same, and so a task that has been open for hours still finds its pictures.
    """

    def answer(name: str, s3_uri: str) -> Response:
        address = store.sign_object(name, s3_uri, SIGNED_SECONDS)
        return RedirectResponse(address, 302)

    return answer


def origin(address: str) -> str:
    """The scheme, host and port of an address."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
