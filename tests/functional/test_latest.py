"""The latest attempts are counted again before they are published."""

import sys

import pytest

from tests.functional.conftest import YEAR, Workplace

# The command, with attempts counted wrongly: each of these hands back other counts.
BROKEN = """
import sys
import pipeline
import polars as pl
from luigi.cmdline import luigi_run
from pipeline.transform import attempts

count = attempts.count_attempts

def loses_a_student(rows):
    counts = count(rows)
    return counts.scatter(counts.is_not_null().arg_true()[:1], None)

def counts_one_too_many(rows):
    return count(rows) + 1

def keeps_every_attempt(rows):
    return pl.repeat(1, rows.height, dtype=pl.Int64, eager=True)

attempts.count_attempts = locals()[sys.argv[1]]
luigi_run(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("loses_a_student", "each latest attempt appears exactly once"),
        ("counts_one_too_many", "the attempts add up to the view"),
        ("keeps_every_attempt", "each latest attempt appears exactly once"),
    ],
)
def test_a_wrong_count_stops_before_publishing(place: Workplace, fault: str, check: str) -> None:
    command = ("--module", "pipeline", "RunAll", "--year", YEAR)
    done = place.finish(place.start(sys.executable, "-c", BROKEN, fault, *command))
    assert done.returncode == 30, done.stdout
    assert f"A check failed before publishing ({check}: " in done.stdout
    assert place.published() == {}
