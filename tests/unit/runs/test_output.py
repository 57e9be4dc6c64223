"""What is printed reaches its reader as it would without us."""

import subprocess
import sys

import pytest

PRINT_AND_DIE = """
import os
from pipeline.runs.output import outlive_readers
with outlive_readers():
    print("a line")
    os._exit(0)
"""


@pytest.mark.parametrize(("unbuffered", "printed"), [("1", "a line\n"), ("", "")])
def test_python_may_be_told_to_print_at_once(unbuffered: str, printed: str) -> None:
    command = (sys.executable, "-c", PRINT_AND_DIE)
    variables = {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == printed
