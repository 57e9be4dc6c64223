"""Where every file lives: paths as pure functions of the settings, the year and the day."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.schema import ENDPOINTS, Table
from pipeline.years import SchoolYear, Window

DEFAULT_RULES = Path(__file__).parents[1] / "inputs" / "title_rules.csv"
"""The title rules that are shipped, for districts that keep none of their own."""

ALL_YEARS = "all"
"""What stands for the year where all years lie together."""

_YEAR = "{year}"


@dataclass(frozen=True)
class Folders:
    """The folders that a user may choose.

    `illuminate` and `views` say where tables are published: `{year}` in them is filled in, and
    without it the year is appended.
    """

    data: Path
    illuminate: str
    views: str

    @classmethod
    def choose(cls, data_dir: str, save_path: str, view_path: str, *, demo: bool) -> "Folders":
        """The folders of a run; made-up students are kept in folders named demo, by themselves."""
        data = Path(data_dir) / "demo" if demo else Path(data_dir)

        def chosen(path: str, usual: str) -> str:
            if not path:
                return str(data / usual)
            return str(Path(path) / "demo") if demo else path

        return cls(data, chosen(save_path, "illuminate"), chosen(view_path, "views"))

    @property
    def runs(self) -> Path:
        """One record per run."""
        return self.data / "runs"

    @property
    def latest(self) -> Path:
        """How the last run ended, for other programs."""
        return self.runs / "latest.json"

    @property
    def reports(self) -> Path:
        """One page per school year."""
        return self.data / "reports"

    @property
    def lock(self) -> Path:
        """Held by the run that works in this data folder."""
        return self.data / ".lock"

    @property
    def database(self) -> Path:
        """The DuckDB file that published tables are loaded into."""
        return self.data / "illuminate.duckdb"

    @property
    def inputs(self) -> Path:
        """The demo district's roster, rules and overrides."""
        return self.data / "inputs"

    def published_folder(self, kind: str, label: str) -> Path:
        """Where the tables of `illuminate` or `views` are published, of a year or of all years."""
        path = self.views if kind == "views" else self.illuminate
        if _YEAR in path:
            return Path(path.replace(_YEAR, label))
        return Path(path) / label

    def marker(self, label: str) -> Path:
        """Names the set of files that is published, the same on whatever day; written last."""
        return self.published_folder("illuminate", label) / "published.json"


class InputFiles(NamedTuple):
    """The files that people keep; None where there is none."""

    roster: Path | None
    title_rules: Path
    overrides: Path | None

    def named(self) -> dict[str, Path]:
        """Those that there are, by the names that messages give them."""
        return {
            field.replace("_", " "): path
            for field, path in self._asdict().items()
            if path is not None
        }


@dataclass(frozen=True)
class Place:
    """The files of one set of tables: of a school year, or of all years together."""

    folders: Folders

    @property
    def label(self) -> str:
        """What stands for `{year}` in the folders."""
        raise NotImplementedError

    @property
    def ending(self) -> str:
        """What the names of large tables end in."""
        raise NotImplementedError

    @property
    def work(self) -> Path:
        """What is fetched and built, before it is published."""
        raise NotImplementedError

    @property
    def about(self) -> dict[str, Any]:
        """Of which school year or years it is, as a record says it."""
        raise NotImplementedError

    @property
    def results(self) -> Path:
        """Tables built and not yet published."""
        return self.work / "results"

    def receipt(self, step: str) -> Path:
        """Out of what a step built its files."""
        return self.work / "receipts" / f"{step}.json"

    def file_name(self, table: Table, kind: str) -> str:
        """The name of a table's file of a kind, csv or parquet; small tables have no ending."""
        return f"{table.stem}{self.ending if table.is_large else ''}.{kind}"

    def built(self, table: Table) -> list[Path]:
        """A table's files where they are built: the CSV, and a Parquet twin if it is large."""
        kinds = ["csv", "parquet"] if table.is_large else ["csv"]
        return [self.results / self.file_name(table, kind) for kind in kinds]

    def published_folder(self, kind: str) -> Path:
        """Where the tables of `illuminate` or `views` are published."""
        return self.folders.published_folder(kind, self.label)

    def published(self, table: Table) -> list[Path]:
        """A table's files where people read them, in the order of `built`."""
        folder = self.published_folder(table.folder)
        return [folder / path.name for path in self.built(table)]

    @property
    def written(self) -> list[Path]:
        """Every folder that a run writes in."""
        places = [self.published_folder(kind) for kind in ("illuminate", "views")]
        return [self.work, self.results, self.receipt("").parent, *places]

    @property
    def marker(self) -> Path:
        """Names the set of files that is published; written last."""
        return self.folders.marker(self.label)


@dataclass(frozen=True)
class AllYears(Place):
    """The files of all years together; they lie in the same place whichever years these are."""

    years: tuple[SchoolYear, ...]

    @property
    def label(self) -> str:
        """What stands for `{year}` in the folders."""
        return ALL_YEARS

    @property
    def ending(self) -> str:
        """What the names of large tables end in."""
        return "_all_years"

    @property
    def work(self) -> Path:
        """What is built, before it is published."""
        return self.folders.data / "work" / self.label

    @property
    def about(self) -> dict[str, Any]:
        """Of which school years it is, as a record says it."""
        return {"year": self.label, "years": [str(year) for year in self.years]}

    @property
    def prior(self) -> Path:
        """Files from before the pipeline, as they were read."""
        return self.work / "prior"

    @property
    def written(self) -> list[Path]:
        """Every folder that a run writes in."""
        return [*super().written, self.prior]


@dataclass(frozen=True)
class Snapshot(Place):
    """The files of one school year as of one day.

    Until the last day of a year is over, its snapshot is `provisional`: what is fetched that day
    is never taken for the whole year.
    """

    year: SchoolYear
    window: Window
    suffix: str
    provisional: bool = False

    @property
    def label(self) -> str:
        """What stands for `{year}` in the folders."""
        return str(self.year)

    @property
    def ending(self) -> str:
        """What the names of large tables end in."""
        return self.suffix

    @property
    def work(self) -> Path:
        """What is fetched and built, before it is published."""
        day = self.window.end.isoformat() + ("-provisional" if self.provisional else "")
        return self.folders.data / "work" / str(self.year) / day

    @property
    def about(self) -> dict[str, Any]:
        """Of which year it is, and as of when, as a record and the marker say it."""
        return {"year": self.label, "as_of": self.window.end.isoformat()}

    @property
    def metadata(self) -> Path:
        """The catalogue as it was delivered."""
        return self.work / "metadata.json"

    @property
    def roster(self) -> Path:
        """The students of the roster and their grades, as they were read."""
        return self.work / "roster.csv"

    @property
    def report(self) -> Path:
        """The page about the year."""
        return self.folders.reports / f"{self.label}.html"

    def shards(self, endpoint: str) -> Path:
        """The folder of an endpoint's shards."""
        return self.work / "shards" / endpoint

    def manifest(self, endpoint: str) -> Path:
        """What is known of each of an endpoint's shards."""
        return self.work / f"scores-{endpoint}.json"

    @property
    def written(self) -> list[Path]:
        """Every folder that a run writes in."""
        shards = (self.shards(endpoint) for endpoint in ENDPOINTS)
        return [*super().written, self.report.parent, *shards]
