"""The latest attempt is the best of the last day, and attempts are counted before publishing."""

import datetime as dt
import sys

import pytest

from pipeline.simulator import SMALL, District, Protocol, serving
from pipeline.simulator.district.administrations import Endpoint, Row
from tests.functional import oracle
from tests.functional.conftest import YEAR, Workplace
from tests.functional.test_tables import check_tables

TITLE = "Gr 5 Math Unit 1 Assessment"


class RetakingDistrict(District):
    """A district in which three students of TITLE have two results on one day.

    By number: the first got 10 points of 10 and then 9; the second got the same with versions 10
    and 2; the standard of the third is two standards with one code.
    """

    def results(
        self,
        endpoint: Endpoint,
        assessment_id: str | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> list[Row]:
        rows = super().results(endpoint, assessment_id, start, end)
        students = sorted({str(row["local_student_id"]) for row in rows if row["title"] == TITLE})
        return [
            {**row, **change}
            for row in rows
            for change in (_changes(endpoint, row, students) if row["title"] == TITLE else [{}])
        ]


def _changes(endpoint: Endpoint, row: Row, students: list[str]) -> list[Row]:
    """Return what is different in each row that is sent for one of TITLE."""
    student = students.index(str(row["local_student_id"]))
    if student == 0:
        points = {"10": "100", "9": "90"}
        whole: Row = {"points_possible": "10", "mastered": "t"}
        return [{**whole, "points": p, "percent_correct": of} for p, of in points.items()]
    if student == 1 and endpoint == "overall":
        return [{"version": v, "performance_band_label": f"with {v}"} for v in ("10", "2")]
    if student == 2 and endpoint == "standard":
        return [{"academic_benchmark_guid": guid} for guid in ("A1", "B2")]
    return [{}]


@pytest.mark.parametrize("protocol", [Protocol(), Protocol(row_order="reversed")], ids=str)
def test_the_best_of_the_last_day_is_the_latest(place: Workplace, protocol: Protocol) -> None:
    """10 of 10 and not 9, version 10 and not 2, and both standards of one code."""
    district = RetakingDistrict.make(size=SMALL)
    retaken = district.add_assessment(TITLE, year=oracle.YEAR, students=3, standards=1)
    with serving(district, protocol) as server:
        place.point_at(server)
        done = place.run()
    assert done.returncode == 0, done.stdout
    check_tables(place, district, oracle.published_ids(district))
    found = oracle.read_csv(
        place.data / "views" / YEAR / "illuminate_latest_results_historical.csv"
    )
    rows = [row for row in found if row["assessment_id"] == retaken]
    students = sorted({row["local_student_id"] for row in rows})
    best, versions, shared = (
        [row for row in rows if row["local_student_id"] == student] for student in students
    )
    numbers = ("attempt", "attempts", "attempts_that_day")
    assert [(row["points"], row["score"]) for row in best] == [("10", "100")] * 2
    assert [tuple(row[name] for name in numbers) for row in best] == [("1", "2", "2")] * 2
    overall, _ = versions
    assert overall["performance_band_label"] == "with 10"
    assert tuple(overall[name] for name in numbers) == ("1", "2", "2")
    assert [row["academic_benchmark_guid"] for row in shared] == ["", "A1", "B2"]
    assert len({row["standard_code"] for row in shared[1:]}) == 1
    assert {tuple(row[name] for name in numbers) for row in shared} == {("1", "1", "1")}


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
    is_latest = pl.col("attempts").is_not_null()
    return counts.with_columns(pl.when(is_latest.cum_sum() > 1).then(pl.all()))

def counts_one_too_many(rows):
    return count(rows) + 1

def keeps_every_attempt(rows):
    return count(rows).with_columns(pl.lit(1, pl.Int64).alias(name) for name in attempts.ATTEMPTS)

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
