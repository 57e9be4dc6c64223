"""Faults of the HTTP response: its status, its headers, the bytes of its body."""

import gzip
from collections.abc import Callable
from dataclasses import replace

from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.responses import LOGIN_PAGE, Response

_MEGABYTE_OF_BLANKS = gzip.compress(b" " * 2**20, mtime=0)
_BOMB_MEGABYTES = 200


def _status(_response: Response, fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Response(b"", fault.number(500), LOGIN_PAGE.content_type, headers)


def _redirect(_response: Response, fault: Fault) -> Response:
    return Response(b"", 302, LOGIN_PAGE.content_type, {"Location": str(fault.value or "/live/")})


def _truncate(response: Response, fault: Fault) -> Response:
    """Cut the body after `value` bytes, or halfway; only the JSON shows it."""
    return replace(response, body=response.body[: fault.number(len(response.body) // 2)])


def _zip(response: Response, body: bytes) -> Response:
    return replace(response, body=body, headers={**response.headers, "Content-Encoding": "gzip"})


def _truncate_gzip(response: Response, fault: Fault) -> Response:
    return _truncate(_zip(response, gzip.compress(response.body, mtime=0)), fault)


def _gzip_bomb(response: Response, fault: Fault) -> Response:
    """Return a small body that is `value` megabytes once decompressed."""
    # A gzip file may have many members: repeating one saves compressing all of them.
    return _zip(response, _MEGABYTE_OF_BLANKS * fault.number(_BOMB_MEGABYTES))


def _latin1(response: Response, _fault: Fault) -> Response:
    """Encode the body in Latin-1, with a letter added that makes it invalid UTF-8."""
    text = response.body.decode().replace("{", '{"é":"é",', 1)
    return replace(response, body=text.encode("latin-1", "replace"))


RESPONSE: dict[str, Callable[[Response, Fault], Response]] = {
    "status": _status,
    "html": lambda _response, _fault: LOGIN_PAGE,
    "redirect": _redirect,
    "truncated_json": _truncate,
    "list_instead_of_object": lambda response, _fault: replace(response, body=b"[]"),
    "gzip_garbage": lambda response, _fault: _zip(response, b"\x1f\x8b\x08 this is not compressed"),
    "gzip_truncated": _truncate_gzip,
    "gzip_bomb": _gzip_bomb,
    "latin1": _latin1,
    "utf8_bom": lambda response, _fault: replace(response, body=b"\xef\xbb\xbf" + response.body),
}
