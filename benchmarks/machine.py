"""What the figures were measured on; nothing that names the machine or who owns it."""

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("luigi", "polars", "pandas", "requests", "pyarrow", "duckdb", "aiohttp")


def describe(rounds: int) -> dict[str, Any]:
    """Date, machine and versions, and how busy others kept the machine before the first trial."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "rounds": f"{rounds} rounds" if rounds > 1 else "1 round",
        "versions": {"Python": platform.python_version(), **_versions()},
    }


def processor_times() -> tuple[int, int]:
    """Since the machine was started: what its host took away for others, and all there was."""
    first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are counted among user and nice
    times = [int(ticks) for ticks in first.split()[1:9]]
    return times[7], sum(times)


def taken_since(before: tuple[int, int]) -> float:
    """The share of the processors' time that the host has taken for others since `before`."""
    taken, whole = (now - then for now, then in zip(processor_times(), before, strict=True))
    return taken / whole if whole else 0.0


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
