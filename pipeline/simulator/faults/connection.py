"""Faults of the connection: they write to the raw socket."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import TypeAlias

from tornado.iostream import IOStream, StreamClosedError

from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.responses import Response

_DRIP_SECONDS = 0.1
# On, with zero seconds: close() discards unsent data and sends a reset.
_NO_LINGER = struct.pack("ii", 1, 0)


async def disturb(stream: IOStream, response: Response, fault: Fault) -> None:
    """Apply a fault to a connection, then close it; either side may close it earlier."""
    with contextlib.suppress(StreamClosedError):
        await CONNECTION[fault.kind](stream, response, fault.value)
    stream.close()


def _reset_on_close(stream: IOStream) -> None:
    if not stream.closed():
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


async def _reset_before(stream: IOStream, _response: Response, _value: object) -> None:
    _reset_on_close(stream)


async def _reset_inside(stream: IOStream, response: Response, value: object) -> None:
    await _short_body(stream, response, value)
    _reset_on_close(stream)


async def _short_body(stream: IOStream, response: Response, _value: object) -> None:
    await stream.write(response.head + response.body[: len(response.body) // 2])


async def _unframed_body(stream: IOStream, response: Response, _value: object) -> None:
    """Send half a body without a length: only its JSON shows that something is missing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    await stream.write(head + response.body[: len(response.body) // 2])


async def _informational(stream: IOStream, response: Response, value: object) -> None:
    """Send an informational reply, with headers, before the response."""
    status = HTTPStatus(value if isinstance(value, int) else HTTPStatus.EARLY_HINTS)
    hint = f"HTTP/1.1 {status.value} {status.phrase}\r\nLink: </style.css>; rel=preload\r\n\r\n"
    closing = replace(response, headers={**response.headers, "Connection": "close"})
    await stream.write(hint.encode() + closing.head + closing.body)


async def _drip_body(stream: IOStream, response: Response, value: object) -> None:
    await stream.write(response.head)
    await _drip(stream, response.body, value)


async def _drip_headers(stream: IOStream, response: Response, value: object) -> None:
    await _drip(stream, response.head, value)
    await stream.write(response.body)


async def _drip(stream: IOStream, content: Iterable[int], value: object) -> None:
    """Send one byte every `value` seconds."""
    seconds = value if isinstance(value, int | float) else _DRIP_SECONDS
    closed = asyncio.ensure_future(stream.read_until_close())
    for byte in content:
        await stream.write(bytes([byte]))
        await asyncio.wait([closed], timeout=seconds)


async def _silence(stream: IOStream, _response: Response, _value: object) -> None:
    await stream.read_until_close()


_Disturbance: TypeAlias = Callable[[IOStream, Response, object], Awaitable[None]]
CONNECTION: dict[str, _Disturbance] = {
    "reset_before": _reset_before,
    "reset_inside": _reset_inside,
    "short_body": _short_body,
    "unframed_body": _unframed_body,
    "informational": _informational,
    "drip_body": _drip_body,
    "drip_headers": _drip_headers,
    "silence": _silence,
}
