"""Where every file is: paths as pure functions of the settings, the year and the day."""

import datetime as dt
import glob
import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.schema import ENDPOINTS, Table
from pipeline.years import SchoolYear, Window

ALL_YEARS = "all"
"""The partition of the tables of all years."""

ALL_YEARS_SUFFIX = "_all_years"
"""The end of the names of those tables."""

_YEAR, _PUBLICATION = "{year}", "published.json"
_LONGEST_NAME = 80

DESCRIPTOR = "datapackage.json"
"""The name of the file that describes the others of a published folder."""


@dataclass(frozen=True)
class Folders:
    """The folders that users choose.

    `illuminate` and `views` are where tables are published: `{year}` in them is replaced by the
    year, which is appended otherwise.
    """

    data: Path
    illuminate: str
    views: str

    @classmethod
    def from_settings(
        cls, data_dir: str, save_path: str, view_path: str, *, demo: bool
    ) -> "Folders":
        """Return the folders of a run; those of the demo district are named demo."""
        data = Path(data_dir) / "demo" if demo else Path(data_dir)

        def resolve(configured: str, default: str) -> str:
            if not configured:
                return str(data / default)
            return str(Path(configured) / "demo") if demo else configured

        return cls(data, resolve(save_path, "illuminate"), resolve(view_path, "views"))

    @property
    def work(self) -> Path:
        """What is fetched and built, before it is published."""
        return self.data / "work"

    @property
    def runs(self) -> Path:
        """Run records, one file per run and set of tables."""
        return self.data / "runs"

    @property
    def latest(self) -> Path:
        """The result of the last run, for other programs."""
        return self.runs / "latest.json"

    @property
    def acknowledged(self) -> Path:
        """What the last successful run left published."""
        return self.runs / "acknowledged.json"

    @property
    def reports(self) -> Path:
        """Report pages, one per school year."""
        return self.data / "reports"

    def figures(self, partition: str) -> Path:
        """Return the path of the figures that reports have shown of a school year."""
        return self.work / partition / "figures.parquet"

    @property
    def lock(self) -> Path:
        """The lock file of this data folder."""
        return self.data / ".lock"

    @property
    def database(self) -> Path:
        """The DuckDB file that published tables are loaded into."""
        return self.data / "illuminate.duckdb"

    @property
    def inputs(self) -> Path:
        """The demo district's roster, rules and overrides."""
        return self.data / "inputs"

    def published_folder(self, kind: str, partition: str) -> Path:
        """Return where tables of a kind, `illuminate` or `views`, are published."""
        path = self.views if kind == "views" else self.illuminate
        if _YEAR in path:
            return Path(path.replace(_YEAR, partition))
        return Path(path) / partition

    def publication(self, partition: str) -> Path:
        """Return the path of the manifest of what is published, whatever its as-of date."""
        return self.published_folder("illuminate", partition) / _PUBLICATION

    def publications(self) -> list[Path]:
        """Return where the manifest is in each folder of any year's tables that exists."""
        path = self.illuminate if _YEAR in self.illuminate else f"{self.illuminate}/{_YEAR}"
        folders = glob.glob(glob.escape(path).replace(_YEAR, "*"))  # noqa: PTH207  any part may vary
        return [Path(folder) / _PUBLICATION for folder in sorted(folders)]


def in_words(partition: str) -> str:
    """Return a partition as sentences name it: `23-24`, or `all years`."""
    return "all years" if partition == ALL_YEARS else partition


def how_to_publish(partition: str, years: Iterable[object] = ()) -> str:
    """Return the command that publishes a partition; `years` are those of all years, if known."""
    of_all = f'make years YEARS="{" ".join(map(str, years)) or "..."}"'
    return of_all if partition == ALL_YEARS else f"make run YEAR={partition}"


class TableSetPaths:
    """The files of one set of tables: of a school year, or of all years together."""

    folders: Folders
    suffix: str
    """The end of the names of large tables."""

    @property
    def partition(self) -> str:
        """The text that replaces `{year}` in folder names."""
        raise NotImplementedError

    @property
    def work(self) -> Path:
        """The folder of what is fetched and built, before it is published."""
        raise NotImplementedError

    @property
    def metadata(self) -> dict[str, Any]:
        """The school year or years, as run records and the publication give them."""
        raise NotImplementedError

    @property
    def results(self) -> Path:
        """The folder of tables that are built and not yet published."""
        return self.work / "results"

    def receipt(self, step: str) -> Path:
        """Return the path of the receipt of a step."""
        return self.work / "receipts" / f"{step}.json"

    def file_name(self, table: Table, kind: str) -> str:
        """Return the name of a table's file of a kind, csv or parquet; small tables: no suffix."""
        return f"{table.stem}{self.suffix if table.is_large else ''}.{kind}"

    def staging_paths(self, table: Table) -> list[Path]:
        """Return where a table is built: the CSV, and for large tables the Parquet file."""
        kinds = ["csv", "parquet"] if table.is_large else ["csv"]
        return [self.results / self.file_name(table, kind) for kind in kinds]

    def published_folder(self, kind: str) -> Path:
        """Return where tables of a kind, `illuminate` or `views`, are published."""
        return self.folders.published_folder(kind, self.partition)

    def published_paths(self, table: Table) -> list[Path]:
        """Return where a table is published, in the order of `staging_paths`."""
        folder = self.published_folder(table.folder)
        return [folder / path.name for path in self.staging_paths(table)]

    @property
    def descriptors(self) -> dict[Path, Path]:
        """Where the descriptor of each published folder is built, by where it is published."""
        return {
            self.published_folder(kind) / DESCRIPTOR: self.results / f"datapackage_{kind}.json"
            for kind in ("views", "illuminate")
        }

    @property
    def output_dirs(self) -> list[Path]:
        """Every folder that a run writes to."""
        published = [self.published_folder(kind) for kind in ("illuminate", "views")]
        return [self.work, self.results, self.receipt("").parent, *published]

    @property
    def publication(self) -> Path:
        """The manifest of the published set; written last."""
        return self.folders.publication(self.partition)


@dataclass(frozen=True)
class AllYears(TableSetPaths):
    """The files of all years together; their paths are the same whichever years these are."""

    folders: Folders
    years: tuple[SchoolYear, ...]
    suffix: str = ALL_YEARS_SUFFIX

    @property
    def partition(self) -> str:
        """The text that replaces `{year}` in folder names."""
        return ALL_YEARS

    @property
    def work(self) -> Path:
        """The folder of what is built, before it is published."""
        return self.folders.work / self.partition

    @property
    def metadata(self) -> dict[str, Any]:
        """The school years, as run records and the publication give them."""
        return {"year": self.partition, "years": [str(year) for year in self.years]}

    @property
    def prior(self) -> Path:
        """The folder of clean copies of the tables from before the pipeline."""
        return self.work / "prior"

    @property
    def output_dirs(self) -> list[Path]:
        """Every folder that a run writes to."""
        return [*super().output_dirs, self.prior]


@dataclass(frozen=True)
class Snapshot(TableSetPaths):
    """The files of one school year as of one day.

    Until a year is settled, a snapshot of all of it has the day that it is `fetched_on`, and is
    never reused on another.
    """

    folders: Folders
    year: SchoolYear
    window: Window
    suffix: str
    fetched_on: dt.date | None = None

    @property
    def partition(self) -> str:
        """The text that replaces `{year}` in folder names."""
        return str(self.year)

    @property
    def is_of_whole_year(self) -> bool:
        """Whether the year was over, so that no more tests will be taken in it."""
        return self.window.end == self.year.last_day != self.fetched_on

    @property
    def is_settled(self) -> bool:
        """Whether this is all of a year, and no other snapshot of it is to come."""
        return self.window.end == self.year.last_day and self.fetched_on is None

    @property
    def work(self) -> Path:
        """The folder of what is fetched and built, before it is published."""
        day = self.window.end.isoformat() + (f"-on-{self.fetched_on}" if self.fetched_on else "")
        return self.folders.work / str(self.year) / day

    @property
    def metadata(self) -> dict[str, Any]:
        """The school year and the as-of date, as run records and the publication give them."""
        return {"year": self.partition, "as_of": self.window.end.isoformat()}

    @property
    def catalogue(self) -> Path:
        """The catalogue as the API sent it."""
        return self.work / "metadata.json"

    @property
    def counts(self) -> Path:
        """How many results the server declared."""
        return self.work / "counts.json"

    @property
    def roster(self) -> Path:
        """The students of the roster and their grades."""
        return self.work / "roster.csv"

    @property
    def title_rules(self) -> Path:
        """The title rules as they were read."""
        return self.work / "title_rules.csv"

    @property
    def overrides(self) -> Path:
        """The overrides as they were read."""
        return self.work / "overrides.csv"

    @property
    def labels_by_grade(self) -> Path:
        """The labels that hold for one grade only; not published."""
        return self.results / "labels_by_grade.csv"

    @property
    def figures(self) -> Path:
        """What reports have shown of the year; it outlives its snapshots."""
        return self.folders.figures(self.partition)

    @property
    def report(self) -> Path:
        """The report page of the year."""
        return self.folders.reports / f"{self.partition}.html"

    def school_reports(self, schools: Iterable[str]) -> dict[str, Path]:
        """Return where the page of each school is; names that look alike get a number."""
        folder, found = self.folders.reports / self.partition, dict[str, Path]()
        for school in sorted(schools):
            name = plain = _file_name(school)
            for number in itertools.count(2):
                path = folder / f"{name}.html"
                if name != self.partition and path not in found.values():
                    break
                name = f"{plain}-{number}"
            found[school] = path
        return found

    def shards(self, endpoint: str) -> Path:
        """Return the folder of an endpoint's shards."""
        return self.work / "shards" / endpoint

    def ranges(self, endpoint: str) -> Path:
        """Return the folder of an endpoint's results by range of dates."""
        return self.work / "ranges" / endpoint

    def manifest(self, endpoint: str) -> Path:
        """Return the path of the manifest of an endpoint's shards."""
        return self.work / f"scores-{endpoint}.jsonl"

    def counterpart(self, path: Path, other: Path) -> Path:
        """Return where the folder of another snapshot has what this one has at a path."""
        return other / path.relative_to(self.work)

    @property
    def output_dirs(self) -> list[Path]:
        """Every folder that a run writes to."""
        fetched = (of(endpoint) for of in (self.shards, self.ranges) for endpoint in ENDPOINTS)
        return [*super().output_dirs, self.figures.parent, self.report.parent, *fetched]


def _file_name(text: str) -> str:
    """Return a name that every file system and address takes, without accents."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:_LONGEST_NAME] or "school"
