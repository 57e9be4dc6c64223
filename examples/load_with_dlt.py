"""Load the large tables of a school year into a warehouse that dlt knows and `make load` does not.

    pip install "dlt[parquet,snowflake]"        # in an environment of its own; secrets as dlt says
    python examples/load_with_dlt.py data/illuminate/23-24/published.json snowflake

What `make load` promises and this does not: one table is replaced after the other, so a reader may
see a new one beside an old one, also after a failure; rows are not counted; another district is not
refused; a year that has become empty keeps its old rows, and a second dataset
(`illuminate_staging`) a copy of the last ones; columns have no descriptions; the small tables,
which are CSV only, are left out; and dlt's errors may show a student's row in the log.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.parquet as pq


def read(file: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file, some at a time."""
    for batch in pq.ParquetFile(file).iter_batches():
        yield pa.Table.from_batches([batch])


def main(manifest: Path, destination: str) -> None:
    """Replace the rows of the year in each table of the manifest that has a Parquet file."""
    names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    for file in (manifest.parent / name for name in names if name.endswith(".parquet")):
        table = file.stem.removesuffix("_historical")
        replace = {"write_disposition": "merge", "merge_key": "year"}
        rows = dlt.resource(read(file), name=table, **replace)
        dlt.pipeline("tables", destination=destination, dataset_name="illuminate").run(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
