"""The shards of one endpoint as one table, read in batches: shards in, a lazy frame out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

# How many rows are read at once. Shards are small, and what polars does to each piece of a table
# that it reads costs as much as some thousand rows; more rows than this cost memory only.
_BATCH = 50_000


@dataclass(frozen=True)
class Source:
    """The shards of one endpoint that have rows, in order of their assessment id.

    `columns` are all columns that occur in any of them; `rows` tells how many each has.
    """

    paths: Sequence[Path]
    columns: Sequence[str]
    rows: Sequence[int]

    def scan(self) -> pl.LazyFrame:
        """All their rows, in order; a column that a shard lacks is null there."""
        schema = dict.fromkeys(self.columns, pl.String())
        if not self.paths:
            return pl.LazyFrame(schema=schema)
        return register_io_source(self._read, schema=schema)

    def _read(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        most: int | None,
        _: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Read on in batches, as polars asks for them."""
        for paths in self._batches():
            rows = self._scan(paths).select(self.columns if columns is None else columns)
            rows = rows if predicate is None else rows.filter(predicate)
            batch = (rows if most is None else rows.head(most)).collect().rechunk()
            most = None if most is None else most - batch.height
            yield batch

    def _batches(self) -> Iterator[list[Path]]:
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

    def _scan(self, paths: list[Path]) -> pl.LazyFrame:
        schema = dict.fromkeys(self.columns, pl.String())
        return pl.scan_parquet(paths, schema=schema, missing_columns="insert", glob=False)
