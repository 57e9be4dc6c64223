"""Where every file lives: paths as pure functions of the settings, the year and the day."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.tables import ENDPOINTS, Table
from pipeline.years import SchoolYear, Window

DEFAULT_RULES = Path(__file__).with_name("title_rules.csv")
"""The title rules that are shipped, for districts that keep none of their own."""

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
    def lock(self) -> Path:
        """Held by the run that works in this data folder."""
        return self.data / ".lock"

    @property
    def inputs(self) -> Path:
        """The demo district's roster, rules and overrides."""
        return self.data / "inputs"


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
class Snapshot:
    """The files of one school year as of one day.

    Until the last day of a year is over, its snapshot is `provisional`: what is fetched that day
    is never taken for the whole year.
    """

    folders: Folders
    year: SchoolYear
    window: Window
    suffix: str
    provisional: bool = False

    @property
    def work(self) -> Path:
        """What is fetched and built, before it is published."""
        day = self.window.end.isoformat() + ("-provisional" if self.provisional else "")
        return self.folders.data / "work" / str(self.year) / day

    @property
    def metadata(self) -> Path:
        """The catalogue as it was delivered."""
        return self.work / "metadata.json"

    @property
    def roster(self) -> Path:
        """The students of the roster and their grades, as they were read."""
        return self.work / "roster.csv"

    @property
    def results(self) -> Path:
        """Tables built and not yet published."""
        return self.work / "results"

    def shards(self, endpoint: str) -> Path:
        """The folder of an endpoint's shards."""
        return self.work / "shards" / endpoint

    def manifest(self, endpoint: str) -> Path:
        """What is known of each of an endpoint's shards."""
        return self.work / f"scores-{endpoint}.json"

    def receipt(self, step: str) -> Path:
        """Out of what a step built its files."""
        return self.work / "receipts" / f"{step}.json"

    def file_name(self, table: Table, ending: str) -> str:
        """The name of a table's file; small tables carry no suffix."""
        return f"{table.stem}{self.suffix if table.is_large else ''}.{ending}"

    def built(self, table: Table) -> list[Path]:
        """A table's files where they are built: the CSV, and a Parquet twin if it is large."""
        endings = ["csv", "parquet"] if table.is_large else ["csv"]
        return [self.results / self.file_name(table, ending) for ending in endings]

    def published_folder(self, kind: str) -> Path:
        """Where the tables of `illuminate` or `views` are published for this year."""
        path = self.folders.views if kind == "views" else self.folders.illuminate
        if _YEAR in path:
            return Path(path.replace(_YEAR, str(self.year)))
        return Path(path) / str(self.year)

    def published(self, table: Table) -> list[Path]:
        """A table's files where people read them, in the order of `built`."""
        folder = self.published_folder(table.folder)
        return [folder / path.name for path in self.built(table)]

    @property
    def written(self) -> list[Path]:
        """Every folder that a run writes in."""
        shards = [self.shards(endpoint) for endpoint in ENDPOINTS]
        places = [self.published_folder(kind) for kind in ("illuminate", "views")]
        return [self.work, self.results, self.receipt("").parent, *shards, *places]

    @property
    def marker(self) -> Path:
        """Names the set of files that is published; written last."""
        return self.published_folder("illuminate") / "published.json"
