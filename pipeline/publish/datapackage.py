"""Describe a folder of published files as a Data Package (Frictionless): what each column means.

The same files give the same bytes: the run and the day are in the publication manifest.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.schema import UNKNOWN_FIELD, Table
from pipeline.storage.files import FileStamp

if TYPE_CHECKING:
    import polars as pl

_TYPES = {"text": "string", "integer": "integer", "number": "number", "date": "date"}
_PACKAGE = (
    "Columns of type string are text, even where all of it is digits: read local_student_id and "
    "all other ids and codes as text, or their leading zeros are lost (pandas: "
    "read_csv(path, dtype=str, keep_default_na=False, na_values=['']); a spreadsheet: import as "
    "text, without detecting data types). The Parquet files have these types already. An empty "
    "field is null. published.json names the run that published these files, and the day on which "
    "their data were fetched."
)
_ESCAPED = "Text that a spreadsheet would run as a formula has an apostrophe in front."
_CSV = {
    "format": "csv",
    "mediatype": "text/csv",
    "encoding": "utf-8",
    "dialect": {
        "delimiter": ",",
        "lineTerminator": "\n",
        "quoteChar": '"',
        "doubleQuote": True,
        "header": True,
    },
}
_PARQUET = {"format": "parquet", "mediatype": "application/vnd.apache.parquet"}


class BuiltTable(NamedTuple):
    """A table of a set: its built files with their stamps, and how many rows it has."""

    table: Table
    files: dict[Path, FileStamp]
    rows: int


def describe(kind: str, partition: str, tables: Sequence[BuiltTable]) -> dict[str, Any]:
    """Return the descriptor of a published folder.

    Args:
        kind: what the folder is for, `illuminate` or `views`.
        partition: the school year, or `all`.
        tables: those that are published there.
    """
    return {
        "name": f"{kind}-{partition}",
        "title": f"Assessment results, {partition}: {kind}",
        "description": _PACKAGE,
        "resources": [resource for built in tables for resource in _resources(built)],
    }


def _resources(built: BuiltTable) -> Iterator[dict[str, Any]]:
    table, grain = built.table, built.table.grain
    fields = _fields(table, list(built.files)[-1])  # of the Parquet file, where there is one
    for path, stamp in built.files.items():
        is_csv = path.suffix == ".csv"
        description = f"{grain[0].upper()}{grain[1:]}."
        yield {
            "name": path.name,
            "path": path.name,
            "description": f"{description} {_ESCAPED}"
            if is_csv and table.is_escaped
            else description,
            **(_CSV if is_csv else _PARQUET),
            "bytes": stamp.size,
            "hash": f"sha256:{stamp.sha256}",
            "rows": built.rows,
            "schema": {"fields": fields, "missingValues": [""]},
        }


def _fields(table: Table, file: Path) -> list[dict[str, Any]]:
    """Return what each column of a table's file holds and means."""
    known = {column.name: column for column in table.columns}
    fields: list[dict[str, Any]] = []
    for name, dtype in _read_schema(file).items():
        if column := known.get(name):
            field = {"type": _TYPES[column.kind], "description": column.meaning}
            fields.append(
                {"name": name, **field, **({"personal": True} if column.personal else {})}
            )
        elif table.is_open:
            fields.append({"name": name, "type": "string", "description": UNKNOWN_FIELD})
        else:
            fields.append({"name": name, "type": _type(dtype)})
    return fields


def _read_schema(file: Path) -> "pl.Schema":
    import polars as pl

    if file.suffix == ".csv":
        return pl.scan_csv(file, infer_schema=False, glob=False).collect_schema()
    return pl.scan_parquet(file, glob=False).collect_schema()


def _type(dtype: "pl.DataType") -> str:
    """Return the type of a column that only a view of the district's own has."""
    import polars as pl

    types: dict[type[pl.DataType], str] = {
        pl.String: "string",
        pl.Date: "date",
        pl.Boolean: "boolean",
    }
    if dtype.is_integer():
        return "integer"
    return "number" if dtype.is_numeric() else types.get(dtype.base_type(), "any")
