"""What a Delta table consists of: parts of partitions, and columns."""

from typing import NamedTuple

from pipeline.publish.database.published_set import YEAR, Field

DISTRICT = "district"

PARTITIONED_BY = [DISTRICT, YEAR]
"""The columns that are in the names of partitions and not in their files."""


class Partition(NamedTuple):
    """A district's rows of a school year."""

    district: str
    year: str


class Part(NamedTuple):
    """A Parquet file with rows of one partition; its path is relative to the table's folder."""

    path: str
    size: int
    rows: int
    partition: Partition


class TableSchema(NamedTuple):
    """A Delta table: its name, what a row is, and its columns in order."""

    name: str
    meaning: str
    columns: tuple[Field, ...]
