"""What works, and is all the same to be known."""


class Note(str):
    """What was found of something that works, but not as well as it could."""

    __slots__ = ()
