"""The commands of the Makefile, as far as they need no environment."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.launch import without_root_file_access
from tests.functional.test_failures import wait_until

REPOSITORY = Path(__file__).parents[1]
MAKEFILE = REPOSITORY / "Makefile"


def make(
    *arguments: str, folder: Path = REPOSITORY, start: tuple[str, ...] = (), **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*start, "make", "--no-print-directory", *arguments],
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", ["run", "status", "report", "verify", "load", "copy", "refresh"])
def test_without_a_year_the_command_takes_the_one_of_today(target: str) -> None:
    """An empty year is none, for each command (`test_years.py`)."""
    done = make("-n", target, "YEAR=")
    assert (done.returncode, done.stderr) == (0, "")
    assert '--year ""' in done.stdout


def test_without_years_make_says_what_to_type() -> None:
    done = make("years", "YEARS=")
    assert done.returncode == 2
    assert 'make years YEARS="22-23 23-24 24-25"' in done.stderr


def test_years_are_passed_to_the_command_unchanged() -> None:
    assert 'RunYears --years "22-23 23-24"' in make("-n", "years", "YEARS=22-23 23-24").stdout


@pytest.mark.parametrize("year", ["YEARS=22-23 23-24", "years=22-23 23-24", "year=23-24"])
@pytest.mark.parametrize("target", ["run", "status", "doctor", "refresh", "state-demo"])
def test_years_by_another_name_are_not_taken_for_none(target: str, year: str) -> None:
    done = make(target, year, "VENV=/none", "-o", "/none/.run")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "A school year is given in capitals, like YEAR=23-24, and several" in done.stderr
    assert 'make years YEARS="22-23 23-24"' in done.stderr


def test_every_command_that_takes_a_year_refuses_others() -> None:
    rules = re.findall(
        r"^(\S+): (.*) ## .*\n(.*)", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE
    )
    taking = {name: needs.split() for name, needs, recipe in rules if "$(YEAR)" in recipe}
    assert {"run", "status", "verify", "load", "copy", "clean-snapshots"} <= taking.keys()
    assert [name for name, needs in taking.items() if "one-year" not in needs] == []


@pytest.mark.parametrize(("port", "given"), [("8080", ()), ("8081", ("PORT=8081",))])
def test_the_demo_district_is_served_on_a_port(port: str, given: tuple[str, ...]) -> None:
    assert f'simulate --port "{port}"' in make("-n", "simulate", "PORT=", *given).stdout


def test_help_lists_every_target() -> None:
    listed = {line.split()[1] for line in make("help").stdout.splitlines()}
    assert {
        "help",
        "run",
        "years",
        "test",
        "check",
        "status",
        "verify",
        "load",
        "doctor",
        "refresh",
    } <= listed
    assert {
        "crash",
        "mutants",
        "audit",
        "image",
        "test-airflow",
        "test-bigquery",
        "test-azure",
    } <= listed


def test_make_without_a_target_prints_the_help() -> None:
    assert make().stdout == make("help").stdout


def test_a_year_is_passed_to_the_command_unchanged() -> None:
    assert '--year "23-24"' in make("-n", "run", "YEAR=23-24").stdout


def test_refresh_removes_the_snapshot_before_it_runs() -> None:
    said = make("-n", "refresh", "YEAR=23-24").stdout
    assert said.index("pipeline forget") < said.index("RunAll")


# The environment that it sets up.

FOREIGN = {
    "PYTHONHOME": "/none",
    "PYTHONINSPECT": "1",
    "PYTHONPATH": "/none",
    "PYTHONSTARTUP": "/none",
    "PYTHONUSERBASE": "/none",
    "PIP_CONSTRAINT": "/none",
    "PIP_PREFIX": "/none",
    "PIP_PYTHON": "/none",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_ROOT": "/none",
    "PIP_TARGET": "/none",
    "PIP_USER": "1",
}
PYTHON = """#!/bin/sh
# A Python whose environments only note what is done in them.
case "$1 $2" in
"-m venv")
    echo "venv" >> log
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
    if [ -e go-on ]; then read -r _ < go-on; fi ;;
"-m ensurepip") echo "its own error" >&2; exit 1 ;;
"-m pip") case "$*" in *install*) echo "install" >> log ;; esac ;;
*) exec "{real}" "$@" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What the set-up needs of a fresh clone, and a Python that installs nothing."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON.replace("{real}", sys.executable))
    python.chmod(0o700)
    return tmp_path


def test_what_is_meant_for_another_python_does_not_reach_ours() -> None:
    done = make("--eval=probe: ; @env", "probe", **FOREIGN)
    reached = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert {name: reached[name] for name in FOREIGN.keys() & reached.keys()} == {"PIP_USER": "0"}


def test_a_python_is_found_whatever_is_meant_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON", raising=False)
    done = make("--eval=probe: ; @echo '<$(PYTHON)>'", "probe", **FOREIGN)
    assert done.stdout.startswith("<python")


def is_waited_for(path: Path) -> bool:
    """Return True if a process waits for a lock on a file, as Linux lists it."""
    locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("-> FLOCK" in line and f":{path.stat().st_ino} " in line for line in locks)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists who waits")
def test_two_at_once_in_a_fresh_clone_set_up_once(clone: Path) -> None:
    """The second waits, although the first has already made the program that it looks for."""
    os.mkfifo(clone / "go-on")
    command = ["timeout", "60", "make", ".venv/.run", "PYTHON=./python"]
    fifo = os.open(clone / "go-on", os.O_RDWR)
    first = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True)
    wait_until((clone / "log").exists)
    second = subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, text=True)
    assert second.stderr is not None
    assert second.stderr.readline().startswith("Another make is setting up")
    wait_until(lambda: second.poll() is not None or is_waited_for(clone / "Makefile"))
    assert second.poll() is None
    assert (clone / "log").read_text() == "venv\n"
    (clone / "go-on").unlink()
    os.write(fifo, b"now\n")
    os.close(fifo)
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (clone / "log").read_text().splitlines() == ["venv", "install", "install"]


def test_what_kept_the_environment_from_being_made_is_shown_with_a_remedy(clone: Path) -> None:
    """Also what pip's own installer says, which Python's venv keeps to itself."""
    python = clone / "python"
    python.write_text(
        python.read_text().replace("    if [ -e go-on", "    exit 1\n    if [ -e go-on")
    )
    done = make(".venv/.run", "PYTHON=./python", folder=clone)
    assert done.returncode == 2
    assert "its own error\n./python could not create .venv; the reason is above." in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_broken_environment_of_our_own_is_replaced(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    done = make(".venv/.run", "PYTHON=./python", folder=clone)
    assert (done.returncode, done.stderr) == (0, "")
    assert (clone / "log").read_text().splitlines() == ["venv", "install", "install"]


@pytest.mark.parametrize("reason", ["owner", "permissions"])
def test_an_environment_that_is_not_ours_or_may_not_be_run_is_left(
    clone: Path, reason: str
) -> None:
    """As a Python that fails to create one there would have it removed."""
    python = clone / "python"
    python.write_text(python.read_text().replace("    mkdir", "    exit 1\n    mkdir"))
    folder = clone / ".venv" / "bin"
    folder.mkdir(parents=True)
    start = without_root_file_access()
    if reason == "permissions":
        (folder / "python").touch(mode=0o700)
        folder.chmod(0)
    elif os.geteuid() == 0:
        os.chown(clone / ".venv", 12345, -1)
        (clone / ".venv").chmod(0o777)
    else:
        pytest.skip("only root can give a folder away")
    done = make(".venv/.run", "PYTHON=./python", folder=clone, start=start)
    folder.chmod(0o700)
    assert done.returncode == 2
    assert "may not run .venv/bin/python, or does not own .venv, which was left" in done.stderr
    assert "correct its owner and permissions, or remove it, then run the same" in done.stderr
    assert folder.exists()
    assert not (clone / "log").exists()


def test_without_a_python_make_says_so(clone: Path) -> None:
    done = make(".venv/.run", "PYTHON=", folder=clone)
    assert done.returncode == 2
    assert "No Python 3.11, 3.12 or 3.13 was found on PATH" in done.stderr


@pytest.mark.parametrize("target", ["", "run"])
def test_another_make_says_which_one_is_needed(target: str) -> None:
    if shutil.which("bmake") is None:
        pytest.skip("bmake is not installed")
    done = subprocess.run(
        ["bmake", *filter(None, [target])],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        f"This needs GNU make, which other systems call gmake. Type: gmake {target}"
    )


def test_another_make_stops_at_the_sentence_that_says_so() -> None:
    """Its first line is a rule to them, and a condition to GNU make."""
    text = MAKEFILE.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "ifdef OTHER:MAKE"
    assert lines[1].startswith(".error This needs GNU make")
