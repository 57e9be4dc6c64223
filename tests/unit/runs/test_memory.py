"""The memory that a run may use, and what it says where that is too little."""

import logging
import os
from pathlib import Path

import pytest

from pipeline.runs import memory
from pipeline.runs.memory import MEGABYTE, Memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
VERSION_1 = "9:name=systemd:/\n4:cpu,memory:/system.slice/night.service\n0::/\n"
VERSION_2 = "0::/system.slice/night.service\n"


def available(folder: Path, groups: str, limits: dict[str, str]) -> Memory:
    """Return what is available where the kernel says that."""
    (folder / "groups").write_text(groups)
    for name, limit in limits.items():
        (folder / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mount" / name).write_text(f"{limit}\n")
    return memory.available(folder / "groups", folder / "mount")


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        (VERSION_2, {"system.slice/night.service/memory.max": "1000"}),
        (VERSION_2, {"system.slice/night.service/memory.max": "max", "memory.max": "1000"}),
        (
            VERSION_2,
            {"system.slice/night.service/memory.max": "2000", "system.slice/memory.max": "1000"},
        ),
        (VERSION_1, {"memory/system.slice/night.service/memory.limit_in_bytes": "1000"}),
        (VERSION_1, {"memory/memory.limit_in_bytes": "1000"}),
        ("0::/\n", {"memory.max": "1000"}),
    ],
    ids=["version 2", "outermost", "outer", "version 1", "version 1 in a container", "container"],
)
def test_the_least_limit_counts(tmp_path: Path, groups: str, limits: dict[str, str]) -> None:
    assert available(tmp_path, groups, limits).size == 1000


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/\n", {}),
        ("0::/\n", {"memory.max": "max"}),
        (VERSION_1, {"memory/memory.limit_in_bytes": "9223372036854771712"}),
    ],
    ids=["unlimited", "max", "as much as there could be"],
)
def test_without_a_limit_the_memory_of_the_machine_counts(
    tmp_path: Path, groups: str, limits: dict[str, str]
) -> None:
    assert available(tmp_path, groups, limits) == (MACHINE, "all that this machine has")


def test_a_system_without_control_groups_is_no_error(tmp_path: Path) -> None:
    assert memory.available(tmp_path / "none", tmp_path).size == MACHINE


@pytest.mark.parametrize(
    ("megabytes", "is_demo", "said"),
    [
        (256, False, "256 MB of memory (a limit); a year of a million results takes 384 MB"),
        (384, False, ""),
        (448, True, "448 MB of memory (a limit); the demo takes 512 MB"),
        (512, True, ""),
    ],
)
def test_too_little_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    megabytes: int,
    is_demo: bool,
    said: str,
) -> None:
    """The kernel kills a process without a word."""
    monkeypatch.setattr(memory, "available", lambda: Memory(megabytes * MEGABYTE, "a limit"))
    with caplog.at_level(logging.WARNING, "pipeline"):
        memory.warn_if_short(is_demo=is_demo)
    assert said in caplog.text
    assert bool(caplog.text) is bool(said)
