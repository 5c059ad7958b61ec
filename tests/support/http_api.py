"""A browser in front of an HTTP API: its requests as events of payload format 2.0, and what its cookies remember."""

import base64
import gzip
import json
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode

from tests.support.review_world import Context

API_ID = "a1b2c3d4"
HOST = f"{API_ID}.execute-api.us-east-1.amazonaws.com"
ADDRESS = f"https://{HOST}"
TEXT = ("application/json", "text/")


@dataclass
class Answered:
    """`size` is what Lambda answers with, in bytes."""

    status: int
    headers: dict[str, str]
    body: str
    size: int


@dataclass
class Browser:
    """`handler` is the function's; `cookies` are kept as a browser keeps those of one site."""

    handler: Any
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> Answered:
        return self.send(
            "GET",
            path,
            query,
            {"accept": "text/html", "accept-encoding": "gzip, br", "sec-fetch-mode": "navigate"} | headers,
        )

    def post(
        self, path: str, body: bytes, kind: str = "application/json", encoded: bool = False, **headers: str
    ) -> Answered:
        """`encoded`: the body in base64 although it is text, as API Gateway may send any."""
        usual = {"content-type": kind, "content-length": str(len(body)), "origin": ADDRESS, "sec-fetch-mode": "cors"}
        return self.send("POST", path, None, usual | headers, body, encoded)

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        headers: dict[str, str],
        body: bytes = b"",
        encoded: bool = False,
    ) -> Answered:
        sent = event(method, path, query or {}, headers, self.cookies, body)
        if encoded:
            sent |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        told = self.handler(sent, Context())
        for line in told.get("cookies", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        content = told.get("body", "")
        raw = base64.b64decode(content) if told["isBase64Encoded"] else content.encode()
        if told["headers"].get("content-encoding") == "gzip":
            raw = gzip.decompress(raw)
        return Answered(told["statusCode"], told["headers"], raw.decode(), len(json.dumps(told).encode()))


def event(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], cookies: dict[str, str], body: bytes = b""
) -> dict[str, Any]:
    """An event as API Gateway sends it: cookies in a list of their own, a body that is no text in base64."""
    text = headers.get("content-type", "").startswith(TEXT)
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": urlencode(query),
        "headers": {"host": HOST, "x-forwarded-proto": "https", "x-forwarded-port": "443", "user-agent": "tests"} | headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": API_ID,
            "domainName": HOST,
            "domainPrefix": API_ID,
            "http": {"method": method, "path": unquote(path), "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                     "userAgent": "tests"},
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "27/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1795651200000,
        },
        "isBase64Encoded": bool(body) and not text,
    }  # fmt: skip
    if cookies:
        made["cookies"] = [f"{name}={value}" for name, value in cookies.items()]
    if query:
        made["queryStringParameters"] = query
    if body:
        made["body"] = body.decode() if text else base64.b64encode(body).decode()
    return made
