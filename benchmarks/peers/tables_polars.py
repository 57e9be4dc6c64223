"""Tables with polars alone: the rows of the shards streamed into the files, nothing derived.

What the files cost before anybody does anything to the rows: a column that the shards lack is
null. All files are collected at once, so that polars may share what it reads between them.

    python -m benchmarks.peers.tables_polars JOB.json FOLDER
"""

import polars as pl

from benchmarks.peers.tables_job import Job


def main() -> None:
    """Stream all tables into their files."""
    job = Job.read()
    scans = {
        endpoint: pl.scan_parquet(paths, glob=False)
        for endpoint, paths in job.shards.items()
        if paths
    }
    combined = pl.concat([scans["overall"], scans["standard"]], how="diagonal")
    sinks = []
    tables = {**dict.fromkeys(("combined", "view", "latest"), combined), "group": scans["group"]}
    for table, rows in tables.items():
        there = rows.collect_schema().names()
        frame = rows.select(
            pl.col(name) if name in there else pl.lit(None, pl.String).alias(name)
            for name in job.columns[table]
        )
        sinks += [
            frame.sink_csv(job.place(table, "csv"), maintain_order=True, lazy=True),
            frame.sink_parquet(job.place(table, "parquet"), maintain_order=True, lazy=True),
        ]
    pl.collect_all(sinks, engine="streaming")


if __name__ == "__main__":
    main()
