"""Tables: from shards to files, the pipeline against libraries that people would use."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, Finished, check_rows
from benchmarks.counting import count, names
from benchmarks.peers.tables_job import Job
from benchmarks.report import Section, Table, Target, middle, seconds, times, whole
from benchmarks.sizes import TINY, M
from benchmarks.trial import Cost, run


@dataclass(frozen=True)
class Builder:
    """Somebody who builds tables, and what it does not do; without a module: the pipeline."""

    name: str
    about: str
    module: str = ""
    needs: tuple[str, ...] = ()
    endings: tuple[str, ...] = ("csv", "parquet")

    @property
    def missing(self) -> str:
        """What has to be installed first; nothing if all is there."""
        return " and ".join(name for name in self.needs if not importlib.util.find_spec(name))


PIPELINE = Builder(
    "pipeline",
    "a whole run from Luigi's start to the published set, with the digest of each shard, "
    "unparseable values, labels, guards, checks, digests of files and flushes to the disk",
)
POLARS = Builder(
    "polars alone",
    "derives nothing: no labels, no grades, no typed columns; no checks, no digests, no flush",
    "tables_polars",
)
REWRITING = Builder(
    "polars, rewriting the finished tables",
    "reads the Parquet files that the pipeline published and writes the same tables, with digests; "
    "derives nothing, no checks, no flush",
    "tables_rewrite",
)
BUILDERS = (
    PIPELINE,
    REWRITING,
    POLARS,
    Builder(
        "DuckDB",
        "unparseable values stay, Parquet has no types; each file is rewritten; latest attempts in "
        "any order, by date only, rows without a student as one; no checks, no digests, no flush",
        "tables_duckdb",
        ("duckdb",),
    ),
    Builder(
        "pandas",
        "CSV only; unparseable numbers stop it; latest attempts by date only, rows without a "
        "student as one; no checks, no digests, no flush",
        "tables_pandas",
        ("pyarrow",),
        ("csv",),
    ),
)


def measure(bench: Bench) -> Section:
    """Build all tables of the same shards, everybody in turn, round after round."""
    finished = bench.finished(TINY if bench.short else M)
    job = _job(finished)
    path = finished.place.folder / "job.json"
    job.write(path)
    found: dict[Builder, list[Cost]] = {b: [] for b in BUILDERS if not b.missing}
    for builder in BUILDERS:
        if builder not in found:
            bench.say(f"SKIPPED {builder.name}: {builder.missing} is not installed")
    for number in range(bench.rounds):
        for builder, costs in found.items():
            if builder is PIPELINE:
                costs.append(_pipeline(finished))
            else:
                costs.append(_peer(bench, builder, path, finished))
            bench.say(f"tables, round {number + 1}, {builder.name}: {costs[-1].wall:.1f} s")
    table = _table(finished, found)
    table.show(bench.console)
    trials = [{"peer": b.name, **c._asdict()} for b, costs in found.items() for c in costs]
    about = {b.name: b.about for b in BUILDERS}
    return Section("tables", [table], trials, about, targets=_targets(found))


def _job(finished: Finished) -> Job:
    place = finished.place
    shards = {endpoint: list(map(str, paths)) for endpoint, paths in place.shards().items()}
    parquet = {table: path.with_suffix(".parquet") for table, path in place.published.items()}
    columns = {table: names(path) for table, path in parquet.items()}
    published = {table: str(path) for table, path in parquet.items()}
    return Job(shards, columns, published, place.work.roster.absolute(), place.labels, place.folder)


def _pipeline(finished: Finished) -> Cost:
    """A run in which only tables are missing; nobody answers, so nothing can be fetched."""
    finished.place.forget_tables()
    trial = finished.again()
    check_rows(PIPELINE.name, finished.place.rows(), _wanted(finished))
    return trial.whole


def _peer(bench: Bench, builder: Builder, job: Path, finished: Finished) -> Cost:
    with bench.room() as room:
        trial = run([sys.executable, "-m", f"benchmarks.peers.{builder.module}", job, room])
        for ending in builder.endings:
            brought = {table: count(room / f"{table}.{ending}") for table in _wanted(finished)}
            check_rows(builder.name, brought, _wanted(finished))
    return trial.whole


def _wanted(finished: Finished) -> Mapping[str, int]:
    wanted = finished.place.work.wanted
    # Nobody takes anything twice in a made-up district of the benchmark.
    return {**wanted, **dict.fromkeys(("view", "latest"), wanted["combined"])}


def _targets(found: Mapping[Builder, Sequence[Cost]]) -> list[Target]:
    ours, rewriting = _cost(found[PIPELINE]), _cost(found[REWRITING])
    what = "tables of M, {} relative to polars rewriting the finished tables"
    return [
        Target(what.format("processor time"), 1.1, ours.processor / rewriting.processor),
        Target(what.format("time"), 1.1, ours.wall / rewriting.wall),
    ]


def _table(finished: Finished, found: Mapping[Builder, Sequence[Cost]]) -> Table:
    rewriting = _cost(found[REWRITING])
    rows = []
    for builder, costs in found.items():
        cost = _cost(costs)
        rows.append(
            (
                builder.name,
                " and ".join(
                    ending.upper() if ending == "csv" else ending.capitalize()
                    for ending in builder.endings
                ),
                seconds(cost.wall),
                times(cost.wall, rewriting.wall),
                seconds(cost.processor),
                times(cost.processor, rewriting.processor),
                whole(cost.peak),
            )
        )
    work, shards = finished.place.work, sum(map(len, finished.place.shards().values()))
    return Table(
        f"Tables of {sum(work.rows.values()):,} rows from {shards:,} shards with rows",
        ("", "files", "wall s", "x rewriting", "cpu s", "x rewriting", "peak MB"),
        rows,
        [f"{b.name}: skipped, {b.missing} is not installed." for b in BUILDERS if b.missing],
    )


def _cost(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*map(middle, zip(*costs, strict=True)))
