"""Limits of a service, a container or a shell: a run says what it needs, or does without."""

import subprocess
import sys

import pytest

from pipeline.simulator import Server
from tests.crash.launch import limited
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
    place: Workplace, prefix: tuple[str, ...], *options: str
) -> "subprocess.CompletedProcess[str]":
    command = (*prefix, str(LUIGI), "--module", "pipeline", "RunAll", "--year", YEAR, *options)
    return place.finish(place.start(*command))


@pytest.mark.parametrize(("kind", "option"), [("RLIMIT_AS", "v"), ("RLIMIT_DATA", "d")])
def test_too_little_address_space_is_refused_before_any_request(
    place: Workplace, server: Server, kind: str, option: str
) -> None:
    """Else a library would end the process when it happened to need more."""
    done = run_behind(place, limited(kind, _GIGABYTE - 1))
    assert done.returncode == 30
    assert f"may have 1,023 MB of address space (ulimit -{option})" in done.stderr
    assert "use systemd's MemoryMax or docker --memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []


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
