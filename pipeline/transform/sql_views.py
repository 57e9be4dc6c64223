"""The analysts' own views: SQL files that DuckDB runs over the tables of a run.

A file holds one SELECT. It sees VISIBLE_TABLES and nothing else: no other file, no network, no
extension, no setting. One thread and a fixed row order give the same bytes for the same data.
An error over data reports only its kind, because DuckDB's message quotes the value.
"""

import contextlib
import errno
import glob
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from pipeline.errors import InputFileError
from pipeline.schema import COMBINED, GROUP, LABELS, LATEST, ROSTER, TABLES, VIEW, Table
from pipeline.storage import files
from pipeline.transform.values import FORMULA

VISIBLE_TABLES = {
    "combined": COMBINED,
    "group": GROUP,
    "labels": LABELS,
    "roster": ROSTER,
    "results": VIEW,
    "latest": LATEST,
}
"""The tables that SQL sees, by their names in SQL."""

MEMORY = "1GiB"
"""Memory limit of a view; beyond it, DuckDB uses the disk."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_RESERVED = {*VISIBLE_TABLES, *(table.stem for table in TABLES), "labels_by_grade"}
_TYPES = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE"}
# Finds the first part of a parsed query that reads something other than the tables, or whose value
# may change between runs. DuckDB gives bare words like current_date as columns.
_FIRST_FAULT = """
WITH part AS (SELECT value AS node FROM json_tree(?) WHERE type = 'OBJECT'),
named AS (
  SELECT
    coalesce(TRY_CAST(node ->> 'query_location' AS BIGINT), 0) AS location,
    node ->> 'type' = 'TABLE_FUNCTION' AS is_table,
    node ->> '$.function.function_name' AS table_function,
    lower(coalesce(node ->> 'function_name', CASE WHEN json_array_length(node, '$.column_names') = 1
      THEN node ->> '$.column_names[0]' END)) AS word,
    node ->> '$.sample.repeatable' = 'false' AS is_random_sample
  FROM part
)
SELECT
  CASE
    WHEN is_table AND table_function NOT IN ('generate_series', 'range', 'unnest', 'repeat')
      THEN table_function || ' reads something other than the tables of the run'
    WHEN word IN (
      FROM duckdb_functions() SELECT function_name
      WHERE stability <> 'CONSISTENT' AND function_name <> 'error'
    ) OR word IN (
      'ago', 'current_date', 'current_time', 'current_timestamp', 'current_localtime',
      'current_localtimestamp', 'localtime', 'localtimestamp'
    ) THEN word || ' may change between runs'
    WHEN is_random_sample THEN 'a sample without REPEATABLE may change between runs'
  END AS fault,
  location
FROM named WHERE fault IS NOT NULL ORDER BY location LIMIT 1
"""
_SUPPORTED = re.compile(
    r"BOOLEAN|U?(TINY|SMALL)INT|U?INTEGER|BIGINT|DECIMAL\(.*|VARCHAR|DATE|TIME.*"
)
# Types that other programs cannot read, and what replaces them.
_RECAST = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT", '"NULL"': "VARCHAR"}
_FLOATS = {"FLOAT", "DOUBLE"}
_EXPLANATIONS: dict[type[duckdb.Error], str] = {
    duckdb.ConversionException: "a value cannot be cast to its new type; TRY_CAST makes it null",
    duckdb.OutOfRangeException: "a number is beyond the range of its type",
    duckdb.OutOfMemoryException: f"it needs more than {MEMORY} of memory and the free disk space",
}
_DISK_FULL = 1 << 16
# A quoted identifier may be shown; anything else in quotes may be a value.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r'"([A-Za-z_][A-Za-z_0-9.]*|[^\w\s])"')


def check(folder: Path, paths: Collection[Path]) -> None:
    """Check that each file can be run over the tables of a run; no table is needed.

    Args:
        folder: The folder that was searched for files.
        paths: The files in it.

    Raises:
        InputFileError: A file cannot be run; the message has file, line and DuckDB's reason.
    """
    if not folder.is_dir():
        raise InputFileError.at(folder, "the folder does not exist", "Fix [paths] sql_views")
    for path in paths:
        if not _NAME.fullmatch(path.stem):
            fault = (
                "its name cannot be a table's, which is up to 60 lower-case letters, digits and "
                "underscores, starting with a letter"
            )
            raise InputFileError.at(path, fault, "Rename the file")
        if path.stem in _RESERVED:
            raise InputFileError.at(path, "a table has this name already", "Rename the file")
        with _connect([]) as database:
            for name, table in VISIBLE_TABLES.items():
                columns = ", ".join(f"{_name(c.name)} {_TYPES[c.kind]}" for c in table.columns)
                database.execute(f"CREATE TABLE {_name(name)} ({columns})")
            _define(database, path)


def run(path: Path, tables: Mapping[str, Path], csv: Path, parquet: Path, spill: Path) -> None:
    """Run a file over tables, and write the rows it selects.

    Args:
        path: The SQL file.
        tables: A Parquet or CSV file for each of VISIBLE_TABLES.
        csv: Where the rows are written as text, with formulas escaped.
        parquet: Where they are written as values.
        spill: A folder for data that does not fit into memory; it is removed.

    Raises:
        InputFileError: It cannot be run over these rows; the message has no value of theirs.
        OSError: A file cannot be written.
    """
    shutil.rmtree(spill, ignore_errors=True)
    files.make_folder(spill)
    try:
        with _connect([*tables.values(), csv, parquet], spill) as database, _wrap_errors(path):
            for name, file in tables.items():
                database.execute(
                    f"CREATE VIEW {_name(name)} AS {_select(VISIBLE_TABLES[name], file)}"
                )
            columns, has_order = _define(database, path)
            order = "" if has_order else " ORDER BY ALL"
            values = ", ".join(_value(*column) for column in columns)
            query = f"SELECT {values} FROM custom_view{order}"  # noqa: S608  every name is quoted
            _copy(database, query, parquet, "FORMAT parquet")
            texts = ", ".join(_text(*column, is_alone=len(columns) == 1) for column in columns)
            query = f"SELECT {texts} FROM {_parquet(parquet)}"  # noqa: S608
            _copy(database, query, csv, "FORMAT csv, HEADER true, NULLSTR ''")
    finally:
        shutil.rmtree(spill, ignore_errors=True)


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


def _define(database: duckdb.DuckDBPyConnection, path: Path) -> tuple[list[tuple[str, str]], bool]:
    """Create `custom_view`; return its columns with their types, and whether it orders its rows.

    Raises:
        InputFileError: It is not a SELECT that can be run, or its result may change between runs.
    """
    try:
        sql = path.read_text(encoding="utf-8-sig")
        statements = database.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise _refusal(path, "it must be one SELECT")
        has_order = _has_order(database, path, sql)
        database.execute(f"CREATE TEMP VIEW custom_view AS {sql}")
        described = database.execute("DESCRIBE custom_view").fetchall()
    except UnicodeDecodeError:
        raise _refusal(path, "it is not UTF-8") from None
    except OSError as error:
        raise InputFileError.unreadable(path, error) from None
    except duckdb.Error as error:
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        raise _refusal(path, _reason(error), int(line[1]) if line else None) from None
    columns = [(str(name), str(kind)) for name, kind, *_ in described]
    for name, kind in columns:
        if not (_SUPPORTED.fullmatch(kind) or kind in _RECAST or kind in _FLOATS):
            hint = "cast it to text, number, date, time or boolean"
            raise _refusal(path, f"column {name} is of type {kind}; {hint}")
    return columns, has_order


def _has_order(database: duckdb.DuckDBPyConnection, path: Path, sql: str) -> bool:
    """Return whether the SQL orders its rows.

    Raises:
        InputFileError: It reads something other than tables, or its result may change between runs.
    """
    (tree,) = database.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("",)
    parsed = json.loads(tree)
    if parsed["error"]:
        raise _refusal(path, "it must be one SELECT")
    if found := database.execute(_FIRST_FAULT, [tree]).fetchone():
        fault, location = found
        raise _refusal(path, fault, sql.encode()[:location].count(b"\n") + 1)
    modifiers = parsed["statements"][0]["node"]["modifiers"]
    return any(modifier["type"] == "ORDER_MODIFIER" for modifier in modifiers)


def _refusal(path: Path, why: str, line: int | None = None) -> InputFileError:
    return InputFileError.at(f"{path}, line {line}" if line else path, why)


def _reason(error: duckdb.Error) -> str:
    """Return the reason that DuckDB gives, without values from the query."""
    if type(error) in _EXPLANATIONS:
        return _EXPLANATIONS[type(error)]
    first = str(error).partition("\n")[0].partition(": ")[2]
    return _QUOTED.sub(lambda q: q[0] if _WORD.fullmatch(q[0]) else "...", first).rstrip(".!")


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
        reason = _EXPLANATIONS.get(
            type(error), f"DuckDB reports {kind}; its message is hidden, as it may quote a student"
        )
        raise _refusal(path, f"it failed over the rows of this year: {reason}") from None


def _select(table: Table, file: Path) -> str:
    """Return a query for a table's file, with the columns and types of the data dictionary."""
    if file.suffix == ".parquet":
        columns = (
            f"CAST({_name(c.name)} AS {_TYPES[c.kind]}) AS {_name(c.name)}" for c in table.columns
        )
        return f"SELECT {', '.join(columns)} FROM {_parquet(file)}"  # noqa: S608
    types = ", ".join(f"{_quoted(c.name)}: {_quoted(_TYPES[c.kind])}" for c in table.columns)
    how = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"
    return f"FROM read_csv({_quoted(glob.escape(str(file)))}, {how}, columns = {{{types}}})"


def _parquet(file: Path) -> str:
    return f"read_parquet({_quoted(glob.escape(str(file)))}, hive_partitioning = false)"


def _copy(database: duckdb.DuckDBPyConnection, query: str, file: Path, how: str) -> None:
    database.execute(f"COPY ({query}) TO {_quoted(str(file))} ({how}, USE_TMP_FILE false)")


def _value(name: str, kind: str) -> str:
    """Return a column as a value that other programs can read: not 128 bits wide, and finite."""
    if kind in _RECAST:
        return f"CAST({_name(name)} AS {_RECAST[kind]}) AS {_name(name)}"
    if kind in _FLOATS:
        return f"CASE WHEN isfinite({_name(name)}) THEN {_name(name)} END AS {_name(name)}"
    return _name(name)


def _text(name: str, kind: str, *, is_alone: bool) -> str:
    """Return a column with formulas escaped."""
    text = column = _name(name)
    if kind == "VARCHAR":
        is_formula = f"regexp_matches({column}, {_quoted(FORMULA)})"
        text = f"CASE WHEN {is_formula} THEN chr(39) || {column} ELSE {column} END"
    if is_alone:  # many readers skip an empty line, so null is an empty text, written in quotes
        text = f"coalesce(CAST({text} AS VARCHAR), '')"
    return f"{text} AS {column}"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
