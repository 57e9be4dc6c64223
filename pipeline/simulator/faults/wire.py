"""Faults of the connection itself: they hold the raw socket and write what they please."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from tornado.iostream import IOStream, StreamClosedError

from pipeline.simulator.replies import Reply
from pipeline.simulator.waiting import wait_for

_DRIP_SECONDS = 0.1
# On, and zero seconds: close() throws away what is unsent and sends a reset.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """A connection taken out of the HTTP server's hands."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self._closed = asyncio.Event()
        stream.set_close_callback(self._closed.set)

    async def send(self, *parts: bytes) -> None:
        """Write and wait until it is with the operating system."""
        await self._stream.write(b"".join(parts))

    async def wait_closed(self, seconds: float | None = None) -> None:
        """Wait until either side closes the connection, or for so many seconds."""
        await wait_for(self._closed, seconds)

    def reset(self) -> None:
        """Break the connection off with a TCP reset."""
        if not self._stream.closed():
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close the connection in good order."""
        self._stream.close()


async def play(kind: str, wire: Wire, reply: Reply, value: object) -> None:
    """Do to the connection what this kind of fault does; a client that leaves ends it."""
    with contextlib.suppress(StreamClosedError):
        await WIRE[kind](wire, reply, value)
    wire.close()


async def _reset_before(wire: Wire, _reply: Reply, _value: object) -> None:
    wire.reset()


async def _reset_inside(wire: Wire, reply: Reply, _value: object) -> None:
    await wire.send(reply.head, reply.body[: len(reply.body) // 2])
    wire.reset()


async def _short_body(wire: Wire, reply: Reply, _value: object) -> None:
    await wire.send(reply.head, reply.body[: len(reply.body) // 2])


async def _unframed_body(wire: Wire, reply: Reply, _value: object) -> None:
    """Half a body without a length: only its JSON shows that something is missing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    await wire.send(head, reply.body[: len(reply.body) // 2])


async def _drip_body(wire: Wire, reply: Reply, value: object) -> None:
    await wire.send(reply.head)
    await _drip(wire, reply.body, value)


async def _drip_headers(wire: Wire, reply: Reply, value: object) -> None:
    await _drip(wire, reply.head, value)
    await wire.send(reply.body)


async def _drip(wire: Wire, content: Iterable[int], value: object) -> None:
    """One byte each `value` seconds."""
    for byte in content:
        await wire.send(bytes([byte]))
        await wire.wait_closed(value if isinstance(value, int | float) else _DRIP_SECONDS)


async def _silence(wire: Wire, _reply: Reply, _value: object) -> None:
    await wire.wait_closed()


_Fault: TypeAlias = Callable[[Wire, Reply, object], Awaitable[None]]
WIRE: dict[str, _Fault] = {
    "reset_before": _reset_before,
    "reset_inside": _reset_inside,
    "short_body": _short_body,
    "unframed_body": _unframed_body,
    "drip_body": _drip_body,
    "drip_headers": _drip_headers,
    "silence": _silence,
}
