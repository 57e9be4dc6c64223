"""The tasks at the end: check everything, then let people see it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import luigi

from pipeline.config import sections, settings
from pipeline.errors import CheckError
from pipeline.extract.shards import Entry
from pipeline.publish import checks
from pipeline.publish.check_result import Check
from pipeline.publish.commit import Marker, publish
from pipeline.publish.guards import (
    CATALOGUE,
    GUARDED,
    Counted,
    roster_fits,
    stop_at,
)
from pipeline.schema import COMBINED, ENDPOINTS, GROUP, LATEST, TABLES, VIEW, Table, own_view
from pipeline.storage import files
from pipeline.storage.paths import Snapshot
from pipeline.tasks.base import FileTask, PipelineTask
from pipeline.tasks.building import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    ListAssessments,
    entries_of,
)
from pipeline.tasks.fetching import FetchMetadata
from pipeline.tasks.guarding import nothing_lost, published_before
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.run import Run
from pipeline.tasks.views import BuildViews, SqlView

TABLE_STEPS: tuple[type[PipelineTask], ...] = (
    ListAssessments,
    LabelAssessments,
    CombineResults,
    CombineGroup,
    BuildViews,
)
"""The steps that build what every district publishes."""


def table_tasks(task: PipelineTask) -> list[PipelineTask]:
    """The steps that build what is published: TABLE_STEPS, and one for each SQL file."""
    own = [task.at(SqlView, view=name) for name in settings.sql_views()]
    return [*(task.at(step) for step in TABLE_STEPS), *own]


class CheckTables(PipelineTask):
    """Sees that no row was lost or invented between the server and the tables."""

    def requires(self) -> list[PipelineTask]:
        """Every table."""
        return table_tasks(self)

    def paths(self) -> list[Path]:
        """The verdicts."""
        return [self.snapshot.work / "checks.json"]

    def make(self) -> dict[str, Any]:
        """Run every check; any difference stops before publishing.

        Raises:
            CheckError: a check found a difference.
        """
        found = run_checks(self, self._records)
        files.write_json(self.paths()[0], [check.as_json() for check in found])
        wrong = [check for check in found if not check.ok]
        if wrong:
            named = "; ".join(f"{check.name}: {check.note}" for check in wrong)
            raise CheckError(
                f"A check failed before publishing ({named}). What was published before is "
                "unchanged and all shards are kept; make refresh fetches this year anew."
            )
        return {"checks": [check.as_json() for check in found]}

    def _records(self, csv: Path) -> int:
        """The records of a CSV, counted when it was read for the digest that its receipt has."""
        receipts = [task.output().receipt for task in table_tasks(self)]
        built = [r for r in receipts if r and csv.name in r.made and r.made[csv.name].fits(csv)]
        return int(built[0].facts["records"][csv.name]) if built else checks.count_csv(csv)


def run_checks(
    task: PipelineTask, records: Callable[[Path], int] = checks.count_csv
) -> list[Check]:
    """Compare shards with what the server declared, tables with shards, and tables with twins.

    Args:
        task: a step of the year.
        records: how many records a CSV file has.
    """
    snapshot = task.snapshot
    shards = {kind: entries_of(task, kind) for kind in ENDPOINTS}
    found = [checks.shards_conserved(kind, entries) for kind, entries in shards.items()]
    if not settings.asks_all():
        found += [
            checks.nothing_missed(kind, shards[kind], shards["overall"])
            for kind in ENDPOINTS
            if kind != "overall"
        ]
    parts = {COMBINED: ("overall", "standard"), VIEW: ("overall", "standard"), GROUP: ("group",)}
    for table, kinds in parts.items():
        csv, parquet = snapshot.built(table)
        counts = checks.count_by_assessment(parquet)
        found.append(
            checks.table_conserved(table.stem, {kind: shards[kind] for kind in kinds}, counts)
        )
        twins = {"CSV": records(csv), "Parquet": checks.count_parquet(parquet)}
        found.append(checks.same_rows(f"{table.stem} has the same rows in both files", twins))
    both = {
        "combined": checks.count_parquet(snapshot.built(COMBINED)[1]),
        "view": checks.count_parquet(snapshot.built(VIEW)[1]),
    }
    found.append(checks.same_rows("the view has one row per combined row", both))
    found += _check_latest(snapshot, both["view"], records)
    for name in settings.sql_views():
        csv, parquet = snapshot.built(own_view(name))
        twins = {"CSV": records(csv), "Parquet": checks.count_parquet(parquet)}
        found.append(checks.same_rows(f"{name} has the same rows in both files", twins))
    return found


def _check_latest(
    snapshot: Snapshot, view_rows: int, records: Callable[[Path], int]
) -> list[Check]:
    from pipeline.transform import attempts

    csv, parquet = snapshot.built(LATEST)
    rows = checks.count_parquet(parquet)
    keys = {
        "in the view": attempts.count_keys(snapshot.built(VIEW)[1]),
        "in the table": attempts.count_keys(parquet),
        "rows of the table": rows,
    }
    of_attempts = {"rows of the view": view_rows, "attempts": attempts.add_up(parquet)}
    return [
        checks.same_rows(
            f"{LATEST.stem} has the same rows in both files", {"CSV": records(csv), "Parquet": rows}
        ),
        checks.same_rows("each latest attempt stands once", keys),
        checks.same_rows("the attempts add up to the view", of_attempts),
    ]


class PublishedTarget(luigi.Target):
    """The published set, complete when its marker names this build and all files fit it."""

    def __init__(self, marker: Path, build: str | None) -> None:
        self.marker = marker
        self.build = build

    def exists(self) -> bool:
        """Whether what people see is this build, unchanged."""
        marker = Marker.read(self.marker)
        return marker is not None and marker.build == self.build and marker.fits(self.marker.parent)


class PublishSet(FileTask):
    """Makes all tables of a set visible together."""

    def steps(self) -> Sequence[FileTask]:
        """What builds the tables."""
        raise NotImplementedError

    def tables(self) -> Sequence[Table]:
        """What is published."""
        raise NotImplementedError

    def inputs(self) -> dict[str, str | None]:
        """Every table, and where it goes."""
        return {step.name: step.digest() for step in self.steps()}

    def parameters(self) -> dict[str, Any]:
        """The names that the files get."""
        return {
            "files": [str(path) for table in self.tables() for path in self.place.published(table)]
        }

    def output(self) -> PublishedTarget:  # type: ignore[override]
        """The published set."""
        recipe = self.recipe()
        return PublishedTarget(self.place.marker, recipe.digest if recipe else None)

    def about(self) -> dict[str, Any]:
        """What the marker says of the set."""
        raise NotImplementedError

    def guarded(self) -> Counted | None:
        """What is to be published, as the next run's guards will compare it.

        Raises:
            CheckError: a guard of this run stops it.
        """
        raise NotImplementedError

    def bring_up_to_date(self, run: Run) -> None:
        """Rename everything into place; the marker comes last."""
        if self.output().exists():
            return
        built = {
            file: place
            for table in self.tables()
            for file, place in zip(
                self.place.built(table), self.place.published(table), strict=True
            )
        }
        counted = self.guarded()
        build = self.output().build
        if build is None:
            raise CheckError("A table is missing; run again to build it.")
        of_the_run = {"source": settings.source_name(), "is_made_up": settings.is_demo()}
        publish(
            built,
            self.place.marker,
            build=build,
            run=run.id,
            about={**self.about(), **of_the_run, "let_pass": run.let_pass},
            counted=counted,
            known=self._known(),
        )

    def _known(self) -> dict[Path, files.Fingerprint]:
        """The fingerprints of the built files, out of their receipts."""
        receipts = ((step, step.output().receipt) for step in self.steps())
        return {
            path: receipt.made[path.name]
            for step, receipt in receipts
            for path in step.paths()
            if receipt and path.name in receipt.made
        }


class Publish(PublishSet, PipelineTask):
    """Makes all tables of a school year visible together."""

    # Before any report, so that each report finds all the years before its own. Luigi gives what a
    # step requires its priority, so that a lower one of the report would be lost.
    priority = 5

    def steps(self) -> list[PipelineTask]:
        """Every table's."""
        return table_tasks(self)

    def tables(self) -> list[Table]:
        """Our own tables, then those of the SQL files."""
        return [*TABLES, *map(own_view, settings.sql_views())]

    def requires(self) -> list[PipelineTask]:
        """Tables that were checked."""
        return [self.at(CheckTables)]

    def about(self) -> dict[str, Any]:
        """The year, and as of when."""
        return self.snapshot.about

    def guarded(self) -> Counted:
        """What is to be published, compared with what is published now."""
        counted = self._count()
        self._guard(counted)
        return counted

    def _count(self) -> Counted:
        catalogue = self.at(FetchMetadata).read()
        rows = {
            "combined": _add_up(entries_of(self, "overall"), entries_of(self, "standard")),
            "group": _add_up(entries_of(self, "group")),
            CATALOGUE: {
                str(row["assessment_id"]): 1 for row in (catalogue.assessments if catalogue else [])
            },
        }
        inputs, view = (self.at(step).output().receipt for step in (ReadInputs, BuildViews))
        if not (inputs and view and inputs.facts["students"]):
            return Counted(rows)
        return Counted(rows, view.facts["students"], view.facts["students on the roster"])

    def _guard(self, now: Counted) -> None:
        """Compare with what is published.

        Raises:
            CheckError: a guard stops the run.
        """
        chosen, before = sections.checks(), published_before(self)
        found = [nothing_lost(self, table, now.rows[table]) for table in GUARDED]
        share = before.share if before else None
        found.append(roster_fits(now, share, floor=chosen.roster_floor, drop=chosen.roster_drop))
        stop_at(found)


def _add_up(*parts: Mapping[str, Entry]) -> dict[str, int]:
    """Rows per assessment over several endpoints, of those that have any."""
    rows: dict[str, int] = {}
    for part in parts:
        for assessment_id, entry in part.items():
            if entry.rows:
                rows[assessment_id] = rows.get(assessment_id, 0) + entry.rows
    return rows
