"""The tasks that concatenate all years; each year is published by itself.

ReadPriorYears, tables of each year ─► ConcatResults, ConcatGroup, ConcatView
                                              │
                     Publish of each year ─► PublishYears ─► RunYears ◄─ RunAll of each year

A year's Report also waits for DiscloseFigures of the years before it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import luigi

from pipeline.config import rosters, sections, settings
from pipeline.errors import CheckError, InputFileError
from pipeline.publish.checks import check_year_row_counts
from pipeline.publish.guards import GUARDED_OF_ALL_YEARS, RowCounts
from pipeline.runs import context
from pipeline.schema import COMBINED, GROUP, VIEW, Table
from pipeline.storage import files
from pipeline.storage.files import FileStamp
from pipeline.tasks.base import IncrementalTask, PipelineTask, YearsTask, incremental
from pipeline.tasks.describe import DescribeTables
from pipeline.tasks.guards import check_years_are_kept
from pipeline.tasks.publish import Publish, PublishTask
from pipeline.tasks.report import RunAll
from pipeline.tasks.targets import FilesTarget, PublicationTarget
from pipeline.tasks.transform import CombineGroup, CombineResults, write_tables
from pipeline.tasks.views import BuildViews
from pipeline.years import SchoolYear

if TYPE_CHECKING:
    from pipeline.transform.values import TableOutputs


class ReadPriorYears(YearsTask, IncrementalTask):
    """Read and check the tables from before the pipeline, and keep a clean copy of each.

    It comes first, so that a bad file is reported before anything is requested.
    """

    version = 2
    priority = 20

    def output(self) -> FilesTarget:
        """Return the copies, in the order of the files."""
        return self.target(*(self.copy_of(number) for number, _ in enumerate(self.sources())))

    def parameters(self) -> dict[str, Any]:
        """Return the years that the files may not have, and the roster's columns, if any."""
        columns = list(rosters.columns())
        years = {"years": [str(year) for year in self.years]}
        return years | ({"roster columns": columns} if columns else {})

    def source_files(self) -> dict[str, str]:
        """Return the digests of the files."""
        return {path: stamp.sha256 for path, stamp in self._stamps().items()}

    @incremental
    def run(self) -> None:
        stamps = self._stamps()
        _reject_duplicates(stamps)
        copies = self.output().paths
        for left_over in set(self.paths.prior.glob("*.csv")) - set(copies):
            left_over.unlink()
        with self.output().build() as build:
            build.stats["files"] = {}
            for (path, table), copy in zip(self.sources().items(), copies, strict=True):
                context.current().raise_if_stopped()
                stats = self._copy(path, table, copy)
                build.stats["files"][str(path)] = {**stats, "file": stamps[str(path)]}
            _reject_overlaps(build.stats["files"])

    def sources(self) -> dict[Path, Table]:
        """Return the files from before the pipeline, and the table that each holds."""
        from pipeline.inputs import prior_years

        place = settings.read(sections.paths).prior_years
        found = prior_years.find_files(place) if place else {}
        return {path: rosters.with_columns(table) for path, table in found.items()}

    def copy_of(self, number: int) -> Path:
        """Return the clean copy of a file, by its place in the order."""
        return self.paths.prior / f"prior-{number}.csv"

    def copies(self, table: Table) -> Iterator[tuple[str, Path]]:
        """Return the files that hold a table, each with its clean copy."""
        for number, (path, held) in enumerate(self.sources().items()):
            if held.stem == table.stem:
                yield str(path), self.copy_of(number)

    def stats(self) -> dict[str, Any]:
        """Return what was counted of each file, by its path."""
        receipt = self.receipt
        return dict(receipt.stats["files"]) if receipt else {}

    def _copy(self, path: Path, table: Table, copy: Path) -> dict[str, Any]:
        from pipeline.inputs import prior_years
        from pipeline.transform import all_years

        with files.atomic_write(copy) as temporary:
            built = {str(year) for year in self.years}
            read = prior_years.copy_clean(path, table, temporary, built=built)
        return {
            "table": table.stem,
            "encoding": read.encoding,
            "rows": read.rows,
            "values": all_years.count_unparseable(copy, table),
            "repeated keys": all_years.count_repeated_keys(copy, table),
        }

    def _stamps(self) -> dict[str, FileStamp]:
        """Return the files as they are now; those that look unchanged are not read again."""
        known = {path: FileStamp(*stats["file"]) for path, stats in self.stats().items()}
        return {str(path): _stamp(path, known.get(str(path))) for path in self.sources()}


def _reject_duplicates(stamps: Mapping[str, FileStamp]) -> None:
    """Stop where two files are the same, because their rows would be counted twice.

    Raises:
        InputFileError: two are.
    """
    first: dict[str, str] = {}
    for path, stamp in stamps.items():
        if stamp.sha256 in first:
            raise InputFileError(
                f"{path} is a copy of {first[stamp.sha256]}, so its rows would be counted twice. "
                "Remove one of them, then run the same command again."
            )
        first[stamp.sha256] = path


def _reject_overlaps(stats: Mapping[str, Mapping[str, Any]]) -> None:
    """Stop where two files have the same year of a table, because its rows would be counted twice.

    Args:
        stats: what was counted of each file, by its path.

    Raises:
        InputFileError: two have.
    """
    first: dict[tuple[str, str], str] = {}
    for path, counted in stats.items():
        for year in counted["rows"]:
            other = first.setdefault((counted["table"], year), path)
            if other != path:
                fault = f"it has rows of {year}, and so has {other}; they would be counted twice"
                raise InputFileError.at(path, fault, "Remove that year from one of them")


def _stamp(path: Path, known: FileStamp | None) -> FileStamp:
    try:
        return FileStamp.of(path, known)
    except OSError as exc:
        raise InputFileError(
            f"{path} cannot be read ({exc.strerror}). Check the path and permissions, then run "
            "the same command again."
        ) from exc


class ConcatYears(YearsTask, IncrementalTask):
    """Concatenate a large table of all years, streamed from those of the years and prior files."""

    version = 5
    table: ClassVar[Table]
    of_year: ClassVar[type[IncrementalTask]]
    """The task that builds the table of one year."""

    def requires(self) -> list[PipelineTask]:
        return [self.other(ReadPriorYears), *map(self._of, self.years)]

    def output(self) -> FilesTarget:
        """Return the table: CSV and Parquet."""
        return self.tables_target(self.table)

    @incremental
    def run(self) -> None:
        """Stream all parts into both files, and compare the rows of each year.

        Raises:
            CheckError: a year has more rows, or fewer, than its parts.
        """
        from pipeline.transform import all_years

        expected, table = self._expected(), rosters.with_columns(self.table)
        with self.output().build() as build:
            rows = all_years.concat_years(list(self._parts()), table)
            write_tables(build, self.output(), {table: rows}, None, self.partition)
            # Counted in the files. In the pass that writes them, polars counts faster than it
            # writes, and holds the rows in between: up to 400 MB more of 12 million rows.
            csv, parquet = self.output().paths
            found = all_years.count_rows_by_year(csv, parquet)
            check = check_year_row_counts(self.table.stem, expected, found)
            if not check.ok or set(build.stats["records"].values()) != {build.stats["rows"]}:
                raise CheckError(
                    f"A check failed before publishing ({check.name}: {check.note}). What was "
                    "published before is unchanged. Run the same command again; if it says the "
                    "same, run make refresh with the year that it names, then this again."
                )
            build.stats |= {
                "rows by year": found["Parquet"],
                "undated": all_years.count_undated(parquet, self.table),
                "checks": [check._asdict()],
            }

    def _of(self, year: SchoolYear) -> IncrementalTask:
        return self.other(self.of_year, year=year)

    def _expected(self) -> dict[str, int]:
        """Return how many rows each school year has in the parts."""
        receipts = {year: self._of(year).receipt for year in self.years}
        rows = {str(year): int(of.stats["rows"]) for year, of in receipts.items() if of}
        prior = self.other(ReadPriorYears)
        stats = prior.stats()
        for path, _ in prior.copies(self.table):
            for year, count in stats[path]["rows"].items():
                rows[year] = rows.get(year, 0) + count
        return dict(sorted(rows.items()))

    def _parts(self) -> "Iterator[TableOutputs]":
        """Return prior files by name, then the years, after verifying their checksums."""
        from pipeline.transform import all_years

        prior = self.other(ReadPriorYears)
        for _, copy in prior.copies(self.table):
            table = rosters.with_columns(self.table)
            yield all_years.scan_prior(prior.output().verified(copy), table)
        for year in self.years:
            task = self._of(year)
            verified = task.output().verified
            csv, parquet = task.paths.staging_paths(self.table)
            yield all_years.scan_files(verified(csv), verified(parquet))


class ConcatResults(ConcatYears):
    """The combined table of all years."""

    table = COMBINED
    of_year = CombineResults


class ConcatGroup(ConcatYears):
    """The table of results by reporting group, of all years."""

    table = GROUP
    of_year = CombineGroup


class ConcatView(ConcatYears):
    """The view of all years."""

    table = VIEW
    of_year = BuildViews


CONCAT_TASKS: tuple[type[ConcatYears], ...] = (ConcatResults, ConcatGroup, ConcatView)
"""The tasks that build the tables of all years."""


class DescribeYears(YearsTask, DescribeTables):
    """Describe the tables of all years."""

    def table_tasks(self) -> list[ConcatYears]:
        """Return the tasks that concatenate."""
        return [self.other(task) for task in CONCAT_TASKS]

    def tables(self) -> list[Table]:
        """Return what they concatenate."""
        return [rosters.with_columns(task.table) for task in CONCAT_TASKS]


class PublishYears(YearsTask, PublishTask):
    """Make the tables of all years visible together."""

    def requires(self) -> list[PipelineTask]:
        return [*self.table_tasks(), self.other(ReadPriorYears), *self._of_each_year()]

    def output(self) -> PublicationTarget:
        """Return what readers see, complete when its manifest names this build and counts it.

        Manifests of earlier versions do neither name the partition nor count rows by year.
        """
        return PublicationTarget(self.paths.publication, self.digest(), {"year": self.partition})

    def descriptions(self) -> DescribeYears:
        """Return the task that describes them."""
        return self.other(DescribeYears)

    @incremental
    def run(self) -> None:
        """Publish them, unless a guard stops it.

        Raises:
            CheckError: rows of a year that is published would be lost.
        """
        years = {str(task.year): task.digest() for task in self._of_each_year()}
        prior = self.other(ReadPriorYears).source_files()
        rows = RowCounts(dict(zip(GUARDED_OF_ALL_YEARS, self._rows_by_year(), strict=True)))
        check_years_are_kept(self, years, rows)
        self.commit({"year": self.partition, "years": years, "prior": prior}, rows)

    def _rows_by_year(self) -> Iterator[dict[str, int]]:
        for task in CONCAT_TASKS:
            receipt = self.other(task).receipt
            yield receipt.stats["rows by year"] if receipt else {}

    def _of_each_year(self) -> list[Publish]:
        return [self.other(Publish, year=year) for year in self.years]


class RunYears(YearsTask, luigi.WrapperTask):
    """Everything, for several school years; then all of them together."""

    def requires(self) -> list[PipelineTask]:
        of_each_year = [
            self.other(RunAll, year=year, earlier=self.years[:number])
            for number, year in enumerate(self.years)
        ]
        return [*of_each_year, self.other(PublishYears)]
