"""The analysts' own views: SQL files that DuckDB runs over the tables of a run.

A file holds one SELECT. It sees VISIBLE_TABLES and nothing else: no other file, no network, no
extension, no setting. One thread and a fixed row order give the same bytes for the same data.
An error over data reports only its kind, because DuckDB's message quotes the value.
"""

import contextlib
import errno
import functools
import glob
import os
import re
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from pipeline.errors import InputFileError
from pipeline.schema import (
    COMBINED,
    GROUP,
    LABELS,
    LATEST,
    ROSTER,
    STUDENTS,
    TABLES,
    VIEW,
    Table,
    with_roster_columns,
)
from pipeline.storage import files, formulas
from pipeline.storage.paths import ALL_YEARS_SUFFIX
from pipeline.transform.interrupt import call_until
from pipeline.transform.sql_rules import EXPLANATIONS, FLOATS, MEMORY, RECAST, define, refusal

VISIBLE_TABLES = {
    "combined": COMBINED,
    "group": GROUP,
    "labels": LABELS,
    "roster": ROSTER,
    "results": VIEW,
    "latest": LATEST,
}
"""The tables that SQL sees, by their names in SQL."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_RESERVED = {
    *VISIBLE_TABLES,
    *(table.stem + suffix for table in TABLES for suffix in ("", ALL_YEARS_SUFFIX)),
    "labels_by_grade",
}
_TYPES = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE"}
_DISK_FULL = 1 << 16


def check(folder: Path, paths: Collection[Path], roster_columns: Collection[str] = ()) -> None:
    """Check that each file can be run over the tables of a run; no table is needed.

    Args:
        folder: The folder that was searched for files.
        paths: The files in it.
        roster_columns: The columns of the roster that tables have after their own.

    Raises:
        InputFileError: A file cannot be run; the message has file, line and DuckDB's reason.
    """
    if not folder.is_dir():
        raise InputFileError.at(folder, "the folder does not exist", "Fix [paths] sql_views")
    for path in paths:
        if not _NAME.fullmatch(path.stem):
            fault = (
                "its name is not a valid table name (up to 60 lower-case letters, digits and "
                "underscores, starting with a letter)"
            )
            raise InputFileError.at(path, fault, "Rename the file")
        if path.stem in _RESERVED or (roster_columns and path.stem == STUDENTS.stem):
            raise InputFileError.at(path, "a table has this name already", "Rename the file")
        with _connect([]) as database:
            for name, table in _visible_tables(roster_columns):
                columns = ", ".join(f"{_name(c.name)} {_TYPES[c.kind]}" for c in table.columns)
                database.execute(f"CREATE TABLE {_name(name)} ({columns})")
            define(database, path)


class Outputs(NamedTuple):
    """Where a view is written: rows as text with formulas escaped, and rows as values."""

    csv: Path
    parquet: Path


def run(
    path: Path,
    tables: Mapping[str, Path],
    outputs: Outputs,
    metadata: Mapping[str, str],
    spill: Path,
    stop: threading.Event,
    time_limit: float = 0,
    roster_columns: Collection[str] = (),
) -> None:
    """Run a file over tables, and write the rows it selects.

    Args:
        path: The SQL file.
        tables: A Parquet or CSV file for each of VISIBLE_TABLES.
        outputs: Where the rows are written.
        metadata: What the Parquet file says of itself, by key.
        spill: A folder for data that does not fit into memory; it is removed.
        stop: Set when the run is to stop.
        time_limit: Seconds that it may take; 0: any time.
        roster_columns: The columns of the roster that tables have after their own.

    Raises:
        InputFileError: It cannot be run over these rows, or not in that time; the message has no
            value of theirs.
        OSError: A file cannot be written.
        StoppedError: The run was asked to stop.
    """
    shutil.rmtree(spill, ignore_errors=True)
    files.make_folder(spill)
    try:
        with _connect([*tables.values(), *outputs], spill) as database, _wrap_errors(path):
            known = dict(_visible_tables(roster_columns))
            files_of = [(name, known[name], file) for name, file in tables.items()]
            write = functools.partial(_write, database, path, files_of, outputs, metadata)
            call_until(stop, time_limit, write, database.interrupt)
    except TimeoutError:
        too_long = f"it took longer than the {time_limit:g} seconds of [build] view_time_limit"
        raise InputFileError.at(path, too_long, "Simplify the SQL or raise the limit") from None
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _write(
    database: duckdb.DuckDBPyConnection,
    path: Path,
    tables: Collection[tuple[str, Table, Path]],
    outputs: Outputs,
    metadata: Mapping[str, str],
) -> None:
    for name, table, file in tables:
        database.execute(f"CREATE VIEW {_name(name)} AS {_select(table, file)}")
    columns, has_order = define(database, path)
    order = "" if has_order else " ORDER BY ALL"
    values = ", ".join(_value(*column) for column in columns)
    query = f"SELECT {values} FROM custom_view{order}"  # noqa: S608  every name is quoted
    described = ", ".join(f"{_quoted(key)}: {_quoted(text)}" for key, text in metadata.items())
    _copy(database, query, outputs.parquet, f"FORMAT parquet, KV_METADATA {{{described}}}")
    texts = ", ".join(_text(*column, is_alone=len(columns) == 1) for column in columns)
    query = f"SELECT {texts} FROM {_parquet(outputs.parquet)}"  # noqa: S608
    _copy(database, query, outputs.csv, "FORMAT csv, HEADER true, NULLSTR ''")


def _visible_tables(roster_columns: Collection[str]) -> Iterator[tuple[str, Table]]:
    """Yield the tables that SQL sees, with their columns of the roster."""
    for name, table in VISIBLE_TABLES.items():
        yield name, with_roster_columns(table, roster_columns)


@contextlib.contextmanager
def _connect(
    paths: Sequence[Path], spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory that can open only these files, with its settings locked."""
    settings: dict[str, Any] = {
        "threads": 1,  # sums of several threads differ in their last digits
        "memory_limit": MEMORY,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "temp_directory": str(spill or ""),
    }
    with duckdb.connect(":memory:", config=settings) as database:
        database.execute("SET TimeZone = 'UTC'")
        # DuckDB looks up a path with a bracket or an asterisk as a pattern.
        allowed = [name for path in paths for name in (str(path), glob.escape(str(path)))]
        database.execute(f"SET allowed_paths = [{', '.join(map(_quoted, allowed))}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield database


@contextlib.contextmanager
def _wrap_errors(path: Path) -> Iterator[None]:
    """Replace DuckDB's errors over rows, whose messages quote them.

    Raises:
        InputFileError: The query failed.
        OSError: The disk failed.
    """
    try:
        yield
    except duckdb.IOException:
        full = shutil.disk_usage(path.parent).free < _DISK_FULL
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number)) from None
    except duckdb.Error as error:
        kind = type(error).__name__.removesuffix("Exception")
        reason = EXPLANATIONS.get(
            type(error), f"DuckDB reports {kind}; its message is hidden, as it may quote a student"
        )
        raise refusal(path, f"it failed over the rows of this year: {reason}") from None


def _select(table: Table, file: Path) -> str:
    """Return a query for a table's file, with the columns and types of the data dictionary."""
    if file.suffix == ".parquet":
        columns = (
            f"CAST({_name(c.name)} AS {_TYPES[c.kind]}) AS {_name(c.name)}" for c in table.columns
        )
        return f"SELECT {', '.join(columns)} FROM {_parquet(file)}"  # noqa: S608
    types = ", ".join(f"{_quoted(c.name)}: {_quoted(_TYPES[c.kind])}" for c in table.columns)
    how = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"
    rows = f"FROM read_csv({_quoted(glob.escape(str(file)))}, {how}, columns = {{{types}}})"
    if not table.is_escaped:
        return rows
    names = map(_name, table.of_kind("text"))
    originals = ", ".join(f"{formulas.unescape_sql(name)} AS {name}" for name in names)
    return f"SELECT * REPLACE ({originals}) {rows}"


def _parquet(file: Path) -> str:
    return f"read_parquet({_quoted(glob.escape(str(file)))}, hive_partitioning = false)"


def _copy(database: duckdb.DuckDBPyConnection, query: str, file: Path, how: str) -> None:
    database.execute(f"COPY ({query}) TO {_quoted(str(file))} ({how}, USE_TMP_FILE false)")


def _value(name: str, kind: str) -> str:
    """Return a column as a value that other programs can read: not 128 bits wide, and finite."""
    if kind in RECAST:
        return f"CAST({_name(name)} AS {RECAST[kind]}) AS {_name(name)}"
    if kind in FLOATS:
        return f"CASE WHEN isfinite({_name(name)}) THEN {_name(name)} END AS {_name(name)}"
    return _name(name)


def _text(name: str, kind: str, *, is_alone: bool) -> str:
    """Return a column with formulas escaped."""
    text = column = _name(name)
    if kind == "VARCHAR":
        text = formulas.escape_sql(column)
    if is_alone:  # many readers skip an empty line, so null is an empty text, written in quotes
        text = f"coalesce(CAST({text} AS VARCHAR), '')"
    return f"{text} AS {column}"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
