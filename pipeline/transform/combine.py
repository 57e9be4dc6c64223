"""The combined and the group table: datasets of shards in, one lazy frame of rows out.

Shards are distinct and in canonical order, so reading them in order is all the sorting and
de-duplicating there is, and memory stays flat however many there are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipeline.schema import COMBINED, GROUP, Table
from pipeline.transform.scan import ShardDataset
from pipeline.transform.values import is_blank, pair_columns, parse_columns, text_of, value_of

CONSTANT_COLUMNS = {
    "overall": {"response_type": "overall", "standard_code": "percent"},
    "standard": {"response_type": "standard"},
    "group": {"response_type": "group"},
}
"""By endpoint: columns that hold one text in all rows, whatever the API sends there."""


def combine_results(overall: ShardDataset, standard: ShardDataset, year: str) -> pl.LazyFrame:
    """Return all overall rows, then all standard rows.

    Columns are COMBINED's, numbers and dates as pairs, then the fields of either dataset that
    COMBINED does not have, by name.
    """
    extra = _unknown_fields(COMBINED, overall, standard)
    return pl.concat(
        [
            _table_rows(dataset, COMBINED, extra, {"year": year, **CONSTANT_COLUMNS[endpoint]})
            for endpoint, dataset in (("overall", overall), ("standard", standard))
        ]
    )


def combine_group(dataset: ShardDataset, year: str) -> pl.LazyFrame:
    """Return all rows by reporting group.

    Columns are GROUP's, numbers and dates as pairs, then the dataset's other fields by name.
    """
    extra = _unknown_fields(GROUP, dataset)
    return _table_rows(dataset, GROUP, extra, {"year": year, **CONSTANT_COLUMNS["group"]})


def count_unparseable(rows: pl.LazyFrame, table: Table, *datasets: ShardDataset) -> pl.LazyFrame:
    """Count the empty values and the unparseable texts of each expected column that a dataset has.

    Args:
        rows: `combine_results` or `combine_group` of these datasets.
        table: The table they make.
        datasets: What the rows are read from.

    Returns:
        One row, with a struct for each column: `null` counts what was sent as null, in columns of
        text also what is blank, and `unparseable` the texts that are not a number, or not a date,
        which the table has as null.
    """
    fields = {field for dataset in datasets for field in dataset.columns}
    present, pairs = [name for name in table.expected if name in fields], pair_columns(table)
    nulls = {n: text_of(n).null_count() if n in pairs else is_blank(n).sum() for n in present}
    unparseable = {n: value_of(n).null_count() - nulls[n] for n in present if n in pairs}
    return rows.select(
        pl.struct(null=null, unparseable=unparseable.get(name, pl.lit(0))).alias(name)
        for name, null in nulls.items()
    )


def read_titles(tables: Sequence[Path]) -> pl.DataFrame:
    """Return `find_titles` of Parquet files, which together have all rows."""
    return find_titles([pl.scan_parquet(path, glob=False) for path in tables])


def find_titles(rows: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Return the title of each assessment that has rows: `assessment_id`, `title` (text).

    Where its rows disagree, the first in the alphabet is taken, and none that is blank. The titles
    of some rows, and those of the others, are rows themselves, which have the titles of all.

    Args:
        rows: frames with both columns.
    """
    title = pl.when(~is_blank("title")).then("title")
    titles = pl.concat([each.select("assessment_id", title.alias("title")) for each in rows])
    grouped = titles.group_by("assessment_id").agg(pl.col("title").min())
    return grouped.sort("assessment_id").collect(engine="streaming")


def _unknown_fields(table: Table, *datasets: ShardDataset) -> list[str]:
    return sorted({name for dataset in datasets for name in dataset.schema} - set(table.names))


def _table_rows(
    dataset: ShardDataset, table: Table, extra: Sequence[str], constants: Mapping[str, str]
) -> pl.LazyFrame:
    """Return rows with all of the table's columns and the extra ones, null where absent."""
    names = (*table.names, *extra)
    absent = [name for name in names if name not in dataset.schema and name not in constants]
    rows = dataset.scan().with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in absent),
        **{name: pl.lit(text) for name, text in constants.items()},
    )
    return parse_columns(rows, table).select(names)
