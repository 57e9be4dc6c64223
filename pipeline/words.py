"""Counts in plain English, for everything that is printed."""


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with the word for so many: `1 row`, `2,345 rows`, `1 was`, `0 were`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
