"""School years: spellings, windows, names of files, years beside each other."""

import json

import pytest

from pipeline.commands.run import NOTHING_NEW
from pipeline.simulator import SMALL, District, Server, serving
from pipeline.years import SchoolYear, today
from tests.functional import oracle
from tests.functional.conftest import LUIGI, YEAR, Workplace
from tests.helpers import is_count


def names(place: Workplace, year: str) -> set[str]:
    return {path.name for path in place.data.glob(f"[iv]*/{year}/*")}


LARGE = {
    *("assessment_results_combined", "assessment_results_group"),
    *("illuminate_assessment_results", "illuminate_latest_results"),
}
SMALL_ONES = {
    "assessments_metadata.csv",
    "assessment_labels.csv",
    "unmapped_titles.csv",
    "standards.csv",
}


def expected(suffix: str) -> set[str]:
    large = {f"{stem}{suffix}.{ending}" for stem in LARGE for ending in ("csv", "parquet")}
    return large | SMALL_ONES | {"published.json", "datapackage.json"}


@pytest.mark.parametrize("spelling", ["23-24", "2023-24", "2023-2024"])
def test_every_spelling_means_the_same(place: Workplace, spelling: str) -> None:
    done = place.finish(place.start_run("--year", spelling))
    assert done.returncode == 0
    assert names(place, "23-24") >= expected("_historical")


@pytest.mark.parametrize("spelling", ["2024", "23-25", "abc", "24-23", "99-00", "23/24"])
def test_other_spellings_are_refused_in_a_sentence(
    place: Workplace, server: Server, spelling: str
) -> None:
    done = place.finish(place.start_run("--year", spelling))
    assert done.returncode == 40
    assert spelling in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []


@pytest.mark.parametrize(
    ("day", "year", "has_rows"),
    [("2025-03-01", "24-25", True), ("2024-07-01", "24-25", False), ("2024-06-30", "23-24", True)],
)
def test_without_a_year_it_is_the_one_of_today(
    place: Workplace, day: str, year: str, has_rows: bool
) -> None:
    """And its first day, when there is no result yet, is a success."""
    done = place.finish(place.start_run("--today", day))
    assert done.returncode == 0, done.stdout
    assert f"School year {year} as of {day}" in done.stdout
    suffix = "" if year == "24-25" else "_historical"
    assert names(place, year) == expected(suffix)
    view = place.data / "views" / year / f"illuminate_assessment_results{suffix}.csv"
    assert bool(oracle.read_csv(view)) == has_rows


def test_the_first_run_of_a_school_year_says_that_it_is(place: Workplace) -> None:
    """Once, and only where the year before is published."""
    said = "NEW: the first run of school year 24-25. A run without a year no longer fetches 23-24"
    for day, is_said in (("2024-06-30", False), ("2024-07-01", True), ("2024-07-02", False)):
        done = place.finish(place.start_run("--today", day))
        assert done.returncode == 0, done.stderr
        assert (said in done.stdout) == is_said, day
        assert ("NEW" in done.stdout) == is_said, day


def test_every_command_means_the_year_of_today(place: Workplace) -> None:
    """By the machine's own clock."""
    day = today()
    year, district = str(SchoolYear.of(day)), District.make(size=SMALL, today=day)
    with serving(district) as server:
        place.point_at(server)
        done = place.finish(place.start_run())
    assert done.returncode == 0, done.stdout
    assert names(place, year) == expected("")
    place.environment["LUIGI_CONFIG_PATH"] = str(place.folder / "quick.cfg")
    (place.folder / "quick.cfg").write_text("[report]\nenabled=false\n")
    assert place.look("run").returncode == NOTHING_NEW
    for command in ("status", "verify", "load", "forget"):
        done = place.look(command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert year in done.stdout or command == "verify"


def test_the_day_ends_where_the_school_is(place: Workplace) -> None:
    """In these two zones it is never the same day."""
    days = []
    for zone in ("Etc/GMT+12", "Pacific/Kiritimati"):
        place.environment["TZ"] = zone
        days.append(json.loads(place.look("status", "--json").stdout)["as_of"])
        assert f"time zone: {zone}; today is {days[-1]}, in" in place.look("doctor").stdout
    assert days[0] < days[1]


def test_a_time_zone_that_is_not_known_is_refused(place: Workplace, server: Server) -> None:
    """It would silently be UTC, where the day ends in the afternoon of a school in the west."""
    place.environment["TZ"] = "PST"
    done = place.run()
    assert done.returncode == 30
    assert "TZ is PST, which is no time zone that this machine knows" in done.stderr
    assert server.log == []


def test_the_name_that_the_setting_had_is_refused(place: Workplace, server: Server) -> None:
    """It was the default of `--year` as well, so nothing may be published under it."""
    done = place.run("--years-current", "24-25")
    assert done.returncode == 30
    assert "[years] current was renamed to historical_before" in done.stdout + done.stderr
    assert server.log == []


def test_years_never_overwrite_each_other(
    place: Workplace, server: Server, undisturbed: dict[str, bytes]
) -> None:
    """Each year has folders and a snapshot of its own."""
    assert place.run().returncode == 0
    assert place.finish(place.start_run("--year", "24-25")).returncode == 0
    assert names(place, "23-24") == expected("_historical")
    assert names(place, "24-25") == expected("")
    server.clear_log()
    assert place.run().returncode == 0
    assert server.log == []
    assert {k: v for k, v in place.published().items() if k.startswith("23-24")} == undisturbed


def test_a_finished_year_is_fetched_up_to_its_last_day(place: Workplace, server: Server) -> None:
    assert place.run("--as-of", "2026-11-22").returncode == 0
    windows = {
        (r.params["date_taken_start"], r.params["date_taken_end"])
        for r in server.log
        if r.endpoint in {"overall", "standard", "group"} and not is_count(r)
    }
    assert windows == {("2023-07-01", "2024-06-30")}


def test_a_day_that_is_still_to_come_is_refused(place: Workplace, server: Server) -> None:
    """Its snapshot would be taken for the whole year ever after."""
    done = place.finish(place.start_run("--year", "98-99", "--as-of", "2099-06-30"))
    assert done.returncode == 30
    assert "is still to come" in done.stdout + done.stderr
    again = place.look("refresh", "--year", "98-99", "--as-of", "2099-06-30")
    assert again.returncode == 30
    assert "is still to come" in again.stderr
    assert server.log == []


def test_a_running_year_has_a_snapshot_for_each_day(place: Workplace, server: Server) -> None:
    """Within a day a rerun requests nothing; on another day everything is fetched up to it."""
    assert place.run("--as-of", "2023-12-31").returncode == 0
    first = len(server.log)
    assert place.run("--as-of", "2023-12-31").returncode == 0
    assert len(server.log) == first
    server.clear_log()
    assert place.run("--as-of", "2024-01-31").returncode == 0
    last_days = {
        r.params.get("date_taken_end")
        for r in server.log
        if r.endpoint == "overall" and not is_count(r)
    }
    assert last_days == {"2024-01-31"}
    path = place.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    dates = {row["date_taken"] for row in oracle.read_csv(path)}
    assert max(dates) <= "2024-01-31"
    assert {path.name for path in (place.data / "work/23-24").iterdir()} == {
        "2023-12-31",
        "2024-01-31",
    }


@pytest.mark.parametrize(
    "options", [("--year", "32-33"), ("--year", YEAR, "--as-of", "2023-05-01")]
)
def test_a_year_that_has_not_begun_is_refused_before_anything_is_requested(
    place: Workplace, server: Server, options: tuple[str, ...]
) -> None:
    done = place.finish(place.start_run(*options, STUDENT_ROSTERS=""))
    assert done.returncode == 30
    first_day = SchoolYear.parse(options[1]).first_day
    assert f" begins on {first_day} and has no results yet: FAILED" in done.stdout.splitlines()[1]
    assert "set [checks] allow_empty=true" in done.stdout
    assert server.log == []
    assert place.published() == {}


def test_a_year_that_has_not_begun_is_a_success_without_rows_if_that_is_allowed(
    place: Workplace, server: Server
) -> None:
    done = place.run("--as-of", "2023-05-01", "--checks-allow-empty")
    assert done.returncode == 0, done.stdout
    assert not {"overall", "standard", "group"} & {r.endpoint for r in server.log}
    path = place.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    assert oracle.read_csv(path) == []
    assert oracle.header(path) == oracle.COMBINED
    assert SchoolYear(2023).first_day.isoformat() in done.stdout.splitlines()[1]


def test_when_a_year_becomes_history_its_files_are_renamed(
    place: Workplace, server: Server
) -> None:
    """No file without the suffix is left behind to be taken for the current year."""
    assert place.run("--years-historical-before", "23-24").returncode == 0
    assert names(place, "23-24") == expected("")
    server.clear_log()
    assert place.run("--years-historical-before", "24-25").returncode == 0
    assert names(place, "23-24") == expected("_historical")
    assert server.log == []


def test_other_places_for_tables_and_views(place: Workplace) -> None:
    """SAVE_PATH gets the year behind it; VIEW_PATH has it filled in."""
    done = place.run(
        SAVE_PATH=str(place.folder / "out" / "illuminate"),
        VIEW_PATH=str(place.folder / "out" / "{year}" / "views"),
    )
    assert done.returncode == 0
    tables = place.folder / "out" / "illuminate" / "23-24"
    views = place.folder / "out" / "23-24" / "views"
    assert (tables / "assessment_results_combined_historical.csv").exists()
    assert (views / "illuminate_assessment_results_historical.csv").exists()
    assert not (place.data / "illuminate").exists()


def test_without_luigi_cfg_the_settings_are_the_same(place: Workplace) -> None:
    """Started in a folder without settings, a run still needs no scheduler and fails loudly."""
    del place.environment["LUIGI_CONFIG_PATH"]
    place.environment["ILLUMINATE_CLIENT_SECRET"] = "wrong"
    command = (LUIGI, "--module", "pipeline", "RunAll", "--year", "23-24")
    assert place.finish(place.start(*command)).returncode == 30
