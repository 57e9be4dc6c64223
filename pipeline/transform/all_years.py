"""The tables of all school years, and of files from before the pipeline, concatenated.

Everything is streamed: text from CSV to CSV as it is, values from Parquet to Parquet.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pipeline.inputs.grades import GRADES
from pipeline.schema import Table
from pipeline.storage import formulas
from pipeline.transform import values
from pipeline.transform.values import TableOutputs


def scan_files(csv: Path, parquet: Path) -> TableOutputs:
    """Return a table that the pipeline wrote."""
    text = pl.scan_csv(csv, infer_schema=False, glob=False)
    return TableOutputs(text, pl.scan_parquet(parquet, glob=False))


def scan_prior(copy: Path, table: Table) -> TableOutputs:
    """Return the rows of a file from before the pipeline, given its clean copy.

    Formulas in an escaped table may have been escaped before; they are not escaped twice. People
    wrote all of its text, also what the pipeline writes in its own tables.
    """
    original = _scan_copy(copy, table)
    if table.is_escaped:
        original = values.unescape_formulas(original, table)
    text = _as_text(original, table)
    if table.is_escaped:
        text = text.with_columns(formulas.escape(pl.col(table.of_kind("text"))))
    return TableOutputs(text, original.with_columns(**_parsed_columns(table)))


def count_unparseable(copy: Path, table: Table) -> dict[str, dict[str, int]]:
    """Count `null` and `unparseable` cells per number, date and integer column of a clean copy."""
    text = _scan_copy(copy, table)
    parsed = _parsed_columns(table)
    nulls = text.select(pl.col(name).null_count() for name in parsed)
    unparseable = text.select(
        (pl.col(name).is_not_null() & value.is_null()).sum() for name, value in parsed.items()
    )
    both = pl.collect_all([nulls, unparseable], engine="streaming")
    null, invalid = (counts.row(0, named=True) for counts in both)
    return {name: {"null": null[name], "unparseable": invalid[name]} for name in parsed}


def count_repeated_keys(copy: Path, table: Table) -> int:
    """Count the rows of a clean copy with the key of a row before."""
    # Of 3 million rows, sorted hashes of keys take 60 MB, a set of hashes 200, one of keys more.
    rows = _scan_copy(copy, table).select(pl.struct("year", *table.key).hash().alias("key"))
    keys = rows.collect(engine="streaming")["key"].sort()
    return keys.len() - keys.n_unique()


def concat_years(parts: Sequence[TableOutputs], table: Table) -> TableOutputs:
    """Return all rows of all parts, in their order.

    Columns are the table's, then those that only some parts have, by name; they are null elsewhere.
    """
    csv, parquet = (pl.concat(frames, how="diagonal") for frames in zip(*parts, strict=True))
    extra = sorted(set(parquet.collect_schema()) - set(table.names))
    names = [*table.names, *extra]
    return TableOutputs(csv.select(names), parquet.select(names))


def count_rows_by_year(csv: Path, parquet: Path) -> dict[str, dict[str, int]]:
    """Return how many rows of each school year both files of a table have, `CSV` and `Parquet`."""
    rows = scan_files(csv, parquet)
    return {"CSV": _count_by_year(rows.csv), "Parquet": _count_by_year(rows.parquet)}


def count_undated(parquet: Path, table: Table) -> int:
    """Count the rows without a date that several years have, by the table's key.

    A server that delivers undated results for any dates delivers them for each year.
    """
    undated = pl.scan_parquet(parquet, glob=False).filter(pl.col("date_taken").is_null())
    same = undated.group_by(table.key).agg(years=pl.col("year").n_unique(), rows=pl.len())
    several = same.filter(pl.col("years") > 1).select(pl.col("rows").sum())
    return int(several.collect(engine="streaming").item())


def _count_by_year(rows: pl.LazyFrame) -> dict[str, int]:
    counted = rows.group_by("year").len().sort("year")
    return dict(counted.collect(engine="streaming").iter_rows())


def _parsed_columns(table: Table) -> dict[str, pl.Expr]:
    """Return the value of each column that is not text; a grade is spelled as on a roster."""
    parsed = values.parsed_columns(table)
    if "grade" in parsed:
        spelled = pl.col("grade").str.strip_chars().str.to_uppercase()
        parsed["grade"] = spelled.replace_strict(GRADES, default=None, return_dtype=pl.Int64)
    return parsed


def _scan_copy(copy: Path, table: Table) -> pl.LazyFrame:
    return pl.scan_csv(copy, schema=dict.fromkeys(table.names, pl.String), glob=False)


def _as_text(text: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Keep the digits of numbers that can be parsed; integers and dates get one spelling."""
    respelled = table.of_kind("integer") + table.of_kind("date")
    return text.with_columns(
        value.cast(pl.String).alias(name)
        if name in respelled
        else pl.when(value.is_not_null()).then(name).alias(name)
        for name, value in _parsed_columns(table).items()
    )
