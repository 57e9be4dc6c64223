"""Ways to start the command under a limit, on a tiny disk, or as somebody with fewer rights."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Set in the process that becomes the command; a function run after fork() may hang with threads.
_LIMITED = (
    "import os, resource, sys; kind, most = getattr(resource, sys.argv[1]), int(sys.argv[2]); "
    "resource.setrlimit(kind, (most, most)); os.execv(sys.argv[3], sys.argv[3:])"
)
_HOLD = 'mount -t tmpfs -o "size=$1k,mode=700" none "$2" && echo mounted && exec cat'


def limited(kind: str, most: int) -> tuple[str, ...]:
    """What to put before a command so that a limit like RLIMIT_NOFILE holds for it."""
    return (sys.executable, "-c", _LIMITED, kind, str(most))


def without_power_over_files() -> tuple[str, ...]:
    """What to put before a command so that file modes hold for it, also for root."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root writes anywhere, and there is no setpriv to take that power away")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def tool(name: str) -> str:
    """The path of a program; a test that needs one that is missing is skipped, and says so."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@dataclass
class TinyDisk:
    """A disk of a few kilobytes that only processes see that are started on it."""

    folder: Path
    _holder: "subprocess.Popen[str]"

    @property
    def from_outside(self) -> Path:
        """The same folder, for processes that are not on it."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def on_it(self) -> tuple[str, ...]:
        """What to put before a command so that it sees the disk, and works in it."""
        enter = (tool("nsenter"), "-t", str(self._holder.pid), "-m")
        return (*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(self.folder))

    def grow(self) -> None:
        """Make room."""
        more = (*self.on_it(), "mount", "-o", "remount,size=64m", str(self.folder))
        subprocess.run(more, check=True)


@contextmanager
def tiny_disk(folder: Path, kilobytes: int) -> Iterator[TinyDisk]:
    """Mount a disk for a while, in a mount namespace of its own."""
    hold = (tool("unshare"), "-m", "sh", "-c", _HOLD, "sh", str(kilobytes), str(folder))
    with subprocess.Popen(
        hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != "mounted\n":
                pytest.skip("this machine does not let us mount a tiny disk")
            yield TinyDisk(folder, holder)
        finally:
            holder.kill()
