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
        (0, "none"),
        (1, "under 1 %"),
        (100, "under 1 %"),
        (101, "1 to 10 %"),
        (1_001, "over 10 %"),
        (10_000, "over 10 %"),
    ],
)
def test_values_are_told_as_parts(null: int, told: str) -> None:
    quality = dict(load.read([record(10_000, null)]).quality)
    assert quality["points missing as sent, combined table"] == told
    assert quality["points unreadable and made empty, combined table"] == "none"
    assert quality["assessments repeated in the catalogue"] == "3"


def test_a_table_without_rows_has_no_values() -> None:
    quality = dict(load.read([record(0, 0, repeated=7)]).quality)
    assert quality["points missing as sent, combined table"] == "none"
    assert quality["roster lines that say again what another said"] == "some"


def test_without_a_record_there_is_nothing_to_tell() -> None:
    assert load.read([]).latest is None
