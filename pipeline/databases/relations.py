"""What is loaded: the published tables of a year, with the columns that they get in a database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import LoadError
from pipeline.publish import Marker
from pipeline.tables import Column, Kind, Table

if TYPE_CHECKING:
    import polars as pl

YEAR = "year"
_BATCH_ROWS = 50_000
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts off what is longer
_YEAR_COLUMN = Column(YEAR, "text", "School year, like 23-24", "the run")


@dataclass(frozen=True)
class Relation:
    """A published table and its file: Parquet where there is one, else CSV."""

    table: Table
    path: Path
    in_file: Mapping[str, Kind]

    @classmethod
    def of(cls, table: Table, path: Path) -> "Relation":
        """The relation of a table's file.

        Raises:
            LoadError: a column of the file is not what `tables.py` says, or has no place in a
                database.
        """
        import polars as pl

        known = {column.name: column.kind for column in table.columns}
        if path.suffix == ".csv":
            names = pl.scan_csv(path, infer_schema=False).collect_schema().names()
            kinds: dict[str, Kind] = {name: known.get(name, "text") for name in names}
        else:
            schema = pl.scan_parquet(path).collect_schema()
            kinds = {name: _kind(table, name, kind) for name, kind in schema.items()}
        for name, kind in kinds.items():
            if known.get(name, kind) != kind:
                raise LoadError(
                    f"Column {name} of {path.name} is {kind}, not {known[name]} as the data "
                    "dictionary says; nothing was loaded. Run again to build the table anew."
                )
        _see_that_names_fit(path, kinds)
        return cls(table, path, kinds)

    @property
    def name(self) -> str:
        """Its name in the database, for every year."""
        return self.table.stem

    @property
    def columns(self) -> dict[str, Kind]:
        """Its columns in the database; the year comes first where the file does not have it."""
        return dict(self.in_file) if YEAR in self.in_file else {YEAR: "text", **self.in_file}

    @property
    def described(self) -> tuple[Column, ...]:
        """The columns that the data dictionary explains."""
        own = self.table.columns
        return own if YEAR in self.table.names else (_YEAR_COLUMN, *own)

    def scan(self) -> "pl.LazyFrame":
        """Its rows as they are in the file.

        Raises:
            ComputeError: a number in a CSV file is none.
        """
        import polars as pl

        if self.path.suffix != ".csv":
            return pl.scan_parquet(self.path)
        whole = [name for name, kind in self.in_file.items() if kind == "integer"]
        return pl.scan_csv(self.path, infer_schema=False).with_columns(
            pl.col(*whole).cast(pl.Int64) if whole else []
        )

    def count(self) -> int:
        """How many rows the file has."""
        import polars as pl

        return int(self.scan().select(pl.len()).collect().item())

    def batches(self) -> Iterator["pl.DataFrame"]:
        """Its rows, some at a time, so that no table is ever whole in memory."""
        yield from self.scan().collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True)


def _kind(table: Table, name: str, kind: "pl.DataType") -> Kind:
    import polars as pl

    if kind == pl.String:
        return "text"
    if kind.is_integer():
        return "integer"
    if kind.is_float():
        return "number"
    if kind == pl.Date:
        return "date"
    raise LoadError(f"Column {name} of {table.stem} is of a kind that no database table has.")


def _see_that_names_fit(path: Path, names: Mapping[str, Kind]) -> None:
    folded = [name.casefold() for name in (YEAR, *(n for n in names if n != YEAR))]
    for name in names:
        if folded.count(name.casefold()) > 1 or not 0 < len(name.encode()) <= _LONGEST_NAME:
            raise LoadError(
                f"Column {name!r} of {path.name} cannot be a column of a database: its name is "
                f"longer than {_LONGEST_NAME} bytes, or differs from another one's by capital "
                "letters only. Nothing was loaded."
            )


@dataclass(frozen=True)
class PublishedYear:
    """The set of tables that is published for a school year."""

    year: str
    place: Path
    marker: Marker
    relations: tuple[Relation, ...]

    @classmethod
    def find(cls, year: str, place: Path, files: Mapping[Table, list[Path]]) -> "PublishedYear":
        """The set that the marker at `place` names.

        Args:
            year: the school year, like 23-24.
            place: the marker.
            files: where each table's files are published, the one to be read last.

        Raises:
            LoadError: nothing is published, or a file is not as it was published.
        """
        marker = Marker.read(place)
        if marker is None:
            raise LoadError(
                f"Nothing is published for {year}, so there is nothing to load: run "
                f"make run YEAR={year} first."
            )
        _see_that_files_fit(marker, place)
        named = {(place.parent / name).resolve() for name in marker.files}
        relations = tuple(
            Relation.of(table, paths[-1])
            for table, paths in files.items()
            if paths[-1].resolve() in named
        )
        return cls(year, place, marker, relations)

    def see_that_it_is_still_there(self) -> None:
        """Make sure that what was read is one set: no run has published meanwhile.

        Raises:
            LoadError: one has.
        """
        if Marker.read(self.place) != self.marker:
            raise LoadError(
                f"A run published {self.year} anew while it was being loaded; the database is as "
                "it was. Load again."
            )
        _see_that_files_fit(self.marker, self.place)


def _see_that_files_fit(marker: Marker, place: Path) -> None:
    if not marker.fits(place.parent):
        raise LoadError(
            f"The files beside {place} are not those that it names: one was changed or removed, "
            "or a run is publishing now. Nothing was loaded; run make run, then load again."
        )
