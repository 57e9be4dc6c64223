"""Publish the tables of many districts together: each table in one commit, the marker last."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.errors import StateError
from pipeline.publish.commit import Publication
from pipeline.publish.database.published_set import Field, SourceTable, choose_files
from pipeline.schema import TABLES, Table
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.marker import (
    DistrictRows,
    StateMarker,
    read_marker,
    rows_by_district,
    write_marker,
)
from pipeline.state.parts import Part, Partition, TableSchema
from pipeline.state.published import (
    DistrictYear,
    StagedParts,
    UnusableSetError,
    columns_of,
    refuse_missing,
    stage_district,
)
from pipeline.state.run_all import RunAll, here
from pipeline.words import counted

Stage = Callable[[Lakehouse, DistrictYear, str, Collection[str]], tuple[DistrictRows, StagedParts]]
"""Writes the parts of a district's tables, as `stage_district` does."""

_Found = tuple[DistrictRows, StagedParts] | UnusableSetError
"""The parts of a district's tables, or why they cannot be used."""


@dataclass
class StateResult:
    """What became of each district's school year, and what is published now.

    Of those that are missing or failed, the rows of before are still published, if there were any.

    Attributes:
        published: those whose rows were replaced.
        unchanged: those whose rows are those of before, because the district published nothing new.
        missing: those that have nothing published.
        failed: those that could not be published, each with the reason.
        marker: what is published now; None where nothing is.
    """

    published: list[Partition] = field(default_factory=list)
    unchanged: list[Partition] = field(default_factory=list)
    missing: list[Partition] = field(default_factory=list)
    failed: dict[Partition, str] = field(default_factory=dict)
    marker: StateMarker | None = None


def is_published(
    lakehouse: Lakehouse, districts: Iterable[DistrictYear], tables: Sequence[Table]
) -> bool:
    """Return True if readers see what these districts have published now; change nothing.

    Those that have nothing published do not count.

    Raises:
        StateError: the marker cannot be read.
    """
    marker = read_marker(lakehouse.store)
    if _dropped(marker, tables) or _unwanted(lakehouse, tables):
        return False
    found = ((each.partition, Publication.read(each.manifest)) for each in districts)
    return all(
        publication is None
        or (marker is not None and _is_current(marker, partition, publication, tables))
        for partition, publication in found
    )


def publish_state(
    lakehouse: Lakehouse,
    districts: Iterable[DistrictYear],
    tables: Sequence[Table],
    *,
    run: str,
    keep_versions: int,
    stage: Stage = stage_district,
    even_current: bool = False,
    replace_source: str = "",
    run_all: RunAll = here,
    check: Callable[[], None] = lambda: None,
) -> StateResult:
    """Publish what each district has published; districts that are not named stay as they are.

    Args:
        lakehouse: where the tables and the marker are.
        districts: each district and year, once.
        tables: those that are published; others are emptied before the marker is written.
        run: the id of this run.
        keep_versions: how many published versions of each table stay readable.
        stage: writes the parts of a district.
        even_current: whether those are staged too of which readers see what is published.
        replace_source: the source whose rows those of another may replace, once.
        run_all: where districts are staged.
        check: called before any commit; what it raises ends the run.

    Raises:
        StateError: readers see what was published before; or, as the message says, only the files
            of versions that are not kept could not be removed.
    """
    before = read_marker(lakehouse.store)
    result, current = StateResult(marker=before), None if even_current else before
    pending = [*_pending(districts, before, current, tables, replace_source, result)]
    call = partial(_stage_or_refuse, stage, lakehouse, run, {table.stem for table in tables})
    staged = _Staged(lakehouse, zip(pending, list(run_all(call, pending)), strict=True))
    result.failed |= staged.refused
    result.published.extend(staged.rows)
    check()
    # Before the marker, so that a run that is killed in between leaves a marker that names them.
    for name in _unwanted(lakehouse, tables):
        lakehouse.commit(TableSchema(name, "", ()), [], run)
    if result.published or _dropped(before, tables):
        result.marker = _commit(lakehouse, before, staged, tables, run, keep_versions)
    return result


def _pending(
    districts: Iterable[DistrictYear],
    before: StateMarker | None,
    current: StateMarker | None,
    tables: Sequence[Table],
    replace_source: str,
    result: StateResult,
) -> Iterator[DistrictYear]:
    """Yield the districts that are to be staged, and say of the others what became of them.

    Those are unchanged of which `current` has what is published.
    """
    for district in districts:
        publication, partition = Publication.read(district.manifest), district.partition
        if publication is None:
            result.missing.append(partition)
        elif current and _is_current(current, partition, publication, tables):
            result.unchanged.append(partition)
        elif other := _other_source(before, partition, publication, replace_source):
            result.failed[partition] = other
        else:
            yield district


def _other_source(
    before: StateMarker | None, partition: Partition, publication: Publication, allowed: str
) -> str:
    """Return why a district must not replace rows that are of another source; empty if it may."""
    known = before.of(partition) if before else None
    source = str(publication.metadata.get("source", ""))
    may_be_of = {"", source, allowed, publication.metadata.get("replaced_source")}
    if known is None or known.source in may_be_of:
        return ""
    return (
        f"its rows are of {known.source}, and those of this state folder are of {source}; if the "
        f"district has moved, allow it once with luigi --module pipeline RunState --years "
        f"{partition.year} --publish-replace-source {known.source}"
    )


def _stage_or_refuse(
    stage: Stage, lakehouse: Lakehouse, run: str, tables: Collection[str], district: DistrictYear
) -> _Found:
    try:
        return stage(lakehouse, district, run, tables)
    except UnusableSetError as error:
        return error


class _Staged:
    """The districts whose parts are written and not yet committed.

    Args:
        lakehouse: where the parts are.
        found: those of each district.
    """

    def __init__(self, lakehouse: Lakehouse, found: Iterable[tuple[DistrictYear, _Found]]) -> None:
        self.rows: dict[Partition, DistrictRows] = {}
        self.refused: dict[Partition, str] = {}
        self.parts: dict[str, list[Part]] = {}
        self.columns: dict[str, dict[str, Field]] = {}
        for district, parts in found:
            self._add(lakehouse, district.partition, parts)

    def _add(self, lakehouse: Lakehouse, partition: Partition, found: _Found) -> None:
        """Take a district's parts, or note why they cannot be used."""
        try:
            if isinstance(found, UnusableSetError):
                raise found
            rows, parts = found
            for table in parts:
                self._refuse_other_case(lakehouse, table)
        except UnusableSetError as error:
            self.refused[partition] = str(error)
            return
        for table, of in parts.items():
            known = self.columns.setdefault(table.name, {})
            known |= {
                column.name: column for column in columns_of(table) if column.name not in known
            }
            self.parts.setdefault(table.name, []).extend(of)
        self.rows[partition] = rows

    def _refuse_other_case(self, lakehouse: Lakehouse, table: SourceTable) -> None:
        """Raise UnusableSetError for a column that differs in case only: Delta has no two of these.

        It is this district that is refused: a heading of its own must not stop the others.
        """
        there = [*(lakehouse.columns(table.name) or ()), *self.columns.get(table.name, ())]
        known = {name.casefold(): name for name in reversed(there)}
        for column in columns_of(table):
            other = known.get(column.name.casefold(), column.name)
            if other != column.name:
                raise UnusableSetError(
                    f"column {column.name} of {table.name} is spelled {other} in other districts; "
                    "give it that name in [roster] columns"
                )


def _dropped(marker: StateMarker | None, tables: Sequence[Table]) -> bool:
    """Return True if the marker names a table that is not to be published any more."""
    return marker is not None and bool(marker.versions.keys() - {table.stem for table in tables})


def _unwanted(lakehouse: Lakehouse, tables: Sequence[Table]) -> list[str]:
    """Return the tables that are not to be published and have rows, even of a run that failed."""
    others = {table.stem for table in TABLES} - {table.stem for table in tables}
    return [
        name
        for name in sorted(others)
        if lakehouse.columns(name) is not None and lakehouse.parts(name)
    ]


def _is_current(
    marker: StateMarker, partition: Partition, publication: Publication, tables: Sequence[Table]
) -> bool:
    """Return True if the marker has this publication of a district, with these tables."""
    known = marker.of(partition)
    return (
        known is not None
        and known.are_of(publication)
        and known.rows.keys() == choose_files(publication).keys() & {t.stem for t in tables}
    )


def _commit(
    lakehouse: Lakehouse,
    before: StateMarker | None,
    staged: _Staged,
    tables: Sequence[Table],
    run: str,
    keep_versions: int,
) -> StateMarker:
    """Commit each table, write the marker, which makes all of it visible, and remove old files.

    Raises:
        StateError: the marker of before is still there; or old files could not be removed.
    """
    years = _years(before, staged, tables)
    versions: dict[str, int] = {}
    for table in tables:
        version = _commit_table(lakehouse, before, staged, table, run)
        if version is not None:
            versions[table.stem] = version
            _check_rows(table.stem, lakehouse.rows(table.stem, version), years)
    named = (before.versions, *before.earlier) if before else ()
    earlier = tuple({n: each[n] for n in each.keys() & versions.keys()} for each in named)
    rows = {name: sum(rows_by_district(years, name).values()) for name in versions}
    marker = StateMarker(run, versions, rows, years, earlier[: keep_versions - 1])
    write_marker(lakehouse.store, marker, before)
    _clean(lakehouse, marker)
    return marker


def _years(
    before: StateMarker | None, staged: _Staged, tables: Sequence[Table]
) -> dict[str, dict[str, DistrictRows]]:
    """Return what the marker is to say of each year and district; the staged ones are new."""
    names = {table.stem for table in tables}
    years = {year: {**districts} for year, districts in (before.years if before else {}).items()}
    for (district, year), rows in staged.rows.items():
        years.setdefault(year, {})[district] = rows
    return {
        year: {district: rows.only(names) for district, rows in districts.items()}
        for year, districts in years.items()
    }


def _commit_table(
    lakehouse: Lakehouse, before: StateMarker | None, staged: _Staged, table: Table, run: str
) -> int | None:
    """Replace the staged districts' parts; return the version, None if there is no such table.

    It starts from the version that the marker names, whatever runs that failed committed after it.
    """
    refuse_missing(lakehouse, table.stem, staged.parts.get(table.stem, []))
    version = before.versions.get(table.stem) if before else None
    published = lakehouse.parts(table.stem, version) if version is not None else []
    parts = [part for part in published if part.partition not in staged.rows]
    parts += staged.parts.get(table.stem, [])
    if parts == published:
        return version
    columns = tuple(staged.columns.get(table.stem, {}).values())
    return lakehouse.commit(TableSchema(table.stem, table.grain, columns), parts, run)


def _check_rows(
    table: str,
    committed: Mapping[Partition, int],
    years: Mapping[str, Mapping[str, DistrictRows]],
) -> None:
    """Raise StateError unless a table has exactly the rows that its districts have."""
    expected = rows_by_district(years, table)
    if committed != expected:
        raise StateError(
            f"{table} has {counted(sum(committed.values()), 'row')} in the Delta table, and its "
            f"districts have {sum(expected.values()):,}; readers who follow published.json see "
            "what was published before. Run the same command again."
        )


def _clean(lakehouse: Lakehouse, marker: StateMarker) -> None:
    """Remove files that no kept version needs, of tables that are no longer published too."""
    for table in TABLES:
        if lakehouse.columns(table.stem) is not None:
            lakehouse.clean(table.stem, marker.kept_versions(table.stem))
