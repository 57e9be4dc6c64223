"""Fetching: the pipeline against its peers, on the same server, and proof that it is no limit."""

import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench import Bench, check_rows
from benchmarks.fetchers import BY_ASSESSMENT, DRAIN, FETCHERS, OWN_DRAIN, PIPELINE, Fetcher, Job
from benchmarks.place import Place, run_demo
from benchmarks.report import Section, Table, Target, middle, seconds, times, whole
from benchmarks.server import Report
from benchmarks.serving import serving
from benchmarks.sizes import FEW, TINY, M, S, Size
from benchmarks.trial import REPOSITORY, Cost
from benchmarks.work import Work

_ENOUGH = 3
"""The server must serve so many times what the fastest client takes."""

_DRAINS, _CONNECTIONS = 2, 8
"""How many drains load the server with as much as it can give, and the connections of each."""


_STRATEGIES = ("auto", "by_assessment")


class Setting(NamedTuple):
    """A size, seconds of latency, and requests at the same time."""

    size: Size
    latency: float
    threads: int

    def __str__(self) -> str:
        return f"{self.size.name}, {1000 * self.latency:.0f} ms, {self.threads} at once"


FAR = Setting(S, 0.3, 10)
"""The latency of a real district, and the threads that a run has by default."""
FULL = Setting(M, 0.02, 16)
"""Full pages and little latency: processors decide."""
SETTINGS = (FAR, FULL)
SHORT = (Setting(TINY, 0.005, 4),)


@dataclass(frozen=True)
class Fetched:
    """One trial: seconds from the first request to the last byte, and what it cost.

    `meanwhile` is the cost until the last byte had come, `whole` until the end; `bound` is how
    long its requests take at least; `rows` are those that it brought, if that can be told.
    """

    fetching: float
    bound: float
    meanwhile: Cost
    whole: Cost
    server: Report
    rows: int | None


Found = Mapping[Fetcher, Sequence[Fetched]]


def measure(bench: Bench) -> Section:
    """Fetch in every setting, everybody in turn, round after round."""
    tables, trials, headroom, targets = [], [], [], []
    for setting in SHORT if bench.short else SETTINGS:
        work = bench.work(setting.size)
        found = _rounds(bench, setting, work)
        tables.append(_table(setting, work, found))
        tables[-1].show(bench.console)
        trials += [
            {"setting": str(setting), "peer": peer.name, **asdict(fetched)}
            for peer, trials_of_peer in found.items()
            for fetched in trials_of_peer
        ]
        headroom.append(_headroom(setting, work, found))
        targets += _targets(setting, work, found)
    requested, few = _requested(bench)
    tables.append(_headrooms(headroom))
    tables[-1].show(bench.console)
    tables.append(requested)
    tables[-1].show(bench.console)
    about = {peer.name: peer.about for peer in FETCHERS}
    return Section("fetch", tables, trials, about, targets=[*few, *targets])


def _rounds(bench: Bench, setting: Setting, work: Work) -> Found:
    found: dict[Fetcher, list[Fetched]] = {}
    for peer in FETCHERS:
        if lacks := bench.leaves_out(peer.name) or peer.lacks():
            bench.say(f"SKIPPED {peer.name}: {lacks}")
        else:
            found[peer] = []
    targets = (bench.folder / "targets.txt").absolute()
    for number in range(bench.rounds):
        for peer, trials in found.items():
            trials.append(_fetch(bench, setting, work, peer, targets))
            bench.say(
                f"fetch {setting}, round {number + 1}, {peer.name}: fetching "
                f"{trials[-1].fetching:.1f} s, whole {trials[-1].whole.wall:.1f} s"
            )
    return found


def _fetch(bench: Bench, setting: Setting, work: Work, peer: Fetcher, targets: Path) -> Fetched:
    log = targets if peer is PIPELINE else None
    with bench.room() as room:
        with serving(work, setting.latency, log) as server:
            job = Job(work, server.base_url, setting.threads, room, targets)
            trial = peer.fetch(job)
        brought = None
        if peer.rows:
            found = peer.rows(job, trial)
            wanted = work.wanted if peer.knows_unlisted else work.wanted_of_listed
            check_rows(peer.name, found, wanted)
            brought = sum(found[table] for table in wanted)
    bound = math.ceil(server.report.requests / setting.threads) * setting.latency
    meanwhile = trial.until(server.report.last)
    return Fetched(server.fetching, bound, meanwhile, trial.whole, server.report, brought)


def _table(setting: Setting, work: Work, found: Found) -> Table:
    columns = [
        *("", "rows", "requests", "connections", "fetching s", "x bound", "x drain"),
        "fetching cpu s",
        *("fetching MB", "whole s", "whole cpu s", "whole MB"),
    ]
    title = f"Fetching {setting} ({sum(work.rows.values()):,} rows, {work.bytes / 1e6:,.0f} MB)"
    drained = _middle(found[DRAIN], lambda trial: trial.fetching)
    rows = [(peer.name, *_figures(trials, drained)) for peer, trials in found.items()]
    fetching, same = (_middle(found[peer], lambda t: t.fetching) for peer in (PIPELINE, OWN_DRAIN))
    notes = [
        f"The pipeline took {times(fetching, same)} times the drain of its own requests.",
        "Who has fewer rows lacks those of assessments that the catalogue does not list.",
        *(f"{peer.name}: skipped." for peer in FETCHERS if peer not in found),
    ]
    return Table(title, columns, rows, notes)


def _figures(trials: Sequence[Fetched], drained: float) -> list[str]:
    fetching = _middle(trials, lambda trial: trial.fetching)
    return [
        whole(trials[0].rows) if trials[0].rows is not None else "",
        whole(_middle(trials, lambda trial: trial.server.requests)),
        whole(_middle(trials, lambda trial: trial.server.connections)),
        seconds(fetching),
        times(fetching, _middle(trials, lambda trial: trial.bound)),
        times(fetching, drained),
        seconds(_middle(trials, lambda trial: trial.meanwhile.processor)),
        whole(_middle(trials, lambda trial: trial.meanwhile.peak)),
        seconds(_middle(trials, lambda trial: trial.whole.wall)),
        seconds(_middle(trials, lambda trial: trial.whole.processor)),
        whole(_middle(trials, lambda trial: trial.whole.peak)),
    ]


def _middle(trials: Sequence[Fetched], figure: Callable[[Fetched], float]) -> float:
    return middle([figure(trial) for trial in trials])


def _targets(setting: Setting, work: Work, found: Found) -> list[Target]:
    """What is to be reached in a setting."""
    requests = _middle(found[PIPELINE], lambda trial: trial.server.requests)
    every, listed = (sum(wanted.values()) for wanted in (work.wanted, work.wanted_of_listed))
    if setting.size is M:
        return [Target("requests of a first run of M", 3300, requests)]
    fetching, by_assessment = (
        _middle(found[peer], lambda trial: trial.fetching) for peer in (PIPELINE, BY_ASSESSMENT)
    )
    brought = 100 * (_middle(found[PIPELINE], lambda t: t.rows or 0) - listed) / (every - listed)
    return [
        Target(f"fetching {setting}, relative to by assessment", 0.2, fetching / by_assessment),
        Target("rows of unlisted assessments published", 100, brought, "%", least=True),
    ]


def _requested(bench: Bench) -> tuple[Table, list[Target]]:
    """Requests of a first run relative to three per assessment: the demo, and little work."""
    size = TINY if bench.short else FEW
    work, found = bench.work(size), {}
    if not bench.short:
        with bench.room() as room:
            demo = {way: run_demo(room / way, way) for way in _STRATEGIES}
        found["the demo"] = demo["auto"][0], [demo[way][1] for way in _STRATEGIES]
    requests = []
    for way in _STRATEGIES:
        with bench.room() as room, serving(work) as server:
            Place(room, work).run(server.base_url, FAR.threads, way)
        requests.append(server.report.requests)
    name = f"{size.assessments:,} assessments, {size.with_results:,} with results"
    found[name] = size.assessments, requests
    shares = {each: [100 * r / (3 * count) for r in some] for each, (count, some) in found.items()}
    rows = [
        (each, whole(3 * count), *(f"{whole(r)} ({r / count / 3:.1%})" for r in some))
        for each, (count, some) in found.items()
    ]
    columns = ("", "three per assessment", "pipeline", "pipeline, by assessment")
    targets = [
        Target(
            f"requests of a first run, {each}, relative to three per assessment", 8, by_page, "%"
        )
        for each, (by_page, _) in shares.items()
    ]
    return Table("Requests of a first run", columns, rows), targets


def _headroom(setting: Setting, work: Work, found: Found) -> list[str]:
    """What the server can give at most, against what clients took."""
    trials = [(trial, peer) for peer, trials in found.items() for trial in trials]
    fastest, peer = max(trials, key=lambda each: each[0].server.bytes / each[0].fetching)
    rate = max(trial.server.requests / trial.fetching for trial, _ in trials)
    taken = fastest.server.bytes / fastest.fetching
    alone = _alone(work)
    busy = alone.last - alone.first
    least = min(alone.requests / busy / rate, alone.bytes / busy / taken)
    return [
        str(setting),
        peer.name,
        whole(rate),
        whole(taken / 1e6),
        f"{fastest.server.processor / fastest.fetching:.0%}",
        whole(alone.requests / busy),
        whole(alone.bytes / busy / 1e6),
        f"{least:.1f} {'' if least >= _ENOUGH else '(TOO LITTLE)'}".strip(),
    ]


def _headrooms(rows: Sequence[Sequence[str]]) -> Table:
    columns = [
        *("setting", "fastest client", "requests/s", "MB/s", "server busy"),
        *("server alone: requests/s", "MB/s", f"times (at least {_ENOUGH})"),
    ]
    note = (
        f"Alone: no latency, loaded by {_DRAINS} drains with {_CONNECTIONS} connections each, on "
        "the same cores. Busy: processor time of the server during the fastest client's requests."
    )
    return Table("The server is not what is measured", columns, rows, [note])


def _alone(work: Work) -> Report:
    command = [sys.executable, "-m", "benchmarks.peers.drain", "--threads", str(_CONNECTIONS)]
    with serving(work) as server:
        command += ["--base-url", server.base_url]
        drains = [
            subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)  # noqa: S603
            for _ in range(_DRAINS)
        ]
        for drain in drains:
            drain.wait()
    return server.report
