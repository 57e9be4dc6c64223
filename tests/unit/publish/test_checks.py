"""The checks before publishing pass on good tables and name every difference."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.extract.manifest import ManifestEntry
from pipeline.publish import checks
from pipeline.publish.checks import CheckResult
from pipeline.schema import COMBINED
from pipeline.storage.files import FileStamp
from pipeline.transform import combine, values
from pipeline.transform.scan import ShardDataset
from tests.helpers import source_of, write_csv, write_parquet, write_shard


def entry(rows: int, declared: int | None = None, duplicates: int = 0) -> ManifestEntry:
    declared = rows + duplicates if declared is None else declared
    return ManifestEntry(declared, rows, duplicates, 1, ("assessment_id",), FileStamp("", 0, 0))


def counts(*rows: tuple[str, str, int]) -> pl.DataFrame:
    schema = {"response_type": pl.String, "assessment_id": pl.String, "rows": pl.Int64}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


# Shards and what the server declared.


def test_shards_that_add_up_pass_and_the_note_has_the_counts():
    check = checks.check_shard_row_counts(
        "overall", {"1": entry(1200, duplicates=34), "2": entry(0)}
    )
    assert check.ok
    assert check.note == "1,234 declared = 1,200 distinct + 34 duplicates"
    assert "overall" in check.name


def test_no_shards_add_up():
    assert checks.check_shard_row_counts("group", {}).ok


@pytest.mark.parametrize("declared", [11, 13], ids=["a row too many", "a row too few"])
def test_a_shard_that_does_not_add_up_fails_by_its_assessment(declared):
    wrong = entry(10, declared=declared, duplicates=2)
    check = checks.check_shard_row_counts("standard", {"1": entry(5), "115538": wrong})
    assert not check.ok
    assert "assessment 115538" in check.note
    assert "standard" in check.name


def test_differences_of_two_shards_do_not_cancel_each_other():
    check = checks.check_shard_row_counts(
        "overall", {"1": entry(4, declared=5), "2": entry(5, declared=4)}
    )
    assert not check.ok
    assert "assessment 1, 2" in check.note


def test_many_wrong_shards_are_named_in_part_and_counted():
    check = checks.check_shard_row_counts(
        "overall", {str(n): entry(1, declared=2) for n in range(9)}
    )
    assert check.note == "the counts do not add up for assessment 0, 1, 2, 3, 4 and 4 more"


def test_a_written_shard_with_duplicates_adds_up(tmp_path):
    row = {"assessment_id": "1", "title": "T"}
    made = write_shard(tmp_path, "1", [row, row, {**row, "title": "U"}])
    assert (made.server_total, made.rows, made.duplicates) == (3, 2, 1)
    assert checks.check_shard_row_counts("overall", {"1": made}).ok


# Tables and their shards.

PARTS = {"overall": {"1": entry(3), "2": entry(0)}, "standard": {"1": entry(7)}}
GOOD = (("overall", "1", 3), ("standard", "1", 7))


def test_a_table_with_every_row_of_its_shards_passes():
    check = checks.check_table_row_counts("combined", PARTS, counts(*GOOD))
    assert check.ok
    assert check.note == "10 rows in shards, 10 in the table"
    assert "combined" in check.name


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        pytest.param([("overall", "1", 2), ("standard", "1", 7)], "1 (overall)", id="lost"),
        pytest.param([("overall", "1", 3), ("standard", "1", 8)], "1 (standard)", id="doubled"),
        pytest.param([("overall", "1", 3)], "1 (standard)", id="lost completely"),
        pytest.param([*GOOD, ("overall", "2", 1)], "2 (overall)", id="of an empty shard"),
        pytest.param([*GOOD, ("overall", "99", 1)], "99 (overall)", id="of no shard"),
        pytest.param([*GOOD, ("group", "1", 1)], "1 (group)", id="of another kind"),
        pytest.param(
            [("overall", "1", 7), ("standard", "1", 3)], "1 (overall), 1 (standard)", id="swapped"
        ),
        pytest.param([], "1 (overall), 1 (standard)", id="empty"),
    ],
)
def test_a_table_that_differs_from_its_shards_fails_by_the_assessment(rows, named):
    check = checks.check_table_row_counts("combined", PARTS, counts(*rows))
    assert not check.ok
    assert check.note.endswith(f"they differ for assessment {named}")


def test_a_row_without_an_assessment_fails_too():
    rows = counts(*GOOD).extend(counts(("overall", None, 1)))
    check = checks.check_table_row_counts("combined", PARTS, rows)
    assert not check.ok


def test_files_with_equally_many_rows_pass():
    check = checks.check_equal_row_counts("both files", {"CSV": 1234, "Parquet": 1234})
    assert check == CheckResult("both files", True, "CSV 1,234, Parquet 1,234")


@pytest.mark.parametrize("found", [{"CSV": 4, "Parquet": 5}, {"a": 1, "b": 1, "c": 0}])
def test_files_with_different_numbers_of_rows_fail_with_the_numbers(found):
    check = checks.check_equal_row_counts("both files", found)
    assert not check.ok
    assert all(f"{name} {count}" in check.note for name, count in found.items())


def test_a_result_is_recorded_as_name_ok_and_note():
    check = CheckResult("a name", False, "a note")
    assert check._asdict() == {"name": "a name", "ok": False, "note": "a note"}


# Counting.

ROWS = [
    {"assessment_id": "1", "title": 'two\n"lines",', "points": "1"},
    {"assessment_id": "1", "title": "\r\n", "points": "2"},
    {"assessment_id": "2", "title": None, "points": "\n"},
]


@pytest.fixture
def both_files(tmp_path) -> tuple[Path, Path]:
    rows = combine.combine_results(source_of(tmp_path, ROWS), ShardDataset([], [], []), "23-24")
    frame = values.as_text(rows, COMBINED)
    write_csv(frame, tmp_path / "t.csv")
    write_parquet(frame, tmp_path / "t.parquet")
    return tmp_path / "t.csv", tmp_path / "t.parquet"


def test_rows_are_counted_by_assessment_and_kind(both_files):
    rows = checks.count_by_assessment(both_files[1]).sort("assessment_id").rows()
    assert rows == [("overall", "1", 2), ("overall", "2", 1)]


def test_records_of_several_lines_count_once(both_files):
    assert checks.count_csv(both_files[0]) == checks.count_parquet(both_files[1]) == 3


def test_a_header_alone_counts_as_no_row(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    assert checks.count_csv(tmp_path / "t.csv") == 0


def test_a_last_row_that_was_cut_off_is_not_counted(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4")
    assert checks.count_csv(tmp_path / "t.csv") == 1


def test_an_empty_file_never_has_the_right_number_of_rows(tmp_path):
    (tmp_path / "t.csv").touch()
    assert checks.count_csv(tmp_path / "t.csv") < 0


# Assessments that were skipped.


def test_a_sample_without_rows_passes_and_is_counted():
    sample = {"1": entry(7), "2": entry(0), "3": entry(0)}
    check = checks.check_skipped_are_empty("group", sample, {"1": entry(3), "2": entry(0)})
    assert check.ok
    assert check.note == "2 were fetched as a sample"


@pytest.mark.parametrize("overall", [{}, {"7": entry(0)}], ids=["skipped", "empty"])
def test_a_sampled_assessment_with_rows_fails_and_is_named(overall):
    check = checks.check_skipped_are_empty("group", {"7": entry(1)}, overall)
    assert not check.ok
    assert "assessment 7 has rows" in check.note
    assert "fetch_all=true" in check.note
