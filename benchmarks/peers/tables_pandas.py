"""Tables with pandas: read, concatenate, drop duplicates, merge, take the latest, write CSV.

python -m benchmarks.peers.tables_pandas JOB.json FOLDER
"""

import pandas as pd

from benchmarks.peers import frames
from benchmarks.peers.tables_job import YEAR, Job


def main() -> None:
    """Read everything, then write everything."""
    job = Job.read()
    overall, standard, group = (
        pd.concat([pd.read_parquet(path) for path in job.shards[endpoint]])
        for endpoint in ("overall", "standard", "group")
    )
    combined = frames.combine(overall, standard, YEAR)
    labels = pd.read_csv(job.labels, dtype=str)[frames.LABELS]
    view = frames.view(combined, labels, frames.read_roster(job.roster))
    group = frames.group(group, YEAR)
    frames.write(job.out, combined=combined, group=group, view=view, latest=frames.latest(view))


if __name__ == "__main__":
    main()
