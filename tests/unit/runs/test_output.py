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

LOG_AT_THE_END = """
import logging, warnings
from pipeline.runs.output import outlive_readers
warnings.simplefilter("error")
with outlive_readers():
    logging.basicConfig()
logging.error("a line")
"""


def test_a_log_that_began_meanwhile_goes_on() -> None:
    """Luigi's threads log until the process ends."""
    command = (sys.executable, "-c", LOG_AT_THE_END)
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert done.stderr == "ERROR:root:a line\n"


@pytest.mark.parametrize(("unbuffered", "printed"), [("1", "a line\n"), ("", "")])
def test_python_may_be_told_to_print_at_once(unbuffered: str, printed: str) -> None:
    command = (sys.executable, "-c", PRINT_AND_DIE)
    variables = {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == printed
