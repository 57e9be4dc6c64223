"""Canaries: texts that must not leak, and a search for them in any encoding.

Escaping (JSON, `repr`, URL, HTML, or several of them) leaves letters and digits unchanged. So a
canary is found by its longest run of these: as it is, in hexadecimal, and in base 64, which has
three forms, depending on the number of bytes before it. Case and white space are ignored.
"""

import base64
import functools
import re
from collections.abc import Iterable

_SHORTEST = 8
"""Shorter runs occur by chance, in a digest for example."""


def found(canaries: Iterable[str], text: str) -> set[str]:
    """Return the canaries that occur in a text, in any encoding."""
    shown = "".join(text.lower().split())
    return {canary for canary in canaries if any(each in shown for each in _spellings(canary))}


@functools.cache
def _spellings(canary: str) -> frozenset[str]:
    """Return the few forms of which every encoding contains one, in lower case."""
    run = max(re.findall("[A-Za-z0-9]+", canary), key=len, default="")
    if len(run) < _SHORTEST:
        raise ValueError(f"{canary!r} has no run of {_SHORTEST} letters and digits to search for")
    data = run.encode()
    inside = (_base64_inside(data, before) for before in range(3))
    return frozenset(each.lower() for each in (run, data.hex(), *inside))


def _base64_inside(data: bytes, before: int) -> str:
    """Encode data that follows `before` bytes; drop letters that depend on other bytes."""
    encoded = base64.b64encode(bytes(before) + data).decode()
    return encoded[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
