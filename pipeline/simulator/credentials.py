"""OAuth 2 tokens and OAuth 1 signatures, checked as the real server checks them."""

import base64
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from authlib.oauth1.rfc5849.errors import OAuth1Error
from authlib.oauth1.rfc5849.resource_protector import ResourceProtector
from authlib.oauth1.rfc5849.wrapper import OAuth1Request

from pipeline.simulator.protocol import Protocol

Auth: TypeAlias = Literal["oauth2", "oauth1", "none", "refused"]


@dataclass(frozen=True)
class Credentials:
    """What a client must know; the defaults are made up and only valid for this server."""

    client_id: str = "demo-client"
    client_secret: str = "demo-secret"  # noqa: S105 - made up, see above
    consumer_key: str = "demo-consumer"
    consumer_secret: str = "demo-consumer-secret"  # noqa: S105 - made up, see above
    access_token: str = "demo-access"  # noqa: S105 - made up, see above
    access_token_secret: str = "demo-access-secret"  # noqa: S105 - made up, see above


class Authority:
    """Issues tokens and authenticates requests."""

    def __init__(
        self,
        credentials: Credentials,
        protocol: Protocol,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._protocol = protocol
        self._clock = clock
        # Of each token, when it ends and how many requests it is still good for.
        self._tokens: dict[str, tuple[float, float]] = {}
        self._signatures = _Signatures(credentials)

    def issue(self, client_id: str, client_secret: str) -> dict[str, object] | None:
        """Return the token response with a new token; None for wrong credentials."""
        known = (self._credentials.client_id, self._credentials.client_secret)
        if (client_id, client_secret) != known:
            return None
        token, seconds = secrets.token_hex(20), self._protocol.token_seconds
        limit = self._protocol.token_requests_limit
        self._tokens[token] = self._clock() + seconds, math.inf if limit is None else limit
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(seconds)}

    def revoke_tokens(self) -> None:
        """Invalidate every token issued so far."""
        self._tokens.clear()

    def check(self, method: str, url: str, authorization: str) -> Auth:
        """Return how a request is authenticated, from its `Authorization` header."""
        scheme, _, rest = authorization.partition(" ")
        if not scheme:
            return "none"
        if scheme.lower() == "bearer" and self._use_token(rest.strip()):
            return "oauth2"
        headers = {"Authorization": authorization}
        if scheme.lower() == "oauth" and self._signatures.accept(method, url, headers):
            return "oauth1"
        return "refused"

    def _use_token(self, token: str) -> bool:
        expires_at, requests_left = self._tokens.get(token, (-math.inf, 0))
        if expires_at <= self._clock() or requests_left < 1:
            return False
        self._tokens[token] = expires_at, requests_left - 1
        return True


def parse_basic_credentials(authorization: str) -> tuple[str, str]:
    """Return user and password of a `Basic` header, or empty strings."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded).decode() if scheme.lower() == "basic" else ""
    except ValueError:  # of base64 or of UTF-8
        decoded = ""
    user, _, password = decoded.partition(":")
    return user, password


@dataclass(frozen=True)
class _Secret:
    """The secret of a consumer or of a user's token, with the interface that authlib expects."""

    secret: str

    def get_client_secret(self) -> str:
        return self.secret

    def get_oauth_token_secret(self) -> str:
        return self.secret


class _Signatures(ResourceProtector):  # type: ignore[misc] # authlib has no types
    """HMAC-SHA1 signatures of one consumer and one user, each valid for one request."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._seen: set[tuple[str, str]] = set()

    def accept(self, method: str, url: str, headers: dict[str, str]) -> bool:
        try:
            self.validate_request(method, url, None, headers)
        except (OAuth1Error, ValueError):
            return False
        return True

    def get_client_by_id(self, client_id: str) -> _Secret | None:
        known = self._credentials
        return _Secret(known.consumer_secret) if client_id == known.consumer_key else None

    def get_token_credential(self, request: OAuth1Request) -> _Secret | None:
        known = self._credentials
        return _Secret(known.access_token_secret) if request.token == known.access_token else None

    def exists_nonce(self, nonce: str, request: OAuth1Request) -> bool:
        use = (request.timestamp, nonce)
        known = use in self._seen
        self._seen.add(use)
        return known
