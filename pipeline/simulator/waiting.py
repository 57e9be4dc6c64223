"""Waiting that can be cut short."""

import asyncio


async def wait_for(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until `event` is set, or for so many seconds."""
    # Not asyncio.timeout: under pytest-cov on CPython 3.11 it let its CancelledError escape.
    waiter = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiter], timeout=seconds)
    waiter.cancel()
