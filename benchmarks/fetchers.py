"""Who fetches: the pipeline and its peers, how each is run, and what each does not do."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.counting import count, count_all
from benchmarks.place import Place
from benchmarks.trial import REPOSITORY, Trial, run
from benchmarks.work import Work

Rows = Mapping[str, int]

_DLT = REPOSITORY / ".venv-dlt"


@dataclass(frozen=True)
class Job:
    """What is to be fetched: which work, from where, by how many threads, and to which folder.

    `targets` is where the requests of the pipeline are written down, for who repeats them.
    """

    work: Work
    base_url: str
    threads: int
    room: Path
    targets: Path

    def program(self, name: str, *options: str | Path, python: str | Path = "") -> Trial:
        """Run a program of `benchmarks.peers`."""
        command = [python or sys.executable, "-m", f"benchmarks.peers.{name}"]
        where = ["--base-url", self.base_url, "--threads", str(self.threads)]
        return run([*command, *where, *options])


@dataclass(frozen=True)
class Fetcher:
    """Somebody who fetches.

    Attributes:
        about: what it does not do.
        fetch: does it, and measures it.
        rows: how many rows it brought, by table; None if nobody can tell.
        knows_unlisted: it reads the results of assessments that the catalogue does not list, too.
        lacks: what has to be installed first; nothing if all is there.
    """

    name: str
    about: str
    fetch: Callable[[Job], Trial]
    rows: Callable[[Job, Trial], Rows] | None
    lacks: Callable[[], str] = str
    knows_unlisted: bool = False


def dlt_version() -> str:
    """The version of dlt in its environment; nothing where there is none."""
    places = [str(path) for path in _DLT.glob("lib/python*/site-packages")]
    return next((found.version for found in distributions(name="dlt", path=places)), "")


def _published(job: Job, _: Trial) -> Rows:
    return Place(job.room, job.work).rows()


def _promised(_: Job, trial: Trial) -> Rows:
    return _of_tables(json.loads(trial.said))


def _in_csv(job: Job, _: Trial) -> Rows:
    return {table: count(job.room / f"{table}.csv") for table in job.work.wanted}


def _in_files_of_dlt(job: Job, _: Trial) -> Rows:
    folders = {"overall": "overall", "standard": "standard", "group": "group_results"}
    files = job.room / "files" / "results"
    return _of_tables({kind: count_all(files / name) for kind, name in folders.items()})


def _of_tables(rows: Rows) -> Rows:
    return {"combined": rows["overall"] + rows["standard"], "group": rows["group"]}


def _lacks_aiohttp() -> str:
    return "" if importlib.util.find_spec("aiohttp") else "aiohttp"


def _lacks_dlt() -> str:
    return "" if dlt_version() else "dlt"


PIPELINE = Fetcher(
    "pipeline",
    "results of all assessments together, by ranges of dates; the whole adds tables, labels, view, "
    "checks and publication",
    lambda job: Place(job.room, job.work).run(job.base_url, job.threads),
    _published,
    knows_unlisted=True,
)
BY_ASSESSMENT = Fetcher(
    "pipeline, by assessment",
    "with [illuminate] strategy=by_assessment, as where a server cannot do the other; standard and "
    "group only where overall has results, and a sample",
    lambda job: Place(job.room, job.work).run(job.base_url, job.threads, "by_assessment"),
    _published,
)
DRAIN = Fetcher(
    "drain",
    "fetches everything by assessment and discards it; no parsing, no file, no check: what nobody "
    "who requests as much can beat",
    lambda job: job.program("drain"),
    _promised,
)
OWN_DRAIN = Fetcher(
    "drain, same requests",
    "discards the responses; gets the list of the pipeline's requests beforehand",
    lambda job: job.program("drain", "--targets", job.targets),
    None,
)
FETCHERS = (
    PIPELINE,
    BY_ASSESSMENT,
    DRAIN,
    OWN_DRAIN,
    Fetcher(
        "aiohttp, thrown away",
        "no parsing, no file, no check",
        lambda job: job.program("aiohttp_client"),
        _promised,
        _lacks_aiohttp,
    ),
    Fetcher(
        "dlt",
        "no resume within a load, no comparison with the number of rows promised, no combined "
        "table, no labels, no view; its memory is that of the largest of its processes",
        lambda job: job.program("dlt_way", "--out", job.room, python=_DLT / "bin" / "python"),
        _in_files_of_dlt,
        _lacks_dlt,
    ),
    Fetcher(
        "seed's way",
        "no connection kept, no retry, no check that all rows came, no resume, nothing on disk "
        "before the end; the whole adds CSV files, written in place",
        lambda job: job.program(
            "seeds_way", "--roster", job.work.roster.absolute(), "--out", job.room
        ),
        _in_csv,
    ),
)
"""Everybody, in the order of the tables; who repeats the pipeline's requests comes after it.

But for the pipeline, everybody requests each assessment that the catalogue lists, at each endpoint.
"""
