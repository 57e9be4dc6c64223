"""An HTTP response before it is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

_JSON = "application/json; charset=UTF-8"


@dataclass(frozen=True)
class Response:
    """Status, headers and body of an HTTP response."""

    body: bytes
    status: int = HTTPStatus.OK
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def json(self) -> object:
        """Return the parsed body; None if it is not JSON."""
        return json.loads(self.body) if self.content_type == _JSON and self.body else None

    @property
    def head(self) -> bytes:
        """Return the status line and headers as they are sent."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


LOGIN_PAGE = Response(
    b"<!DOCTYPE html>\n<html><head><title>Illuminate Education - Login</title></head>"
    b'<body><form method="post" action="/live/?Login"><input name="username">'
    b'<input name="password" type="password"></form></body></html>\n',
    content_type="text/html; charset=UTF-8",
)
