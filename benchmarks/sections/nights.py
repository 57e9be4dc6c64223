"""Nights: the next day of a year, with nothing new, with 1 % new rows, and thirty in a row."""

import datetime as dt
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.bench import THREADS, Bench, check_rows
from benchmarks.place import TODAY, Place
from benchmarks.report import Section, Table, Target, seconds, whole
from benchmarks.serving import serving
from benchmarks.sizes import MONTH, TINY, M
from benchmarks.trial import Cost
from benchmarks.work import Work

_NEW = 0.01
_NIGHTS = 30
_FIRST_OF_MONTH = "2024-04-01"  # the year runs on, so that each night has new rows
_SHOWN = (1, 2, 3, 4, 10, 20)
_BLOCK = 512  # the unit of `st_blocks`


@dataclass(frozen=True)
class Night:
    """One night, in two commands: what fetching and all the rest cost, and what is new on disk.

    The next one is served at the same port: another address would be another district.
    """

    port: int
    requests: int
    fetching: Cost
    tables: Cost
    new_bytes: int


def measure(bench: Bench) -> Section:
    """Run a first night, one with nothing new and one with some; then a month of little work."""
    work = bench.work(TINY if bench.short else M)
    until = work.day_before_the_last(_NEW)
    place = _empty_place(bench, work, "nights")
    found: dict[str, Night] = {}
    port = 0
    for number, (name, last_day) in enumerate(
        (("first", until), ("nothing new", until), (f"{_NEW:.0%} new rows", ""))
    ):
        night = _night(replace(place, today=_later(TODAY, number)), last_day, port)
        found[name], port = night, night.port
        bench.say(f"nights, {name}: {asdict(found[name])}")
    check_rows("pipeline", place.rows(), work.wanted)
    table = _table(work, found)
    table.show(bench.console)
    month, sizes = _month(bench)
    month.show(bench.console)
    first, same, more = found.values()
    targets = [
        Target("new on disk, a night of M with nothing new", 25, same.new_bytes / 1e6, "MB"),
        Target(
            f"processor time of tables, a night of M with {_NEW:.0%} new rows, relative to the "
            "first",
            0.7,
            more.tables.processor / first.tables.processor,
        ),
        Target(f"`work/` in {_NIGHTS} nights, relative to one", 4, max(sizes) / sizes[0]),
    ]
    trials = [
        *({"night": name, **asdict(night)} for name, night in found.items()),
        {"bytes of work/ after each night": sizes},
    ]
    return Section("nights", [table, month], trials, targets=targets)


def _night(place: Place, until: str, port: int) -> Night:
    before = _inodes(place.data)
    with serving(place.work, until=until, port=port) as server:
        fetched = place.run(server.base_url, THREADS, task="FetchAllScores").whole
        built = place.run(server.base_url, THREADS).whole
    new = [blocks for inode, blocks in _inodes(place.data).items() if inode not in before]
    return Night(server.port, server.report.requests, fetched, built, _BLOCK * sum(new))


def _table(work: Work, found: dict[str, Night]) -> Table:
    rows = [
        (
            name,
            whole(night.requests),
            *(seconds(night.fetching.wall), seconds(night.fetching.processor)),
            *(seconds(night.tables.wall), seconds(night.tables.processor)),
            f"{night.new_bytes / 1e6:,.1f}",
        )
        for name, night in found.items()
    ]
    columns = [
        *("", "requests", "fetching s", "fetching cpu s", "tables s", "tables cpu s"),
        "new MB on disk",
    ]
    notes = [
        "No latency, 16 threads; one trial each. Fetching and tables are two commands.",
        "New on disk: files of the data folder that were not there before; a link is not new.",
    ]
    return Table(f"Nights over {sum(work.rows.values()):,} rows", columns, rows, notes)


def _month(bench: Bench) -> tuple[Table, list[int]]:
    """Thirty nights of a running year with the default settings, and how large `work/` is then."""
    work = bench.work(TINY if bench.short else MONTH)
    place, sizes = _empty_place(bench, work, "month"), []
    with serving(work) as server:
        for number in range(2 if bench.short else _NIGHTS):
            replace(place, today=_later(_FIRST_OF_MONTH, number)).run(server.base_url, THREADS)
            sizes.append(_BLOCK * sum(_inodes(place.data / "work").values()))
    rows = [
        (f"night {number}", f"{size / 1e6:,.1f}", f"{size / sizes[0]:.2f}")
        for number, size in enumerate(sizes, 1)
        if number in {*_SHOWN, len(sizes), 1 + sizes.index(max(sizes))}
    ]
    title = f"The size of work/, {sum(work.rows.values()):,} rows in the year"
    return Table(title, ("", "MB", "x the first night"), rows), sizes


def _empty_place(bench: Bench, work: Work, name: str) -> Place:
    folder = bench.folder.absolute() / "places" / name
    shutil.rmtree(folder, ignore_errors=True)
    return Place(folder, work)


def _inodes(folder: Path) -> dict[tuple[int, int], int]:
    """The blocks of each file below a folder, by its number and the time of its last change."""
    found = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return {(stat.st_ino, stat.st_mtime_ns): stat.st_blocks for stat in found}


def _later(day: str, days: int) -> str:
    return (dt.date.fromisoformat(day) + dt.timedelta(days=days)).isoformat()
