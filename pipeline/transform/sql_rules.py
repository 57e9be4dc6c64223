"""What an SQL file may be: one SELECT over the tables of a run, with the same rows every time."""

import json
import re
from pathlib import Path

import duckdb

from pipeline.errors import InputFileError

MEMORY = "1GiB"
"""Memory limit of a view; beyond it, DuckDB uses the disk."""

RECAST = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT", '"NULL"': "VARCHAR"}
"""Types that other programs cannot read, and what replaces them."""

FLOATS = {"FLOAT", "DOUBLE"}
"""Types whose values may be infinite or no number."""

EXPLANATIONS: dict[type[duckdb.Error], str] = {
    duckdb.ConversionException: "a value cannot be cast to its new type; TRY_CAST makes it null",
    duckdb.OutOfRangeException: "a number is beyond the range of its type",
    duckdb.OutOfMemoryException: f"it needs more than {MEMORY} of memory and the free disk space",
}
"""What errors mean, where DuckDB's own message may quote a value."""

_SUPPORTED = re.compile(
    r"BOOLEAN|U?(TINY|SMALL)INT|U?INTEGER|BIGINT|DECIMAL\(.*|VARCHAR|DATE|TIME.*"
)
# A quoted identifier may be shown; anything else in quotes may be a value.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r'"([A-Za-z_][A-Za-z_0-9.]*|[^\w\s])"')
# Finds the first part of a parsed query that reads something other than the tables, or whose value
# differs between runs. DuckDB gives bare words like current_date as columns.
_FIRST_FAULT = """
WITH part AS (SELECT value AS node FROM json_tree(?) WHERE type = 'OBJECT'),
named AS (
  SELECT
    coalesce(TRY_CAST(node ->> 'query_location' AS BIGINT), 0) AS location,
    node ->> 'type' = 'TABLE_FUNCTION' AS is_table,
    node ->> '$.function.function_name' AS table_function,
    lower(coalesce(node ->> 'function_name', CASE WHEN json_array_length(node, '$.column_names') = 1
      THEN node ->> '$.column_names[0]' END)) AS word,
    node ->> '$.sample.repeatable' = 'false' AS is_random_sample,
    CASE WHEN node ->> 'type' = 'BASE_TABLE' THEN lower(node ->> 'table_name') END AS table_name,
    lower(node ->> 'schema_name') AS schema_name,
    node ->> 'type' = 'SHOW_REF' AND json_type(node, '$.query') = 'NULL' AS is_list
  FROM part
)
SELECT
  coalesce(
    CASE
      WHEN is_table AND table_function NOT IN ('generate_series', 'range', 'unnest', 'repeat')
        THEN table_function
      WHEN is_list THEN 'SHOW'
      WHEN EXISTS (
        FROM duckdb_views() AS own WHERE own.internal AND own.view_name = named.table_name
        AND (own.schema_name = named.schema_name
          OR (named.schema_name = '' AND own.schema_name <> 'information_schema'))
      ) THEN concat_ws('.', nullif(schema_name, ''), table_name)
    END || ' reads something other than the tables of the run',
    CASE
      WHEN word IN (
        FROM duckdb_functions() SELECT function_name
        WHERE stability <> 'CONSISTENT' AND function_name <> 'error'
      ) OR word IN (
        'ago', 'current_date', 'current_time', 'current_timestamp', 'current_localtime',
        'current_localtimestamp', 'localtime', 'localtimestamp'
      ) THEN word || ' may give a different result in each run'
      WHEN is_random_sample THEN 'a sample without REPEATABLE may differ in each run'
    END
  ) AS fault,
  location
FROM named WHERE fault IS NOT NULL ORDER BY location LIMIT 1
"""


def define(database: duckdb.DuckDBPyConnection, path: Path) -> tuple[list[tuple[str, str]], bool]:
    """Create `custom_view`; return its columns with their types, and whether it orders its rows.

    Raises:
        InputFileError: It is not a SELECT that can be run, or its result differs between runs.
    """
    try:
        sql = path.read_text(encoding="utf-8-sig")
        statements = database.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise refusal(path, "it must be one SELECT")
        has_order = _has_order(database, path, sql)
        database.execute(f"CREATE TEMP VIEW custom_view AS {sql}")
        described = database.execute("DESCRIBE custom_view").fetchall()
    except UnicodeDecodeError:
        raise refusal(path, "it is not UTF-8") from None
    except OSError as error:
        raise InputFileError.unreadable(path, error) from None
    except duckdb.Error as error:
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        raise refusal(path, _reason(error), int(line[1]) if line else None) from None
    columns = [(str(name), str(kind)) for name, kind, *_ in described]
    for name, kind in columns:
        if not (_SUPPORTED.fullmatch(kind) or kind in RECAST or kind in FLOATS):
            hint = "cast it to text, number, date, time or boolean"
            raise refusal(path, f"column {name} is of type {kind}; {hint}")
    return columns, has_order


def _has_order(database: duckdb.DuckDBPyConnection, path: Path, sql: str) -> bool:
    """Return whether the SQL orders its rows.

    Raises:
        InputFileError: It reads something other than tables, or its result differs between runs.
    """
    (tree,) = database.execute("SELECT json_serialize_sql(?)", [sql]).fetchone() or ("",)
    parsed = json.loads(tree)
    if parsed["error"]:
        raise refusal(path, "it must be one SELECT")
    if found := database.execute(_FIRST_FAULT, [tree]).fetchone():
        fault, location = found
        raise refusal(path, fault, sql.encode()[:location].count(b"\n") + 1)
    modifiers = parsed["statements"][0]["node"]["modifiers"]
    return any(modifier["type"] == "ORDER_MODIFIER" for modifier in modifiers)


def refusal(path: Path, why: str, line: int | None = None) -> InputFileError:
    """Return the error for a file of SQL, with the line if it is known."""
    return InputFileError.at(f"{path}, line {line}" if line else path, why)


def _reason(error: duckdb.Error) -> str:
    """Return the reason that DuckDB gives, without values from the query."""
    if type(error) in EXPLANATIONS:
        return EXPLANATIONS[type(error)]
    first = str(error).partition("\n")[0].partition(": ")[2]
    return _QUOTED.sub(lambda q: q[0] if _WORD.fullmatch(q[0]) else "...", first).rstrip(".!")
