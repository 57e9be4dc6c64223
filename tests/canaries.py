"""Canaries: texts that nobody may read, and a search for them however they are spelled.

Whatever escapes a text (JSON, `repr`, an address, HTML, more than one of them) leaves letters and
digits alone. So a canary is found by its longest run of these: as it is, in hexadecimal, and in
base 64, where it is spelled in three ways, by how many bytes stand before it. Case and white
space do not count.
"""

import base64
import functools
import re
from collections.abc import Iterable

_SHORTEST = 8
"""Shorter runs occur by chance, in a digest for example."""


def found(canaries: Iterable[str], text: str) -> set[str]:
    """The canaries that can be read in a text, whatever their spelling there."""
    shown = "".join(text.lower().split())
    return {canary for canary in canaries if any(each in shown for each in _spellings(canary))}


@functools.cache
def _spellings(canary: str) -> frozenset[str]:
    """The few spellings of which every other holds one; in lower case."""
    run = max(re.findall("[A-Za-z0-9]+", canary), key=len, default="")
    if len(run) < _SHORTEST:
        raise ValueError(f"{canary!r} has no run of {_SHORTEST} letters and digits to search for")
    data = run.encode()
    inside = (_base64_inside(data, before) for before in range(3))
    return frozenset(each.lower() for each in (run, data.hex(), *inside))


def _base64_inside(data: bytes, before: int) -> str:
    """What base 64 makes of data behind so many bytes, but for letters that depend on others."""
    encoded = base64.b64encode(bytes(before) + data).decode()
    return encoded[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
