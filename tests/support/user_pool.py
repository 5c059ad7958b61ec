"""A Cognito user pool as far as the page asks it: its description, keys, tokens over real HTTP, each token signed by a test's key."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

POOL_ID = "us-east-1_Firnline1"
ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
CLIENT_ID = "6example9client"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEY_OF_ANOTHER_POOL = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class FakePool:
    """`people` are names with their groups; `ended` are refresh tokens that were revoked; `down`: nothing answers but 500."""

    address: str
    people: dict[str, list[str]] = field(default_factory=lambda: {"ada": ["reviewer"]})
    codes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What makes the SDK and the function ask this pool."""
        return {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": self.address, "USER_POOL_ID": POOL_ID,
                "USER_POOL_ISSUER": ISSUER, "USER_POOL_CLIENT_ID": CLIENT_ID, "WORKER_TEMPLATE": "layer-editor"}  # fmt: skip

    def token(self, name: str, key: rsa.RSAPrivateKey = KEY, kid: str = "id-key", **claims: Any) -> str:
        """An ID token for a person, good for a quarter of an hour, with these claims in place of the usual."""
        now = int(time.time())
        usual = {"iss": ISSUER, "aud": CLIENT_ID, "sub": f"sub-of-{name}", "token_use": "id", "iat": now, "exp": now + 900,
                 "cognito:username": name, "cognito:groups": self.people.get(name, [])}  # fmt: skip
        kept = {claim: value for claim, value in (usual | claims).items() if value is not None}
        return jwt.encode(kept, key, algorithm="RS256", headers={"kid": kid})

    def session(self, name: str) -> str:
        """A refresh token of a person who has signed in."""
        refresh = secrets.token_urlsafe(100)
        self.sessions[refresh] = name
        return refresh

    def sign_in(self, address: str, name: str) -> dict[str, str]:
        """What the person's browser brings back to the page from the sign-in page at this address."""
        parts = urlsplit(address)
        asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
        assert (parts.path, asked["response_type"], asked["client_id"]) == ("/oauth2/authorize", "code", CLIENT_ID)
        assert (asked["scope"], asked["code_challenge_method"]) == ("openid", "S256")
        code = secrets.token_hex(16)
        self.codes[code] = (name, asked["code_challenge"], asked["redirect_uri"])
        return {"code": code, "state": asked["state"]}

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, Any]:
        self.asked.append(path)
        if self.down:
            return 500, {}
        if path == f"/{POOL_ID}/.well-known/openid-configuration":
            return 200, {"issuer": ISSUER, "authorization_endpoint": f"{self.address}/oauth2/authorize",
                         "token_endpoint": f"{self.address}/oauth2/token",
                         "jwks_uri": f"{self.address}/{POOL_ID}/.well-known/jwks.json"}  # fmt: skip
        if path == f"/{POOL_ID}/.well-known/jwks.json":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            return 200, {"keys": [public | {"kid": "id-key", "use": "sig", "alg": "RS256"}]}
        if path == "/oauth2/token":
            return self._tokens(form)
        if path == "/oauth2/revoke" and form["client_id"] == CLIENT_ID:
            self.ended.add(form["token"])
            return 200, {}
        return 404, {}

    def _tokens(self, form: dict[str, str]) -> tuple[int, Any]:
        refused = 400, {"error": "invalid_grant"}
        if form["client_id"] != CLIENT_ID:
            return refused
        if form["grant_type"] == "authorization_code":
            name, challenge, back = self.codes.pop(form["code"], ("", "", ""))
            proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
            if not name or proof.decode() != challenge or form["redirect_uri"] != back:
                return refused
            return 200, {"id_token": self.token(name), "access_token": "x", "refresh_token": self.session(name)}
        name = self.sessions.get(form["refresh_token"], "")
        if name not in self.people or form["refresh_token"] in self.ended:
            return refused
        return 200, {"id_token": self.token(name), "access_token": "x"}


@contextmanager
def fake_pool() -> Iterator[FakePool]:
    """A pool that answers on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, form: dict[str, str]) -> None:
            status, content = pool.answer(urlsplit(self.path).path, form)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer({key: value[0] for key, value in parse_qs(body).items()})

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pool = FakePool(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield pool
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
