"""Which columns of the roster tables have, and which of them are refused."""

import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import LuigiConfigParser, get_config

from pipeline.config import rosters
from pipeline.errors import SettingsError
from pipeline.schema import COMBINED, GROUP, LATEST, ROSTER, STUDENTS, TABLES, VIEW


@pytest.fixture(autouse=True)
def of_a_district(monkeypatch):
    """Each test begins with the defaults of a district with an address."""
    monkeypatch.setattr(LuigiConfigParser, "_instance", LuigiConfigParser())
    get_config().set("illuminate", "base_url", "https://example.illuminateed.com/live")


def put(**values: str) -> None:
    for name, value in values.items():
        get_config().set("roster", name, value)


def test_without_the_setting_every_table_is_as_it_is():
    """And nothing is rebuilt, because nothing is added to what a build follows from."""
    assert (rosters.columns(), rosters.parameters()) == ({}, {})
    assert [rosters.with_columns(table) for table in TABLES] == list(TABLES)


def test_named_columns_are_text_come_last_and_are_personal():
    put(columns="teacher=Home_Room, school = STUDENTS.School_Name")
    named = {"teacher": "Home_Room", "school": "STUDENTS.School_Name"}
    assert rosters.columns() == named
    for table in (VIEW, LATEST, ROSTER, STUDENTS):
        own, found = table.columns, rosters.with_columns(table).columns
        assert found[: len(own)] == own
        added = found[len(own) :]
        assert [column.name for column in added] == list(named)
        assert {(column.kind, column.personal) for column in added} == {("text", True)}
        assert rosters.with_columns(table).foreign_text[-2:] == tuple(named)
    assert rosters.with_columns(COMBINED) is COMBINED
    assert rosters.with_columns(GROUP) is GROUP


def test_what_the_roster_follows_from_keeps_the_order_of_the_columns():
    put(columns="b=B,a=A", id="SIS Id", current="Status=Active, Status=New")
    assert rosters.parameters() == {
        "id": "SIS Id",
        "current": [["Status", "Active"], ["Status", "New"]],
        "columns": [["b", "B"], ["a", "A"]],
    }


def test_a_heading_may_have_an_equals_sign():
    put(columns="school=Name = long")
    assert rosters.columns() == {"school": "Name = long"}


BAD = {
    "school": "[roster] columns is 'school'; it must be like school=STUDENTS.School_Name, ",
    "=School": "[roster] columns is '=School'; it must be like",
    "a=A, school=": "[roster] columns is 'a=A, school='; it must be like",
    "School=School": "has 'School', which is not up to 60 of a-z, 0-9 and _, beginning with a",
    "1st=School": "has '1st', which is not up to 60",
    "a b=School": "has 'a b', which is not up to 60",
    f"{'a' * 61}=School": "which is not up to 60",
    "grade=Level": "has 'grade', which is the name of another column",
    "year=Year": "has 'year', which is the name of another column",
    "first_name=First": "has 'first_name', which is the name of another column",
    "attempt=Attempt": "has 'attempt', which is the name of another column",
    "a=School,b=Site,a=Name": "has 'a', which is the name of another column",
}


@pytest.mark.parametrize(("text", "fault"), BAD.items())
def test_a_column_that_no_table_can_have_is_refused(text, fault):
    put(columns=text)
    assert rosters.has_columns()
    with pytest.raises(SettingsError) as error:
        rosters.columns()
    assert fault in str(error.value)
    assert "othing was requested and nothing was changed." in str(error.value)


def test_an_enrolment_status_without_a_value_is_refused():
    put(current="Enroll_Status")
    with pytest.raises(SettingsError, match=r"^\[roster\] current is 'Enroll_Status'; it must be "):
        rosters.parameters()


def test_columns_can_be_named_on_the_command_line():
    with CmdlineParser.global_instance(["RunAll", "--roster-columns", "school=School"]):
        assert rosters.columns() == {"school": "School"}


# The demo.


def test_the_demo_has_school_and_teachers_of_its_own_roster():
    get_config().set("illuminate", "base_url", "")
    assert list(rosters.columns()) == [
        "school",
        "ela_teacher",
        "math_teacher",
        "science_teacher",
        "social_studies_teacher",
    ]
    put(columns="site=SchoolID")
    assert rosters.columns() == {"site": "SchoolID"}


def test_another_roster_in_the_demo_needs_no_such_columns():
    get_config().set("illuminate", "base_url", "")
    get_config().set("paths", "rosters", "/mine.txt")
    assert rosters.columns() == {}
