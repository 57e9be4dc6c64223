"""What there is to load: the files of a published set as tables of a database.

A table has the same name for every year, and a column `year`; nothing here reads rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import schema as tables
from pipeline.errors import LoadError
from pipeline.publish.commit import Marker
from pipeline.storage import files
from pipeline.years import HISTORICAL, SchoolYear

if TYPE_CHECKING:
    import polars as pl

Kind = tables.Kind | Literal["boolean", "timestamp"]
"""What values are: the kinds of our own tables, and what a view of the district's may have."""

YEAR = "year"
RUNS = "pipeline_runs"
"""The table in which the loads are written down."""

_LONGEST_NAME = 63
"""Bytes: PostgreSQL cuts off the rest."""

_KINDS_OF_FILES = ("csv", "parquet")
"""The later one is taken where both are there."""
_UNKNOWN = "Field of the API, as sent; the data dictionary does not know it"
_OWN_VIEW = "A view of the district's own"


@dataclass(frozen=True)
class Field:
    """A column: its name, the kind of its values, and what they mean."""

    name: str
    kind: Kind
    meaning: str = ""


@dataclass(frozen=True)
class Loadable:
    """A published table: the file that has its rows, and that file's columns."""

    name: str
    meaning: str
    file: Path
    fields: tuple[Field, ...]

    @property
    def has_year(self) -> bool:
        """Whether the file says itself of which year a row is."""
        return any(field.name == YEAR for field in self.fields)

    @property
    def columns(self) -> tuple[Field, ...]:
        """The columns of the table in the database."""
        year = Field(YEAR, "text", "School year, like 23-24")
        return self.fields if self.has_year else (year, *self.fields)


@dataclass(frozen=True)
class Published:
    """A published set: its marker, and its tables by name."""

    year: str
    marker: Marker
    folder: Path
    tables: tuple[Loadable, ...]

    def is_unchanged(self, path: Path) -> bool:
        """Whether the marker at `path` is still this one, and all files still fit it."""
        return Marker.read(path) == self.marker and self.marker.fits(self.folder)


def find(path: Path, year: SchoolYear) -> Published:
    """The set that the marker at `path` names.

    Raises:
        LoadError: nothing is published, a file is not as it was published, or a table cannot be
            one of a database.
    """
    marker = Marker.read(path)
    if marker is None:
        raise LoadError(
            f"Nothing of {year} is published in {path.parent}, so nothing was loaded; "
            f"make run YEAR={year} publishes it."
        )
    chosen = _one_file_each(marker)
    wrong = [name for name in chosen.values() if not _holds(path.parent / name, marker.files[name])]
    if wrong or not marker.fits(path.parent):
        raise LoadError(
            f"A published file of {year} in {path.parent} is not as it was published, so nothing "
            f"was loaded; run make verify YEAR={year} and make run YEAR={year}, then load again."
        )
    found = [_loadable(name, path.parent / file) for name, file in sorted(chosen.items())]
    return Published(str(year), marker, path.parent, tuple(found))


def _holds(path: Path, published: files.Fingerprint) -> bool:
    """Whether a file has the very bytes that were published."""
    try:
        return files.sha256(path) == published.sha256
    except OSError:
        return False


def _one_file_each(marker: Marker) -> dict[str, str]:
    """The file to load of every table: the Parquet twin, where there is one."""
    chosen = {}
    for kind in _KINDS_OF_FILES:
        for name in marker.files:
            path = Path(name)
            if path.suffix == f".{kind}":
                chosen[path.stem.removesuffix(HISTORICAL)] = name
    return chosen


def _loadable(name: str, file: Path) -> Loadable:
    known = {table.stem: table for table in tables.TABLES}.get(name)
    described = {column.name: column for column in known.columns} if known else {}
    fields = []
    for column, kind in _columns(name, file).items():
        if column in described:
            # All is text in a CSV file; what it stands for is said by the data dictionary.
            meant = described[column].kind if file.suffix == ".csv" else kind
            if meant != described[column].kind:
                raise LoadError(
                    f"Column {column} of {file.name} holds {kind} and should hold "
                    f"{described[column].kind}; nothing was loaded. Run make run again."
                )
            fields.append(Field(column, meant, described[column].meaning))
        else:
            fields.append(Field(column, kind, _UNKNOWN if known else ""))
    grain = known.grain[0].upper() + known.grain[1:] if known else _OWN_VIEW
    found = Loadable(name, grain, file, tuple(fields))
    _see_that_it_fits(found)
    return found


def _columns(name: str, file: Path) -> dict[str, Kind]:
    import polars as pl

    if file.suffix == ".csv":
        header = pl.read_csv(file, infer_schema=False, n_rows=0, glob=False).columns
        return dict.fromkeys(header, "text")
    schema = pl.scan_parquet(file, glob=False).collect_schema()
    return {column: _kind(name, column, dtype) for column, dtype in schema.items()}


def _kind(table: str, column: str, dtype: "pl.DataType") -> Kind:
    import polars as pl

    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    kinds: dict[type[pl.DataType], Kind] = {
        pl.String: "text",
        pl.Categorical: "text",
        pl.Date: "date",
        pl.Boolean: "boolean",
        pl.Datetime: "timestamp",
    }
    if dtype.base_type() not in kinds:
        raise LoadError(
            f"Column {column} of {table} holds values of type {dtype}, which are not loaded; "
            "nothing was loaded. Make it text, a number or a date in the view, and run again."
        )
    return kinds[dtype.base_type()]


def _see_that_it_fits(table: Loadable) -> None:
    names = [field.name for field in table.columns]
    too_long = [n for n in (table.name, *names) if len(n.encode()) > _LONGEST_NAME]
    if too_long:
        raise LoadError(
            f"The name {too_long[0]} in {table.file.name} is longer than the {_LONGEST_NAME} bytes "
            "that a database takes; nothing was loaded."
        )
    if any(field.name == YEAR and field.kind != "text" for field in table.fields):
        raise LoadError(
            f"Column {YEAR} of {table.file.name} is no school year like 23-24; give it another "
            "name in the view. Nothing was loaded."
        )
    if table.name == RUNS:
        raise LoadError(
            f"{RUNS} is where loads are written down; give the view another name. "
            "Nothing was loaded."
        )
    folded = [name.casefold() for name in names]
    twice = [name for name in names if folded.count(name.casefold()) > 1]
    if twice:
        raise LoadError(
            f"{' and '.join(twice)} in {table.file.name} differ in capital letters only, which a "
            "database takes for the same name; nothing was loaded."
        )
