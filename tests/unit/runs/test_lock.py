"""Who holds a data folder: one process, on whatever host, and no longer than it lives.

A process, or an object, plays another host: it has another host name, and the kernel's lock does
not reach it.
"""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from pipeline.errors import FolderInUseError, StoppedError, StorageError
from pipeline.runs import heartbeat
from pipeline.runs.heartbeat import Host, Tempo
from pipeline.runs.lock import Lock, find_holder, is_held
from pipeline.storage import file_system

QUICK = Tempo(beat=0.05, missed=8)
NEVER = Tempo(beat=60.0, missed=8)
"""That of a process which is stalled."""
HERE, THERE = Host("host-a", "kernel a"), Host("host-b", "kernel b")
_HOLDER = """
import fcntl, sys, signal
from pathlib import Path
from pipeline.runs.heartbeat import Host, Tempo
from pipeline.runs.lock import Lock
if sys.argv[2]:
    fcntl.flock = lambda *_: None
    host = Host("host-b", sys.argv[2])
else:
    host = None
lock = Lock(Path(sys.argv[1]), host=host, tempo=Tempo(0.05))
lock.note([Path("/srv/tables")])
print("held", flush=True)
signal.pause()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start a process that holds the folder, on another host if one is named."""
    started: list[subprocess.Popen[str]] = []

    def start(host: str = "") -> "subprocess.Popen[str]":
        command = (sys.executable, "-c", _HOLDER, str(path), host)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def unreached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no lock of the kernel reach anybody, as on a volume that passes none on."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


def end(process: "subprocess.Popen[str]", how: signal.Signals = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.wait()


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def seconds_to_take(path: Path, tempo: Tempo = heartbeat.USUAL) -> float:
    started = time.monotonic()
    with Lock(path, tempo=tempo):
        return time.monotonic() - started


def test_a_lock_is_held_until_it_is_closed(path: Path) -> None:
    assert not is_held(path)
    assert not path.exists()
    with Lock(path):
        assert is_held(path)
        with pytest.raises(FolderInUseError, match=rf"\(process {os.getpid()}\) is at work in"):
            Lock(path)
    assert not is_held(path)
    assert beside(path) == [".lock"]
    assert seconds_to_take(path) < 1


def test_who_may_not_read_the_lock_file_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser may read everything, so the refusal is made here."""

    def refuse(*_: object) -> IO[bytes]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match=f"may not read {path}.*group_readable"):
        find_holder(path)


def test_a_process_killed_on_this_host_is_replaced_at_once(path: Path, start: Start) -> None:
    """Its claim is not waited for, and what it was at work on is known."""
    holder = start()
    assert is_held(path)
    end(holder)
    assert beside(path) == [".lock", ".lock.1"]
    assert not is_held(path)
    started = time.monotonic()
    with Lock(path) as lock:
        assert time.monotonic() - started < 1
        assert lock.unfinished == [Path("/srv/tables")]
        assert beside(path) == [".lock", ".lock.2"]


def test_a_live_process_of_another_host_keeps_its_folder(path: Path, start: Start) -> None:
    holder = start("another kernel")
    for _ in range(2):
        with pytest.raises(FolderInUseError) as refused:
            Lock(path, tempo=QUICK)
        assert f"(process {holder.pid} on host-b) is at work in {path.parent}" in str(refused.value)
        assert is_held(path, QUICK)
    assert beside(path) == [".lock", ".lock.1"]


def test_a_lost_host_is_replaced_once_it_has_missed_beats(
    path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    holder = start("another kernel")
    end(holder)
    assert not is_held(path, QUICK)
    started = time.monotonic()
    with Lock(path, tempo=QUICK) as lock:
        assert time.monotonic() - started >= QUICK.beat * QUICK.missed
        assert lock.unfinished == [Path("/srv/tables")]
    (line,) = caplog.messages
    assert line.startswith(f"The process {holder.pid} on host-b gave no sign of life for ")
    assert beside(path) == [".lock"]


@pytest.mark.parametrize("left", [b"", b"12\nhos", b"\xff\x00\n\n\n"])
def test_a_claim_of_which_nothing_can_be_read_is_waited_for(path: Path, left: bytes) -> None:
    """Its host was lost while it wrote the claim."""
    path.with_name(".lock.7").write_bytes(left)
    assert seconds_to_take(path, QUICK) >= QUICK.beat * QUICK.missed
    assert beside(path) == [".lock"]


@pytest.mark.usefixtures("unreached")
def test_a_process_that_ends_while_it_is_watched_is_replaced_at_once(path: Path) -> None:
    holder = Lock(path, host=THERE, tempo=NEVER)
    threading.Timer(0.3, holder.close).start()
    assert seconds_to_take(path, Tempo(beat=0.2, missed=100)) < 5


@pytest.mark.usefixtures("unreached")
@pytest.mark.parametrize("has_lost_host", [True, False])
def test_one_of_many_hosts_that_begin_at_once_has_the_folder(
    path: Path, *, has_lost_host: bool
) -> None:
    for round_ in range(5):
        if has_lost_host:
            path.with_name(".lock.3").write_text("1\nhost-c\nkernel c\n00\n0\n", encoding="ascii")
        together = threading.Barrier(8)

        def take(number: int, together: threading.Barrier = together) -> Lock | None:
            together.wait()
            try:
                return Lock(path, host=Host(f"host-{number}", str(number)), tempo=QUICK)
            except FolderInUseError:
                return None

        with ThreadPoolExecutor(8) as hosts:
            taken = [lock for lock in hosts.map(take, range(8)) if lock]
        assert len(taken) == 1, round_
        taken[0].check()
        taken[0].close()
        assert beside(path) == [".lock"]


@pytest.mark.usefixtures("unreached")
def test_a_stalled_process_that_wakes_up_in_time_keeps_its_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last moment: another host found it dead, and has not claimed the folder yet."""
    holder, watch, claims = Lock(path, host=THERE, tempo=NEVER), heartbeat.watch, []

    def watch_twice(found: heartbeat.Claims, beat: float, beats: int) -> heartbeat.Claims | None:
        claims.append(beside(path))
        if len(claims) > 1:
            threading.Timer(beat, holder.check).start()
            return watch(found, beat, 1000)
        silent = watch(found, beat, beats)
        holder.check()
        return silent

    monkeypatch.setattr(heartbeat, "watch", watch_twice)
    with pytest.raises(FolderInUseError, match="is at work in"):
        Lock(path, host=HERE, tempo=QUICK)
    assert claims == [[".lock", ".lock.1"]] * 2
    holder.check()
    holder.close()
    assert beside(path) == [".lock"]


@pytest.mark.usefixtures("unreached")
def test_a_stalled_process_that_wakes_up_too_late_may_publish_nothing(path: Path) -> None:
    """It leaves everything to the other one."""
    stop = threading.Event()
    holder = Lock(path, host=THERE, tempo=NEVER, stop=stop)
    with Lock(path, host=HERE, tempo=QUICK) as other:
        other.note([Path("/srv/of the other one")])
        for _ in range(2):
            with pytest.raises(StoppedError, match=f"process {os.getpid()} on host-a.* took over"):
                holder.check()
        assert stop.is_set()
        holder.close()
        other.check()
        assert "/srv/of the other one" in path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("unreached")
def test_a_stalled_process_finds_out_by_itself(path: Path) -> None:
    stop = threading.Event()
    holder = Lock(path, host=THERE, tempo=Tempo(beat=1.5), stop=stop)
    with Lock(path, host=HERE, tempo=QUICK):
        assert stop.wait(20)
    assert "took over" in holder.loss
    holder.close()


@pytest.mark.usefixtures("unreached")
def test_a_claim_that_somebody_removed_is_lost(path: Path) -> None:
    with Lock(path, tempo=NEVER) as holder:
        path.with_name(".lock.1").unlink()
        with pytest.raises(StoppedError):
            holder.check()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_left_to_the_claims(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """It is said once, with what to do."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    file_system.forget_what_was_said()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with Lock(path, tempo=QUICK):
        assert is_held(path, QUICK)
        with pytest.raises(FolderInUseError):
            Lock(path, tempo=QUICK)
    assert not is_held(path)
    with Lock(path, tempo=QUICK) as lock:
        lock.check()
    (line,) = caplog.messages
    assert f"{path.parent} has no locks ({os.strerror(number)})" in line
    assert "Mount it with locks" in line


def test_who_only_looks_keeps_nobody_out(path: Path) -> None:
    path.touch()
    with path.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.03, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        Lock(path).close()
