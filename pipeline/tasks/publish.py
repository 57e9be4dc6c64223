"""The tasks that make tables visible to readers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import sections, settings
from pipeline.errors import CheckError
from pipeline.publish.commit import Publication, publish, restate
from pipeline.publish.guards import (
    CATALOGUE,
    GUARDED,
    RowCounts,
    check_roster_match_rate,
    raise_on_failure,
)
from pipeline.runs import context
from pipeline.schema import COMBINED, GROUP, TABLES, VIEW
from pipeline.storage.paths import ALL_YEARS_SUFFIX
from pipeline.storage.receipts import BuildKey
from pipeline.storage.replacement import relative_name
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearTask, incremental
from pipeline.tasks.check_tables import CheckTables, score_tasks
from pipeline.tasks.describe import DescribeTables, DescribeYear, built_files
from pipeline.tasks.extract import FetchMetadata
from pipeline.tasks.guards import (
    check_has_results,
    check_source,
    compare_columns,
    compare_with_published,
    fetched_before,
    published_counts,
)
from pipeline.tasks.inputs import ReadRoster
from pipeline.tasks.targets import PublicationTarget
from pipeline.tasks.transform import CombineGroup, CombineResults, count_readable, count_rows
from pipeline.tasks.views import BuildViews
from pipeline.years import HISTORICAL

_OWN_TABLES = {table.stem for table in TABLES} | {
    f"{table.stem}{ALL_YEARS_SUFFIX}" for table in (COMBINED, GROUP, VIEW)
}


class PublishTask(PipelineTask):
    """A task that makes all tables of a set visible together."""

    publishes = True

    def output(self) -> PublicationTarget:
        """Return what readers see, complete when its manifest names this build."""
        return PublicationTarget(self.paths.publication, self.digest())

    def digest(self) -> str | None:
        """Return a digest of what is to be published; None while a table is missing."""
        inputs = {task.name: task.digest() for task in self.table_tasks()}
        known = {name: digest for name, digest in inputs.items() if digest is not None}
        if len(known) < len(inputs):
            return None
        folder = self.paths.publication.parent
        names = [relative_name(path, folder) for path in self.files().values()]
        return BuildKey(self.name, 1, {"files": names}, known).digest

    def publication(self) -> Publication | None:
        """Return the manifest of what is published now."""
        return Publication.read(self.paths.publication)

    def descriptions(self) -> DescribeTables:
        """Return the task that describes what is published."""
        raise NotImplementedError

    def table_tasks(self) -> list[IncrementalTask]:
        """Return the tasks that build what is published: the tables, and their descriptions."""
        described = self.descriptions()
        return [*described.table_tasks(), described]

    def files(self) -> dict[Path, Path]:
        """Return where each built file is published."""
        tables = {
            built: published
            for table in self.descriptions().tables()
            for built, published in zip(
                self.paths.staging_paths(table), self.paths.published_paths(table), strict=True
            )
        }
        return tables | {built: path for path, built in self.paths.descriptors.items()}

    def withdrawn_views(self) -> list[str]:
        """Return the views of SQL files that are published and have no SQL file any more."""
        publication = self.publication()
        paths = map(Path, publication.files if publication else ())
        stems = {path.stem for path in paths if path.suffix == ".parquet"}
        known = {*_OWN_TABLES, *settings.sql_views()}
        gone = (stem for stem in stems if not {stem, stem.removesuffix(HISTORICAL)} & known)
        return sorted(stem.removesuffix(self.paths.suffix) for stem in gone)

    def commit(self, metadata: Mapping[str, Any], row_counts: RowCounts | None = None) -> None:
        """Rename everything into place; the publication manifest comes last.

        Args:
            metadata: what the manifest says of the set.
            row_counts: what the guards of the next run compare with.

        Raises:
            CheckError: a table is missing, or those that are published are another district's.
            StoppedError: the run was asked to stop, or another one has taken over.
        """
        check_source(self.paths.publication, self.files().values())
        build, run = self.digest(), context.current()
        if build is None:
            raise CheckError("A table is missing. Run the same command again to build it.")
        allowed = {
            "allowed_shrink": run.allowed_shrink,
            "replaced_source": run.replaced_source,
        }
        source = {"source": settings.source_name(), "is_made_up": settings.is_demo()}
        withdrawn = {"withdrawn": views} if (views := self.withdrawn_views()) else {}
        about, manifest = {**metadata, **source, **allowed, **withdrawn}, self.paths.publication
        run.raise_if_stopped()
        if restate(manifest, Publication(build, run.id, about, {}, row_counts)):
            return  # no table changed since another day
        publish(
            self.files(),
            manifest,
            build=build,
            run=run.id,
            metadata=about,
            row_counts=row_counts,
            known=built_files(self.table_tasks()),
            check=run.raise_if_stopped,
        )


class Publish(YearTask, PublishTask):
    """Make all tables of a school year visible together."""

    # Before any report: the tables of all years are worth the most, should the run end early. Luigi
    # gives what a task requires its priority, so that a lower one of the report would be lost.
    priority = 5

    def requires(self) -> list[PipelineTask]:
        guarded = [self.other(ReadRoster), self.other(FetchMetadata)]
        checked = [self.other(CheckTables), *self.table_tasks()]
        return [*checked, *guarded, *score_tasks(self).values()]

    def output(self) -> PublicationTarget:
        """Return what readers see, complete when its manifest names this build and its day."""
        return PublicationTarget(self.paths.publication, self.digest(), self.about())

    def about(self) -> dict[str, Any]:
        """Return the year, the day that it is as of, and the day that it was fetched on."""
        catalogue = self.other(FetchMetadata).receipt
        fetched_on = catalogue.stats.get("fetched_on") if catalogue else None
        return {**self.paths.metadata, "fetched_on": fetched_on}

    def descriptions(self) -> DescribeYear:
        """Return the task that describes the year's tables."""
        return self.other(DescribeYear)

    @incremental
    def run(self) -> None:
        """Publish, unless a guard stops it.

        Raises:
            CheckError: a guard found that rows or values would be lost, or that the roster is
                another's.
        """
        row_counts = self._count()
        self._guard(row_counts)
        self.commit(self.about(), row_counts)

    def _count(self) -> RowCounts:
        fetched = score_tasks(self)
        catalogue = self.other(FetchMetadata).catalogue()
        assessments = catalogue.rows() if catalogue else []
        rows = {
            "combined": count_rows(fetched["overall"], fetched["standard"]),
            "group": count_rows(fetched["group"]),
            CATALOGUE: {str(row["assessment_id"]): 1 for row in assessments},
        }
        readable = {
            "combined": count_readable(self.other(CombineResults)),
            "group": count_readable(self.other(CombineGroup)),
        }
        roster, view = self.other(ReadRoster).receipt, self.other(BuildViews).receipt
        if not (roster and view and roster.stats["students"]):
            return RowCounts(rows, readable=readable)
        students, matched = view.stats["students"], view.stats["students on the roster"]
        return RowCounts(rows, students, matched, readable)

    def _guard(self, now: RowCounts) -> None:
        """Compare with what is published.

        Raises:
            CheckError: a guard stops the run.
        """
        check_has_results(self, now)
        chosen, before = settings.read(sections.checks), published_counts(self)
        found = [compare_with_published(self, table, now.rows[table]) for table in GUARDED]
        found += compare_columns(self, now)
        rate = before.match_rate if before else None
        view = self.other(BuildViews).receipt
        near = view.stats["students nearly on the roster"] if view else 0
        floor, drop = chosen.roster_floor, chosen.roster_drop
        found.append(check_roster_match_rate(now, rate, near=near, floor=floor, drop=drop))
        raise_on_failure(found, self.year, fetched_before(self))
