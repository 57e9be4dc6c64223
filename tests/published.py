"""Small published sets of invented students, as a run publishes them."""

import datetime as dt
from pathlib import Path

import polars as pl

from pipeline.publish.commit import publish
from pipeline.schema import CATALOGUE, TABLES, Table
from pipeline.storage import files
from pipeline.storage.paths import Folders, Snapshot
from tests.helpers import WINDOW, YEAR

TYPES = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
VALUES = {"text": 'a "b",\nc', "integer": 7, "number": 0.1, "date": dt.date(2024, 2, 29)}


def snapshot(data: Path) -> Snapshot:
    folders = Folders(data, str(data / "illuminate"), str(data / "views"))
    return Snapshot(folders, YEAR, WINDOW, "_historical")


def frame(table: Table, rows: int, extra: dict[str, str | None]) -> pl.DataFrame:
    """Return rows with every kind of value, nulls in every other row, and empty texts."""
    columns: dict[str, pl.Series] = {}
    for column in table.columns:
        value = str(YEAR) if column.name == "year" else VALUES[column.kind]
        kept = [value if column.name == "year" or n % 2 else None for n in range(rows)]
        columns[column.name] = pl.Series(column.name, kept, dtype=TYPES[column.kind])
    if table is not CATALOGUE:
        columns |= {name: pl.Series(name, [text] * rows, pl.String) for name, text in extra.items()}
    return pl.DataFrame(columns)


def make(
    data: Path, build: str, rows: int, *, made_up: bool = False, **extra: str | None
) -> Snapshot:
    """Publish a set in which every table has `rows` rows; open tables get the extra columns."""
    place = snapshot(data)
    built = {}
    for table in TABLES:
        made = frame(table, rows, extra if table.is_open else {})
        for file, target in zip(
            place.staging_paths(table), place.published_paths(table), strict=True
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            made.write_csv(file) if file.suffix == ".csv" else made.write_parquet(file)
            built[file] = target
    for path, file in place.descriptors.items():
        files.write_json(file, {"name": path.parent.parent.name})
        built[file] = path
    metadata = {"year": "23-24", "as_of": "2024-06-30", "source": "a test", "is_made_up": made_up}
    publish(built, place.publication, build=build, run="run-1", metadata=metadata)
    return place


SETTINGS = {
    "LUIGI_CONFIG_PATH": str(Path(__file__).parents[1] / "luigi.cfg"),
    "ILLUMINATE_BASE_URL": "https://district.example/live",
}
"""Settings under which commands use the sets of `make` in the folder PIPELINE_DATA_DIR."""
