"""Who may ask: OAuth 2 tokens and OAuth 1 signatures, checked as the real server does."""

import base64
import binascii
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from authlib.oauth1.rfc5849.errors import OAuth1Error
from authlib.oauth1.rfc5849.resource_protector import ResourceProtector
from authlib.oauth1.rfc5849.wrapper import OAuth1Request

Auth: TypeAlias = Literal["oauth2", "oauth1", "none", "refused"]


@dataclass(frozen=True)
class Credentials:
    """What a client must know; the defaults are made up and open nothing but this server."""

    client_id: str = "demo-client"
    client_secret: str = "demo-secret"  # noqa: S105 - made up, see above
    consumer_key: str = "demo-consumer"
    consumer_secret: str = "demo-consumer-secret"  # noqa: S105 - made up, see above
    access_token: str = "demo-access"  # noqa: S105 - made up, see above
    access_token_secret: str = "demo-access-secret"  # noqa: S105 - made up, see above


@dataclass
class _Token:
    good_until: float
    requests_left: float


class Authority:
    """Gives out tokens and decides whose requests are answered."""

    def __init__(
        self,
        credentials: Credentials,
        token_seconds: float,
        token_requests_limit: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._seconds = token_seconds
        self._requests = float("inf") if token_requests_limit is None else token_requests_limit
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._signatures = _Signatures(credentials)

    def issue(self, client_id: str, client_secret: str) -> dict[str, object] | None:
        """A new token, as the reply says it; None for the wrong credentials."""
        known = (self._credentials.client_id, self._credentials.client_secret)
        if (client_id, client_secret) != known:
            return None
        token = secrets.token_hex(20)
        self._tokens[token] = _Token(self._clock() + self._seconds, self._requests)
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self._seconds)}

    def revoke_tokens(self) -> None:
        """Refuse every token given out so far."""
        self._tokens.clear()

    def check(self, method: str, url: str, authorization: str) -> Auth:
        """Who sent this request, judged by its `Authorization` header."""
        scheme, _, rest = authorization.partition(" ")
        match scheme.lower():
            case "":
                return "none"
            case "bearer":
                return "oauth2" if self._spend(rest.strip()) else "refused"
            case "oauth":
                headers = {"Authorization": authorization}
                return "oauth1" if self._signatures.accept(method, url, headers) else "refused"
            case _:
                return "refused"

    def _spend(self, text: str) -> bool:
        token = self._tokens.get(text)
        if token is None or token.good_until <= self._clock() or token.requests_left < 1:
            return False
        token.requests_left -= 1
        return True


def basic_credentials(authorization: str) -> tuple[str, str]:
    """User and password of a `Basic` header; empty when there are none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


@dataclass(frozen=True)
class _Client:
    """The consumer, in the shape that authlib asks for."""

    secret: str

    def get_client_secret(self) -> str:
        return self.secret


@dataclass(frozen=True)
class _AccessToken:
    """The user's token, in the shape that authlib asks for."""

    secret: str

    def get_oauth_token_secret(self) -> str:
        return self.secret


class _Signatures(ResourceProtector):  # type: ignore[misc] # authlib has no types
    """HMAC-SHA1 signatures of one consumer and one user; each is good for one request."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._seen: set[tuple[str, str]] = set()

    def accept(self, method: str, url: str, headers: dict[str, str]) -> bool:
        try:
            self.validate_request(method, url, None, headers)
        except (OAuth1Error, ValueError):
            return False
        return True

    def get_client_by_id(self, client_id: str) -> _Client | None:
        credentials = self._credentials
        matches = client_id == credentials.consumer_key
        return _Client(credentials.consumer_secret) if matches else None

    def get_token_credential(self, request: OAuth1Request) -> _AccessToken | None:
        credentials = self._credentials
        matches = request.token == credentials.access_token
        return _AccessToken(credentials.access_token_secret) if matches else None

    def exists_nonce(self, nonce: str, request: OAuth1Request) -> bool:
        use = (request.timestamp, nonce)
        known = use in self._seen
        self._seen.add(use)
        return known
