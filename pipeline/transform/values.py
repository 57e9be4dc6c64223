"""Numbers and dates as the API sent them and as true values; text that spreadsheets would run.

Until a table reaches its files, each number and date is a pair: the `text` that was sent and its
`value`, null where the text cannot be parsed. So it is parsed once, however many files and counts
need it. A pair is one column (a struct), so its parts cannot collide with fields of the API.
"""

import datetime as dt
from collections.abc import Collection
from typing import NamedTuple

import polars as pl
import polars.selectors as cs

from pipeline.schema import DATE, Table
from pipeline.storage import formulas


class TableOutputs(NamedTuple):
    """The rows of a table as its CSV file has them, and as its Parquet file has them."""

    csv: pl.LazyFrame
    parquet: pl.LazyFrame


def outputs(rows: pl.LazyFrame, table: Table) -> TableOutputs:
    """Return rows with pairs as both files of a table have them."""
    return TableOutputs(as_text(rows, table), as_values(rows, table))


def spreadsheet_outputs(
    rows: pl.LazyFrame, table: Table, formula_free: Collection[str] = ()
) -> TableOutputs:
    """Return them with the CSV safe to open in a spreadsheet, but for `formula_free` columns."""
    text, true_values = outputs(rows, table)
    return TableOutputs(escape_formulas(text, table, formula_free), true_values)


def pair_columns(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that are pairs: numbers, then dates."""
    return table.of_kind("number") + table.of_kind("date")


def parse_columns(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Replace the text of each number and date by a pair of text and value."""
    parsed = parsed_columns(table)
    return rows.with_columns(
        pl.struct(text=name, value=parsed[name]).alias(name) for name in pair_columns(table)
    )


def parsed_columns(table: Table) -> dict[str, pl.Expr]:
    """Return the value of each column that is not text, parsed from its text."""
    parsers = {"number": parse_number, "date": parse_date, "integer": parse_integer}
    return {
        column.name: parsers[column.kind](pl.col(column.name))
        for column in table.columns
        if column.kind in parsers
    }


def text_of(name: str) -> pl.Expr:
    """Return the text of a pair."""
    return pl.col(name).struct.field("text")


def value_of(name: str) -> pl.Expr:
    """Return the value of a pair."""
    return pl.col(name).struct.field("value")


def is_blank(name: str) -> pl.Expr:
    """Return whether a column of text has nothing but white space, or null."""
    return pl.col(name).str.strip_chars().fill_null("") == ""


def as_text(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Replace each pair by its text, or by null where it cannot be parsed: for the CSV file.

    Numbers keep their digits; a date that was sent as a midnight is the date.
    """
    dates = table.of_kind("date")
    return rows.with_columns(
        value_of(name).cast(pl.String).alias(name)
        if name in dates
        else pl.when(value_of(name).is_not_null()).then(text_of(name)).alias(name)
        for name in pair_columns(table)
    )


def as_values(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Replace each pair by its value: for the Parquet file."""
    return rows.with_columns(value_of(name).alias(name) for name in pair_columns(table))


def parse_number(text: pl.Expr) -> pl.Expr:
    """Return the finite number that a text spells; null if it spells none."""
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def parse_date(text: pl.Expr) -> pl.Expr:
    """Return the date that a text like 2024-03-01 spells, alone or with midnight; else null."""
    date = text.str.head(len("2024-03-01")).str.to_date("%Y-%m-%d", strict=False)
    return pl.when(text.str.contains(DATE) & (date >= dt.date.min)).then(date)


def parse_integer(text: pl.Expr) -> pl.Expr:
    """Return the whole number that a text like 5 or 5.0 spells; null if it spells none."""
    number = parse_number(text)
    return pl.when(number == number.round()).then(number).cast(pl.Int64, strict=False)


def round_half_up(number: pl.Expr) -> pl.Expr:
    """Return the nearest whole number; halves are rounded up."""
    return (number + 0.5).floor().cast(pl.Int64, strict=False)


def escape_formulas(
    rows: pl.LazyFrame, table: Table, formula_free: Collection[str] = ()
) -> pl.LazyFrame:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    Searched are the columns that the table marks, and those that it does not know; those that are
    `formula_free` are not.
    """
    left_out = {*table.names} - {*table.foreign_text} | {*formula_free}
    searched = cs.string() - cs.by_name(*left_out, require_all=False)
    return rows.with_columns(formulas.escape(searched))


def unescape_formulas(rows: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """Undo `escape_formulas` wherever it was applied; other text stays as it is."""
    return rows.with_columns(formulas.unescape(pl.col(table.of_kind("text"))))
