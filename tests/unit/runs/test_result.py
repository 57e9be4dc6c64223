"""The result of a run, as other programs and people get it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.build import Failure
from pipeline.runs.result import RunFacts, compose, message

ABOUT = RunFacts("run-1", "https://x.example.org/live", False, 12.34, False)
PATH = Path("/data/runs/run-1-23-24.json")


def record(outcome: str = "published", year: str = "23-24", **facts: Any) -> dict[str, Any]:
    """A record as far as a result is made of it: two steps of this run, and one of another."""
    return {
        "year": year,
        "as_of": "2024-06-30",
        "outcome": outcome,
        "new": {},
        "steps": {
            "FetchScores overall": {"by_this_run": True, "requests": 9, "retries": 2, "fetched": 7},
            "FetchMetadata": {"by_this_run": False, "requests": 100},
            "CombineResults": {"by_this_run": True, "rows": 1234},
            "CombineGroup": {"by_this_run": True, "rows": 5},
            "BuildViews": {"by_this_run": True, "rows": 1234, "latest": 999},
            "CheckTables": {"by_this_run": True, "checks": [{"ok": True}] * 3},
        }
        | facts,
    }


def result_of(
    *records: dict[str, Any], about: RunFacts = ABOUT, failures: Any = ()
) -> dict[str, Any]:
    return compose(about, [(each, PATH) for each in records], failures)


def test_what_was_published_and_counted() -> None:
    result = result_of(record())
    assert (result["outcome"], result["succeeded"], result["published"]) == (
        "published",
        True,
        ["23-24"],
    )
    (table,) = result["tables"]
    assert table["rows"] == {"combined": 1234, "group": 5, "view": 1234, "latest": 999}
    assert table["checks_passed"] == 3
    assert (table["requests"], table["retries"], table["shards_fetched"]) == (9, 2, 7)
    assert table["record"] == PATH.name


@pytest.mark.parametrize(
    ("outcomes", "of_all", "published"),
    [
        (["up to date"], "up to date", []),
        (["done"], "done", []),
        (["up to date", "published"], "published", ["1"]),
        (["published", "failed", "not finished"], "failed", ["0"]),
        (["published", "not finished"], "not finished", ["0"]),
        (["failed", "stopped"], "stopped", []),
        ([], "not finished", []),
    ],
)
def test_the_worst_outcome_is_that_of_the_run(
    outcomes: list[str], of_all: str, published: list[str]
) -> None:
    result = result_of(*(record(outcome, str(n)) for n, outcome in enumerate(outcomes)))
    assert result["outcome"] == of_all
    assert result["succeeded"] is (of_all in {"done", "up to date", "published"})
    assert result["published"] == published


def test_a_report_that_failed_leaves_the_tables_published() -> None:
    failure = Failure("23-24", "Report", "a sentence.")
    result = result_of(record("not reported"), failures=[failure])
    assert (result["outcome"], result["succeeded"]) == ("not reported", False)
    assert result["published"] == ["23-24"]
    assert result["tables"][0]["rows"]["combined"] == 1234


def test_a_failure_that_no_record_has_is_a_failure_of_the_run() -> None:
    result = result_of(record(), failures=[Failure("", "Start", "a sentence.")])
    assert result["outcome"] == "failed"
    assert result["failures"] == [{"label": "", "step": "Start", "reason": "a sentence."}]


def test_a_run_that_was_stopped_before_all_else() -> None:
    assert result_of(about=ABOUT._replace(was_stopped=True))["outcome"] == "stopped"


def test_counts_of_another_run_are_not_reported() -> None:
    """What failed may have receipts of an earlier day."""
    (table,) = result_of(record("failed"))["tables"]
    assert not {"rows", "checks_passed"} & table.keys()


def test_a_record_that_could_not_be_written_is_not_named() -> None:
    (table,) = compose(ABOUT, [(record(), None)], [])["tables"]
    assert table["record"] is None


def test_a_message_says_it_all_in_a_few_lines() -> None:
    failures = [Failure("22-23", "FetchMetadata", "set <district> & try again.")]
    text = message(result_of(record(), record("failed", "22-23"), failures=failures))
    assert text == (
        "*Illuminate pipeline, x.example.org/live: failed.* Something failed; whatever this run "
        "did not publish is unchanged.\n"
        "School year 23-24 as of 2024-06-30: published. 1,234 rows combined; 5 rows group; "
        "1,234 rows view; 999 rows latest; 3 checks passed; 9 requests, 2 of them retries\n"
        "School year 22-23 as of 2024-06-30: failed. 9 requests, 2 of them retries\n"
        "• 22-23 FetchMetadata: set &lt;district&gt; &amp; try again."
    )


def test_made_up_students_are_not_taken_for_real_ones() -> None:
    text = message(result_of(about=ABOUT._replace(is_made_up=True, source="demo district 1")))
    assert "demo district (nobody in it is real)" in text


def test_all_years_have_no_day() -> None:
    years = record("up to date", "all", ConcatResults={"by_this_run": False, "rows": 9})
    del years["as_of"]
    years["years"] = ["22-23", "23-24"]
    years["steps"] |= {
        step: {"by_this_run": False, "rows": 1} for step in ("ConcatGroup", "ConcatView")
    }
    result = result_of(years)
    assert result["tables"][0]["years"] == ["22-23", "23-24"]
    assert result["tables"][0]["rows"] == {"combined": 9, "group": 1, "view": 1}
    assert "\nAll years: up to date. 9 rows combined" in message(result)


def test_a_long_message_is_cut() -> None:
    text = message(result_of(failures=[Failure("23-24", "FetchScores", "x" * 9000)]))
    assert len(text) < 3100
    assert text.endswith("(the rest is in the record of the run)")


def test_what_is_new_is_named_in_the_result_and_counted_in_the_message() -> None:
    new = {
        "standards": {"count": 2, "names": ["4NF3", "RL4.1"]},
        "unmatched_students": {"count": 1},
    }
    result = result_of({**record(), "new": new})
    assert result["tables"][0]["new"] == new
    assert "; 2 new standards; 1 new student not on the roster; 3 checks" in message(result)
    assert "new" not in result_of({**record("failed"), "new": new})["tables"][0]
