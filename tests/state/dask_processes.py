"""A Dask scheduler and workers as people start them: commands of their own."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.functional.conftest import REPOSITORY, clean_environment
from tests.functional.test_failures import wait_until

DASK = Path(sys.executable).with_name("dask")
TLS = ("ca", "cert", "key")


class Dask:
    """A scheduler and its workers on loopback, whose output is in the folder that they work in."""

    def __init__(self, folder: Path, certificates: Path | None = None) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self._tls = [
            word
            for name in TLS
            if certificates
            for word in (
                f"--tls-{name}{'-file' if name == 'ca' else ''}",
                str(certificates / f"{name}.pem"),
            )
        ]
        protocol = ("--protocol", "tls") if certificates else ()
        found = folder / "scheduler.json"
        found.unlink(missing_ok=True)
        ports = ("--port", "0", "--dashboard-address", "127.0.0.1:0")
        options = ("--host", "127.0.0.1", *ports, *protocol)
        self.scheduler = self._start("scheduler", *options, "--scheduler-file", str(found))
        wait_until(lambda: found.exists() and found.read_text(encoding="utf-8").endswith("}"))
        self.address: str = json.loads(found.read_text(encoding="utf-8"))["address"]

    def add_worker(
        self, folder: Path | None = None, *, nanny: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Start a worker for one thing at a time; `folder` is where it works.

        With a nanny, which is Dask's default, the process is that of the nanny.
        """
        usual = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        options = usual if nanny else (*usual, "--no-nanny")
        local = ("--local-directory", str(self.folder / "dask"))
        worker = self._start("worker", self.address, *options, *local, folder=folder)
        self.workers.append(worker)
        return worker

    def output(self) -> str:
        """Return all that the scheduler and the workers have printed."""
        return "".join(
            path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("dask-*.log"))
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()

    def _start(
        self, what: str, *options: str, folder: Path | None = None
    ) -> "subprocess.Popen[bytes]":
        number = len([*self.folder.glob("dask-*.log")])
        with (self.folder / f"dask-{number}-{what}.log").open("wb") as output:
            return subprocess.Popen(
                [DASK, what, *self._tls, *options],
                cwd=folder or self.folder,
                env=clean_environment() | {"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


@contextlib.contextmanager
def dask(
    folder: Path, workers: int = 2, certificates: Path | None = None, *, nanny: bool = False
) -> Iterator[Dask]:
    """A scheduler and workers until the block ends."""
    found = Dask(folder, certificates)
    try:
        for _ in range(workers):
            found.add_worker(nanny=nanny)
        yield found
    finally:
        found.stop()


def environment_of(process: int) -> bytes:
    """Return the variables of a process, each ended by a null."""
    return Path(f"/proc/{process}/environ").read_bytes()
