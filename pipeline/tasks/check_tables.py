"""The task that checks tables before they are published."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.config import rosters, sections, settings
from pipeline.errors import CheckError
from pipeline.publish import checks
from pipeline.publish.checks import CheckResult
from pipeline.schema import (
    COMBINED,
    ENDPOINTS,
    GROUP,
    LATEST,
    STANDARDS,
    STUDENTS,
    VIEW,
    custom_view,
)
from pipeline.storage import files
from pipeline.storage.paths import Snapshot
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearTask, incremental
from pipeline.tasks.extract import FetchScores
from pipeline.tasks.inputs import ReadRoster
from pipeline.tasks.targets import FilesTarget
from pipeline.tasks.transform import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    ListAssessments,
    ListStandards,
    entries,
)
from pipeline.tasks.views import BuildViews, ListStudents, SqlView

TABLE_TASKS: tuple[type[IncrementalTask], ...] = (
    ListAssessments,
    LabelAssessments,
    CombineResults,
    CombineGroup,
    ListStandards,
    BuildViews,
)
"""The tasks that build what every district publishes."""


def table_tasks(task: YearTask) -> list[IncrementalTask]:
    """Return the tasks that build what is published: TABLE_TASKS, then those that settings add."""
    students = [task.other(ListStudents)] if rosters.has_columns() else []
    custom = [task.other(SqlView, view=name) for name in settings.sql_views()]
    return [*(task.other(each) for each in TABLE_TASKS), *students, *custom]


def score_tasks(task: YearTask) -> dict[str, FetchScores]:
    """Return the tasks that fetch the shards, by endpoint."""
    return {kind: task.other(FetchScores, endpoint=kind) for kind in ENDPOINTS}


class CheckTables(YearTask, IncrementalTask):
    """Check that no row was lost or invented between the server and the tables."""

    def requires(self) -> list[PipelineTask]:
        return [*table_tasks(self), *score_tasks(self).values()]

    def output(self) -> FilesTarget:
        """Return the check results."""
        return self.target(self.paths.work / "checks.json")

    def parameters(self) -> dict[str, Any]:
        """Return digests of all the shards: those without rows are checked, too."""
        receipts = {kind: fetched.receipt for kind, fetched in score_tasks(self).items()}
        return {"shards": {kind: of.digest for kind, of in receipts.items() if of}}

    @incremental
    def run(self) -> None:
        """Run every check; any difference stops before publishing.

        Raises:
            CheckError: a check found a difference.
        """
        found = [check._asdict() for check in run_checks(self, self._records)]
        if failed := [check for check in found if not check["ok"]]:
            named = "; ".join(f"{check['name']}: {check['note']}" for check in failed)
            raise CheckError(
                f"A check failed before publishing ({named}). What was published before is "
                f"unchanged and all shards are kept. Run make refresh YEAR={self.year} to "
                "fetch the year again."
            )
        with self.output().build() as build:
            files.write_json(self.output().paths[0], found)
            build.stats |= {"checks": found}

    def _records(self, csv: Path) -> int:
        """Return the rows of a CSV, as counted when the digest in its receipt was taken."""
        for task in table_tasks(self):
            receipt = task.receipt
            if receipt and csv.name in receipt.outputs and receipt.outputs[csv.name].matches(csv):
                return int(receipt.stats["records"][csv.name])
        return checks.count_csv(csv)


def run_checks(
    task: YearTask, count_csv: Callable[[Path], int] = checks.count_csv
) -> list[CheckResult]:
    """Compare shards with what the server declared, tables with shards, and CSV with Parquet.

    Args:
        task: a task of the year.
        count_csv: returns how many rows a CSV file has.
    """
    staged = task.paths.staging_paths
    scores = score_tasks(task)
    shards = {kind: entries(fetched) for kind, fetched in scores.items()}
    found = [checks.check_shard_row_counts(kind, shards[kind]) for kind in ENDPOINTS]
    if not settings.read(sections.illuminate).fetch_all:
        found += [
            checks.check_skipped_are_empty(kind, shards[kind], shards["overall"])
            for kind in ENDPOINTS
            if kind != "overall" and not scores[kind].is_by_page
        ]
    parts = {COMBINED: ("overall", "standard"), VIEW: ("overall", "standard"), GROUP: ("group",)}
    for table, kinds in parts.items():
        counts = checks.count_by_assessment(staged(table)[1])
        found.append(
            checks.check_table_row_counts(table.stem, {k: shards[k] for k in kinds}, counts)
        )
    custom = [custom_view(name) for name in settings.sql_views()]
    for table in (*parts, LATEST, *custom):
        csv, parquet = staged(table)
        both = {"CSV": count_csv(csv), "Parquet": checks.count_parquet(parquet)}
        name = f"{table.stem} has the same rows in both files"
        found.append(checks.check_equal_row_counts(name, both))
    (standards,) = staged(STANDARDS)
    by_standard = {
        "in shards": sum(entry.rows for entry in shards["standard"].values()),
        "counted": checks.sum_rows(standards),
    }
    found.append(
        checks.check_equal_row_counts("standards count every row by standard", by_standard)
    )
    if rosters.has_columns() and (roster := task.other(ReadRoster).receipt):
        (csv,) = staged(STUDENTS)
        both = {"on the roster": roster.stats["students"], "CSV": count_csv(csv)}
        found.append(checks.check_equal_row_counts(f"{csv.name} has all students", both))
    return found + _check_views(task.paths)


def _check_views(paths: Snapshot) -> list[CheckResult]:
    """Compare the view with the combined table, and the latest attempts with the view."""
    from pipeline.transform import attempts

    combined, view, latest = (paths.staging_paths(t)[1] for t in (COMBINED, VIEW, LATEST))
    rows = {
        "combined": checks.count_parquet(combined),
        "view": checks.count_parquet(view),
    }
    keys = {
        "in the view": attempts.count_latest_attempts(view),
        "in the table": attempts.count_latest_attempts(latest),
        "rows of the table": checks.count_parquet(latest),
    }
    all_attempts = {"rows of the view": rows["view"], "attempts": attempts.sum_attempts(latest)}
    return [
        checks.check_equal_row_counts("the view has one row per combined row", rows),
        checks.check_equal_row_counts("each latest attempt appears exactly once", keys),
        checks.check_equal_row_counts("the attempts add up to the view", all_attempts),
    ]
