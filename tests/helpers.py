"""Small helpers that several test files share."""

import csv
import datetime as dt
import itertools
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from pipeline.extract import shards
from pipeline.extract.early import Early
from pipeline.extract.manifest import ManifestEntry, ShardRequest
from pipeline.extract.pool import Pool
from pipeline.illuminate.pages import Result
from pipeline.simulator.log import LoggedRequest
from pipeline.transform.output import write_files
from pipeline.transform.scan import ShardDataset
from pipeline.years import SchoolYear

YEAR = SchoolYear(2023)
WINDOW = YEAR.window(dt.date(2024, 6, 30))
ENDPOINTS = ("overall", "standard", "group")

Row = Mapping[str, str | None]
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_PATIENCE = 20

_INHERITED = (
    "PYTHONPATH",
    "PATH",
    "HOME",
    "LANG",
    "COVERAGE_PROCESS_CONFIG",
    "COVERAGE_PROCESS_START",
    "COVERAGE_FILE",
)


def clean_environment() -> dict[str, str]:
    """Return what a command needs of the environment, without any variable that is a setting."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


COUNTS_OF_A_SETTLED_YEAR = 5
"""Requests for one row each: the year at each endpoint, every date, and all school years."""


def is_count(request: LoggedRequest) -> bool:
    """Return whether a request only counted the results of all assessments."""
    is_of_all = request.endpoint in ENDPOINTS and request.assessment_id is None
    return is_of_all and request.params["limit"] == "1"


def begin_early(pool: Pool, call: Callable[[K], T], keys: Sequence[K]) -> Early[K, T]:
    """Return early calls of which each has begun."""
    begun = threading.Semaphore(0)

    def noted(key: K) -> T:
        begun.release()
        return call(key)

    early = Early(pool, noted)
    early.begin(keys)
    assert all(begun.acquire(timeout=_PATIENCE) for _ in keys)
    return early


def request(endpoint: str = "overall", source: str = "a district") -> ShardRequest:
    """Return the request that a shard answers."""
    return ShardRequest(source, endpoint, WINDOW)


def write_shard(
    folder: Path, assessment_id: str, rows: Iterable[Row], endpoint: str = "overall"
) -> ManifestEntry:
    """Write rows as a shard; its columns are the fields that occur in them."""
    rows = list(rows)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    schema = dict.fromkeys(columns, pl.String)
    distinct = pl.DataFrame(rows, schema=schema).unique(maintain_order=True)
    data = Result(distinct, len(rows), 1, len(rows) - distinct.height)
    return shards.write(folder, endpoint, assessment_id, data)


def source_of(folder: Path, rows: Iterable[Row], endpoint: str = "overall") -> ShardDataset:
    """Write rows as shards, one per assessment in order of ids, and return the builders' input."""
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row["assessment_id"] or "", []).append(row)
    paths, columns, counts = [], {}, []
    for assessment_id in sorted(by_id):
        entry = write_shard(folder / endpoint, assessment_id, by_id[assessment_id], endpoint)
        paths.append(folder / endpoint / shards.file_name(assessment_id))
        columns |= dict.fromkeys(entry.columns)
        counts.append(entry.rows)
    return ShardDataset(paths, list(columns), counts)


def write_csv(frame: pl.LazyFrame, path: Path) -> None:
    """Stream a frame into a CSV file."""
    write_files({path: frame})


def write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    """Stream a frame into a Parquet file."""
    write_files({path: frame})


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the records of a CSV file, read by the standard library."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *records = csv.reader(file, strict=True)
    return header, records


def fail_at(monkeypatch, owner, name: str, nth: int) -> None:
    """Make the nth call of `owner.name` end the run, as if the process were killed there."""
    real, calls = getattr(owner, name), itertools.count(1)

    def broken(*args, **kwargs):
        if next(calls) == nth:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, broken)
