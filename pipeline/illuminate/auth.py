"""The two ways to sign in: OAuth 2 client credentials, and the older OAuth 1.

Both end as a `requests` AuthBase, so that no `~/.netrc` can take their place.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import requests
from authlib.integrations.requests_client import OAuth1Auth
from requests.auth import AuthBase

from pipeline.errors import AuthError, TransientError

_REFUSALS = frozenset({400, 401, 403})
_TOKEN = re.compile(r"[\x21-\x7e]+")
_FRUITLESS = 2
_USUAL_LIFE = 3600.0
_SHORT_LIFE = 60.0
_LONGEST_LIFE = 86_400.0


@dataclass(frozen=True, repr=False)
class OAuth2Credentials:
    """A client id and its secret."""

    client_id: str
    client_secret: str


@dataclass(frozen=True, repr=False)
class OAuth1Credentials:
    """The four values of an OAuth 1 application and its user."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str


Credentials = OAuth2Credentials | OAuth1Credentials


class Auth(Protocol):
    """What the client needs of a way to sign in."""

    def signer(self) -> AuthBase:
        """Signs one request."""

    def accepted(self, signer: AuthBase) -> None:
        """The server answered a request that `signer` signed."""

    def refused(self, signer: AuthBase) -> None:
        """The server answered 401 to a request that `signer` signed.

        Raises:
            AuthError: there is nothing else to try.
        """


class OAuth1:
    """Signs each request with HMAC-SHA1; there is nothing to renew."""

    def __init__(self, credentials: OAuth1Credentials) -> None:
        self._credentials = credentials

    def signer(self) -> AuthBase:
        """Signs one request, with a nonce of its own."""
        c = self._credentials
        auth: AuthBase = OAuth1Auth(
            c.consumer_key, c.consumer_secret, c.access_token, c.access_token_secret
        )
        return auth

    def accepted(self, signer: AuthBase) -> None:
        """Nothing follows from it."""

    def refused(self, signer: AuthBase) -> None:  # noqa: ARG002
        """A refusal is final."""
        raise AuthError(
            "the server refuses the OAuth 1 credentials; check ILLUMINATE_CONSUMER_KEY, "
            "ILLUMINATE_ACCESS_TOKEN and their secrets"
        )


class Bearer(AuthBase):
    """Signs requests with one OAuth 2 token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class OAuth2:
    """One token for all threads, renewed before it ends and when the server refuses it.

    Threads that were refused with the same token cause one renewal: who comes second finds that
    the token is another already. A token that was accepted before has ended, and is renewed; two
    tokens in a row that were never accepted mean that the server does not want us.
    """

    def __init__(self, fetch_token: Callable[[], tuple[str, float]]) -> None:
        self._fetch_token = fetch_token
        self._lock = threading.Lock()
        self._bearer: Bearer | None = None
        self._renew_at = 0.0
        self._fruitless = 0
        self._failure: AuthError | None = None

    def signer(self) -> AuthBase:
        """Signs with the token of the moment; a new one is fetched when its end is near."""
        with self._lock:
            if self._bearer is None or time.monotonic() >= self._renew_at:
                self._bearer = self._renew()
            return self._bearer

    def accepted(self, signer: AuthBase) -> None:
        """Remember that the token of the moment is good."""
        if signer is self._bearer:
            self._fruitless = 0

    def refused(self, signer: AuthBase) -> None:
        """Fetch another token, unless another thread has done so since."""
        with self._lock:
            if signer is not self._bearer:
                return
            if self._fruitless >= _FRUITLESS:
                raise AuthError("the server refuses tokens that it has just given out (401)")
            self._bearer = self._renew()

    def _renew(self) -> Bearer:
        if self._failure is not None:
            raise self._failure
        try:
            token, life = self._fetch_token()
        except AuthError as error:
            self._failure = error
            raise
        self._fruitless += 1
        self._renew_at = time.monotonic() + life - min(300.0, life / 10)
        return Bearer(token)


def token_form(credentials: OAuth2Credentials) -> dict[str, str]:
    """What is posted to ask for a token (RFC 6749, section 4.4)."""
    return {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }


def read_token(status: int, body: bytes, retry_after: float | None = None) -> tuple[str, float]:
    """The token and its life in seconds, from the reply to a token request.

    Raises:
        AuthError: the credentials are refused.
        TransientError: anything else is wrong with it. Its text is never repeated.
    """
    if status in _REFUSALS:
        raise AuthError(
            "the server refuses the credentials; check ILLUMINATE_CLIENT_ID and "
            "ILLUMINATE_CLIENT_SECRET"
        )
    if status != requests.codes.ok:
        raise TransientError(f"the token request was answered with {status}", retry_after)
    try:
        body.decode()  # what the decoder passes over must be UTF-8 as well
        token = msgspec.json.decode(body, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransientError("the token reply holds no access_token") from None
    if not _TOKEN.fullmatch(token.access_token):
        raise TransientError("the token reply holds no usable access_token")
    return token.access_token, _life(token.expires_in)


class _Token(msgspec.Struct):
    access_token: str
    expires_in: Any = None


def _life(expires_in: object) -> float:
    if expires_in is None:
        return _USUAL_LIFE
    try:
        life = float(str(expires_in))
    except ValueError:
        return _SHORT_LIFE
    return min(life, _LONGEST_LIFE) if life > 0 else _SHORT_LIFE  # also where it is not a number
