"""Runs one command and writes down what it cost: time, processor and memory, as they grew.

    python -I -S launch.py COSTS.json SECONDS COMMAND...

It is a program of its own, and small, because Linux counts the memory of whoever starts a process
as that process's own, until it is replaced. It only needs the standard library. A command that
takes longer than so many seconds is killed.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

_BETWEEN_SAMPLES = 0.05
_TICK = os.sysconf("SC_CLK_TCK")
_MEGABYTE = 1e6


def sample(pid: int) -> tuple[float, float, float] | None:
    """The time, and the processor seconds and highest memory (MB) of a process so far.

    Children count once they have ended and were waited for. None when the process has ended.
    """
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        status = (folder / "status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    _, found, rest = status.partition("VmHWM:")
    if not found:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return time.monotonic(), ticks / _TICK, int(rest.split()[0]) * 1024 / _MEGABYTE


def run(command: list[str], seconds: float) -> dict[str, object]:
    """Run a command to its end; what it cost."""
    began = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    ended = os.pidfd_open(pid)
    samples = []
    while not select.select([ended], [], [], _BETWEEN_SAMPLES)[0]:
        if found := sample(pid):
            samples.append(found)
        if time.monotonic() > began + seconds:
            os.kill(pid, signal.SIGKILL)
            break
    _, status, used = os.wait4(pid, 0)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "began": began,
        "wall": time.monotonic() - began,
        "processor": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * 1024 / _MEGABYTE,
        "samples": samples,
    }


if __name__ == "__main__":
    costs = run(sys.argv[3:], float(sys.argv[2]))
    Path(sys.argv[1]).write_text(json.dumps(costs), encoding="utf-8")
