"""Polars alone, given the finished tables: their Parquet files into CSV and Parquet, and hashed.

What the bytes of the tables cost whoever writes them with polars: with the pipeline's options, all
files at once.

    python -m benchmarks.peers.tables_rewrite JOB.json FOLDER
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from benchmarks.peers.tables_job import Job


def main() -> None:
    """Stream each published table into its two files, then take the digest of each."""
    job = Job.read()
    sinks, places = [], []
    for table, parquet in job.published.items():
        rows = pl.scan_parquet(parquet, glob=False)
        csv, again = job.place(table, "csv"), job.place(table, "parquet")
        sinks += [
            rows.sink_csv(csv, maintain_order=True, quote_style="necessary", lazy=True),
            rows.sink_parquet(again, maintain_order=True, lazy=True),
        ]
        places += [csv, again]
    pl.collect_all(sinks, engine="streaming")
    with ThreadPoolExecutor() as pool:
        list(pool.map(_digest, places))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
