"""OneRoster 1.1 and 1.2, as a folder or a ZIP file: students, their grades and schools."""

import zipfile
from pathlib import Path

import pytest

from pipeline.errors import InputFileError
from pipeline.inputs.roster import Headings, Roster, read_roster

ORGS = """\
sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId
o1,,,Made-Up District,district,,
o2,,,"Elm, Upper School",school,,o1
o3,,,Oak School,School,,o1
"""
# Version 1.1: users.csv has roles and organisations.
USERS_1_1 = """\
sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,\
familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password
u1,,,true,"o1,o2",student,a,,Ada,Doe,,0042,,,,,KG,
u2,active,,true,o3,student,b,,Bo,Doe,,0043,,,,,08,
u3,,,true,"o2,o3",student,c,,Cy,Doe,,0044,,,,,UG,
u4,,,true,o1,student,d,,Di,Doe,,0045,,,,,,
u5,,,true,o2,teacher,e,,Ed,Doe,,9001,,,,,,
u6,tobedeleted,,true,o2,student,f,,Fy,Doe,,0046,,,,,03,
"""
# Version 1.2: roles.csv has them.
USERS_1_2 = """\
sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,\
identifier,email,sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,\
resourceSourcedIds,preferredGivenName,preferredMiddleName,preferredFamilyName,\
primaryOrgSourcedId,pronouns
u1,,,true,a,,Ada,Doe,,0042,,,,,KG,,,,,,,,
u2,,,true,b,,Bo,Doe,,0043,,,,,08,,,,,,,,
u3,,,true,c,,Cy,Doe,,0044,,,,,UG,,,,,,,,
u4,,,true,d,,Di,Doe,,0045,,,,,,,,,,,,o1,
u5,,,true,e,,Ed,Doe,,9001,,,,,,,,,,,,o2,
u6,,,true,f,,Fy,Doe,,0046,,,,,03,,,,,,,,
"""
ROLES = """\
sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,\
userProfileSourcedId
r1,,,u1,primary,student,,,o2,
r2,,,u1,secondary,student,,,o3,
r3,,,u2,secondary,student,,,o3,
r4,,,u3,primary,student,,,o2,
r5,,,u3,primary,student,,,o3,
r6,,,u4,primary,student,,,o2,
r7,,,u5,primary,teacher,,,o2,
r8,tobedeleted,,u6,primary,student,,,o2,
"""
VERSIONS = {
    "1.1": {"users.csv": USERS_1_1, "orgs.csv": ORGS},
    "1.2": {"users.csv": USERS_1_2, "orgs.csv": ORGS, "roles.csv": ROLES},
}
SCHOOL = Headings(columns={"school": "school"})


def as_folder(folder: Path, files: dict[str, str]) -> Path:
    export = folder / "export"
    export.mkdir()
    for name, text in files.items():
        (export / name).write_text(text, encoding="utf-8")
    return export


def as_zip(folder: Path, files: dict[str, str], prefix: str = "") -> Path:
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("manifest.csv", "propertyName,value\n")
        for name, text in files.items():
            archive.writestr(prefix + name, text)
    return folder / "export.zip"


def as_deep_zip(folder: Path, files: dict[str, str]) -> Path:
    return as_zip(folder, files, "2023/oneroster/")


def rows(roster: Roster) -> list[tuple[object, ...]]:
    text = roster.students.astype(object)
    return list(text.where(text.notna(), None).itertuples(index=False, name=None))


def refusal(path: Path, headings: Headings = SCHOOL) -> str:
    with pytest.raises(InputFileError) as error:
        read_roster(path, headings)
    return str(error.value)


@pytest.mark.parametrize("pack", [as_folder, as_zip, as_deep_zip])
@pytest.mark.parametrize("version", VERSIONS)
def test_students_have_their_grades_and_the_names_of_their_schools(tmp_path, version, pack):
    """Neither teachers nor those that are to be deleted; of two schools none is the school."""
    found = read_roster(pack(tmp_path, VERSIONS[version]), SCHOOL)
    assert rows(found)[:3] == [("0042", 0, "Elm, Upper School"), ("0043", 8, "Oak School"),
                               ("0044", None, None)]  # fmt: skip
    assert rows(found)[3] == ("0045", None, None), "whose only organisation is the district"
    assert found.several == {"school": 1}
    assert (found.lines, found.repeated, found.without_grade) == (4, 0, 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_other_columns_of_the_users_can_be_named(tmp_path, version):
    wanted = Headings(id="sourcedId", columns={"login": "username"})
    found = rows(read_roster(as_folder(tmp_path, VERSIONS[version]), wanted))
    assert found[0] == ("u1", 0, "a")


def test_without_a_named_column_no_school_is_needed(tmp_path):
    path = as_folder(tmp_path, {"users.csv": USERS_1_1})
    assert rows(read_roster(path))[0] == ("0042", 0)
    assert rows(read_roster(path, SCHOOL))[0] == ("0042", 0, None)


def test_a_student_of_two_grades_is_refused_with_the_line(tmp_path):
    users = USERS_1_1.replace("KG", '"KG,01"')
    message = refusal(as_folder(tmp_path, {"users.csv": users, "orgs.csv": ORGS}))
    assert message.startswith("users.csv, line 2: 1 student has more than one grade")


def test_a_student_without_a_number_is_refused_with_the_line(tmp_path):
    files = {"users.csv": USERS_1_1.replace("0043", ""), "orgs.csv": ORGS}
    assert "users.csv, line 3: the student number is blank" in refusal(as_zip(tmp_path, files))


def test_a_number_that_a_spreadsheet_damaged_is_refused_with_the_line(tmp_path):
    files = {"users.csv": USERS_1_1.replace("0043", "43.0"), "orgs.csv": ORGS}
    message = refusal(as_folder(tmp_path, files))
    assert "users.csv, line 3: the student number is damaged" in message


REFUSED = {
    "no roles": (
        {"users.csv": USERS_1_2, "orgs.csv": ORGS},
        "users.csv, line 1: the header lacks role, and no student is in roles.csv",
    ),
    "no ids": (
        {"users.csv": USERS_1_1.replace("sourcedId,status", "id,status")},
        "users.csv, line 1: the header lacks sourcedId",
    ),
    "no names": (
        {"users.csv": USERS_1_1, "orgs.csv": ORGS.replace("name,type", "n,t")},
        "orgs.csv, line 1: the header lacks name and type",
    ),
    "no role's user": (
        {"users.csv": USERS_1_2, "roles.csv": ROLES.replace("userSourcedId", "user")},
        "roles.csv, line 1: the header lacks userSourcedId",
    ),
    "no student": (
        {"users.csv": USERS_1_1.replace("student", "teacher")},
        "users.csv: it has no student",
    ),
    "no grades": (
        {"users.csv": USERS_1_1.replace("grades", "levels")},
        "users.csv, line 1: the header lacks grades. ",
    ),
}


@pytest.mark.parametrize(("files", "fault"), REFUSED.values(), ids=REFUSED)
def test_an_export_that_lacks_something_is_refused(tmp_path, files, fault):
    assert refusal(as_folder(tmp_path, files)).startswith(fault)


def test_a_folder_without_users_is_refused_by_its_own_name(tmp_path):
    folder = as_folder(tmp_path, {"orgs.csv": ORGS})
    assert refusal(folder).startswith(f"{folder}: the folder has no users.csv")


def test_a_damaged_zip_file_is_refused(tmp_path):
    path = as_zip(tmp_path, VERSIONS["1.1"])
    content = path.read_bytes()
    at = content.index(b"Ada")
    path.write_bytes(content[:at] + b"Eve" + content[at + 3 :])
    message = refusal(path)
    assert message.startswith("users.csv: it cannot be read from the ZIP file")
    assert "Eve" not in message


def test_a_zip_file_without_users_is_taken_for_a_workbook(tmp_path):
    message = refusal(as_zip(tmp_path, {"xl/workbook.xml": "<x/>"}))
    assert "export.zip: it is not UTF-8 and looks like an Excel workbook" in message


def test_a_path_at_which_nothing_is_is_refused(tmp_path):
    assert "absent.zip: it cannot be read (No such file" in refusal(tmp_path / "absent.zip")
