"""Ways to start the command with a limit, on a tiny disk, or with fewer rights."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# The limit is set in the process that becomes the command: preexec_fn may hang with threads.
_LIMITED = (
    "import os, resource, sys; kind, most = getattr(resource, sys.argv[1]), int(sys.argv[2]); "
    "resource.setrlimit(kind, (most, most)); os.execv(sys.argv[3], sys.argv[3:])"
)
_HOLD = 'mount -t tmpfs -o "size=$1k,mode=700" none "$2" && echo mounted && exec cat'


def limited(kind: str, most: int) -> tuple[str, ...]:
    """Return the prefix of a command that sets a limit such as RLIMIT_NOFILE for it."""
    return (sys.executable, "-c", _LIMITED, kind, str(most))


def without_root_file_access() -> tuple[str, ...]:
    """Return the prefix of a command that makes file modes apply to it, even as root."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and setpriv is not installed to restrict it")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def tool(name: str) -> str:
    """Return the path of a program; skip the test if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@dataclass
class TinyDisk:
    """A disk of a few kilobytes, visible only to processes that are started on it."""

    folder: Path
    _holder: "subprocess.Popen[str]"

    @property
    def from_outside(self) -> Path:
        """Return the same folder as other processes see it."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    def on_it(self) -> tuple[str, ...]:
        """Return the prefix of a command that runs it on the disk."""
        enter = (tool("nsenter"), "-t", str(self._holder.pid), "-m")
        return (*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(self.folder))

    def grow(self) -> None:
        """Enlarge the disk."""
        more = (*self.on_it(), "mount", "-o", "remount,size=64m", str(self.folder))
        subprocess.run(more, check=True)


@contextmanager
def tiny_disk(folder: Path, kilobytes: int) -> Iterator[TinyDisk]:
    """Mount a disk in its own mount namespace during the context."""
    hold = (tool("unshare"), "-m", "sh", "-c", _HOLD, "sh", str(kilobytes), str(folder))
    with subprocess.Popen(
        hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline() != "mounted\n":
                pytest.skip("this machine does not allow mounting a tiny disk")
            yield TinyDisk(folder, holder)
        finally:
            holder.kill()
