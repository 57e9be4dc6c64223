"""Faults of how an answer is sent: its status, its headers, the bytes of its body."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.replies import LOGIN_PAGE, Reply

_MEGABYTE_OF_BLANKS = gzip.compress(b" " * 2**20, mtime=0)
_BOMB_MEGABYTES = 200


def _status(_reply: Reply, fault: Fault) -> Reply:
    status = fault.value if isinstance(fault.value, int) else 500
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    return Reply(b"", status, "text/html; charset=UTF-8", headers)


def _redirect(_reply: Reply, fault: Fault) -> Reply:
    return Reply(b"", 302, LOGIN_PAGE.content_type, {"Location": str(fault.value or "/live/")})


def _truncate(reply: Reply, fault: Fault) -> Reply:
    """The body ends after `value` bytes, or half way, and nothing but the JSON shows it."""
    keep = fault.value if isinstance(fault.value, int) else len(reply.body) // 2
    return replace(reply, body=reply.body[:keep])


def _zip(reply: Reply, body: bytes) -> Reply:
    return replace(reply, body=body, headers={**reply.headers, "Content-Encoding": "gzip"})


def _truncate_gzip(reply: Reply, _fault: Fault) -> Reply:
    packed = gzip.compress(reply.body, mtime=0)
    return _zip(reply, packed[: len(packed) // 2])


@lru_cache(maxsize=4)
def _bomb(megabytes: int) -> bytes:
    # A gzip file may have many members: a repeated one makes a bomb without packing it all.
    return _MEGABYTE_OF_BLANKS * megabytes


def _gzip_bomb(reply: Reply, fault: Fault) -> Reply:
    """A small body of `value` megabytes once it is unpacked."""
    return _zip(reply, _bomb(fault.value if isinstance(fault.value, int) else _BOMB_MEGABYTES))


def _latin1(reply: Reply, _fault: Fault) -> Reply:
    """The body in Latin-1, with one letter more that makes sure it is no UTF-8."""
    text = reply.body.decode().replace("{", '{"é":"é",', 1)
    return replace(reply, body=text.encode("latin-1", "replace"))


REPLY: dict[str, Callable[[Reply, Fault], Reply]] = {
    "status": _status,
    "html": lambda _reply, _fault: LOGIN_PAGE,
    "redirect": _redirect,
    "truncated_json": _truncate,
    "list_instead_of_object": lambda reply, _fault: replace(reply, body=b"[]"),
    "gzip_garbage": lambda reply, _fault: _zip(reply, b"\x1f\x8b\x08 this is not compressed"),
    "gzip_truncated": _truncate_gzip,
    "gzip_bomb": _gzip_bomb,
    "latin1": _latin1,
    "utf8_bom": lambda reply, _fault: replace(reply, body=b"\xef\xbb\xbf" + reply.body),
}
