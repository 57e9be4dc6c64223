"""How many requests a run made, from what its steps counted."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.illuminate.counts import COUNTED
from pipeline.words import counted


def sum_requests(steps: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the requests of steps, retries among them, and requests for access tokens beside."""
    steps = list(steps)
    return {name: sum(facts.get(name, 0) for facts in steps) for name in COUNTED}


def count_requests(counts: Mapping[str, int], what: str = "") -> str:
    """Return how many requests of every kind there were."""
    total = counts["requests"] + counts["tokens"]
    text = (
        f"{counted(total, what) if what else f'{total:,}'}, {counts['retries']:,} of them retries"
    )
    if tokens := counts["tokens"]:
        text += f", {tokens:,} for {'an access token' if tokens == 1 else 'access tokens'}"
    return text
