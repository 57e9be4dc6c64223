"""What works, and is all the same to be known."""

from typing import NamedTuple


class Note(NamedTuple):
    """What was found of something that works, but not as well as it could."""

    text: str
