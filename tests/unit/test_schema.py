"""The columns that people rely on, in the order that they rely on."""

import pytest

from pipeline.schema import (
    CATALOGUE,
    COMBINED,
    GROUP,
    LABELS,
    LATEST,
    SHARD_ORDER,
    STANDARDS,
    TABLES,
    UNMAPPED,
    VIEW,
)

COLUMNS = {
    COMBINED: """
        year response_type assessment_id title standard_code standard_description
        academic_benchmark_guid version version_label local_student_id first_name last_name
        middle_name date_taken points points_possible percent_correct performance_band_level
        performance_band_label mastered""",
    GROUP: """
        year response_type assessment_id title reporting_group_id reporting_group
        local_student_id first_name last_name middle_name date_taken points points_possible
        percent_correct performance_band_level performance_band_label mastered""",
    VIEW: """
        data_source assessment_id year date_taken grade local_student_id test_type curriculum unit
        unit_labels title standard_code score performance_band_level performance_band_label
        proficiency mastered response_type points points_possible academic_benchmark_guid""",
    LATEST: """
        data_source assessment_id year date_taken grade local_student_id test_type curriculum unit
        unit_labels title standard_code score performance_band_level performance_band_label
        proficiency mastered response_type points points_possible academic_benchmark_guid
        attempt attempts attempts_that_day""",
    LABELS: "assessment_id title test_type curriculum unit unit_labels matched_by in_catalogue",
    UNMAPPED: "assessment_id title test_type curriculum unit rows",
    STANDARDS: """
        standard_code academic_benchmark_guid standard_description normalised_code rows""",
}

ALL = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)


@pytest.mark.parametrize("table", COLUMNS, ids=lambda table: table.stem)
def test_a_table_has_exactly_these_columns_in_this_order(table):
    assert list(table.names) == COLUMNS[table].split()


def test_the_catalogue_begins_with_what_names_an_assessment():
    assert CATALOGUE.names[0] == "assessment_id"
    assert "title" in CATALOGUE.names


@pytest.mark.parametrize("table", [COMBINED, GROUP, VIEW, LATEST], ids=lambda table: table.stem)
def test_scores_are_numbers_and_days_are_dates(table):
    kinds = {column.name: column.kind for column in table.columns}
    numbers = {"points", "points_possible", "percent_correct"} & kinds.keys()
    assert {kinds[name] for name in numbers} == {"number"}
    assert set(table.of_kind("number")) == numbers
    assert table.of_kind("date") == ("date_taken",)
    attempts = ("attempt", "attempts", "attempts_that_day")
    whole = {VIEW: ("grade", "score"), LATEST: ("grade", "score", *attempts)}
    assert table.of_kind("integer") == whole.get(table, ())


@ALL
def test_every_column_is_described_once(table):
    assert len(set(table.names)) == len(table.names)
    assert all(column.meaning and column.source for column in table.columns)


@ALL
def test_rows_are_ordered_by_columns_of_the_table(table):
    # The view has its rows in the order of the combined table, which has more columns.
    columns = COMBINED.names if table is VIEW else table.names
    assert table.key
    assert set(table.key) <= set(columns)


@pytest.mark.parametrize("table", [COMBINED, GROUP], ids=lambda table: table.stem)
def test_names_and_numbers_of_students_are_marked_as_personal(table):
    personal = {column.name for column in table.columns if column.personal}
    assert personal == {"local_student_id", "first_name", "last_name", "middle_name"}


@pytest.mark.parametrize("table", [VIEW, LATEST], ids=lambda table: table.stem)
def test_a_view_has_no_name_of_a_student(table):
    assert [column.name for column in table.columns if column.personal] == ["local_student_id"]
    assert not [name for name in table.names if name.endswith("_name")]


def test_shards_are_ordered_like_the_tables_that_are_read_from_them():
    assert ("response_type", *SHARD_ORDER["overall"]) == COMBINED.key
    assert ("response_type", *SHARD_ORDER["standard"]) == COMBINED.key
    assert SHARD_ORDER["group"] == GROUP.key


def test_tables_of_results_are_large_and_take_unknown_fields_except_the_views():
    assert [table for table in TABLES if table.is_large] == [COMBINED, GROUP, VIEW, LATEST]
    assert [table for table in TABLES if table.is_open] == [COMBINED, GROUP, CATALOGUE]
