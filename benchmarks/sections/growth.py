"""Growth: the same district with more and more assessments, from nothing and again."""

from benchmarks.bench import Bench
from benchmarks.report import Section, Table, seconds, whole
from benchmarks.sizes import GROWTH, TINY_GROWTH


def measure(bench: Bench) -> Section:
    """Run from nothing, without latency, then again with nothing to do."""
    rows, trials = [], []
    for size in TINY_GROWTH if bench.short else GROWTH:
        finished = bench.finished(size)
        report, again = finished.server.report, finished.again().whole
        fetched, built = finished.fetched.whole, finished.built.whole
        wall = fetched.wall + built.wall
        rows.append(
            (
                whole(size.assessments),
                whole(sum(finished.place.work.rows.values())),
                whole(report.requests),
                seconds(wall),
                seconds(1000 * wall / size.assessments),
                seconds(fetched.processor + built.processor),
                whole(fetched.peak),
                whole(built.peak),
                seconds(again.wall),
                seconds(again.processor),
                whole(again.peak),
            )
        )
        trials.append(
            {
                "size": size.name,
                "fetching": fetched._asdict(),
                "tables": built._asdict(),
                "again": again._asdict(),
            }
        )
    columns = [
        *("assessments", "rows", "requests", "whole s", "s per 1,000", "cpu s", "fetching MB"),
        *("tables MB", "again s", "again cpu s", "again MB"),
    ]
    notes = [
        "No latency, 16 threads; one trial each. Again: a rerun with nothing to do.",
        "The whole is two commands: one fetches, one builds tables.",
    ]
    table = Table("Growth with the number of assessments", columns, rows, notes)
    table.show(bench.console)
    return Section("growth", [table], trials)
