"""A finished year: fetched daily until it settles, then final, with its counts checked."""

import datetime as dt
import json
import subprocess

import pytest

from pipeline.simulator import (
    SMALL,
    District,
    Fault,
    Protocol,
    Server,
    WithoutAssessment,
    serving,
)
from pipeline.years import SchoolYear
from tests.functional import oracle
from tests.functional.conftest import Workplace
from tests.functional.test_reruns import newest_record, request_counts

YEAR = SchoolYear(2023)
TITLE = "Gr 5 Math Unit 1"


def on(place: Workplace, day: str, *options: str) -> "subprocess.CompletedProcess[str]":
    done = place.run("--today", day, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def correct(server: Server, students: int = 9) -> str:
    """Enter results late, and return their assessment."""
    return server.district.add_assessment(TITLE, year=YEAR, students=students, standards=2)


def folders(place: Workplace) -> set[str]:
    return {path.name for path in (place.data / "work" / "23-24").iterdir()}


def labels(place: Workplace) -> str:
    return (place.data / "illuminate/23-24/assessment_labels.csv").read_text("utf-8")


def marker(place: Workplace) -> dict[str, str]:
    about: dict[str, str] = json.loads(
        (place.data / "illuminate/23-24/published.json").read_text("utf-8")
    )["about"]
    return about


def test_a_late_correction_of_a_finished_year_is_fetched_the_next_day(
    place: Workplace, own: Server
) -> None:
    on(place, "2024-07-02")
    added = correct(own)
    late = on(place, "2024-07-03")
    assert "as of 2024-06-30" in late.stdout
    assert "fetched     on 2024-07-03" in late.stdout
    assert marker(place)["fetched_on"] == "2024-07-03"
    assert folders(place) == {"2024-06-30-on-2024-07-02", "2024-06-30-on-2024-07-03"}
    assert added in labels(place)
    own.clear_log()
    on(place, "2024-07-03")
    assert not own.log


def test_the_same_results_fetched_on_another_day_are_published_with_that_day(
    place: Workplace, own: Server
) -> None:
    on(place, "2024-07-02")
    before = place.published()
    again = on(place, "2024-07-03")
    assert "published again; every table is as it was" in again.stdout
    assert marker(place)["fetched_on"] == "2024-07-03"
    assert place.published() == before
    assert place.look("report", "--year", "23-24").returncode == 0
    page = (place.data / "reports/23-24.html").read_text("utf-8")
    assert "as of 2024-06-30 · fetched on 2024-07-03" in page
    # Nothing was fetched today, so what is verified is what is published.
    verified = place.look("verify", "--year", "23-24")
    assert verified.returncode == 0, verified.stdout
    assert "All files and counts are intact." in verified.stdout
    on(place, "2024-07-04", "--report-enabled", "true")
    assert "fetched on 2024-07-04" in (place.data / "reports/23-24.html").read_text("utf-8")


def test_the_day_on_which_a_year_settles_is_a_setting(place: Workplace, own: Server) -> None:
    on(place, "2024-09-30")
    on(place, "2024-10-01")
    assert folders(place) == {"2024-06-30-on-2024-09-30", "2024-06-30"}
    on(place, "2024-10-01", "--years-settles", "12-31")
    assert "2024-06-30-on-2024-10-01" in folders(place)
    refused = place.run("--today", "2024-10-01", "--years-settles", "30 September")
    assert refused.returncode == 30
    reason = (
        "[years] settles is '30 September'; it must be a month and a day, like 09-30. Nothing "
        "was requested and nothing was changed. Correct it, then run the same command again."
    )
    assert [line.partition(" ERROR ")[2] for line in refused.stderr.splitlines()] == [reason]


def test_a_settled_year_is_final_but_its_counts_are_checked(place: Workplace, own: Server) -> None:
    first = on(place, "2024-10-01")
    assert "CHANGED" not in first.stdout
    (unreached,) = (line for line in first.stdout.splitlines() if "unreached" in line)
    published = place.published()
    own.clear_log()
    correct(own)
    on(place, "2024-10-31")
    assert not own.log, "thirty days are not yet more than thirty"

    checked = on(place, "2024-11-01")
    counts = request_counts(own)
    assert (counts["catalogue"], counts["overall"], counts["standard"], counts["group"]) == (
        *(0, 1, 1, 1),
    )
    assert all(request.assessment_id is None for request in own.log)
    _, *_, of_overall = (line for line in checked.stdout.splitlines() if "overall" in line)
    assert "CHANGED: the server has " in checked.stdout
    assert "overall results of 23-24, and had " in checked.stdout
    assert "on 2024-10-01. Run make refresh YEAR=23-24" in checked.stdout
    assert "everything is up to date; no table was changed" in checked.stdout
    assert of_overall
    assert unreached in checked.stdout, "what was counted once is still said"
    assert place.published() == published
    changed = json.loads(newest_record(place))["steps"]["CountResults"]["changed"]
    assert set(changed) == {"overall", "standard", "group"}
    assert changed["overall"][1] - changed["overall"][0] == 9

    own.clear_log()
    again = on(place, "2024-11-30")
    assert not own.log
    assert "CHANGED" in again.stdout, "it is said until the year is fetched again"


def test_what_make_refresh_fetches_is_what_later_counts_are_compared_with(
    place: Workplace, own: Server
) -> None:
    on(place, "2024-10-01")
    added = correct(own)
    assert "CHANGED" in on(place, "2024-12-01").stdout
    refreshed = place.look("refresh", "--year", "23-24")  # today, long after it settled
    assert refreshed.returncode == 0, refreshed.stdout
    assert "CHANGED" not in refreshed.stdout
    assert added in labels(place)
    assert "CHANGED" not in place.run().stdout


def test_counts_are_never_checked_if_recheck_days_is_0(place: Workplace, own: Server) -> None:
    on(place, "2024-10-01")
    own.clear_log()
    for days in ("0", "-1"):
        on(place, "2026-10-01", "--years-recheck-days", days)
        assert not own.log


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("404", "the server answered 404"),
        ("none", "it counts fewer results of the year than it delivers by assessment"),
    ],
)
def test_a_server_that_cannot_count_over_all_assessments_fails_nothing(
    place: Workplace, answer: str, reason: str
) -> None:
    protocol = Protocol(without_assessment=WithoutAssessment(answer=answer))  # type: ignore[arg-type]
    with serving(District.make(size=SMALL), protocol) as server:
        place.point_at(server)
        done = on(place, "2024-10-01")
        assert "published." in done.stdout
        because = f"results over all assessments, because of the server: {reason}"
        assert f"not counted {because}" in done.stdout
        assert "unreached" not in done.stdout
        server.clear_log()
        assert "CHANGED" not in on(place, "2024-11-02").stdout
        assert len([request for request in server.log if request.endpoint != "token"]) == 5


def test_a_count_that_failed_is_requested_once_more(place: Workplace, own: Server) -> None:
    on(place, "2024-10-01")
    correct(own)
    own.faults.add(Fault("status", 502, "standard", times=1))
    checked = on(place, "2024-11-01")
    assert "standard results of 23-24, and had " in checked.stdout
    assert "not counted" not in checked.stdout


@pytest.mark.parametrize("options", [(), ("--today", "2024-07-02")], ids=["", "another day"])
def test_results_that_no_school_year_reaches_are_counted(
    place: Workplace, own: Server, options: tuple[str, ...]
) -> None:
    """Those of 2000-01-01, of `infinity` and without a date, each once; never later years'."""
    rows = own.district.results("overall", None, None, None)
    dates = [row["date_taken"] for row in rows]
    missed = [d for d in dates if not d or not "2000-07-01" <= d <= dt.date.today().isoformat()]  # noqa: DTZ011
    assert len(set(missed)) >= 3
    done = place.run(*options)
    assert (
        f"unreached   {len(missed):,} overall results have no date in any school year"
        in done.stdout
    )


def test_rows_that_moved_to_an_earlier_year_stop_the_run_with_the_command_for_that_year(
    place: Workplace, own: Server
) -> None:
    """Thirty results re-dated from one year into the one before are in no table by themselves."""
    earlier = ("--year", "22-23", "--today", "2024-06-01")
    done = place.finish(place.start_run(*earlier))
    assert done.returncode == 0, done.stdout
    on(place, "2024-07-02")
    before = oracle.content(place.data / "illuminate")
    moved = max(
        oracle.catalogue_ids(own.district),
        key=lambda i: len(own.district.results("overall", i, YEAR.first_day, YEAR.last_day)),
    )
    assessment = own.district._assessments[moved]
    (given,) = (each for each in assessment.administrations if each.year == YEAR)
    for rows in own.district._generate(assessment, given).values():
        for row in rows:
            if row["date_taken"] and row["date_taken"] > "2023-07-01":
                row["date_taken"] = "2023-05-05"
    own.district.version += 1
    done = place.run("--today", "2024-07-03")
    assert done.returncode == 30
    assert "combined lost " in done.stdout
    assert "make refresh YEAR=22-23 (fetched on 2024-06-01)" in done.stdout
    assert oracle.content(place.data / "illuminate") == before

    manifest = place.data / "illuminate/22-23/published.json"
    of_earlier_version = json.loads(manifest.read_bytes())
    del of_earlier_version["about"]["fetched_on"]
    manifest.write_text(json.dumps(of_earlier_version), "utf-8")
    done = place.run("--today", "2024-07-03")
    assert "make refresh YEAR=22-23 (fetched on an unknown day)" in done.stdout
