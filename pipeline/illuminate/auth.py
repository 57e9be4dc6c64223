"""The two ways to sign in: OAuth 2 client credentials, and the older OAuth 1."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import requests
from authlib.integrations.requests_client import OAuth1Auth
from requests.auth import AuthBase

from pipeline.errors import AuthError, TransientError

_REJECTED_STATUSES = frozenset({400, 401, 403})
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MAX_REJECTED = 2
_DEFAULT_LIFETIME = 3600.0
_SHORT_LIFETIME = 60.0
_MAX_LIFETIME = 86_400.0


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


class OAuth1:
    """Signs each request with HMAC-SHA1; there is nothing to renew."""

    def __init__(self, credentials: OAuth1Credentials) -> None:
        self._credentials = credentials

    def current(self) -> AuthBase:
        """Return a signature for one request, with its own nonce."""
        c = self._credentials
        auth: AuthBase = OAuth1Auth(
            c.consumer_key, c.consumer_secret, c.access_token, c.access_token_secret
        )
        return auth

    def accepted(self, auth: AuthBase) -> None:
        """Do nothing."""

    def rejected(self, auth: AuthBase) -> None:  # noqa: ARG002
        """Raise AuthError: the credentials cannot be renewed."""
        raise AuthError(
            "the server rejected the OAuth 1 credentials; check ILLUMINATE_CONSUMER_KEY, "
            "ILLUMINATE_ACCESS_TOKEN and their secrets"
        )


class Bearer(AuthBase):
    """Authenticates requests with one OAuth 2 token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class OAuth2:
    """One token for all threads, renewed before it expires and when the server rejects it.

    Threads whose requests were rejected with the same token cause one renewal. A rejected token
    that was accepted before has expired, and is renewed; two new tokens in a row that were
    rejected at once are an error.
    """

    def __init__(self, fetch_token: Callable[[], tuple[str, float]]) -> None:
        self._fetch_token = fetch_token
        self._lock = threading.Lock()
        self._bearer: Bearer | None = None
        self._renew_at = 0.0
        self._rejected_in_a_row = 0
        self._failure: AuthError | None = None

    def current(self) -> AuthBase:
        """Return the current token, renewed if it expires soon."""
        with self._lock:
            if self._bearer is None or time.monotonic() >= self._renew_at:
                self._bearer = self._renew()
            return self._bearer

    def accepted(self, auth: AuthBase) -> None:
        """Record that the server accepted a request with `auth`."""
        if auth is self._bearer:
            self._rejected_in_a_row = 0

    def rejected(self, auth: AuthBase) -> None:
        """Renew the token after a 401, unless another thread has done so already.

        Raises:
            AuthError: another new token would be rejected, too.
        """
        with self._lock:
            if auth is not self._bearer:
                return
            if self._rejected_in_a_row >= _MAX_REJECTED:
                raise AuthError(
                    "the server rejected two new tokens in a row (401); check that the client may "
                    "use the API"
                )
            self._bearer = self._renew()

    def _renew(self) -> Bearer:
        if self._failure is not None:
            raise self._failure
        try:
            token, life = self._fetch_token()
        except AuthError as error:
            self._failure = error
            raise
        self._rejected_in_a_row += 1
        self._renew_at = time.monotonic() + life - min(300.0, life / 10)
        return Bearer(token)


Auth = OAuth1 | OAuth2


def token_form(credentials: OAuth2Credentials) -> dict[str, str]:
    """Return the form of a token request (RFC 6749, section 4.4)."""
    return {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }


def read_token(status: int, body: bytes, retry_after: float | None = None) -> tuple[str, float]:
    """Return the token and its lifetime in seconds from the reply to a token request.

    Raises:
        AuthError: the credentials are rejected.
        TransientError: anything else is wrong; the message never shows the body.
    """
    if status in _REJECTED_STATUSES:
        raise AuthError(
            "the server rejected the credentials; check ILLUMINATE_CLIENT_ID and "
            "ILLUMINATE_CLIENT_SECRET"
        )
    if status != requests.codes.ok:
        raise TransientError(f"the token request was answered with {status}", retry_after)
    try:
        body.decode()  # the decoder does not check the parts that it skips
        token = msgspec.json.decode(body, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransientError("the token reply has no access_token") from None
    if not _TOKEN.fullmatch(token.access_token):
        raise TransientError("the token reply has no usable access_token")
    return token.access_token, _lifetime(token.expires_in)


class _Token(msgspec.Struct):
    access_token: str
    # As it was sent: a number too large for the decoder, like 1e400, spoils no token.
    expires_in: msgspec.Raw = msgspec.Raw(b"null")


def _lifetime(expires_in: msgspec.Raw) -> float:
    text = bytes(expires_in).decode().strip('"')
    if text == "null":
        return _DEFAULT_LIFETIME
    try:
        life = float(text)
    except ValueError:
        return _SHORT_LIFETIME
    return min(life, _MAX_LIFETIME) if life > 0 else _SHORT_LIFETIME  # NaN as well
