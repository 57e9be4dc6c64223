"""Limits of a service, a container or a volume: a run says what it needs, or does without."""

import os
import subprocess
import sys

import pytest

from pipeline.simulator import Server
from tests.crash.launch import limited, without_root_file_access
from tests.functional.conftest import LUIGI, YEAR, Workplace

_GIGABYTE = 1 << 30
_PR_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1
# What systemd's MemoryDenyWriteExecute sets where the kernel has it.
NOTHING_EXECUTABLE = (
    sys.executable,
    "-c",
    (
        "import ctypes, os, sys; "
        f"ctypes.CDLL(None).prctl({_PR_SET_MDWE}, {_REFUSE_EXEC_GAIN}, 0, 0, 0) and sys.exit(77); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    ),
)


def run_behind(
    place: Workplace, prefix: tuple[str, ...], *options: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    command = (*prefix, str(LUIGI), "--module", "pipeline", "RunAll", "--year", YEAR, *options)
    return place.finish(place.start(*command, **variables))


@pytest.mark.parametrize(("kind", "option"), [("RLIMIT_AS", "v"), ("RLIMIT_DATA", "d")])
def test_too_little_address_space_is_refused_before_any_request(
    place: Workplace, server: Server, kind: str, option: str
) -> None:
    """Else a library would end the process when it happened to need more."""
    done = run_behind(place, limited(kind, _GIGABYTE - 1))
    assert done.returncode == 30
    assert f"may have 1,023 MB of address space (ulimit -{option})" in done.stderr
    assert (", of which it uses a tenth" in done.stderr) is (option == "v")
    assert "use systemd's MemoryMax or docker --memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []


MANY_CORES = """
import os, threading
from pipeline.runs import process
os.cpu_count = lambda: 64
process.check_limits()
print(threading.stack_size())
"""


def test_trying_threads_takes_little_address_space(place: Workplace) -> None:
    """Else the limit that is enough for a run is too low to find out whether it may start them."""
    done = place.finish(
        place.start(*limited("RLIMIT_AS", 3 << 30), sys.executable, "-c", MANY_CORES)
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_run_needs_no_executable_memory(place: Workplace) -> None:
    """Only charts do (`test_drawing.py`)."""
    done = run_behind(place, NOTHING_EXECUTABLE, "--report-enabled", "true")
    if done.returncode == 77:
        pytest.skip("this kernel cannot refuse executable memory")
    assert done.returncode == 0, done.stderr
    for command in ("verify", "report"):
        python = (*NOTHING_EXECUTABLE, sys.executable, "-m", "pipeline", command, "--year", YEAR)
        done = place.finish(place.start(*python))
        assert done.returncode == 0, done.stdout + done.stderr


POOR_VOLUME = """
import errno, fcntl, os, stat

fsync = os.fsync

def sync_files_only(handle):
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fsync(handle)

def refuse(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

os.fsync, fcntl.flock = sync_files_only, refuse
"""


def test_a_volume_without_locks_and_folder_syncs_is_named_once(place: Workplace) -> None:
    (place.folder / "sitecustomize.py").write_text(POOR_VOLUME)
    done = run_behind(place, (), "--report-enabled", "false", PYTHONPATH=str(place.folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("has no locks (No locks available)") == 1
    assert done.stderr.count("cannot sync folders (Invalid argument)") == 1


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("status", 1, "data cannot be read: Permission denied. data belongs to user"),
        ("verify", 1, "data cannot be read: Permission denied. data belongs to user"),
        ("report", 1, "data cannot be read: Permission denied. data belongs to user"),
        ("run", 30, "data/.lock cannot be written: Permission denied. data belongs to user"),
    ],
)
def test_who_may_not_read_the_folder_does_not_take_it_for_empty(
    place: Workplace, command: str, code: int, said: str
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    place.data.mkdir(mode=0o700)
    os.chown(place.data, 12345, 12345)
    look = (*without_root_file_access(), sys.executable, "-m", "pipeline", command, "--year", YEAR)
    done = place.finish(place.start(*look))
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_folder_of_another_user_is_named_with_both(place: Workplace, server: Server) -> None:
    """As a folder of the host is in a container; see also `test_file_system.py`."""
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    place.data.mkdir(mode=0o755)
    os.chown(place.data, 12345, 12345)
    done = run_behind(place, without_root_file_access())
    assert done.returncode == 30
    assert "data belongs to user 12345, and this process is user 0: run it as" in done.stderr
    assert "docker run --user 12345:12345" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []
