"""Lazy frames written to CSV and Parquet files, all in one streaming pass."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

import polars as pl

from pipeline.storage.files import FileStamp, atomic_write
from pipeline.storage.hashing import HashingFile, count_records


class Written(NamedTuple):
    """A file as it was written; for a CSV with the number of its rows, counted in its bytes."""

    stamp: FileStamp
    rows: int | None


def write_files(
    frames: Mapping[Path, pl.LazyFrame], counts: pl.LazyFrame | None = None
) -> tuple[dict[Path, Written], dict[str, Any]]:
    """Write each frame to its .csv or .parquet file in one pass, durably, all of them or none.

    A CSV is UTF-8 with commas, LF and quotes only where necessary; null is an empty field.

    Args:
        frames: by path.
        counts: one row, counted of the same frames.

    Returns:
        What was written, by path, and the row of `counts`.

    Raises:
        StorageError: a file cannot be written.
    """
    with ExitStack() as stack:
        files: dict[Path, HashingFile] = {}
        for path in frames:
            temporary = stack.enter_context(atomic_write(path))
            files[path] = stack.enter_context(HashingFile(temporary, is_csv=path.suffix == ".csv"))
        counted = _fill(files, frames, counts)
    return {path: _written(path, file) for path, file in files.items()}, counted


def _fill(
    files: Mapping[Path, HashingFile],
    frames: Mapping[Path, pl.LazyFrame],
    counts: pl.LazyFrame | None,
) -> dict[str, Any]:
    """Write the frames in one pass and return the row of `counts`; raise OSError if one fails."""
    plans = [_sink(frame, path, files[path]) for path, frame in frames.items()]
    plans += [] if counts is None else [counts]
    try:
        *_, last = pl.collect_all(plans, engine="streaming")
    except (OSError, pl.exceptions.ComputeError):  # polars keeps the text of an error only
        for error in (file.error for file in files.values() if file.error):
            raise error from None
        raise
    return last.row(0, named=True) if counts is not None and last.height else {}


def _sink(frame: pl.LazyFrame, path: Path, file: HashingFile) -> pl.LazyFrame:
    target = cast("Any", file)
    if path.suffix == ".csv":
        return frame.sink_csv(target, lazy=True, maintain_order=True, quote_style="necessary")
    return frame.sink_parquet(target, lazy=True, maintain_order=True)


def _written(path: Path, file: HashingFile) -> Written:
    rows = None if file.records is None else file.records - 1
    return Written(FileStamp.with_digest(file.sha256, path), rows)


def read_back(path: Path) -> Written:
    """Describe a file that another library wrote, by reading it."""
    rows = count_records(path) - 1 if path.suffix == ".csv" else None
    return Written(FileStamp.of(path), rows)
