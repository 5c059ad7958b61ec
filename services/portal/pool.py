"""The Cognito user pool that people sign in to, over OpenID Connect: the authorization code flow with PKCE, as a public client."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt

from firnline.portal.pictures import origin
from firnline.portal.problems import Problem

WAIT_SECONDS = 5.0
"""For an answer of Cognito's; a page is asked for twice, then."""
MOST_BYTES = 100_000
SCOPES = "openid"
CLAIMS = ["exp", "iss", "aud", "sub", "token_use"]
"""Without one of these an ID token says too little."""
IDENTITY = "id"
"""What Cognito calls the use of an ID token; an access token names the client elsewhere."""
CANNOT_ASK = "It cannot be checked at the moment who you are. Try again in a minute; your drawing is kept."


class Refused(Exception):
    """Cognito does not take a code or a refresh token, or a token is not one of ours: whoever it is has to sign in."""


class Expired(Refused):
    """The token was good, and its time is over."""


@dataclass(frozen=True)
class Tokens:
    """`refresh` is empty where Cognito gave none, as when tokens are renewed."""

    identity: str
    refresh: str


@dataclass(frozen=True)
class UserPool:
    """`address` is where the pool's `.well-known` lies; `issuer` what its tokens say; `back` where a signed-in browser returns."""

    address: str
    issuer: str
    client_id: str
    back: str

    def sign_in_address(self, state: str, verifier: str) -> str:
        """Where a browser is sent to sign in; it comes back with `state` and a code that `exchange` takes with `verifier`."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.back,
            "scope": SCOPES,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._endpoint('authorization_endpoint')}?{urlencode(asked)}"

    def sign_out_address(self, then: str) -> str:
        """Where a browser is sent so that Cognito forgets it too; it then goes to `then`."""
        asked = {"client_id": self.client_id, "logout_uri": then}
        return f"{self._domain}/logout?{urlencode(asked)}"

    def exchange(self, code: str, verifier: str) -> Tokens:
        """The tokens that a code stands for. Raises Refused."""
        given = self._tokens(grant_type="authorization_code", code=code, redirect_uri=self.back, code_verifier=verifier)
        if not given.refresh:
            raise Refused("no refresh token came with the code")
        return given

    def renew(self, refresh: str) -> str:
        """A new ID token, with the groups of now. Raises Refused where the session is over or was ended."""
        return self._tokens(grant_type="refresh_token", refresh_token=refresh).identity

    def revoke(self, refresh: str) -> None:
        """End a session: its refresh token is good for nothing any more."""
        self._post(f"{self._domain}/oauth2/revoke", token=refresh, client_id=self.client_id)

    def claims(self, identity: str) -> dict[str, Any]:
        """What an ID token says, its signature, issuer, audience and time checked. Raises Expired, or Refused."""
        try:
            key = self._keys.get_signing_key_from_jwt(identity)
            claims: dict[str, Any] = jwt.decode(
                identity,
                key,
                algorithms=["RS256"],
                audience=self.client_id,
                issuer=self.issuer,
                options={"require": CLAIMS},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Problem(503, CANNOT_ASK) from error
        except jwt.ExpiredSignatureError as error:
            raise Expired(str(error)) from error
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        if claims["token_use"] != IDENTITY:
            raise Refused("a token of another use")
        return claims

    @cached_property
    def _configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = _answer(Request(f"{self.address}/.well-known/openid-configuration"))  # noqa: S310 - of our own settings
        return found

    @property
    def _domain(self) -> str:
        """The pool's domain, on which Cognito documents `/logout` and `/oauth2/revoke`, whatever its configuration lists."""
        return origin(self._endpoint("authorization_endpoint"))

    def _endpoint(self, name: str) -> str:
        return str(self._configuration[name])

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        return jwt.PyJWKClient(self._endpoint("jwks_uri"), timeout=WAIT_SECONDS, lifespan=3600)

    def _tokens(self, **form: str) -> Tokens:
        given = self._post(self._endpoint("token_endpoint"), client_id=self.client_id, **form)
        try:
            return Tokens(str(given["id_token"]), str(given.get("refresh_token", "")))
        except (KeyError, TypeError) as error:
            raise Refused("no ID token among those that were given") from error

    @staticmethod
    def _post(address: str, **form: str) -> Any:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return _answer(Request(address, urlencode(form).encode(), kind, method="POST"))  # noqa: S310 - of the pool's configuration


def _answer(request: Request) -> Any:
    """Cognito's JSON. Raises Refused where it says that the request is wrong, and Problem where it does not answer."""
    try:
        with urlopen(request, timeout=WAIT_SECONDS) as answered:  # noqa: S310 - see those who call
            body = answered.read(MOST_BYTES)
        return json.loads(body) if body else {}
    except HTTPError as error:
        with error:
            if error.code == 400:
                raise Refused(error.read(MOST_BYTES)[:200].decode(errors="replace")) from error
        raise Problem(503, CANNOT_ASK) from error
    except (URLError, OSError, ValueError) as error:
        raise Problem(503, CANNOT_ASK) from error
