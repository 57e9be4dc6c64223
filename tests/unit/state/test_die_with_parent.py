"""A command that ends with its parent; that it does is in tests/state/test_state_run.py."""

import os
import subprocess
import sys

from pipeline.state import die_with_parent

COMMAND = (sys.executable, "-c", "import os; print(os.getppid())")


def started_by(parent: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", die_with_parent.__file__, str(parent), *COMMAND],
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_process_is_between_the_two() -> None:
    assert started_by(os.getpid()).stdout == f"{os.getpid()}\n"


def test_a_command_is_not_run_whose_parent_is_gone() -> None:
    done = started_by(os.getpid() + 1)
    assert (done.returncode, done.stdout) == (1, "")
