"""Batches: whole shards of a district's school year, that any process can read and build alone.

A batch is a small description; what is built of it goes to where the tables are, and only names
and counts come back. It says what the columns of all shards are: fields that only some shards have
would else be missing, or be elsewhere, in the rows of the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

import msgspec

from pipeline.errors import ShardError, printable, redact_unexpected
from pipeline.extract import shards
from pipeline.extract.manifest import Manifest, ManifestEntry
from pipeline.publish.checks import list_some
from pipeline.publish.database.published_set import SourceTable
from pipeline.schema import ENDPOINTS
from pipeline.state.parts import Part, Partition
from pipeline.state.published import as_parts_have_them
from pipeline.storage import files
from pipeline.storage.paths import Snapshot

if TYPE_CHECKING:
    import polars as pl

    from pipeline.transform.scan import ShardDataset
    from pipeline.transform.tables import ViewInputs
    from pipeline.transform.values import TableOutputs

P = ParamSpec("P")
R = TypeVar("R")

Writer = Callable[[str, "pl.LazyFrame", Partition], Part]
"""Writes rows of a table, given by its name, as a part of a partition."""


@dataclass(frozen=True)
class Batch:
    """Shards of one endpoint, in the order of the tables.

    Attributes:
        partition: the district and year that they are of.
        endpoint: overall, standard or group.
        folder: where the shards are.
        entries: those with rows, as the manifest has them.
        columns: the columns of all shards of the school year, by endpoint.
    """

    partition: Partition
    endpoint: str
    folder: Path
    entries: Mapping[str, ManifestEntry]
    columns: Mapping[str, Sequence[str]]


class SmallFile(NamedTuple):
    """A file that every batch of a district joins, and its digest."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "SmallFile":
        """Return a file as it is now."""
        return cls(path, files.sha256(path))


@dataclass(frozen=True)
class TableBatch:
    """A batch that tables are to be built of.

    Attributes:
        batch: the shards.
        labels: the labels of assessments, as CSV.
        labels_by_grade: those that hold for one grade only.
        roster: the students, as `ReadRoster` wrote them.
        tables: the tables to build, with their columns as they are published.
    """

    batch: Batch
    labels: SmallFile
    labels_by_grade: SmallFile
    roster: SmallFile
    tables: tuple[SourceTable, ...]


class Fault(NamedTuple):
    """Why a batch could not be read or built; it completes `<district>: ...`."""

    reason: str


class Summary(NamedTuple):
    """What the small tables need of a batch.

    Attributes:
        titles: `combine.find_titles` of its rows.
        spellings: `standards.count_spellings` of its rows; None of other endpoints than standard.
    """

    titles: "pl.DataFrame"
    spellings: "pl.DataFrame | None"


def cut_batches(
    partition: Partition, snapshot: Snapshot, manifests: Mapping[str, Manifest], rows: int
) -> list[Batch]:
    """Cut a snapshot into batches of whole shards, in the order of the tables.

    Every endpoint has one, also without a shard that has rows, so that every table has a part.

    Args:
        partition: the district and year.
        snapshot: where the shards are.
        manifests: those of the endpoints.
        rows: how many rows a batch has at most; a shard with more is a batch by itself.
    """
    found = {
        endpoint: shards.in_table_order({i: e for i, e in manifest.shards.items() if e.rows})
        for endpoint, manifest in manifests.items()
    }
    columns = {endpoint: shards.find_columns(entries) for endpoint, entries in found.items()}
    return [
        Batch(partition, endpoint, snapshot.shards(endpoint), entries, columns)
        for endpoint in ENDPOINTS
        for entries in _cut(found[endpoint], rows)
    ]


def _cut(entries: Mapping[str, ManifestEntry], rows: int) -> Iterator[dict[str, ManifestEntry]]:
    batch: dict[str, ManifestEntry] = {}
    room = rows
    for name, entry in entries.items():
        if batch and entry.rows > room:
            yield batch
            batch, room = {}, rows
        # Its own columns are many and not needed: the batch has those of all.
        batch[name] = msgspec.structs.replace(entry, columns=())
        room -= entry.rows
    yield batch


def _or_fault(build: Callable[P, R]) -> Callable[P, R | Fault]:
    """Return what cannot be read as a Fault, so that the batches of other districts go on."""

    @wraps(build)
    def build_or_fault(*args: P.args, **kwargs: P.kwargs) -> R | Fault:
        try:
            with redact_unexpected(), _unreadable():
                return build(*args, **kwargs)
        except ShardError as error:
            return Fault(str(error))

    return build_or_fault


@contextmanager
def _unreadable() -> Iterator[None]:
    """Raise a ShardError in place of errors of reading, whose text may hold a value."""
    import polars as pl

    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ShardError(f"what it is built of cannot be read ({type(error).__name__})") from None


@_or_fault
def summarize_batch(batch: Batch) -> Summary:
    """Return what the small tables need of a batch, or why it cannot be read."""
    from pipeline.transform import combine, standards

    of = _datasets(batch)
    if batch.endpoint == "group":
        rows = combine.combine_group(of["group"], batch.partition.year)
    else:
        rows = combine.combine_results(of["overall"], of["standard"], batch.partition.year)
    spellings = standards.count_spellings(rows) if batch.endpoint == "standard" else None
    return Summary(combine.find_titles([rows]), spellings)


@_or_fault
def build_batch(of: TableBatch, write: Writer) -> dict[str, Part]:
    """Build the rows of each table, and write them.

    Returns:
        The part of each table by the table's name, or why the batch cannot be built.

    Raises:
        StateError: a part could not be written.
    """
    import polars as pl

    wanted = {table.name: table for table in of.tables}
    made = {name: rows.parquet for name, rows in _result_tables(of).items() if name in wanted}
    for name, rows in made.items():
        if rows.collect_schema().names() != [field.name for field in wanted[name].fields]:
            raise ShardError(
                f"{name} would have other columns than those that are published; run the "
                "district by itself, which publishes them"
            )
    # Collected together: all tables are made of the same shards, which are read once.
    frames = pl.collect_all(
        [as_parts_have_them(rows, wanted[name]) for name, rows in made.items()], engine="streaming"
    )
    return {
        name: write(name, frame.lazy(), of.batch.partition)
        for name, frame in zip(made, frames, strict=True)
    }


def _result_tables(of: TableBatch) -> "dict[str, TableOutputs]":
    from pipeline.transform import tables

    datasets, year = _datasets(of.batch), of.batch.partition.year
    if of.batch.endpoint == "group":
        made = tables.group_table(datasets["group"], year).tables
    else:
        results = (datasets["overall"], datasets["standard"])
        made = tables.combined_table(*results, year).tables
        made |= tables.view_tables(*results, _view_inputs(of), year).tables
    return {table.stem: rows for table, rows in made.items()}


def _view_inputs(of: TableBatch) -> "ViewInputs":
    from pipeline.transform import tables, views

    for path, digest in (of.labels, of.labels_by_grade, of.roster):
        if files.sha256(path) != digest:
            raise ShardError(f"{printable(str(path))} was changed meanwhile")
    labels = views.read_labels(of.labels.path, of.labels_by_grade.path)
    return tables.ViewInputs(*labels, views.read_roster(of.roster.path))


def _datasets(batch: Batch) -> "dict[str, ShardDataset]":
    """Return the shards of a batch after verifying their checksums; other endpoints have none.

    Raises:
        ShardError: some are damaged.
    """
    from pipeline.transform.scan import ShardDataset

    if damaged := shards.find_damaged(batch.folder, batch.entries):
        raise ShardError(
            f"the {batch.endpoint} shard of assessment {list_some(damaged)} is damaged or missing; "
            "illuminate-pipeline verify in the district's folder lets its next run fetch it again"
        )
    paths = [*shards.stamps(batch.folder, batch.entries)]
    rows = [entry.rows for entry in batch.entries.values()]
    none = {endpoint: ShardDataset([], names, []) for endpoint, names in batch.columns.items()}
    return none | {batch.endpoint: ShardDataset(paths, batch.columns[batch.endpoint], rows)}
