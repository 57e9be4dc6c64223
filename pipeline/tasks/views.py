"""The tasks that build the views: the two of the pipeline, the students, and those of SQL files.

Heavy libraries are imported where they are used, so that a rerun with nothing to do is quick.
"""

from pathlib import Path
from typing import Any

import luigi

from pipeline.config import rosters, sections, settings
from pipeline.runs import context
from pipeline.schema import (
    COMBINED,
    GROUP,
    LABELS,
    LATEST,
    STUDENTS,
    VIEW,
    Table,
    custom_view,
)
from pipeline.storage import files
from pipeline.tasks.base import IncrementalTask, ReusableTask, YearTask, incremental
from pipeline.tasks.extract import FetchScores
from pipeline.tasks.inputs import ReadRoster, digests
from pipeline.tasks.targets import FilesTarget
from pipeline.tasks.transform import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    dataset,
    note_written,
    write_tables,
)

_ENDPOINTS = ("overall", "standard")


class BuildViews(ReusableTask):
    """Build both views: combined rows with labels and grades, all of them and the latest attempts.

    They have no names of students. They are built from the shards of the combined table, and
    counted against it before anything is published.
    """

    version = 7

    def requires(self) -> list[YearTask]:
        built = [self.other(task) for task in (CombineResults, LabelAssessments, ReadRoster)]
        return [*built, *(self.other(FetchScores, endpoint=kind) for kind in _ENDPOINTS)]

    def output(self) -> FilesTarget:
        """Return the view of all rows, and that of the latest attempts: CSV and Parquet each."""
        return self.tables_target(VIEW, LATEST)

    def parameters(self) -> dict[str, Any]:
        """Return the year, which is in each row."""
        return {"year": str(self.year)}

    @incremental
    def run(self) -> None:
        from pipeline.transform import tables, views

        fetched = (self.other(FetchScores, endpoint=kind) for kind in _ENDPOINTS)
        overall, standard = map(dataset, fetched)
        (labels,) = self.paths.staging_paths(LABELS)
        inputs = tables.ViewInputs(
            *views.read_labels(labels, self.paths.labels_by_grade),
            views.read_roster(self.paths.roster),
        )
        made = tables.view_tables(overall, standard, inputs, str(self.year))
        with self.output().build() as build:
            build.stats |= write_tables(build, self.output(), *made, self.partition)


class ListStudents(ReusableTask):
    """List the students of the roster, with the columns of it that the district names."""

    def requires(self) -> ReadRoster:
        return self.other(ReadRoster)

    def output(self) -> FilesTarget:
        """Return `students.csv`."""
        return self.tables_target(STUDENTS)

    @incremental
    def run(self) -> None:
        from pipeline.transform import output, values, views

        (path,) = self.output().paths
        roster = views.read_roster(self.paths.roster)
        listed = values.escape_formulas(roster, rosters.with_columns(STUDENTS))
        with self.output().build() as build:
            written, _ = output.write_files({path: listed})
            build.stamps[path.name] = written[path].stamp
            build.stats |= {
                "rows": written[path].rows,
                "records": {path.name: written[path].rows},
                "columns": list(rosters.columns()),
            }


class SqlView(ReusableTask):
    """Build a custom view: the rows of the SELECT in an SQL file, run over the other tables."""

    version = 5
    view = luigi.Parameter(description="name of a file in [paths] sql_views, without .sql")

    @property
    def name(self) -> str:
        """The step and the view."""
        return f"{type(self).__name__}-{self.view}"

    def requires(self) -> list[YearTask]:
        tables = (LabelAssessments, ReadRoster, CombineResults, CombineGroup, BuildViews)
        return [self.other(task) for task in tables]

    def output(self) -> FilesTarget:
        """Return the view, named like its file: CSV and Parquet."""
        return self.tables_target(self.table)

    def source_files(self) -> dict[str, str]:
        """Return the digest of the SQL, which `ReadSqlViews` has checked."""
        return digests(sql=settings.sql_view(self.view))

    @property
    def table(self) -> Table:
        """The table that the view is published as."""
        return custom_view(self.view)

    @incremental
    def run(self) -> None:
        from pipeline.transform import output, sql_views

        sql = settings.sql_view(self.view)
        csv, parquet = self.output().paths
        with self.output().build() as build:
            with files.atomic_write(csv) as text, files.atomic_write(parquet) as values:
                sql_views.run(
                    sql,
                    self._tables(),
                    sql_views.Outputs(text, values),
                    output.describe(self.table, self.partition),
                    self.paths.work / "sql",
                    context.current().stop,
                    settings.read(sections.build).view_time_limit,
                    tuple(rosters.columns()),
                )
            note_written(build, {path: output.read_back(path) for path in (csv, parquet)})

    def _tables(self) -> dict[str, Path]:
        """Return the files behind the names that SQL uses, after verifying their checksums."""
        staged = self.paths.staging_paths
        tables: dict[str, tuple[type[IncrementalTask], Path]] = {
            "combined": (CombineResults, staged(COMBINED)[1]),
            "group": (CombineGroup, staged(GROUP)[1]),
            "results": (BuildViews, staged(VIEW)[1]),
            "latest": (BuildViews, staged(LATEST)[1]),
            "labels": (LabelAssessments, staged(LABELS)[0]),
            "roster": (ReadRoster, self.paths.roster),
        }
        return {
            name: self.other(task).output().verified(path) for name, (task, path) in tables.items()
        }
