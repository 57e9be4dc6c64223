"""The last words of a run: true, complete, and with sums that add up."""

import datetime as dt
import re
from pathlib import Path

import pytest

from pipeline.runs.summary import summarize
from pipeline.storage.paths import Folders, Snapshot
from tests.helpers import YEAR

RECORD = Path("data/runs/run.json")


def snapshot(as_of=dt.date(2024, 6, 30)) -> Snapshot:
    chosen = Folders.from_settings("data", "", "", demo=False)
    return Snapshot(chosen, YEAR, YEAR.window(as_of), "")


def step(*, now=True, **facts):
    return {"by_this_run": now, **facts}


def fetched(now=True, requests=0, retries=0, fetched=0, reused=0, failed=0):
    return step(
        now=now, requests=requests, retries=retries, fetched=fetched, reused=reused, failed=failed
    )


def steps() -> dict[str, dict]:
    return {
        "FetchMetadata": step(requests=3, retries=1, assessments=900, fetched_on="2024-10-02"),
        "CountResults": step(changed={}, unreached=336, problem=""),
        "ReadRoster": step(**{"students": 400, "students without a grade": 0}),
        "FetchScores overall": fetched(requests=1000, retries=4, fetched=900, reused=100),
        "FetchScores standard": fetched(requests=500, fetched=400, reused=600),
        "FetchScores group": fetched(now=False, requests=7000, retries=70, fetched=1000),
        "ListAssessments": step(rows=900),
        "LabelAssessments": step(
            **{"rows": 1200, "unmapped": 34, "overrides": 9, "unmatched overrides": []}
        ),
        "CombineResults": step(
            rows=20_000,
            values={
                "points": {"null": 10, "unparseable": 1},
                "date_taken": {"null": 0, "unparseable": 2},
            },
        ),
        "CombineGroup": step(rows=5_000, values={"points": {"null": 5, "unparseable": 4}}),
        "BuildViews": step(
            **{
                "rows": 20_000,
                "students": 410,
                "students on the roster": 395,
                "students nearly on the roster": 0,
                "unmatched overrides": [],
                "latest": 19_000,
            }
        ),
        "CheckTables": step(checks=[{"ok": True}] * 10),
    }


def record(outcome="published", **changes):
    return {
        "outcome": outcome,
        "year": "23-24",
        "as_of": "2024-06-30",
        "is_made_up": False,
        "seconds": 12.5,
        "own_seconds": 3.5,
        "is_one_of_several": False,
        "withdrawn": [],
        "report_waits_for": [],
        "sql_views": "",
        "included_ids": [],
        "allowed_shrink": "",
        "replaced_source": "",
        "excluded_ids": [],
        "failures": [],
        "run": "this-run",
        "published_by": "an-earlier-run",
        "is_half_published": False,
        "steps": steps(),
        "new": {},
        **changes,
    }


def lines(of: dict, at: Snapshot | None = None) -> dict[str, str]:
    """The lines of a summary by their first word."""
    text = summarize(of, at or snapshot(), RECORD)
    found = [line.strip().split(maxsplit=1) for line in text.strip().splitlines()]
    return {line[0]: line[-1] for line in found}


# What there is one of.


def test_one_of_each_is_no_plural():
    one = record(new={"unmatched_students": {"count": 1}})
    of = one["steps"]
    of["CountResults"] |= {"unreached": 1, "not_fetched": 1, "changed": {"overall": (2, 1)}}
    of["FetchScores overall"] |= {"skipped": 1, "compared": 1, "unlisted": ["7"]}
    of["FetchMetadata"]["no longer listed"] = ["8"]
    of["ReadRoster"]["students without a grade"] = 1
    of["BuildViews"] |= {"students on the roster": 1, "students nearly on the roster": 1}
    of["LabelAssessments"] |= {
        "unmatched overrides": [{"assessment_id": "9", "grade": None}],
        "overrides": 1,
    }
    of["Report"] = step(**{"lost charts": 1})
    text = summarize(one, snapshot(), RECORD)
    wrong = r"\b1 (?:\w+ )?(?:rows|results|students|charts|shards|comparisons|others|assessments)\b"
    assert re.findall(wrong, text) == []
    assert re.findall(r"\b1 of 1 (?:match|students)\b", text) == []
    for said in (
        "1 overall result of 23-24",
        "1 overall result has no date in any school year, so no table has it",
        "1 result is of an assessment that is excluded",
        "1 standard or group shard: no overall results",
        "1 comparison with results by assessment agrees",
        "1 assessment with results is not in the catalogue: 7",
        "1 of 1 matches nothing: assessment 9",
        "1 student not on the roster more than before",
        "1 chart could not be drawn",
        " is on it; 1 other differs from an id on it only by leading zeros or .0",
        "1 on it has a code that is no grade",
    ):
        assert said in text, said


# How long it took.


def test_a_year_among_several_has_its_own_time():
    assert lines(record())["time"] == "12.5 s"
    assert lines(record(is_one_of_several=True))["time"] == "3.5 s, of 12.5 s for the whole run"


# When the data were fetched, and what changed since.


def test_the_first_run_of_a_school_year_says_what_became_of_the_one_before():
    said = "A run without a year no longer fetches 22-23"
    assert said not in summarize(record(), snapshot(), RECORD)
    new = record()
    new["steps"]["FetchMetadata"]["year before"] = "22-23"
    assert said in summarize(new, snapshot(), RECORD)
    new["steps"]["FetchMetadata"]["by_this_run"] = False
    assert said not in summarize(new, snapshot(), RECORD)


def test_views_that_were_removed_are_named_with_what_to_do():
    said = summarize(record(withdrawn=["late", "risk"], sql_views="sql"), snapshot(), RECORD)
    assert "REMOVED: late, risk, because [paths] sql_views has no such SQL file any more." in said
    assert "To publish them again, put the file back, then run the same command again" in said
    said = summarize(record(withdrawn=["late"]), snapshot(), RECORD)
    assert "REMOVED: late, because [paths] sql_views is not set any more." in said
    assert "To publish it again, set the folder again, then run the same command again" in said


def test_the_day_of_fetching_is_reported():
    assert lines(record())["fetched"] == "on 2024-10-02"
    # A run that failed before it fetched has the receipt of an earlier version.
    earlier = steps() | {"FetchMetadata": step(requests=3, retries=1, assessments=900)}
    assert lines(record("failed", steps=earlier))["fetched"] == "on an unknown day"


def test_what_the_server_changed_since_is_reported_first_with_the_command_for_it():
    changed = record()
    changed["steps"]["CountResults"]["changed"] = {"overall": (7354, 7355)}
    second = summarize(changed, snapshot(), RECORD).strip().splitlines()[1]
    assert second == (
        "  CHANGED: the server has 7,355 overall results of 23-24, and had 7,354 when they were "
        "fetched, on 2024-10-02. Run make refresh YEAR=23-24 to fetch the year again."
    )
    assert "CHANGED" not in summarize(record(), snapshot(), RECORD)


def test_results_that_no_year_reaches_are_reported():
    assert lines(record())["unreached"] == (
        "336 overall results have no date in any school year, so no table has them"
    )
    unknown = record()
    unknown["steps"]["CountResults"] = step(changed={}, unreached=None, problem="it said no")
    assert "unreached" not in lines(unknown)
    assert "  not counted results over all assessments, because of the server: it said no" in (
        summarize(unknown, snapshot(), RECORD)
    )


def test_results_that_were_not_fetched_are_reported():
    found = record()
    found["steps"]["CountResults"] |= {"not_fetched": 1718}
    assert (
        "  not fetched 1,718 results are of assessments that are excluded or not in the catalogue"
    ) in summarize(found, snapshot(), RECORD)
    assert "not fetched" not in summarize(record(), snapshot(), RECORD)


def test_what_is_new_is_named_up_to_ten_and_counted():
    new = {
        "assessments": {"count": 12, "names": [str(number) for number in range(1, 11)]},
        "unlabelled": {"count": 1, "names": ["Survey"]},
        "unmatched_students": {"count": 3},
    }
    text = summarize(record(new=new), snapshot(), RECORD)
    assert [line.strip() for line in text.splitlines() if line.startswith("  new ")] == [
        "new         12 assessments: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
        "new         1 title without curriculum or unit: Survey",
        "new         3 students not on the roster more than before",
    ]
    assert "new" not in lines(record())
    assert "new" not in lines(record("failed", new=new))


# What became of the run.


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("published", "23-24 as of 2024-06-30: published."),
        ("up to date", "everything is up to date; no table was changed."),
        ("failed", "FAILED; what was published before is unchanged."),
        ("done", "done."),
        ("stopped", "stopped."),
    ],
)
def test_the_first_line_says_what_became_of_the_run(outcome, words):
    first = summarize(record(outcome), snapshot(), RECORD).strip().splitlines()[0]
    assert first.startswith("School year 23-24 as of 2024-06-30")
    assert words in first


def test_the_first_line_says_what_readers_find_after_a_failure():
    half = summarize(record("failed", is_half_published=True), snapshot(), RECORD)
    assert "FAILED; some published files are new and others old." in half
    own = summarize(record("failed", published_by="this-run"), snapshot(), RECORD)
    assert "FAILED, but the tables of this run are published." in own


def test_a_report_that_waits_hides_no_failure_of_its_own_year():
    waits = {"report_waits_for": ["22-23"]}
    alone = summarize(record("not reported", **waits), snapshot(), RECORD)
    assert "published, but the report waits for another year" in alone
    failures = [{"step": "DiscloseFigures", "reason": "its figures are damaged"}]
    both = summarize(record("not reported", failures=failures, **waits), snapshot(), RECORD)
    assert "published, but the report FAILED" in both
    assert "not rebuilt before 22-23" in both


def test_a_run_that_restored_a_file_does_not_say_that_it_did_nothing():
    again = summarize(record("up to date", published_by="this-run"), snapshot(), RECORD)
    assert again.strip().splitlines()[0].endswith("published again; every table is as it was.")


def test_only_a_run_that_failed_says_failed():
    for outcome in ("published", "up to date", "stopped"):
        assert "FAILED" not in summarize(record(outcome), snapshot(), RECORD)


def test_each_failure_is_reported_with_its_step_and_reason():
    failures = [
        {"step": "FetchScores", "reason": "1 of 9 shards could not be fetched"},
        {"step": "CombineResults", "reason": "OSError"},
    ]
    text = summarize(record("failed", failures=failures), snapshot(), RECORD)
    assert "FetchScores: 1 of 9 shards could not be fetched\n" in text
    assert "CombineResults: OSError\n" in text


def test_a_run_that_failed_early_is_reported_with_what_there_is():
    text = summarize(record("failed", steps={}), snapshot(), RECORD)
    assert "FAILED" in text
    assert "0, 0 of them retries" in text
    assert str(RECORD) in text


def test_made_up_students_are_called_so():
    assert "nobody in it is real" in summarize(record(is_made_up=True), snapshot(), RECORD)
    assert "nobody in it is real" not in summarize(record(), snapshot(), RECORD)


def test_a_year_that_has_not_begun_is_reported_to_have_no_results():
    text = summarize(record(), snapshot(dt.date(2023, 6, 1)), RECORD)
    assert " begins on 2023-07-01 and has no results yet: published." in text.splitlines()[1]
    assert "begins on" not in summarize(record(), snapshot(), RECORD)


@pytest.mark.parametrize(
    ("as_of", "end"), [((2024, 6, 30), "has no results:"), ((2023, 9, 1), "has no results yet:")]
)
def test_a_year_without_results_is_reported_first(as_of, end):
    empty = steps() | {name: step(rows=0, values={}) for name in ("CombineResults", "CombineGroup")}
    refused = [{"step": "Publish", "reason": "r"}]
    for of in (record(steps=empty), record("failed", steps=empty, failures=refused)):
        assert end in summarize(of, snapshot(dt.date(*as_of)), RECORD).splitlines()[1]
    for known in (record("failed", steps=empty), record("failed", steps={}), record()):
        assert "has no results" not in summarize(known, snapshot(), RECORD)


# Sums.


def test_requests_and_retries_of_this_run_are_added_up_and_of_runs_before_are_not():
    assert lines(record())["requests"] == "1,503, 5 of them retries"


def test_fetched_and_reused_shards_add_up_to_all_there_are():
    assert lines(record())["shards"] == "1,300 fetched, 1,700 reused"


def test_a_run_with_nothing_to_do_requested_nothing_and_reused_everything():
    before = {name: {**facts, "by_this_run": False} for name, facts in steps().items()}
    reported = lines(record("up to date", steps=before))
    assert reported["requests"] == "0, 0 of them retries"
    assert reported["shards"] == "0 fetched, 3,000 reused"


def test_failed_shards_are_counted_apart():
    some = steps() | {"FetchScores overall": fetched(fetched=900, reused=100, failed=2)}
    reported = lines(record("failed", steps=some))
    assert reported["shards"] == "1,300 fetched, 1,700 reused, 2 FAILED"


def test_rows_are_reported_by_table():
    assert lines(record())["rows"] == "combined 20,000, group 5,000, view 20,000, latest 19,000"
    assert "own" not in lines(record())


def test_views_of_ones_own_are_counted():
    own = {"SqlView-late": step(rows=1_234), "SqlView-bands": step(rows=0)}
    reported = lines(record(steps=steps() | own))
    assert reported["own"] == "views   late 1,234, bands 0"


def test_null_and_unparseable_values_of_both_tables_are_added_up_and_the_columns_named():
    assert lines(record())["values"] == (
        "15 values empty at source, 7 unreadable (set to null): "
        "combined points 1, combined date_taken 2, group points 4"
    )


def test_values_are_counted_where_publishing_was_refused_and_not_where_it_was_not_reached():
    refused = record("failed", failures=[{"step": "Publish", "reason": "r"}])
    assert lines(refused)["values"] == lines(record())["values"]
    assert "values" not in lines(record("failed", failures=[{"step": "FetchScores", "reason": ""}]))


def test_titles_without_labels_are_counted():
    assert lines(record())["titles"] == "34 of 1,200 without curriculum or unit"


def test_overrides_that_match_nothing_are_named_with_the_reason():
    found = steps()
    found["LabelAssessments"]["unmatched overrides"] = [
        {"assessment_id": "204411.0", "grade": None, "is_listed": False},
        {"assessment_id": "7", "grade": 0, "is_listed": True},
    ]
    found["BuildViews"]["unmatched overrides"] = [{"assessment_id": "8", "grade": 12}]
    assert lines(record(steps=found))["overrides"] == (
        "3 of 9 match nothing: assessment 204411.0 (not in the catalogue), 7 grade 0 (no results), "
        "8 grade 12 (no results)"
    )
    found["BuildViews"]["unmatched overrides"] *= 9
    assert lines(record(steps=found))["overrides"].endswith("8 grade 12 (no results) and 1 more")
    assert "overrides" not in lines(record())


def test_checks_are_counted():
    assert lines(record())["checks"] == "10 passed"


# The roster, what was left out, and where things are.


def test_the_match_of_the_roster_is_reported():
    assert lines(record())["roster"] == "395 of 410 students are on it"


def test_near_misses_and_codes_on_the_roster_are_counted():
    found = steps()
    found["BuildViews"]["students nearly on the roster"] = 12
    found["ReadRoster"]["students without a grade"] = 3
    assert lines(record(steps=found))["roster"] == (
        "395 of 410 students are on it; "
        "12 others differ from an id on it only by leading zeros or .0; "
        "3 on it have a code that is no grade (set to null)"
    )


def test_students_with_several_values_in_a_column_are_counted():
    found = steps()
    found["ReadRoster"]["students with several values"] = {"school": 1200, "room": 0, "teacher": 3}
    assert lines(record(steps=found))["roster"] == (
        "395 of 410 students are on it; students with several values in one column (set to null): "
        "school 1,200, teacher 3"
    )


def test_that_no_roster_is_configured_is_reported():
    without = steps() | {"ReadRoster": step(students=0)}
    assert lines(record(steps=without))["roster"] == "none: grades are null"


def test_assessments_left_out_are_named_with_the_setting():
    reported = lines(record(excluded_ids=["115538", "7"]))["excluded"]
    assert "115538, 7" in reported
    assert "exclude_ids" in reported
    assert "catalogue" not in reported
    found = steps()
    found["ListAssessments"]["excluded but not listed"] = ["7"]
    reported = lines(record(excluded_ids=["115538", "7"], steps=found))["excluded"]
    assert reported.endswith("([illuminate] exclude_ids); not in the catalogue: 7")
    assert "excluded" not in lines(record())


def test_what_this_run_compared_by_page_is_counted():
    assert "  by page" not in summarize(record(), snapshot(), RECORD)
    found = steps() | {
        "FetchScores overall": step(compared=1_000),
        "FetchScores standard": step(compared=20),
        "FetchScores group": step(compared=3) | {"by_this_run": False},
    }
    text = summarize(record(steps=found), snapshot(), RECORD)
    assert "  by page     1,020 comparisons with results by assessment agree\n" in text


def test_what_could_not_be_fetched_by_page_is_named_with_the_reason():
    assert "not by page" not in summarize(record(), snapshot(), RECORD)
    found = steps() | {"FetchScores group": step(**{"not by page": "it counts no results"})}
    text = summarize(record(steps=found), snapshot(), RECORD)
    assert "  not by page group: it counts no results" in text


def test_ranges_that_were_read_on_another_night_only_are_counted_with_the_oldest_day():
    assert "not reread" not in summarize(record(), snapshot(), RECORD)
    kept = {"ranges": 1_200, "of": 4_000, "since": "2026-11-25"}
    found = steps() | {"FetchScores overall": step(**{"not reread": kept})}
    some = "overall: 1,200 of 4,000 ranges of dates, last read on 2026-11-25 or later"
    assert f"  not reread  {some}" in summarize(record(steps=found), snapshot(), RECORD)


def test_assessments_that_the_catalogue_does_not_list_are_named():
    assert "unlisted" not in lines(record())
    found = steps() | {
        "FetchScores overall": step(unlisted=["7"]),
        "FetchScores group": step(unlisted=["3", "7"]),
    }
    reported = lines(record(steps=found))["unlisted"]
    assert reported == "2 assessments with results are not in the catalogue: 3, 7"


def test_ten_of_many_ids_are_named_in_the_order_of_numbers():
    ids = [str(number) for number in range(95, 106)]
    found = steps() | {"FetchScores overall": step(unlisted=sorted(ids))}
    found |= {"FetchMetadata": step(**{"no longer listed": sorted(ids)})}
    reported = lines(record(steps=found))
    for name in ("unlisted", "catalogue"):
        named = reported[name].rpartition(": ")[2]
        assert named == ", ".join(ids[:10]) + " and 1 more"


def test_an_id_forges_no_line():
    forged = "7\n  view        \x1b[32mpublished"
    text = summarize(record(excluded_ids=[forged]), snapshot(), RECORD)
    assert r"assessment 7\n  view        \x1b[32mpublished ([illuminate]" in text
    assert len(text.split("\n")) == len(
        summarize(record(excluded_ids=["7"]), snapshot(), RECORD).split("\n")
    )
    assert text.replace("\n", "").isprintable()


def test_files_record_and_time_are_reported():
    reported = lines(record())
    assert reported["tables"] == "data/illuminate/23-24"
    assert reported["view"] == "data/views/23-24"
    assert reported["record"] == str(RECORD)
    assert reported["time"] == "12.5 s"


@pytest.mark.parametrize("outcome", ["failed", "stopped"])
def test_a_run_that_published_nothing_points_to_no_tables(outcome):
    assert not {"tables", "view", "rows"} & lines(record(outcome)).keys()
