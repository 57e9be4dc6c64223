"""How much memory this process may use, and a warning where that is less than a run takes."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("pipeline")

MEGABYTE = 1 << 20
NEEDED, NEEDED_BY_DEMO = 384 * MEGABYTE, 512 * MEGABYTE
"""What a run takes: for a million results; for the demo, whose server is a process of its own."""

_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_LIMITS = {"memory": "memory.limit_in_bytes", "": "memory.max"}
"""The file with the limit of a control group, by the name of the controller: version 1, then 2."""


class Memory(NamedTuple):
    """How many bytes there are, and who says so."""

    size: int
    source: str


def available(groups: Path = _GROUPS, mount: Path = _MOUNT) -> Memory:
    """Return the memory of this machine, or of the control group of this process if it is less."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = _group_limits(groups, mount)
    of_groups = [Memory(limit, "the limit of its container or service") for limit in limits]
    return min([Memory(pages, "all that this machine has"), *of_groups])


def warn_if_short(*, is_demo: bool) -> None:
    """Say so if a run may be killed for want of memory: then it could not."""
    needed, memory = NEEDED_BY_DEMO if is_demo else NEEDED, available()
    if memory.size < needed:
        log.warning(
            "This run may use %d MB of memory (%s); %s takes %d MB. If it is killed (exit code "
            "137), give it more (systemd: MemoryMax, Docker: --memory) and run the same command "
            "again.",
            *(memory.size // MEGABYTE, memory.source),
            *("the demo" if is_demo else "a year of a million results", needed // MEGABYTE),
        )


def _group_limits(groups: Path, mount: Path) -> Iterator[int]:
    """Return the limit of each control group that this process is in, as far as there are any."""
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in {*controllers.split(",")} & _LIMITS.keys():
            group = mount / controller / path.strip("/")
            # In a container the path may be that of the host, while its own group is the topmost.
            for folder in (group, *group.parents):
                if folder.is_relative_to(mount):
                    yield from _read(folder / _LIMITS[controller])


def _read(path: Path) -> Iterator[int]:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return
    if text.isdecimal():  # else it is "max"
        yield int(text)
