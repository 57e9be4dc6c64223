"""Schedulers and workers, as people start them, and what happens when a worker is killed."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from benchmarks.place import LUIGI
from benchmarks.state.place import RUN_ID, StatePlace
from benchmarks.trial import KEPT, REPOSITORY, TrialError
from benchmarks.work import ENDPOINTS, YEAR
from pipeline.simulator import Server
from pipeline.simulator.log import LoggedRequest

_BIN = Path(sys.executable).parent
_LOOPBACK = "127.0.0.1"
_LONGEST = 300.0
_POLL = 0.01
_WORDS = 2000
_BY_OTHERS = (10, 25)


class Processes:
    """Commands that run beside each other in a place, and that are killed when the block ends."""

    def __init__(self, place: StatePlace) -> None:
        self.place = place
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait()

    def start(
        self, *command: str | Path, variables: dict[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a command; what it prints goes to a file of the place."""
        output = self.place.folder / f"output-{len([*self.place.folder.glob('output-*')])}.log"
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        with output.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603  the commands of our own list
                command,
                cwd=self.place.folder,
                env=environment | self.place.variables | (variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def finish(self, *processes: "subprocess.Popen[bytes]") -> None:
        """Wait for processes; a Luigi worker may say that another one has done the rest.

        Raises:
            TrialError: one failed, or takes too long.
        """
        for process in processes:
            try:
                code = process.wait(_LONGEST)
            except subprocess.TimeoutExpired:
                code = -1
            if code not in {0, *_BY_OTHERS}:
                logs = sorted(self.place.folder.glob("output-*.log"))
                said = "".join(path.read_text(encoding="utf-8") for path in logs)
                raise TrialError(f"{process.args!r} ended with {code}:\n{said[-_WORDS:]}")


class Dask:
    """A Dask scheduler and its workers on loopback, for one thing at a time each."""

    def __init__(self, processes: Processes, workers: int = 2) -> None:
        folder = processes.place.folder
        found, here = folder / "scheduler.json", ("--host", _LOOPBACK)
        ports = ("--port", "0", "--dashboard-address", f"{_LOOPBACK}:0")
        self.scheduler = processes.start(
            _BIN / "dask", "scheduler", *here, *ports, "--scheduler-file", found
        )
        wait_until(lambda: found.exists() and found.read_text(encoding="utf-8").endswith("}"))
        self.address: str = json.loads(found.read_text(encoding="utf-8"))["address"]
        options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", *here)
        local = ("--local-directory", folder / "dask")
        self.workers = [
            processes.start(_BIN / "dask", "worker", self.address, *options, *local)
            for _ in range(workers)
        ]
        self._wait_for_workers()

    def _wait_for_workers(self) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)


class Luigid:
    """A luigid on loopback with the settings of docker/scheduler.cfg, and its workers."""

    def __init__(self, processes: Processes) -> None:
        folder = processes.place.folder
        with socket.socket() as free:
            free.bind((_LOOPBACK, 0))
            port = free.getsockname()[1]
        self.url = f"http://{_LOOPBACK}:{port}"
        options = ("--address", _LOOPBACK, "--port", str(port), "--state-path", folder / "luigid")
        variables = {"LUIGI_CONFIG_PATH": str(REPOSITORY / "docker" / "scheduler.cfg")}
        processes.start(_BIN / "luigid", *options, variables=variables)
        wait_until(lambda: _listens(port))

    def worker(self, processes: Processes) -> "subprocess.Popen[bytes]":
        """Start a worker for all districts of the place; it stays until all of them are done."""
        module = ("--module", "benchmarks.state.all_districts", "AllDistricts")
        names = ("--names", ",".join(processes.place.names), "--year", str(YEAR))
        # Who finds nothing to do asks again after a second, as it may be told to; by default, after
        # one to six.
        waiting = ("--worker-keep-alive", "--worker-wait-jitter", "0")
        where = ("--scheduler-url", self.url, "--run-id", RUN_ID)
        return processes.start(LUIGI, *module, *names, *where, *waiting)


class Takeover(NamedTuple):
    """What happened after a worker was killed.

    Attributes:
        seconds: until another one began its district.
        finished: how many shards were finished when it was killed.
        again: how many of these were requested again.
        under_way: how many others, which had been requested and not finished, were.
    """

    seconds: float
    finished: int
    again: int
    under_way: int


def take_over(
    processes: Processes,
    server: Server,
    workers: Sequence["subprocess.Popen[bytes]"],
    runs: Sequence["subprocess.Popen[bytes]"],
    least: int,
) -> Takeover:
    """Kill the worker that runs the only district of a place, and have another do the rest.

    Args:
        processes: where all of it runs.
        server: the district's.
        workers: one of them runs the district.
        runs: those that end well once everything is done; the one that is killed may be among them.
        least: how many shards are to be finished when it is killed.

    Raises:
        TrialError: the district is not taken over, or fails.
    """
    place, (name,) = processes.place, processes.place.names
    wait_until(lambda: any(children_of(worker.pid) for worker in workers))
    (victim,) = (worker for worker in workers if children_of(worker.pid))
    (child,) = children_of(victim.pid)
    wait_until(lambda: len(place.finished(name)) >= least)
    killed = time.monotonic()
    victim.kill()
    victim.wait()
    wait_until(lambda: not is_alive(child))
    finished, log = place.finished(name), server.log
    connections = {entry.connection for entry in log}
    others = [worker for worker in workers if worker is not victim]
    wait_until(lambda: any(children_of(worker.pid) for worker in others))
    seconds = time.monotonic() - killed
    processes.finish(*(run for run in runs if run is not victim))
    after = requested([entry for entry in server.log if entry.connection not in connections])
    again = after & requested(log)
    return Takeover(seconds, len(finished), len(again & finished), len(again - finished))


def requested(log: Sequence[LoggedRequest]) -> set[tuple[str, str]]:
    """Which results of which assessments were requested."""
    return {
        (entry.endpoint, entry.assessment_id)
        for entry in log
        if entry.endpoint in ENDPOINTS and entry.assessment_id is not None
    }


def memory(process: "subprocess.Popen[bytes]", what: str = "VmRSS") -> float:
    """The memory of a process in MB: what it has now, or with VmHWM the most that it had."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024 / 1e6


def forget_peak(process: "subprocess.Popen[bytes]") -> None:
    """Let the most memory that a process had be what it has now."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="utf-8")


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    tasks = Path(f"/proc/{process}/task")
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in tasks.iterdir():
            found += [int(child) for child in (task / "children").read_text("utf-8").split()]
    return found


def is_alive(process: int) -> bool:
    """Whether a process is still there."""
    return Path(f"/proc/{process}").exists()


def wait_until(ready: Callable[[], bool]) -> None:
    """Poll until something outside of this process has happened.

    Raises:
        TrialError: it has not in minutes.
    """
    limit = time.monotonic() + _LONGEST
    while not ready():
        if time.monotonic() > limit:
            raise TrialError("What the benchmark waited for did not happen in five minutes.")
        time.sleep(_POLL)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((_LOOPBACK, port)) == 0
