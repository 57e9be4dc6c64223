"""What the report says of a load: coarse enough that no small group is in it."""

import pytest

from pipeline.report import load


def record(rows: int, null: int, odd: int = 0, repeated: int = 0) -> dict:
    counts = {"points": {"null": null, "odd": odd}}
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
    ("rows", "told"),
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
def test_rows_are_told_to_two_digits(rows: int, told: str) -> None:
    found = load.read([record(rows, 0)])
    assert found.latest is not None
    assert found.latest.rows_told == told


@pytest.mark.parametrize(
    ("null", "told"),
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
def test_values_are_told_as_parts(null: int, told: str) -> None:
    quality = dict(load.read([record(10_000, null)]).quality)
    assert quality["points missing as sent, combined table"] == told
    assert quality["points unreadable and made empty, combined table"] == "under 1 %"
    assert quality["assessments repeated in the catalogue"] == "3"


@pytest.mark.parametrize("rows", [0, 1, 9_999])
def test_nothing_is_told_of_the_values_of_few_rows(rows: int) -> None:
    """A single one would show."""
    quality = dict(load.read([record(rows, rows, repeated=7)]).quality)
    assert quality["points missing as sent, combined table"] == "not told of so few rows"
    assert quality["roster lines that say again what another said"] == "some"


def test_without_a_record_there_is_nothing_to_tell() -> None:
    assert load.read([]).latest is None
