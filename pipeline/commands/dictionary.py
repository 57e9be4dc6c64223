"""The data dictionary: `schema.py` as a page that people read."""

import argparse
from collections.abc import Iterator, Sequence

from pipeline.config import rosters, sections, settings
from pipeline.schema import (
    STUDENTS,
    TABLES,
    Column,
    Table,
    with_roster_columns,
)

_HEAD = """\
# Data dictionary

Written from `pipeline/schema.py` by `make dictionary`; edit that, not this page.

Every CSV is UTF-8 with a header, commas, LF line ends and RFC 4180 quoting; an empty field is
null. Numbers and dates are in the CSV with the digits that the API sent, and in the Parquet file
as true numbers (double precision) and dates. A date followed by midnight is that date; any other
time of day makes it none. A text that is no number, or no date, is null in both, and is counted in
the run record. Fields of the API that are not listed here follow the listed columns, in
alphabetical order. Rows are in the order of the key; in the views, in that of the combined table.

A spreadsheet may run a text as a formula if it begins with `=`, `+`, `-`, `@` or their full-width
forms, with a tab or with a carriage return. In the columns marked *escaped*, and in those that are
not listed here, the CSV has an apostrophe in front of such a text; the Parquet file, databases and
your own SQL have it without. `assessment_results_*` are for programs, and nothing in them is
escaped: open the views in a spreadsheet instead.

Names end in `_historical` for years before `[years] historical_before`. All years together, made by
`make years`, have the same columns; they lie in `<folder>/all/`, in the order of the years, and
their names end in `_all_years`; only `illuminate_latest_results` is of one year, because attempts
are counted within a year. Columns marked *personal* tell about one student. What analysts' own SQL
makes is not listed here: its columns are what it selects.

The columns of the roster that `[roster] columns` names come last in both views and in
`students.csv`, which is published only where there are some. They are text, *escaped* and
*personal*, as on the roster; null if the student is not on it, or has several values there.
`.venv/bin/python -m pipeline dictionary` prints this page with those that your own settings name.
"""

_KINDS = {"text": "text", "integer": "whole number", "number": "number", "date": "date"}


def main(_: argparse.Namespace) -> int:
    """Print the page, with the columns of the roster that `[roster] columns` names."""
    is_set = settings.read(sections.roster).columns
    print(dictionary(tuple(rosters.columns()) if is_set else ()), end="")
    return 0


def dictionary(roster_columns: Sequence[str] = ()) -> str:
    """The whole page, in Markdown."""
    tables = [with_roster_columns(table, roster_columns) for table in (*TABLES, STUDENTS)]
    return "\n".join([_HEAD, *map(_section, tables)])


def _section(table: Table) -> str:
    parquet = " and `.parquet`" if table.is_large else ""
    suffix = "[_historical]" if table.is_large else ""
    head = [
        f"## `{table.stem}{suffix}.csv`{parquet}",
        "",
        f"In `{table.folder}/<year>/`; {table.grain}. Key: {', '.join(table.key)}.",
        "",
        "| column | type | meaning | from |",
        "|---|---|---|---|",
    ]
    rows = [
        f"| `{column.name}` | {', '.join(_marks(table, column))} | {column.meaning} "
        f"| {column.source} |"
        for column in table.columns
    ]
    return "\n".join([*head, *rows, ""])


def _marks(table: Table, column: Column) -> Iterator[str]:
    yield _KINDS[column.kind]
    if table.is_escaped and column.name in table.foreign_text:
        yield "*escaped*"
    if column.personal:
        yield "*personal*"
