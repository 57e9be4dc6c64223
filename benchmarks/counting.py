"""Counts the rows of files that somebody wrote, without believing who wrote them."""

from pathlib import Path

_CHUNK = 1 << 22


def count(path: Path) -> int:
    """The rows of a Parquet file, or of a CSV file with a header and one line for each row."""
    if path.suffix == ".csv":
        return _lines(path) - 1
    import polars as pl

    # The schema comes first: a file without columns is not counted.
    if not pl.read_parquet_schema(path):
        return 0
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def names(path: Path) -> list[str]:
    """The columns of a Parquet file."""
    import polars as pl

    return list(pl.read_parquet_schema(path))


def count_all(folder: Path) -> int:
    """The rows of all Parquet files below a folder."""
    return sum(count(path) for path in folder.rglob("*.parquet"))


def _lines(path: Path) -> int:
    lines = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            lines += chunk.count(b"\n")
    return lines
