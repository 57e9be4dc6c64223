"""Starts the benchmark's server, and reads its report at the end."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.server import Report
from benchmarks.trial import REPOSITORY
from benchmarks.work import Work


@dataclass
class Serving:
    """A server that is up; its report is there once it has ended."""

    base_url: str
    latency: float
    report: Report = field(default_factory=Report)

    @property
    def port(self) -> int:
        """Where it can be served again, as the same source."""
        return urlsplit(self.base_url).port or 0

    @property
    def fetching(self) -> float:
        """Seconds from the first request to the last byte of the last answer."""
        return self.report.last - self.report.first


@contextlib.contextmanager
def serving(
    work: Work, latency: float = 0.0, log: Path | None = None, until: str = "", port: int = 0
) -> Iterator[Serving]:
    """Serve work from a process of its own while the context lasts; see `benchmarks.server`."""
    command = [sys.executable, "-m", "benchmarks.server", str(work.folder.absolute())]
    command += ["--latency", str(latency), "--until", until, "--port", str(port)]
    command += ["--log", str(log.absolute())] if log else []
    process = subprocess.Popen(  # noqa: S603  our own module, no outside input
        command,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the benchmark; the server ends with it
    )
    try:
        if process.stdout is None or not (base_url := process.stdout.readline().strip()):
            raise RuntimeError("The benchmark's server did not start; see its message above.")
        server = Serving(base_url, latency)
        yield server
        server.report = Report(**json.loads(process.communicate()[0]))
    finally:
        process.kill()
        process.wait()
