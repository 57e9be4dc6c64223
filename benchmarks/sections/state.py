"""Many districts: run in three ways, what a killed worker costs, and how large it all may be."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.bench import Bench
from benchmarks.report import Section, Table, middle, seconds, times, whole
from benchmarks.state import large
from benchmarks.state.place import StatePlace, check_equal, serving_districts
from benchmarks.state.workers import Dask, Luigid, Processes, Takeover, take_over
from pipeline.simulator import Server

_DISTRICTS, _LATENCY = 12, 0.1
_SHORT_DISTRICTS = 2
_SLOW = 0.3  # of a district that a killed worker leaves half fetched
_HALF = 20

_ALONE, _DASK, _LUIGID = "one after the other", "Dask, 2 workers", "luigid, 2 workers"


def measure(bench: Bench) -> Section:
    """Run the same districts in three ways, kill workers, and see what a large district takes."""
    walls, requests, rows = _walls(bench)
    takeovers = _takeovers(bench)
    found = large.measure(bench)
    tables = [_table_of_walls(bench, walls, requests, rows), _table_of_takeovers(takeovers)]
    tables += [found.table(), found.small_table(), found.nights()]
    for table in tables:
        table.show(bench.console)
    trials: list[Mapping[str, Any]] = [
        *({"way": way, "wall": wall} for way, of in walls.items() for wall in of),
        *({"killed": way, **takeover._asdict()} for way, takeover in takeovers.items()),
        found.trial(),
    ]
    return Section("state", tables, trials)


def _walls(bench: Bench) -> tuple[dict[str, list[float]], int, int]:
    """The seconds of each way, the requests of one state run, and the rows that it publishes."""
    number, latency = (_SHORT_DISTRICTS, 0.0) if bench.short else (_DISTRICTS, _LATENCY)
    ways = {_ALONE: _run_alone, _DASK: _run_by_dask, _LUIGID: _run_by_luigid}
    walls: dict[str, list[float]] = {way: [] for way in ways}
    wanted: dict[str, str] = {}
    requests = rows = 0
    with bench.room() as inputs, serving_districts(inputs, number, latency) as (listed, servers):
        for round_number in range(1, bench.rounds + 1):
            for way, run in ways.items():
                for server in servers:
                    server.clear_log()
                with bench.room() as room:
                    place = StatePlace.make(room, listed)
                    walls[way].append(run(place))
                    published = place.published()
                    wanted = wanted or published
                    check_equal(way, published, wanted)
                    rows = sum(place.marker["rows"].values())
                requests = sum(len(server.log) for server in servers)
                bench.say(f"state, round {round_number}, {way}: {walls[way][-1]:.1f} s")
    return walls, requests, rows


def _run_alone(place: StatePlace) -> float:
    return place.run().whole.wall


def _run_by_dask(place: StatePlace) -> float:
    with Processes(place) as processes:
        return place.run("--state-scheduler", Dask(processes).address).whole.wall


def _run_by_luigid(place: StatePlace) -> float:
    """Have two workers run the districts, and then publish what they did."""
    with Processes(place) as processes:
        luigid, began = Luigid(processes), time.monotonic()
        processes.finish(*(luigid.worker(processes) for _ in range(2)))
        place.run()
        return time.monotonic() - began


def _takeovers(bench: Bench) -> dict[str, Takeover]:
    """What a killed worker cost; luigid is left out of the short mode, as it takes its time."""
    ways: dict[str, Callable[[Processes, Server], Takeover]] = {
        _DASK: _kill_of_dask,
        _LUIGID: _kill_of_luigid,
    }
    found: dict[str, Takeover] = {}
    wanted: dict[str, str] = {}
    for way in [_DASK] if bench.short else ways:
        with (
            bench.room() as room,
            serving_districts(room / "inputs", 1, _SLOW) as (listed, (server,)),
        ):
            place = StatePlace.make(room / "place", listed, "by_assessment")
            with Processes(place) as processes:
                found[way] = ways[way](processes, server)
            published = place.published()
            wanted = wanted or published
            check_equal(f"{way}, one killed,", published, wanted)
        bench.say(f"state, {way}, one killed: {found[way]}")
    return found


def _kill_of_dask(processes: Processes, server: Server) -> Takeover:
    dask = Dask(processes)
    run = processes.start(*processes.place.state_run("--state-scheduler", dask.address))
    return take_over(processes, server, dask.workers, [run], _HALF)


def _kill_of_luigid(processes: Processes, server: Server) -> Takeover:
    luigid = Luigid(processes)
    workers = [luigid.worker(processes) for _ in range(2)]
    takeover = take_over(processes, server, workers, workers, _HALF)
    processes.place.run()  # publishes what they did
    return takeover


def _table_of_walls(
    bench: Bench, walls: Mapping[str, Sequence[float]], requests: int, rows: int
) -> Table:
    alone = middle(walls[_ALONE])
    lines = [(way, seconds(middle(of)), times(middle(of), alone)) for way, of in walls.items()]
    number, latency = (_SHORT_DISTRICTS, 0.0) if bench.short else (_DISTRICTS, _LATENCY)
    title = f"{number} districts, {1000 * latency:.0f} ms, {whole(requests)} requests"
    notes = [
        "Each from an empty state folder, on this machine.",
        f"Districts' files, and the {whole(rows)} rows of all, were compared: they are the same.",
        "Schedulers and Dask's workers are up before; Luigi's workers are started for the run.",
        "After luigid's workers, a state run publishes what they did.",
    ]
    return Table(title, ("", "wall s", f"x {_ALONE}"), lines, notes)


def _table_of_takeovers(takeovers: Mapping[str, Takeover]) -> Table:
    lines = [
        (way, f"{of.seconds:.1f}", whole(of.finished), whole(of.again), whole(of.under_way))
        for way, of in takeovers.items()
    ]
    columns = ("", "s until taken over", "finished before", "of these again", "others again")
    notes = [
        "The worker that runs a half-fetched district is killed with -9; the other is idle.",
        "Finished: results of an assessment from one endpoint. Others: requests under way.",
        "luigid has the settings of docker/scheduler.cfg; its own defaults take many minutes.",
    ]
    return Table("A killed worker", columns, lines, notes)
