"""The published files of a year, or of all years, as tables of a database; no row is read here.

A table has the same name for every year, and a column `year`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import schema
from pipeline.errors import LoadError
from pipeline.publish.commit import Publication
from pipeline.storage import files
from pipeline.storage.paths import ALL_YEARS_SUFFIX, how_to_publish, in_words
from pipeline.years import HISTORICAL

if TYPE_CHECKING:
    import polars as pl

Kind = schema.Kind | Literal["boolean", "timestamp"]
"""What values are: the kinds of our own tables, and others that a district's own view may have."""

YEAR = "year"
RUNS = "pipeline_runs"
"""The table that records the loads."""

_MAX_NAME_BYTES = 63
"""PostgreSQL cuts off the rest of a longer name."""

_ENDINGS = (".csv", ".parquet")
_OWN_VIEW = "A view of the district's own"


@dataclass(frozen=True)
class Field:
    """A column: its name, the kind of its values, and what they mean."""

    name: str
    kind: Kind
    meaning: str = ""


@dataclass(frozen=True)
class SourceTable:
    """A published table: its file, and the columns of that file."""

    name: str
    meaning: str
    file: Path
    fields: tuple[Field, ...]

    @property
    def has_year(self) -> bool:
        """Whether the file has a column with the school year."""
        return any(field.name == YEAR for field in self.fields)

    @property
    def columns(self) -> tuple[Field, ...]:
        """The columns of the table in the database."""
        year = Field(YEAR, "text", "School year, like 23-24")
        return self.fields if self.has_year else (year, *self.fields)


@dataclass(frozen=True)
class PublishedSet:
    """A published set: where its manifest is, and its tables in the order of their names."""

    year: str
    manifest: Path
    publication: Publication
    tables: tuple[SourceTable, ...]

    def is_unchanged(self) -> bool:
        """Return True if this is still what is published, and all files match it."""
        current = Publication.read(self.manifest)
        return current == self.publication and current.matches(self.manifest.parent)


def read_published_set(
    manifest: Path, year: str, names: Collection[str] | None = None
) -> PublishedSet:
    """Return the published set of a year, or of all, after verifying the checksums of its files.

    Args:
        manifest: the publication manifest.
        year: the school year, or `all`.
        names: the tables to read; all by default.

    Raises:
        LoadError: nothing is published, a file was changed, or a table cannot be loaded.
    """
    publication, folder = Publication.read(manifest), manifest.parent
    chosen = choose_files(publication) if publication else {}
    chosen = {name: file for name, file in chosen.items() if names is None or name in names}
    # Read every file that is to be loaded, whatever its size and modification time say.
    if publication is None or not (
        publication.matches(folder)
        and all(files.sha256(folder / n) == publication.files[n].sha256 for n in chosen.values())
    ):
        raise LoadError(
            f"A published file of {in_words(year)} in {folder} was changed after it was "
            f"published; nothing was loaded. Run make verify YEAR={year} and "
            f"{how_to_publish(year, publication.years if publication else ())}, then load again."
        )
    tables = tuple(_source_table(name, folder / file) for name, file in sorted(chosen.items()))
    return PublishedSet(year, manifest, publication, tables)


def choose_files(publication: Publication) -> dict[str, str]:
    """Return the file to load for each table: the Parquet file if there is one, else the CSV."""
    tables = [path for path in map(Path, publication.files) if path.suffix in _ENDINGS]
    paths = sorted(tables, key=lambda path: path.suffix)  # Parquet last
    return {path.stem.removesuffix(HISTORICAL): str(path) for path in paths}


def _source_table(name: str, file: Path) -> SourceTable:
    known = _known_table(name, file)
    described = {column.name: column for column in known.columns} if known else {}
    fields = []
    for column, kind in _read_columns(name, file).items():
        if column not in described:
            fields.append(Field(column, kind, _meaning_of_other(column, known)))
            continue
        expected = described[column].kind
        # Everything in a CSV file is text; the data dictionary says what it means.
        if file.suffix != ".csv" and kind != expected:
            raise LoadError(
                f"Column {column} of {file.name} holds {kind} and should hold {expected}; nothing "
                "was loaded. Run make run, then load again."
            )
        fields.append(Field(column, expected, described[column].meaning))
    meaning = known.grain[0].upper() + known.grain[1:] if known else _OWN_VIEW
    if known and name.endswith(ALL_YEARS_SUFFIX):
        meaning += ", of all years"
    table = SourceTable(name, meaning, file, tuple(fields))
    _refuse_bad_names(table)
    return table


def _known_table(name: str, file: Path) -> schema.Table | None:
    """Return what the data dictionary says of a table; a view of the district's own has Parquet."""
    if name == schema.STUDENTS.stem and file.suffix == ".csv":
        return schema.STUDENTS
    stem = name.removesuffix(ALL_YEARS_SUFFIX)
    return {table.stem: table for table in schema.TABLES}.get(stem)


def _meaning_of_other(column: str, table: schema.Table | None) -> str:
    """Return the meaning of a column that is none of a table's own."""
    if table in schema.WITH_ROSTER_COLUMNS:
        return schema.roster_column(column).meaning
    return schema.UNKNOWN_FIELD if table else ""


def _read_columns(name: str, file: Path) -> dict[str, Kind]:
    import polars as pl

    if file.suffix == ".csv":
        header = pl.read_csv(file, infer_schema=False, n_rows=0, glob=False).columns
        return dict.fromkeys(header, "text")
    columns = pl.scan_parquet(file, glob=False).collect_schema()
    return {column: _kind(name, column, dtype) for column, dtype in columns.items()}


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
            f"Column {column} of {table} holds values of type {dtype}, which cannot be loaded; "
            "nothing was loaded. Make it text, a number or a date in the view, then publish and "
            "load again."
        )
    return kinds[dtype.base_type()]


def _refuse_bad_names(table: SourceTable) -> None:
    names = [field.name for field in table.columns]
    too_long = [n for n in (table.name, *names) if len(n.encode()) > _MAX_NAME_BYTES]
    folded = [name.casefold() for name in names]
    ambiguous = [name for name in names if folded.count(name.casefold()) > 1]
    if too_long:
        problem = (
            f"the name {too_long[0]} is longer than the {_MAX_NAME_BYTES} bytes of a database name"
        )
    elif any(field.name == YEAR and field.kind != "text" for field in table.fields):
        problem = f"its column {YEAR} is not a school year like 23-24"
    elif table.name == RUNS:
        problem = f"{RUNS} is the table that records the loads"
    elif ambiguous:
        problem = (
            f"{' and '.join(ambiguous)} differ only in case, so a database cannot tell them apart"
        )
    else:
        return
    raise LoadError(
        f"{table.file.name} cannot be loaded: {problem}. Nothing was loaded; choose another name "
        "in the view, then publish and load again."
    )
