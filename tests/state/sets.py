"""Published sets of invented districts, and what a reader finds who follows the state marker."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.publish.commit import publish
from pipeline.publish.guards import RowCounts
from pipeline.schema import COMBINED, LABELS, TABLES, VIEW, Table
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.parts import Partition
from pipeline.state.publish import StateResult, publish_state
from pipeline.state.published import DistrictYear, published_tables
from pipeline.storage import formulas
from pipeline.transform.output import write_files

YEAR = "23-24"
FEW = (COMBINED, VIEW, LABELS)
"""A table with names, one without, and a small one: enough where every table fares the same."""
TYPES = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
ODD: dict[str, list[Any]] = {
    "text": ["1e400", " 5", "5d", "1_000", "2024-03-01\n", "", None, "=1+1", "'=x", "Zoë 🙂", "0"],
    "integer": [7, None, -(2**63), 2**63 - 1],
    "number": [0.1, None, 1e-7, 1e300, -0.0, 5e-324, 12345678.25],
    "date": [dt.date(2024, 2, 29), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)],
}
"""Values that are easily lost or changed on the way, null beside empty among them."""


def frame(table: Table, rows: int, year: str = YEAR) -> pl.DataFrame:
    """Return invented rows of a table."""
    columns = []
    for number, column in enumerate(table.columns):
        values = [year] if column.name == "year" else ODD[column.kind]
        # An empty text is null in the files of small tables, which are CSV only.
        if not table.is_large:
            values = [value for value in values if value != ""]
        filled = [values[(row + number) % len(values)] for row in range(rows)]
        columns.append(pl.Series(column.name, filled, TYPES[column.kind]))
    return pl.DataFrame(columns)


def frames(rows: int, year: str = YEAR, tables: Sequence[Table] = FEW) -> dict[str, pl.DataFrame]:
    """Return invented rows of tables; their numbers differ."""
    return {table.stem: frame(table, rows + n, year) for n, table in enumerate(tables)}


def publish_district(
    data: Path,
    tables: Mapping[str, pl.DataFrame],
    build: str = "build-1",
    year: str = YEAR,
    counts: RowCounts | None = None,
    **about: str,
) -> DistrictYear:
    """Publish tables as a district's own run does; the folder's name is the district's."""
    known = {table.stem: table for table in TABLES}
    built = {}
    for stem, content in tables.items():
        table = known[stem]
        for kind in ("csv", "parquet") if table.is_large else ("csv",):
            file = data / "work" / build / year / f"{stem}.{kind}"
            text = formulas.escape(pl.col(table.foreign_text)) if table.is_escaped else ()
            rows = content.lazy().with_columns(text) if kind == "csv" else content.lazy()
            write_files({file: rows})
            suffix = "_historical" if table.is_large else ""
            built[file] = data / table.folder / year / f"{stem}{suffix}.{kind}"
    manifest = data / "illuminate" / year / "published.json"
    metadata = {"year": year, "source": f"https://{data.name}.example.org/live"} | about
    publish(built, manifest, build=build, run=build, metadata=metadata, row_counts=counts)
    return DistrictYear(Partition(data.name, year), manifest)


def publish_all(
    root: Path | str,
    *districts: DistrictYear,
    run: str = "run-1",
    keep_versions: int = 2,
    with_names: bool = True,
    replace_source: str = "",
) -> StateResult:
    """Publish districts together."""
    return publish_state(
        Lakehouse(str(root)),
        districts,
        published_tables(with_names=with_names),
        run=run,
        keep_versions=keep_versions,
        replace_source=replace_source,
    )


def marker(root: Path) -> dict[str, Any]:
    """Return the marker as a reader decodes it."""
    found: dict[str, Any] = json.loads((root / "published.json").read_text("utf-8"))
    return found


def read(root: Path, table: str) -> pl.DataFrame:
    """Return a table as a reader sees it who follows the marker."""
    version = marker(root)["versions"][table]
    return pl.scan_delta(str(root / "tables" / table), version=version).collect()


def of_district(rows: pl.DataFrame, district: str) -> pl.DataFrame:
    return rows.filter(pl.col("district") == district)


def with_key(rows: pl.DataFrame, district: str, year: str = YEAR) -> pl.DataFrame:
    """Return a district's rows as the Delta table has them."""
    rest = pl.exclude("district", "year")
    return rows.select(pl.lit(district).alias("district"), pl.lit(year).alias("year"), rest)
