"""The shards of one endpoint as one lazy frame, read in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from pipeline import ids

# How many rows are read at once. Shards are small, and the overhead of each batch equals the cost
# of some thousand rows; but memory grows with this number: by 50 MB for 10,000 more.
_BATCH = 30_000


@dataclass(frozen=True)
class ShardDataset:
    """The shards of one endpoint that have rows, in order of their assessment id.

    `columns` are all columns that occur in any of them; `rows` is the number of rows of each.
    """

    paths: Sequence[Path]
    columns: Sequence[str]
    rows: Sequence[int]

    @property
    def schema(self) -> dict[str, Any]:
        """The columns of `scan`."""
        return dict.fromkeys(self.columns, pl.String())

    def scan(self) -> pl.LazyFrame:
        """Return all rows, in order; a column that a shard lacks is null there."""
        if not self.paths:
            return pl.LazyFrame(schema=self.schema)
        return register_io_source(self._batches, schema=self.schema)

    def read(self, paths: list[Path], columns: Sequence[str]) -> pl.LazyFrame:
        """Return the rows of some shards, in order, with trimmed ids."""
        schema = dict.fromkeys(self.columns, pl.String())
        rows = pl.scan_parquet(paths, schema=schema, missing_columns="insert", glob=False)
        padded = [name for name in ids.COLUMNS if name in columns]
        return rows.select(columns).with_columns(pl.col(padded).str.strip_chars(ids.WHITE_SPACE))

    def _batches(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        limit: int | None,
        _: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Yield batches of rows, as polars requests them."""
        for paths in self._path_batches():
            rows = self.read(paths, list(self.schema) if columns is None else columns)
            rows = rows if predicate is None else rows.filter(predicate)
            batch = (rows if limit is None else rows.head(limit)).collect().rechunk()
            limit = None if limit is None else limit - batch.height
            yield batch

    def _path_batches(self) -> Iterator[list[Path]]:
        """Yield the paths in batches of up to `_BATCH` rows; a larger shard is its own batch."""
        batch: list[Path] = []
        room = _BATCH
        for path, rows in zip(self.paths, self.rows, strict=True):
            if batch and rows > room:
                yield batch
                batch, room = [], _BATCH
            batch.append(path)
            room -= rows
        yield batch
