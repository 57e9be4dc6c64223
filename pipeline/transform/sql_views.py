"""The analysts' own views: SQL files that DuckDB runs over the tables of a run.

A file holds one SELECT. It sees the tables of SEEN and nothing else: no other file, no network,
no extension, no setting. One thread and rows in a fixed order make the same data the same bytes.
An error over data never tells more than its kind, because DuckDB quotes the value that it met.
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

SEEN = {
    "combined": COMBINED,
    "group": GROUP,
    "labels": LABELS,
    "roster": ROSTER,
    "results": VIEW,
    "latest": LATEST,
}
"""The tables that SQL sees, by the names that it gives them."""

MEMORY = "1GiB"
"""What a view may take; what it needs beyond that goes to the disk."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TAKEN = {*SEEN, *(table.stem for table in TABLES), "labels_by_grade"}
_TYPES = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE"}
_TABLE_FUNCTIONS = {"generate_series", "range", "unnest", "repeat"}
_MOMENTS = {
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("current_localtime", "current_localtimestamp"),
}
_KEPT = re.compile(r"BOOLEAN|U?(TINY|SMALL)INT|U?INTEGER|BIGINT|DECIMAL\(.*|VARCHAR|DATE|TIME.*")
# Types that others cannot read, and what they are made.
_RECAST = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT", '"NULL"': "VARCHAR"}
_BROKEN = {"FLOAT", "DOUBLE"}
_FORMULA = r"^'*[=+\-@]"
_KINDS: dict[type[duckdb.Error], str] = {
    duckdb.ConversionException: "a value cannot be cast to its new type; TRY_CAST makes it null",
    duckdb.OutOfRangeException: "a number is beyond the range of its type",
    duckdb.OutOfMemoryException: f"it takes more than {MEMORY} of memory and the room on the disk",
}
_HARDLY_ANYTHING = 1 << 16
# A word in quotes may be shown; anything else in quotes may be a value.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r'"([A-Za-z_][A-Za-z_0-9.]*|[^\w\s])"')


def check(folder: Path, paths: Collection[Path]) -> None:
    """See that each file can be run over tables like those of a run; no table is needed.

    Args:
        folder: where they are looked for.
        paths: those that were found.

    Raises:
        InputFileError: one cannot; names file, line and DuckDB's reason.
    """
    if not folder.is_dir():
        raise InputFileError(f"The sql_views folder {folder} is not there; no request was made.")
    for path in paths:
        if not _NAME.fullmatch(path.stem):
            raise InputFileError(
                f"{path} cannot name a table: use up to 60 lower-case letters, digits and "
                "underscores, a letter first. No request was made."
            )
        if path.stem in _TAKEN:
            raise InputFileError(
                f"{path} has the name of a table that there is already; rename it. "
                "No request was made."
            )
        with _connected([]) as database:
            for name, table in SEEN.items():
                columns = ", ".join(f"{_name(c.name)} {_TYPES[c.kind]}" for c in table.columns)
                database.execute(f"CREATE TABLE {_name(name)} ({columns})")
            _define(database, path)


def run(path: Path, tables: Mapping[str, Path], csv: Path, parquet: Path, room: Path) -> None:
    """Run a file over tables, and write what it selects.

    Args:
        path: the SQL.
        tables: a Parquet or CSV file for each of SEEN.
        csv: where the rows go as text, safe to open in a spreadsheet.
        parquet: where they go as values.
        room: a folder for what does not fit into memory; it is removed.

    Raises:
        InputFileError: it cannot be run over these rows; no value of theirs is told.
        OSError: a file cannot be written.
    """
    shutil.rmtree(room, ignore_errors=True)
    files.make_folder(room)
    try:
        with _connected([*tables.values(), csv, parquet], room) as database, _explained(path):
            for name, file in tables.items():
                database.execute(f"CREATE VIEW {_name(name)} AS {_select(SEEN[name], file)}")
            columns, has_order = _define(database, path)
            order = "" if has_order else " ORDER BY ALL"
            values = ", ".join(_value(*column) for column in columns)
            made = f"SELECT {values} FROM own_view{order}"  # noqa: S608  every name is quoted
            _copy(database, made, parquet, "FORMAT parquet")
            # A line with nothing on it is no record to many readers.
            shown = _text if len(columns) > 1 else _text_in_quotes
            texts = ", ".join(shown(*column) for column in columns)
            made = f"SELECT {texts} FROM {_parquet(parquet)}"  # noqa: S608
            _copy(database, made, csv, "FORMAT csv, HEADER true, NULLSTR ''")
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextlib.contextmanager
def _connected(
    paths: Sequence[Path], room: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that can open these files only, and no setting of which can change."""
    settings: dict[str, Any] = {
        "threads": 1,  # sums of several threads differ in their last digits
        "memory_limit": MEMORY,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "temp_directory": str(room or ""),
    }
    with duckdb.connect(":memory:", config=settings) as database:
        database.execute("SET TimeZone = 'UTC'")
        # A name with a bracket or an asterisk is looked up as a pattern.
        named = [name for path in paths for name in (str(path), glob.escape(str(path)))]
        database.execute(f"SET allowed_paths = [{', '.join(map(_quoted, named))}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        yield database


def _define(database: duckdb.DuckDBPyConnection, path: Path) -> tuple[list[tuple[str, str]], bool]:
    """Make `own_view` of a file: its columns with their types, and whether it orders its rows.

    Raises:
        InputFileError: it is no SELECT that can be run, or not the same each time.
    """
    sql = _read(path)
    try:
        statements = database.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise _refusal(path, "it must be one SELECT")
        has_order = _look_over(database, path, sql)
        database.execute(f"CREATE TEMP VIEW own_view AS {sql}")
        described = database.execute("DESCRIBE own_view").fetchall()
    except duckdb.Error as error:
        raise _refusal(path, _reason(error), _line(error)) from None
    columns = [(str(name), str(kind)) for name, kind, *_ in described]
    for name, kind in columns:
        if not (_KEPT.fullmatch(kind) or kind in _RECAST or kind in _BROKEN):
            what = "make it a text, number, date, time or boolean"
            raise _refusal(path, f"column {name} is of type {kind}; {what}")
    return columns, has_order


def _look_over(database: duckdb.DuckDBPyConnection, path: Path, sql: str) -> bool:
    """Whether the SQL orders its rows.

    Raises:
        InputFileError: it reads something else than tables, or is not the same each time.
    """
    (text,) = database.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("",)
    parsed = json.loads(text)
    if parsed["error"]:
        raise _refusal(path, "it must be one SELECT")
    changing = _changing(database)
    for node in _nodes(parsed):
        if fault := _fault(node, changing):
            line = sql.encode()[: node.get("query_location", 0)].count(b"\n") + 1
            raise _refusal(path, fault, line)
    modifiers = parsed["statements"][0]["node"]["modifiers"]
    return any(modifier["type"] == "ORDER_MODIFIER" for modifier in modifiers)


def _fault(node: Mapping[str, Any], changing: Collection[str]) -> str:
    """What a part of a query does that it may not; nothing if there is nothing."""
    if node.get("type") == "TABLE_FUNCTION":
        function = node["function"]["function_name"]
        if function not in _TABLE_FUNCTIONS:
            return f"{function} reads something else than the tables of the run"
    words = node.get("column_names") or [node.get("function_name", "")]
    if len(words) == 1 and words[0].lower() in changing:
        return f"{words[0].lower()} is not the same each time"
    if (sample := node.get("sample")) and not sample["repeatable"]:
        return "a sample without REPEATABLE is not the same each time"
    return ""


def _changing(database: duckdb.DuckDBPyConnection) -> set[str]:
    """What may give another value each time, of functions and of words like current_date."""
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    return {name for (name,) in database.execute(query).fetchall()} - {"error"} | _MOMENTS


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  whatever JSON holds
    """Every part of a parsed query."""
    if isinstance(parsed, dict):
        yield parsed
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for each in parsed:
            yield from _nodes(each)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _refusal(path, "it is not in UTF-8") from None
    except OSError as error:
        raise _refusal(path, f"it cannot be read ({error.strerror})") from None


def _refusal(path: Path, why: str, line: int | None = None) -> InputFileError:
    where = f"{path}, line {line}" if line else str(path)
    kept = "What was published before is unchanged; mend it and run again."
    return InputFileError(f"{where}: {why}. {kept}")


def _reason(error: duckdb.Error) -> str:
    """What DuckDB says of a query, without the values that stand in it."""
    if type(error) in _KINDS:
        return _KINDS[type(error)]
    first = str(error).partition("\n")[0].partition(": ")[2]
    return _QUOTED.sub(lambda q: q[0] if _WORD.fullmatch(q[0]) else "...", first).rstrip(".!")


def _line(error: duckdb.Error) -> int | None:
    told = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
    return int(told[1]) if told else None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell the kind of an error that DuckDB meets in rows; its text quotes them.

    Raises:
        InputFileError: in place of an error of the query.
        OSError: in place of an error of the disk.
    """
    try:
        yield
    except duckdb.IOException:
        full = shutil.disk_usage(path.parent).free < _HARDLY_ANYTHING
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number)) from None
    except duckdb.Error as error:
        kind = type(error).__name__.removesuffix("Exception")
        what = _KINDS.get(type(error), f"DuckDB calls it {kind}; its text may quote a student")
        raise _refusal(path, f"it failed over the rows of this year: {what}") from None


def _select(table: Table, file: Path) -> str:
    """The columns of the dictionary, in its types, out of a table's file."""
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
    """A column as a value that everybody can read: no number of 128 bits, none that is not one."""
    if kind in _RECAST:
        return f"CAST({_name(name)} AS {_RECAST[kind]}) AS {_name(name)}"
    if kind in _BROKEN:
        return f"CASE WHEN isfinite({_name(name)}) THEN {_name(name)} END AS {_name(name)}"
    return _name(name)


def _text(name: str, kind: str) -> str:
    """A column as a spreadsheet may open it."""
    if kind != "VARCHAR":
        return _name(name)
    risky = f"regexp_matches({_name(name)}, {_quoted(_FORMULA)})"
    return (
        f"CASE WHEN {risky} THEN chr(39) || {_name(name)} ELSE {_name(name)} END AS {_name(name)}"
    )


def _text_in_quotes(name: str, kind: str) -> str:
    """A column as `_text`, null as an empty text, which is written in quotes."""
    text = _text(name, kind).removesuffix(f" AS {_name(name)}")
    return f"coalesce(CAST({text} AS VARCHAR), '') AS {_name(name)}"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
