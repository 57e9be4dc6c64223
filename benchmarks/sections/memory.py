"""Memory: more and more rows, fetched, then built into tables, each by a command of its own."""

from benchmarks.bench import Bench
from benchmarks.report import Section, Table, Target, seconds, whole
from benchmarks.sizes import MEMORY, TINY_GROWTH


def measure(bench: Bench) -> Section:
    """Run over each size once, without latency."""
    rows, trials, targets = [], [], []
    for size in TINY_GROWTH if bench.short else MEMORY:
        finished = bench.finished(size)
        fetched, built = finished.fetched.whole, finished.built.whole
        rows.append(
            (
                whole(sum(finished.place.work.rows.values())),
                whole(finished.server.report.requests),
                *(seconds(fetched.wall), seconds(fetched.processor), whole(fetched.peak)),
                *(seconds(built.wall), seconds(built.processor), whole(built.peak)),
            )
        )
        trials.append({"size": size.name, "fetching": fetched._asdict(), "tables": built._asdict()})
        targets = [Target(f"memory of {size.name}", 600, max(fetched.peak, built.peak), "MB")]
    columns = [
        *("rows", "requests", "fetching s", "fetching cpu s", "fetching MB"),
        *("tables s", "tables cpu s", "tables MB"),
    ]
    notes = ["One trial each; fetching and tables are two commands. 16 threads."]
    table = Table("Memory with the number of rows", columns, rows, notes)
    table.show(bench.console)
    return Section("memory", [table], trials, targets=targets)
