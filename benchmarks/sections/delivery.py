"""What is done with the tables once they are published: loaded, copied and reported on."""

import os

from benchmarks.bench import Bench
from benchmarks.report import Section, Table, seconds, whole
from benchmarks.sizes import TINY, M

_DATABASE = "PIPELINE_DATABASE_URL"


def measure(bench: Bench) -> Section:
    """Deliver what one run published, each way once; into PostgreSQL where one is named."""
    size = TINY if bench.short else M
    finished = bench.finished(size)
    ways = {
        "load into DuckDB": ("load", {}),
        "copy to a folder": ("copy", {"PIPELINE_COPY_TO": "copies"}),
        "report": ("report", {}),
    }
    if url := os.environ.get(_DATABASE):
        ways["load into PostgreSQL"] = ("load", {_DATABASE: url})
    rows, trials = [], []
    for way, (command, variables) in ways.items():
        cost = finished.place.deliver(command, finished.server.base_url, variables).whole
        bench.say(f"{way}: {cost.wall:.1f} s")
        rows.append((way, seconds(cost.wall), seconds(cost.processor), whole(cost.peak)))
        trials.append({"way": way, **cost._asdict()})
    rows_of_work = sum(finished.place.work.rows.values())
    notes = [
        "Each way once, with the start of the program. All published tables are loaded and copied.",
        f"PostgreSQL is measured where {_DATABASE} names one; the server's own work is not.",
    ]
    title = f"What is done with the tables of {rows_of_work:,} results"
    table = Table(title, ("", "wall s", "cpu s", "peak MB"), rows, notes)
    table.show(bench.console)
    return Section("delivery", [table], trials)
