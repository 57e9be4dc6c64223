"""What this machine lacks is said: what cannot work fails, what works less well is a note."""

import dataclasses
import errno
import fcntl
import itertools
import os
import shutil
import stat
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import luigi
import pytest

from pipeline.commands import doctor
from pipeline.commands.doctor import machine
from pipeline.commands.doctor.note import Note
from pipeline.config import settings
from pipeline.errors import PipelineError
from pipeline.publish.commit import Publication
from pipeline.runs import memory
from pipeline.storage import file_system
from pipeline.storage.paths import Snapshot
from pipeline.years import SchoolYear, today

Usage = namedtuple("Usage", ("total", "used", "free"))


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    monkeypatch.delenv("ILLUMINATE_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    luigi.task_register.Register.clear_instance_cache()
    return settings.snapshot(SchoolYear(2023), today(), today())


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "said by the system")

    return fail


def line(paths: Snapshot, capsys: pytest.CaptureFixture[str]) -> str:
    """What doctor says of the file system, which is never that it failed."""
    file_system.forget_what_was_said()
    assert doctor._try("file system", machine.file_system, paths)
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.strip()


def test_a_file_system_that_can_do_it_all(
    paths: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is tried where the data folder would be created."""
    said = f"ok      file system: files can be synced, locked and linked in {tmp_path}"
    assert line(paths, capsys) == said
    assert [*tmp_path.iterdir()] == []


def fail_to_sync_folders(handle: int, fsync: Callable[[int], None] = os.fsync) -> None:
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        raise OSError(errno.EINVAL, "said by the system")
    fsync(handle)


@pytest.mark.parametrize(
    ("module", "name", "call", "lack"),
    [
        (fcntl, "flock", failing(errno.ENOLCK), " has no locks ("),
        (os, "fsync", fail_to_sync_folders, "cannot sync folders"),
    ],
)
def test_a_file_system_without_locks_or_synced_folders(
    paths: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: ModuleType,
    name: str,
    call: Callable[..., None],
    lack: str,
) -> None:
    monkeypatch.setattr(module, name, call)
    said = line(paths, capsys)
    assert said.startswith("note    file system: The file system of ")
    assert said.count(lack) == 1
    assert "files can be" not in said


def test_a_file_system_without_links(
    paths: Snapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    said = line(paths, capsys)
    assert said.startswith("note    file system: that of data/demo cannot link files, so each ")


@pytest.mark.parametrize(("size", "is_enough"), [(2000, True), (500, False)])
def test_memory(
    paths: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    size: int,
    is_enough: bool,
) -> None:
    """Too little is a note, as it is a warning of a run, and is said once."""
    found = memory.Memory(size * memory.MEGABYTE, "the limit of its container or service")
    monkeypatch.setattr(memory, "available", lambda: found)
    text = f"{size:,} MB (the limit of its container or service); the demo takes "
    assert doctor._try("memory", machine.memory_size, paths)
    assert doctor._try("process", machine.limits, paths)
    said = capsys.readouterr().out
    mark = "ok  " if is_enough else "note"
    assert said.startswith(f"  {mark}    memory: {text}")
    assert ("give it more (systemd: MemoryMax" in said) is not is_enough
    assert "  ok      process: no limit on it " in said


def test_what_nobody_thought_of_fails_alone(
    paths: Snapshot, capsys: pytest.CaptureFixture[str]
) -> None:
    def trial(_: Snapshot) -> str:
        raise PermissionError(errno.EACCES, "said by the system", "/mnt/data")

    assert not doctor._try("disk", trial, paths)
    said = capsys.readouterr().out
    assert said == "  FAILED  disk: /mnt/data: Permission denied. Check the path and permissions.\n"


def test_a_disk_that_is_nearly_full(paths: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9 << 30, 0, 40 << 20))
    with pytest.raises(PipelineError, match=r"40\.0 MiB free for data/demo, .*Free some"):
        machine.disk(paths)


def test_a_disk_that_is_nearly_full_of_what_is_published(
    paths: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of such a year writes little, unless all of it is fetched again."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9 << 30, 0, 40 << 20))
    published = Publication(build="b1", run="r1", metadata={}, files={})
    monkeypatch.setattr(Publication, "read", lambda _: published)
    found = machine.disk(paths)
    assert isinstance(found, Note)
    assert "and later runs write less. Free some space there (make clean-snapsh" in found.text


def test_a_disk_that_others_write_to_meanwhile_is_one(
    paths: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published there is not taken for another, fuller one."""
    free = itertools.count(9 << 30, -(1 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9 << 30, 0, next(free)))
    found = machine.disk(paths)
    assert isinstance(found, str)
    assert found.startswith("9.0 GiB free for data/demo, whose work/ has ")


def test_the_fullest_of_several_disks_counts(
    paths: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = tmp_path / "views"
    views.mkdir()
    there = dataclasses.replace(paths, folders=dataclasses.replace(paths.folders, views=str(views)))

    def usage(place: Path) -> Usage:
        return Usage(9 << 30, 0, (40 << 20) if place == views else (9 << 30))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(machine, "_device", str)
    found = machine.disk(paths)
    assert isinstance(found, str)
    assert found.startswith("9.0 GiB free for data/demo, ")
    with pytest.raises(PipelineError, match=f"^40.0 MiB free for {views}/23-24; fetching"):
        machine.disk(there)
