"""The tables of results: shards, labels and a roster in, the rows of each table out.

This is their only definition: the tasks call it for all shards of a snapshot, and batches for some.
A batch has whole shards of one endpoint. Its datasets know the columns of all shards, and have no
shard of the other endpoints; then the rows of all batches, in order, are those of all shards.
"""

from typing import NamedTuple

import polars as pl

from pipeline.schema import COMBINED, GROUP, LATEST, VIEW, Table, with_roster_columns
from pipeline.transform import combine, views
from pipeline.transform.attempts import AttemptDataset
from pipeline.transform.scan import ShardDataset
from pipeline.transform.values import TableOutputs, outputs, spreadsheet_outputs


class ResultTables(NamedTuple):
    """The rows of tables, and one row that is counted in the same pass."""

    tables: dict[Table, TableOutputs]
    counts: pl.LazyFrame


class ViewInputs(NamedTuple):
    """What views add to results; `views.label_rows` says what each has."""

    labels: pl.LazyFrame
    labels_by_grade: pl.LazyFrame
    roster: pl.LazyFrame


def combined_table(overall: ShardDataset, standard: ShardDataset, year: str) -> ResultTables:
    """Return COMBINED: all overall rows, then all standard rows.

    Its counts are those of `combine.count_unparseable`.
    """
    rows = combine.combine_results(overall, standard, year).cache()
    counts = combine.count_unparseable(rows, COMBINED, overall, standard)
    return ResultTables({COMBINED: outputs(rows, COMBINED)}, counts)


def group_table(groups: ShardDataset, year: str) -> ResultTables:
    """Return GROUP; its counts are those of `combine.count_unparseable`."""
    rows = combine.combine_group(groups, year).cache()
    counts = combine.count_unparseable(rows, GROUP, groups)
    return ResultTables({GROUP: outputs(rows, GROUP)}, counts)


def view_tables(
    overall: ShardDataset, standard: ShardDataset, inputs: ViewInputs, year: str
) -> ResultTables:
    """Return VIEW and LATEST, with the columns of the roster after their own.

    Their counts are the students, attempts and overrides that match.
    """
    counted = (AttemptDataset.of(overall, "overall"), AttemptDataset.of(standard, "standard"))
    rows = views.label_rows(combine.combine_results(*counted, year), *inputs).cache()
    safe = views.formula_free_columns(*inputs[:2], roster=inputs.roster)
    columns = views.roster_columns(inputs.roster)
    # Converted once for both: the view's columns are among those of the latest attempts.
    latest = with_roster_columns(LATEST, columns)
    both = [made.cache() for made in spreadsheet_outputs(rows, latest, safe)]
    selected = {with_roster_columns(VIEW, columns): views.select_all, latest: views.select_latest}
    tables = {table: TableOutputs(*map(select, both)) for table, select in selected.items()}
    counts = [
        views.count_roster_match(rows, inputs.roster),
        views.count_latest(rows),
        views.list_unmatched(rows, inputs.labels_by_grade),
    ]
    return ResultTables(tables, pl.concat(counts, how="horizontal"))
