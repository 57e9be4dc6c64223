"""Rebuild published school years from their shards, by title rules and overrides as they are now.

Nothing is requested: a district's snapshot has all that its tables were built of. It is compared
with what is published before anything is built of it, and again after; so is every count of rows.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipeline.errors import SettingsError
from pipeline.extract import shards
from pipeline.publish.commit import Publication
from pipeline.publish.database.published_set import PublishedSet, read_published_set
from pipeline.schema import (
    COMBINED,
    GROUP,
    LABELS,
    LATEST,
    STANDARDS,
    UNMAPPED,
    VIEW,
    Table,
)
from pipeline.state.batches import (
    Batch,
    Fault,
    SmallFile,
    Summary,
    TableBatch,
    build_batch,
    cut_batches,
    summarize_batch,
)
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.marker import DistrictRows
from pipeline.state.parts import Part, Partition
from pipeline.state.publish import StateResult, publish_state
from pipeline.state.published import (
    DistrictYear,
    StagedParts,
    UnusableSetError,
    as_unusable,
    count_rows,
    describe_parts,
    stage_table,
)
from pipeline.state.published_snapshot import PublishedSnapshot, read_published_snapshot
from pipeline.state.run_all import RunAll, here
from pipeline.storage import files
from pipeline.storage.paths import Snapshot
from pipeline.words import counted

T = TypeVar("T")
R = TypeVar("R")

_OF_BATCHES = {
    "overall": (COMBINED.stem, VIEW.stem, LATEST.stem),
    "standard": (COMBINED.stem, VIEW.stem, LATEST.stem),
    "group": (GROUP.stem,),
}


@dataclass(frozen=True)
class Source:
    """What a district's school year is rebuilt from.

    Attributes:
        of: the district and year, and the manifest of what is published of it.
        snapshot: returns the snapshot that was published.
        title_rules: the title rules.
        overrides: the overrides, if there are any.
    """

    of: DistrictYear
    snapshot: Callable[[Publication], Snapshot]
    title_rules: Path
    overrides: Path | None


@dataclass
class _Plan:
    """A district's school year on its way; `parts` has what was built of each batch."""

    source: Source
    found: PublishedSet
    snapshot: Snapshot
    content: PublishedSnapshot
    batches: list[Batch]
    small: dict[str, Path] = field(default_factory=dict)
    parts: list[dict[str, Part]] = field(default_factory=list)


def rebuild_state(
    lakehouse: Lakehouse,
    sources: Sequence[Source],
    tables: Sequence[Table],
    *,
    run: str,
    keep_versions: int,
    batch_rows: int,
    work: Path,
    run_all: RunAll = here,
    check: Callable[[], None] = lambda: None,
) -> StateResult:
    """Rebuild school years of districts, and publish them as `publish_state` does.

    A district whose rows cannot be rebuilt, or would be fewer or more than published, is `failed`.

    Args:
        lakehouse: where the tables and the marker are.
        sources: each district and year, once; those that have nothing published are `missing`.
        tables: those that are published.
        run: the id of this run.
        keep_versions: how many published versions of each table stay readable.
        batch_rows: how many rows are built together.
        work: a folder for what batches join, which whoever builds them can read.
        run_all: where batches are read and built.
        check: called before readers can see anything; what it raises ends the run.

    Raises:
        StateError: readers see what was published before; or, as the message says, only the files
            of versions that are not kept could not be removed.
    """
    rebuilt = _Rebuilt(work, batch_rows, {table.stem for table in tables})
    try:
        rebuilt.plan(sources)
        rebuilt.summarize(run_all)
        rebuilt.build(run_all, lakehouse)
        publish = partial(publish_state, run=run, keep_versions=keep_versions, even_current=True)
        of = [each.of for each in sources]
        return publish(lakehouse, of, tables, stage=rebuilt.stage, check=check)
    finally:
        files.remove_folder(work)


class _Rebuilt:
    """The districts of which everything could be built so far, and why the others failed."""

    def __init__(self, work: Path, batch_rows: int, tables: Collection[str]) -> None:
        self._work, self._batch_rows, self._tables = work, batch_rows, tables
        self._plans: dict[Partition, _Plan] = {}
        self._failed: dict[Partition, str] = {}

    def plan(self, sources: Iterable[Source]) -> None:
        """Find the snapshot of each, and cut it into batches."""
        for source in sources:
            try:
                self._plans[source.of.partition] = self._plan(source)
            except (UnusableSetError, SettingsError) as error:
                self._failed[source.of.partition] = str(error)

    def _plan(self, source: Source) -> _Plan:
        with as_unusable():
            partition = source.of.partition
            found = read_published_set(source.of.manifest, partition.year, self._tables)
        snapshot = source.snapshot(found.publication)
        content = read_published_snapshot(found.publication, snapshot)
        batches = cut_batches(partition, snapshot, content.manifests, self._batch_rows)
        return _Plan(source, found, snapshot, content, batches)

    def summarize(self, run_all: RunAll) -> None:
        """Read titles and standards of all batches, and write the small tables of each district."""
        found = self._run(run_all, summarize_batch, {p: x.batches for p, x in self._plans.items()})
        for partition, summaries in found.items():
            try:
                _write_small(self._plans[partition], summaries, self._work.joinpath(*partition))
            except SettingsError as error:
                self._fail(partition, str(error))

    def build(self, run_all: RunAll, lakehouse: Lakehouse) -> None:
        """Build the rows of all batches as parts."""
        batches = {p: _table_batches(plan) for p, plan in self._plans.items()}
        found = self._run(run_all, partial(build_batch, write=lakehouse.stage), batches)
        for partition, parts in found.items():
            self._plans[partition].parts = parts

    def stage(
        self, lakehouse: Lakehouse, of: DistrictYear, run: str, _: Collection[str]
    ) -> tuple[DistrictRows, StagedParts]:
        """Return the parts of a district and what the marker is to say of them.

        Raises:
            UnusableSetError: it failed, was changed meanwhile, or rows are missing.
            StateError: a part could not be written.
        """
        plan = self._plans.get(of.partition)
        if plan is None:
            reason = self._failed.get(of.partition, "it was published meanwhile")
            raise UnusableSetError(reason)
        parts = {}
        for table in plan.found.tables:
            if table.file.suffix == ".parquet":
                parts[table] = [each[table.name] for each in plan.parts if table.name in each]
            else:
                small = replace(table, file=plan.small.get(table.name, table.file))
                parts[table] = [stage_table(lakehouse, small, of.partition)]
        read_published_snapshot(plan.found.publication, plan.snapshot)  # once more: it may be new
        _refuse_lost_rows(parts)
        return describe_parts(plan.found, parts, run, rebuilt=True), parts

    def _run(
        self,
        run_all: RunAll,
        call: Callable[[T], R | Fault],
        batches: Mapping[Partition, Sequence[T]],
    ) -> dict[Partition, list[R]]:
        """Return the results of the districts of which no batch failed."""
        owners = [partition for partition, of in batches.items() for _ in of]
        results = list(run_all(call, [batch for of in batches.values() for batch in of]))
        found: dict[Partition, list[R]] = {partition: [] for partition in batches}
        for partition, result in zip(owners, results, strict=True):
            if isinstance(result, Fault):
                found.pop(partition, None)
                self._fail(partition, result.reason)
            elif partition in found:
                found[partition].append(result)
        return found

    def _fail(self, partition: Partition, reason: str) -> None:
        self._plans.pop(partition, None)
        self._failed.setdefault(partition, reason)


def _write_small(plan: _Plan, summaries: Sequence[Summary], folder: Path) -> None:
    """Write the small tables that follow from results, rules and overrides.

    Raises:
        InputFileError: the rules or the overrides are invalid.
        StorageError: a file cannot be written.
    """
    from pipeline.inputs import rules
    from pipeline.transform import combine, labels, standards

    titles = combine.find_titles([summary.titles.lazy() for summary in summaries])
    spellings = [each.spellings for each in summaries if each.spellings is not None]
    overrides, manifests = plan.source.overrides, plan.content.manifests
    made = labels.label_tables(
        dict(titles.iter_rows()),
        plan.content.catalogue.titles(),
        rules.read_rules(plan.source.title_rules),
        rules.read_overrides(overrides) if overrides else rules.empty_overrides(),
        shards.count_rows(*(manifests[kind].shards for kind in ("overall", "standard"))),
    )
    names = (LABELS.stem, UNMAPPED.stem, STANDARDS.stem, plan.snapshot.labels_by_grade.stem)
    plan.small = {name: folder / f"{name}.csv" for name in names}
    listed, unmapped, of_standards, by_grade = plan.small.values()
    made.write([listed, unmapped, by_grade])
    standards.write_standards(standards.list_standards(spellings), of_standards)


def _table_batches(plan: _Plan) -> list[TableBatch]:
    """Return the batches of which published tables are built."""
    joined = (
        SmallFile.of(plan.small[LABELS.stem]),
        SmallFile.of(plan.small[plan.snapshot.labels_by_grade.stem]),
        plan.content.roster,
    )
    tables = {table.name: table for table in plan.found.tables}
    return [
        TableBatch(batch, *joined, tuple(tables[name] for name in wanted))
        for batch in plan.batches
        if (wanted := [name for name in _OF_BATCHES[batch.endpoint] if name in tables])
    ]


def _refuse_lost_rows(parts: StagedParts) -> None:
    """Raise UnusableSetError unless each table has as many rows as are published.

    Only how many titles lack a label follows from the rules.
    """
    for table, of in parts.items():
        rows, published = sum(part.rows for part in of), count_rows(table)
        if rows != published and table.name != UNMAPPED.stem:
            raise UnusableSetError(
                f"{table.name} would have {counted(rows, 'row')}, of {published:,} that are "
                "published; run the district by itself, which says what differs"
            )
