"""One large district in a state run: what publishing and rebuilding it take, and room on disk."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import trial
from benchmarks.bench import Bench, check_rows
from benchmarks.report import Table, seconds, whole
from benchmarks.serving import serving
from benchmarks.sizes import TINY, M
from benchmarks.state.place import Listed, StatePlace
from benchmarks.state.sizing import Figures, Night
from benchmarks.state.workers import Dask, Processes, forget_peak, memory
from benchmarks.trial import Cost, Trial

_WORKERS = 2
_ITEMS, _SHORT_ITEMS, _ITEM_SECONDS = 300, 20, 0.05
_VIEW = "illuminate_assessment_results"
_HOSTS = 10
_NIGHTS = (
    Night(300, 10_000, 300_000, _WORKERS * _HOSTS),
    Night(300, 10_000, 10_000_000, _WORKERS * _HOSTS),
    Night(300, 10_000, 300_000, _WORKERS * _HOSTS, rate=5),
    Night(300, 10_000, 10_000_000, _WORKERS * _HOSTS, rate=5),
)


@dataclass(frozen=True)
class Large:
    """What was measured of a district, and of a cluster.

    Attributes:
        size: the name of its size.
        fetched: rows that were fetched of it.
        rows: rows of the tables of all districts.
        run: a whole state run; the memory is that of the largest of its processes.
        publishing: a state run that only publishes, on a worker; the memory is the worker's.
        rebuilding: a rebuild; the memory is that of the largest worker.
        folder: bytes of the district's folder.
        delta: bytes of the tables of all districts.
        scheduler: MB of an idle scheduler.
        worker: MB of an idle worker.
        items: how many items were given to the cluster.
        items_seconds: what they took.
    """

    size: str
    fetched: int
    rows: int
    run: Cost
    publishing: Cost
    rebuilding: Cost
    folder: int
    delta: int
    scheduler: float
    worker: float
    items: int
    items_seconds: float

    @property
    def figures(self) -> Figures:
        """What the arithmetic needs."""
        return Figures(
            staging=self.publishing.wall / self.fetched,
            folder=self.folder / self.fetched,
            delta=self.delta / self.fetched,
            rows=self.rows / self.fetched,
            overhead=max(0.0, self.items_seconds / self.items - _ITEM_SECONDS / _WORKERS),
        )

    def trial(self) -> Mapping[str, Any]:
        """All figures."""
        costs = ("run", "publishing", "rebuilding")
        return {**asdict(self), **{name: getattr(self, name)._asdict() for name in costs}}

    def table(self) -> Table:
        """What is done with the large district."""
        ways = {
            "state run, nothing fetched yet": self.run,
            "publishing alone, 1 worker": self.publishing,
            f"rebuild, {_WORKERS} workers": self.rebuilding,
        }
        lines = [
            (way, seconds(cost.wall), whole(self.rows / cost.wall), whole(cost.peak))
            for way, cost in ways.items()
        ]
        notes = [
            "Without latency. Rows: of the tables of all districts, which have no names.",
            "MB: of the district's own process in the first line, then of the largest worker.",
        ]
        title = f"A district of {whole(self.fetched)} results in a state run"
        return Table(title, ("", "wall s", "rows/s", "peak MB"), lines, notes)

    def small_table(self) -> Table:
        """Memory of what is idle, room on disk, and what many small items cost."""
        figures = self.figures
        lines = [
            ("idle scheduler, MB", whole(self.scheduler)),
            ("idle worker, MB", whole(self.worker)),
            (
                f"{self.items} items of {_ITEM_SECONDS} s on {_WORKERS} workers, s",
                seconds(self.items_seconds),
            ),
            (
                "of that more than the items themselves, ms an item",
                f"{1000 * figures.overhead:.1f}",
            ),
            ("folder of the district, bytes a result", whole(figures.folder)),
            ("tables of all districts, bytes a result", whole(figures.delta)),
            ("tables of all districts, rows a result", f"{figures.rows:.2f}"),
        ]
        return Table("A cluster, and room on disk", ("", "measured"), lines)

    def nights(self) -> Table:
        """Arithmetic for many districts, from these figures."""
        lines = [self._night(night) for night in _NIGHTS]
        columns = (
            *("results of each district", "requests/s allowed each", "requests each"),
            *("requests of all", "hours", "limited by", "rows of all, million"),
            *("districts' folders, GB", "tables of all, GB"),
        )
        first = _NIGHTS[0]
        notes = [
            f"Computed, not measured: {first.workers} workers, with two cores like these each.",
            f"{1000 * first.latency:.0f} ms a request, {first.threads} at once of a district.",
            "Every district has new rows, and all of its year is read.",
            "Each district's seconds are added up: waiting, computing, publishing.",
        ]
        title = (
            f"{first.districts} districts of {whole(first.assessments)} assessments on {_HOSTS} "
            "hosts"
        )
        return Table(title, columns, lines, notes)

    def _night(self, night: Night) -> Sequence[str]:
        figures, results = self.figures, night.districts * night.rows
        return (
            whole(night.rows),
            whole(night.rate) if night.rate else "any",
            whole(night.requests),
            whole(night.districts * night.requests),
            f"{night.hours(figures):.1f}",
            night.limit(figures),
            whole(figures.rows * results / 1e6),
            whole(figures.folder * results / 1e9),
            whole(figures.delta * results / 1e9),
        )


def measure(bench: Bench) -> Large:
    """Run a large district, publish it again, and rebuild it; look at the cluster meanwhile."""
    work = bench.work(TINY if bench.short else M)
    with bench.room() as room:
        with serving(work) as server:
            place = StatePlace.make(room, [Listed("large", server.base_url, work.roster)])
            run = place.run()
        bench.say(f"state, {work.folder.name}: {run.whole.wall:.1f} s")
        rows = place.marker["rows"]
        wanted = {_VIEW: work.wanted["combined"]}
        check_rows("The state run", rows, wanted)
        folder, delta = _bytes(place.state / "districts"), _bytes(place.state / "tables")
        with Processes(place) as processes:
            dask = Dask(processes, _WORKERS)
            idle = memory(dask.scheduler), max(map(memory, dask.workers))
            number = _SHORT_ITEMS if bench.short else _ITEMS
            items = _time_items(place, dask.address, number)
            place.forget_tables_of_all()
            with_dask = ("--state-scheduler", dask.address)
            publishing = _on_workers(dask, lambda: place.run(*with_dask))
            rebuilding = _on_workers(dask, lambda: place.rebuild("--scheduler", dask.address))
        check_rows("The rebuild", place.marker["rows"], wanted)
    fetched, total = sum(work.rows.values()), sum(rows.values())
    costs = (run.whole, publishing, rebuilding)
    return Large(work.folder.name, fetched, total, *costs, folder, delta, *idle, number, items)


def _on_workers(dask: Dask, run: Callable[[], Trial]) -> Cost:
    """What a command cost; the memory is the highest of a worker."""
    for worker in dask.workers:
        forget_peak(worker)
    cost = run().whole
    return cost._replace(peak=max(memory(worker, "VmHWM") for worker in dask.workers))


def _time_items(place: StatePlace, address: str, number: int) -> float:
    """Seconds of many items that only sleep, from the first that is sent to the last result."""
    shared = place.folder / "districts.csv"
    command = (sys.executable, "-m", "benchmarks.state.items", address, shared)
    said = trial.run(
        [*command, str(number), str(_ITEM_SECONDS)], place.variables, place.folder
    ).said
    return float(said)


def _bytes(folder: Path) -> int:
    """The bytes of all files below a folder, linked ones once."""
    files = {
        (stat.st_dev, stat.st_ino): stat.st_size
        for path in folder.rglob("*")
        if path.is_file() and (stat := path.lstat())
    }
    return sum(files.values())
