"""What is published now: whose it is, and whether a run would publish less of it."""

import logging
import shlex
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pipeline.config import sections, settings
from pipeline.errors import CheckError
from pipeline.publish.commit import UNKNOWN_SOURCE, Publication
from pipeline.publish.guards import (
    GUARDED,
    GUARDED_OF_ALL_YEARS,
    GuardResult,
    RowCounts,
    check_no_shrink,
    check_readable,
    guarded_rows,
    parse_allowed_shrink,
)
from pipeline.runs import context
from pipeline.storage.paths import ALL_YEARS, Folders
from pipeline.tasks.base import PipelineTask, YearTask
from pipeline.years import SchoolYear

log = logging.getLogger("pipeline")


def published_counts(task: PipelineTask) -> RowCounts | None:
    """Return what is published of the same source; None where nothing is."""
    publication = Publication.read(task.paths.publication)
    if publication is None or publication.source != settings.source_name():
        return None
    return publication.row_counts


def check_source(manifest: Path, destinations: Iterable[Path]) -> None:
    """Check that what would be replaced is of the same district, or may be replaced this once.

    Args:
        manifest: the path of the publication manifest.
        destinations: where files would be published.

    Raises:
        CheckError: it is another district's, or nobody can tell whose it is.
    """
    source, publication = settings.source_name(), Publication.read(manifest)
    strangers = _not_named(publication, manifest, destinations)
    if publication is not None and publication.source != source:
        found = publication.source
        what = f"The tables in {manifest.parent} are of {found}"
    elif strangers:
        found = UNKNOWN_SOURCE
        first = strangers[0]
        why = f"does not name {first.name}" if publication else "is missing or cannot be read"
        what = f"It is not known whose tables are in {first.parent}: {manifest} {why}"
    else:
        return
    if found == context.current().replaced_source:
        return
    raise CheckError(
        f"{what}; this run's are of {source}. Nothing was published, and what was published before "
        "is unchanged. If this run may replace it, allow it once with --publish-replace-source "
        f"{shlex.quote(found)}; if not, give each district folders of its own."
    )


def check_has_begun(task: YearTask) -> None:
    """Check that the school year has begun, or may be empty.

    Raises:
        CheckError: it has not.
    """
    window = task.paths.window
    if window.is_empty and not settings.read(sections.checks).allow_empty:
        raise CheckError(
            f"The school year {task.year} begins on {window.start}, so it has no results yet. "
            "Nothing was requested, and what was published before is unchanged. Check --year and "
            "--as-of, or set [checks] allow_empty=true to publish tables without rows."
        )


def check_has_results(task: YearTask, now: RowCounts) -> None:
    """Check that a finished school year has results, or may be empty.

    Raises:
        CheckError: it has none.
    """
    has_results = any(now.rows[table] for table in GUARDED)
    if has_results or not task.paths.is_of_whole_year or settings.read(sections.checks).allow_empty:
        return
    raise CheckError(
        f"The school year {task.year} is over, and the server has no results of it. Nothing was "
        "published, and what was published before is unchanged. Check --year and what the account "
        f"may read, then run make refresh YEAR={task.year}, which fetches the year again; if it "
        "really has no results, set [checks] allow_empty=true."
    )


def _not_named(
    publication: Publication | None, manifest: Path, destinations: Iterable[Path]
) -> list[Path]:
    """Return the files that would be replaced, and that the manifest does not name."""
    names = publication.files if publication else ()
    named = {manifest.resolve()} if publication else set()
    named |= {(manifest.parent / name).resolve() for name in names}
    return [p for p in (*destinations, manifest) if p.is_file() and p.resolve() not in named]


def fetched_before(task: YearTask) -> dict[str, str]:
    """Return the other years that are published of the same source, by their days of fetching.

    Only those that were fetched before today: results that moved to them are in no table yet.
    """
    found: dict[str, str] = {}
    for manifest in task.paths.folders.publications():
        publication = Publication.read(manifest)
        if publication is None or publication.source != settings.source_name():
            continue
        year = publication.partition
        if (
            year not in {task.partition, ALL_YEARS}
            and publication.fetched_on != task.today.isoformat()
        ):
            found[year] = publication.fetched_on
    return found


def year_before(task: YearTask) -> str:
    """Return the published school year before, where runs without a year have just left it.

    Empty unless the year is that of today and this is its first snapshot.
    """
    before = str(SchoolYear(task.year.start - 1))
    publication = Publication.read(task.paths.folders.publication(before))
    if publication is None or publication.source != settings.source_name():
        return ""
    is_first = task.year == SchoolYear.of(task.today) and not task.other_snapshots()
    return before if is_first else ""


def compare_with_published(task: YearTask, table: str, now: Mapping[str, int]) -> GuardResult:
    """Check that a table keeps the published rows, but for what the settings allow, and say so.

    Args:
        task: a task of the year.
        table: the table's name in `publish.guards`.
        now: the rows of each assessment that are to be published.
    """
    before = published_counts(task)
    result = check_no_shrink(
        table,
        guarded_rows(before, table) if before else {},
        now,
        excluded_ids=settings.read(sections.illuminate).exclude_ids,
        tolerance=settings.read(sections.checks).shrink_tolerance,
        allowed=parse_allowed_shrink(context.current().allowed_shrink).get(table, 0),
    )
    if result.ok and result.lost:
        log.warning(
            "%s: %s, which --publish-allow-shrink or [checks] shrink_tolerance allows. Check that "
            "nothing else is gone than was meant.",
            task.year,
            result.note,
        )
    return result


def check_years_are_kept(task: PipelineTask, built: Collection[str], now: RowCounts) -> None:
    """Check that the tables of all years keep the years and rows that are published.

    The rows of a year that was built then and now are guarded when that year is published.

    Args:
        task: the task that publishes them.
        built: the school years that this run built; others are from prior files.
        now: the rows of each school year that are to be published.

    Raises:
        CheckError: rows would be lost.
    """
    before, publication = published_counts(task), Publication.read(task.paths.publication)
    if before is None or publication is None:
        return
    guarded_elsewhere = {*built} & {*publication.years}
    allowed = parse_allowed_shrink(context.current().allowed_shrink)
    found = [
        check_no_shrink(
            table,
            before.rows.get(table, {}),
            now.rows[table],
            excluded_ids=guarded_elsewhere,
            tolerance=0.0,  # a share of all years could be a whole one
            allowed=allowed.get(table, 0),
            per="school year",
        )
        for table in GUARDED_OF_ALL_YEARS
    ]
    if wrong := [result for result in found if not result.ok]:
        losses = ",".join(f"{result.what}={result.lost}" for result in wrong)
        raise CheckError(
            "The tables of all years were not published (check failed: "
            f"{'; '.join(result.note for result in wrong)}). Each year is published by itself. "
            "Name every year and check [paths] prior_years, then run the command again; if the "
            f"loss is correct, allow it once with --publish-allow-shrink {losses}."
        )


def published_years(folders: Folders) -> tuple[SchoolYear, ...]:
    """Return the school years of the published tables of all years; none where there are none."""
    publication = Publication.read(folders.publication(ALL_YEARS))
    return tuple(map(SchoolYear.parse, publication.years)) if publication else ()


def compare_columns(task: YearTask, now: RowCounts) -> list[GuardResult]:
    """Check that columns are as readable as those published, but for what the settings allow."""
    before = published_counts(task)
    drop = settings.read(sections.checks).readable_drop
    allowed = parse_allowed_shrink(context.current().allowed_shrink)
    return [
        result
        for table in GUARDED
        for result in check_readable(table, now, before, drop=drop, allowed=allowed)
    ]
