"""Reproducible randomness: the only source of random numbers of the made-up district."""

from random import Random


def seeded(*parts: object) -> Random:
    """Return a generator with the same numbers for the same `parts` on every Python and machine.

    Only `random`, `randrange`, `choice`, `sample` and `shuffle` may be called on it: they give the
    same in every supported version. Do not add floats up: their `sum` differs between versions.
    """
    return Random(":".join(map(str, parts)))  # noqa: S311 - made-up data, no secrets
