"""All years together: the tables of school years and of files from before the pipeline, in one.

Everything is streamed: texts from CSV to CSV as they are, values from Parquet to Parquet.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.schema import VIEW, Table
from pipeline.transform import build

_PARSE = {"number": build.number, "date": build.date, "integer": build.whole}


class Part(NamedTuple):
    """A part of a table: the rows of its CSV and of its Parquet twin, and their columns."""

    text: pl.LazyFrame
    values: pl.LazyFrame
    columns: Sequence[str]


def of_year(csv: Path, parquet: Path) -> Part:
    """A table of one school year."""
    text = pl.scan_csv(csv, infer_schema=False, glob=False)
    values = pl.scan_parquet(parquet, glob=False)
    return Part(text, values, values.collect_schema().names())


def of_prior(copy: Path, table: Table) -> Part:
    """A file from before the pipeline, out of its clean copy.

    The view's texts may have been made safe for spreadsheets before; they are not made so twice.
    """
    text = _read_prior(copy, table)
    if table is not VIEW:
        return Part(_odd_to_null(text, table), _as_values(text, table), table.names)
    plain = build.as_before_made_safe(text, table)
    safe = build.safe_for_spreadsheets(_odd_to_null(plain, table), table)
    return Part(safe, _as_values(plain, table), table.names)


def odd_values(copy: Path, table: Table) -> dict[str, dict[str, int]]:
    """Per number, date and integer column of a clean copy: how many are null, and made null."""
    text = _read_prior(copy, table)
    null = text.select(pl.col(_parsed(table)).null_count())
    odd = text.select(
        (pl.col(name).is_not_null() & value.is_null()).sum() for name, value in _values(table)
    )
    nulls, odds = (
        each.row(0, named=True) for each in pl.collect_all([null, odd], engine="streaming")
    )
    return {name: {"null": nulls[name], "odd": odds[name]} for name in nulls}


def united(parts: Sequence[Part], table: Table) -> build.Twins:
    """All rows of all parts, in their order.

    Columns are the table's, then those that only some parts have, by name; they are null elsewhere.
    """
    extra = sorted({name for part in parts for name in part.columns} - set(table.names))
    names = [*table.names, *extra]
    texts = [_with_columns(part.text, part.columns, names) for part in parts]
    values = [_with_columns(part.values, part.columns, names) for part in parts]
    return build.Twins(pl.concat(texts), pl.concat(values))


def count_years(rows: pl.LazyFrame, years: Iterable[str]) -> pl.LazyFrame:
    """How many rows are of each school year: one row, a column for each."""
    return rows.select((pl.col("year") == year).sum().alias(year) for year in years)


def rows_by_year(parquet: Path) -> dict[str, int]:
    """How many rows of a Parquet file are of each school year."""
    counted = pl.scan_parquet(parquet, glob=False).group_by("year").len().sort("year")
    return dict(counted.collect(engine="streaming").iter_rows())


def _read_prior(copy: Path, table: Table) -> pl.LazyFrame:
    return pl.scan_csv(copy, schema=dict.fromkeys(table.names, pl.String), glob=False)


def _parsed(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.kind in _PARSE]


def _values(table: Table) -> list[tuple[str, pl.Expr]]:
    """The columns that are not text, and how their values follow from their texts."""
    kinds = {column.name: column.kind for column in table.columns}
    return [(name, _PARSE[kinds[name]](pl.col(name))) for name in _parsed(table)]


def _as_values(text: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    return text.with_columns(value.alias(name) for name, value in _values(table))


def _odd_to_null(text: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """The digits as they were, and null where they are odd; integers in the shortest form."""
    return text.with_columns(
        pl.when(value.is_not_null()).then(name).alias(name)
        if name not in table.of_kind("integer")
        else value.cast(pl.String).alias(name)
        for name, value in _values(table)
    )


def _with_columns(frame: pl.LazyFrame, there: Sequence[str], names: Sequence[str]) -> pl.LazyFrame:
    absent = [pl.lit(None, pl.String).alias(name) for name in names if name not in there]
    return frame.with_columns(absent).select(names)
