"""The report's account of runs: too coarse to reveal a small group."""

import pytest

from pipeline.report import run_history


def record(rows: int, null: int, unparseable: int = 0, repeated: int = 0) -> dict:
    counts = {"points": {"null": null, "unparseable": unparseable}}
    counts["mastered"] = {"null": 0, "unparseable": 0}
    return {
        "run": "a run",
        "finished_at": "2024-07-01T02:00:00+00:00",
        "outcome": "published",
        "seconds": 12.5,
        "failures": [],
        "steps": {
            "CombineResults": {"by_this_run": True, "rows": rows, "values": counts},
            "FetchMetadata": {"by_this_run": True, "duplicates": 3},
            "ReadInputs": {"by_this_run": True, "repeated roster lines": repeated},
        },
    }


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (0, "under 10,000"),
        (9_999, "under 10,000"),
        (10_000, "10,000"),
        (10_499, "10,000"),
        (10_500, "11,000"),
        (99_600, "100,000"),
        (2_699_040, "2,700,000"),
    ],
)
def test_row_counts_have_two_digits(rows: int, text: str) -> None:
    found = run_history.read([record(rows, 0)])
    assert found.latest is not None
    assert found.latest.rows_text == text


@pytest.mark.parametrize(
    ("null", "text"),
    [
        (0, "under 1 %"),
        (1, "under 1 %"),
        (99, "under 1 %"),
        (100, "1 to 10 %"),
        (999, "1 to 10 %"),
        (1_000, "10 % or more"),
        (10_000, "10 % or more"),
    ],
)
def test_values_are_given_as_shares(null: int, text: str) -> None:
    quality = dict(run_history.read([record(10_000, null)]).quality)
    assert quality["points empty at source, combined table"] == text
    assert quality["points unreadable (set to null), combined table"] == "under 1 %"
    assert quality["duplicate assessments in the catalogue"] == "3"
    assert quality["standards that are new since the run before"] == "0"
    assert quality["assessments with results that are not in the catalogue"] == "0"
    assert not any("mastered" in what for what in quality)


@pytest.mark.parametrize("rows", [0, 1, 9_999])
def test_the_values_of_few_rows_are_not_described(rows: int) -> None:
    """A single value could be recognized."""
    quality = dict(run_history.read([record(rows, rows, repeated=7)]).quality)
    assert quality["points empty at source, combined table"] == "not shown for so few rows"
    assert quality["duplicate roster lines"] == "some"


def test_without_a_record_there_is_no_latest_run() -> None:
    assert run_history.read([]).latest is None


def test_what_is_new_is_counted_but_for_students() -> None:
    new = {"assessments": {"count": 2, "names": ["1", "2"]}, "unmatched_students": {"count": 3}}
    quality = dict(run_history.read([{**record(10_000, 0), "new": new}]).quality)
    assert quality["assessments with results that are new since the run before"] == "2"
    assert "3" not in {text for what, text in quality.items() if "duplicate" not in what}
    assert not [what for what in quality if "student" in what]
