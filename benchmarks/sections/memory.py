"""Memory: tables of more and more rows, built of shards that are there."""

from benchmarks.bench import Bench
from benchmarks.report import Section, Table, seconds, whole
from benchmarks.sizes import MEMORY, TINY_GROWTH


def measure(bench: Bench) -> Section:
    """Fetch once, then build the tables again."""
    rows, trials = [], []
    for size in TINY_GROWTH if bench.short else MEMORY:
        finished = bench.finished(size)
        fetching = finished.trial.until(finished.server.report.last)
        finished.place.forget_tables()
        built = finished.again().whole
        rows.append(
            (
                whole(sum(finished.place.work.rows.values())),
                whole(fetching.peak),
                seconds(built.wall),
                seconds(built.processor),
                whole(built.peak),
            )
        )
        trials.append(
            {"size": size.name, "fetching": fetching._asdict(), "tables": built._asdict()}
        )
    columns = ("rows", "fetching MB", "tables s", "tables cpu s", "tables MB")
    notes = ["One trial each. Tables: a whole run in which only they are missing."]
    table = Table("Memory with the number of rows", columns, rows, notes)
    table.show(bench.console)
    return Section("memory", [table], trials)
