"""The commands of the Makefile, as far as they need no environment."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=REPOSITORY,
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
