"""A person who signs in to the review page of a deployed stack and reviews there, without a browser."""

import html
import json
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

import httpx2


class PageInAccount:
    """`address` is the stack's ReviewPageAddress. Its host leads to loopback, which not every resolver knows."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._origin = {"Host": parts.netloc}, f"{parts.scheme}://{parts.netloc}"
        self._local = f"http://127.0.0.1:{parts.port}"
        self._browser = httpx2.Client(timeout=60)

    def __enter__(self) -> "PageInAccount":
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    def sign_in(self, name: str, password: str) -> None:
        """Sign in for the first time, and choose a password of one's own."""
        sent = self.get("/review/")
        form = _fields(self._browser.get(sent.headers["location"]).text)
        asked = self._post_form(form | {"username": name, "password": password})
        own = f"Own-{secrets.token_hex(8)}"
        back = self._post_form(_fields(asked.text) | {"new_password": own, "confirm_password": own})
        where = urlsplit(back.headers["location"])
        assert self.get(f"{where.path}?{where.query}").status_code == 303

    def get(self, path: str) -> httpx2.Response:
        return self._browser.get(self._local + path, headers=self._host | {"Accept": "text/html"})

    def picture(self, name: str, s3_uri: str) -> httpx2.Response:
        """A task's picture, from wherever the page says it is."""
        sent = self._browser.get(f"{self._local}/review/tasks/{name}/image", params={"uri": s3_uri}, headers=self._host)
        return self._browser.get(sent.headers["location"]) if sent.is_redirect else sent

    def submit(self, name: str, answer: dict[str, Any]) -> httpx2.Response:
        [token] = re.findall(r'data-token="([0-9a-f]+)"', self.get(f"/review/tasks/{name}").text)
        body = json.dumps({"answerContent": answer, "token": token, "seconds": 12.0}).encode()
        headers = self._host | {"Origin": self._origin, "Content-Type": "application/json"}
        return self._browser.post(f"{self._local}/review/tasks/{name}/submit", content=body, headers=headers)

    def _post_form(self, form: dict[str, str]) -> httpx2.Response:
        return self._browser.post(f"{self._local}/login", data=form)


def _fields(page: str) -> dict[str, str]:
    """The hidden fields of a form."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}
