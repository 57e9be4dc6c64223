"""Chance that repeats itself: the one place where the made-up district draws at random."""

from random import Random


def seeded(*parts: object) -> Random:
    """A generator that gives the same draws for the same `parts`, on every Python and machine.

    Only `random`, `randrange`, `choice`, `sample` and `shuffle` are called on it: their draws are
    the same in every supported version. Floats are never added up, because `sum` of floats is not.
    """
    return Random(":".join(map(str, parts)))  # noqa: S311 - made-up data, no secrets
