"""The shards of one endpoint as one table, read in batches: shards in, a lazy frame out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

# How many rows are read at once. Shards are small, and what polars does to each piece of a table
# that it reads costs as much as some thousand rows; but memory grows with this number.
_BATCH = 20_000


@dataclass(frozen=True)
class Source:
    """The shards of one endpoint that have rows, in order of their assessment id.

    `columns` are all columns that occur in any of them; `rows` tells how many each has.
    """

    paths: Sequence[Path]
    columns: Sequence[str]
    rows: Sequence[int]

    @property
    def schema(self) -> dict[str, Any]:
        """The columns of `scan`."""
        return dict.fromkeys(self.columns, pl.String())

    def scan(self) -> pl.LazyFrame:
        """All their rows, in order; a column that a shard lacks is null there."""
        if not self.paths:
            return pl.LazyFrame(schema=self.schema)
        return register_io_source(self._batches, schema=self.schema)

    def read(self, paths: list[Path], columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of some shards, in order."""
        schema = dict.fromkeys(self.columns, pl.String())
        rows = pl.scan_parquet(paths, schema=schema, missing_columns="insert", glob=False)
        return rows.select(columns)

    def _batches(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        most: int | None,
        _: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Read on in batches, as polars asks for them."""
        for paths in self._together():
            rows = self.read(paths, list(self.schema) if columns is None else columns)
            rows = rows if predicate is None else rows.filter(predicate)
            batch = (rows if most is None else rows.head(most)).collect().rechunk()
            most = None if most is None else most - batch.height
            yield batch

    def _together(self) -> Iterator[list[Path]]:
        """The shards in groups of about as many rows each; a large one is a group of its own."""
        batch: list[Path] = []
        room = _BATCH
        for path, rows in zip(self.paths, self.rows, strict=True):
            if batch and rows > room:
                yield batch
                batch, room = [], _BATCH
            batch.append(path)
            room -= rows
        yield batch
