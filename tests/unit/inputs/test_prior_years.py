"""Files from before the pipeline: read strictly, copied clean, refused without a value."""

import csv

import pytest

from pipeline.errors import InputFileError
from pipeline.inputs import prior_years
from pipeline.schema import COMBINED, GROUP, VIEW

NAMES = ("year", "assessment_id", "reporting_group_id", "local_student_id", "date_taken")
ROW = ("2019-20", "A1", "7", "S1", "2020-01-15")
HEAD = ",".join(NAMES)
LINE = ",".join(ROW)


@pytest.fixture
def read(tmp_path):
    """Read bytes, or text as UTF-8, as a file of a table: what was found, and the copy."""

    def run(content, built=(), table=GROUP, end=""):
        path, copy = tmp_path / f"{table.stem}{end}.csv", tmp_path / "copy.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = prior_years.copy_clean(path, table, copy, built=built)
        with copy.open(encoding="utf-8", newline="") as file:
            return found, list(csv.DictReader(file))

    return run


# Which files there are.


def test_a_folder_gives_its_csv_files_by_name_and_their_tables(tmp_path):
    names = {
        "assessment_results_combined_1819.csv": COMBINED,
        "assessment_results_group_historical.CSV": GROUP,
        "illuminate_assessment_results.csv": VIEW,
    }
    for name in (*reversed(names), "notes.txt"):
        (tmp_path / name).touch()
    assert prior_years.find_files(str(tmp_path)) == {
        tmp_path / name: table for name, table in names.items()
    }
    assert list(prior_years.find_files(str(tmp_path))) == [tmp_path / name for name in names]


def test_a_pattern_gives_what_it_matches(tmp_path):
    for year in ("1819", "1920"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "assessment_results_group.csv").touch()
    assert len(prior_years.find_files(f"{tmp_path}/*/*_group.csv")) == 2


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path):
    (tmp_path / "[old]").mkdir()
    (tmp_path / "[old]" / "assessment_results_group.csv").touch()
    assert len(prior_years.find_files(str(tmp_path / "[old]"))) == 1


def test_a_location_without_files_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="there is no CSV file"):
        prior_years.find_files(str(tmp_path / "nowhere"))


def test_a_name_that_matches_no_table_is_refused(tmp_path):
    (tmp_path / "results.csv").touch()
    with pytest.raises(InputFileError, match="its name matches no table"):
        prior_years.find_files(str(tmp_path))


# What is copied.


def test_columns_come_in_the_tables_order_and_years_in_one_spelling(read):
    found, rows = read(f"{HEAD}\n{LINE}\n{LINE.replace('2019-20', '18-19')}\n")
    assert found.rows == {"18-19": 1, "19-20": 1}
    assert list(rows[0]) == list(GROUP.names)
    assert {name: rows[0][name] for name in NAMES} == {
        **dict(zip(NAMES, ROW, strict=True)),
        "year": "19-20",
    }
    others = {name: text for name, text in rows[0].items() if name not in NAMES}
    assert others.pop("response_type") == "group"
    assert set(others.values()) == {""}


@pytest.mark.parametrize(
    ("encoding", "spoken"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_each_encoding_reads_the_same(read, encoding, spoken):
    text = f"{HEAD}\n{LINE.replace('S1', 'S-Ü')}\n"
    found, rows = read(text.encode(encoding))
    assert found.encoding == spoken
    assert rows[0]["local_student_id"] == "S-Ü"


@pytest.mark.parametrize(
    "text", ['a "quote"', "two\nlines", "a\rreturn", "comma, comma", "  blanks  "]
)
def test_texts_are_copied_unchanged(read, text):
    quoted = '"' + text.replace('"', '""') + '"'
    _, rows = read(f"{HEAD}\n{LINE.replace('S1', quoted)}\n")
    assert rows[0]["local_student_id"] == text


def test_blank_lines_and_a_header_alone_hold_no_row(read):
    assert read(f"{HEAD}\r\n\r\n{LINE}\r\n\r\n")[0].rows == {"19-20": 1}
    assert read(f"{HEAD}\n")[0].rows == {}


# Files of the earlier scripts.

EARLIER = "data_source,assessment_id,date_taken,grade,local_student_id,title,standard_code,score"


@pytest.mark.parametrize("ignored", ["__count", "count", "new_or_current"])
def test_columns_of_the_earlier_scripts_are_ignored(read, ignored):
    _, rows = read(f"{ignored},{HEAD}\nx,{LINE}\n")
    assert {name: rows[0][name] for name in NAMES[1:]} == dict(zip(NAMES[1:], ROW[1:], strict=True))
    assert list(rows[0]) == list(GROUP.names)


@pytest.mark.parametrize(
    ("end", "year"),
    [("_21-22", "21-22"), ("_historical_2021-22", "21-22"), ("_2021-2022", "21-22")],
)
def test_the_year_is_that_of_the_name_where_no_column_has_it(read, end, year):
    line = "illuminate,A1,2022-01-15,3.0,S1,T,percent,81"
    found, rows = read(f"{EARLIER}\n{line}\n{line}\n", table=VIEW, end=end)
    assert found.rows == {year: 2}
    assert {row["year"] for row in rows} == {year}
    with pytest.raises(InputFileError, match="rows of 21-22 would be duplicates"):
        read(f"{EARLIER}\n{line}\n", table=VIEW, end=end, built={"21-22"})


@pytest.mark.parametrize("end", ["", "_2021", "_21-23", "_2020-11-12", "_21-22_old", "21"])
def test_a_name_without_a_year_at_its_end_gives_none(read, end):
    with pytest.raises(InputFileError, match=r"lacks year, and the file's name does not end like"):
        read(f"{EARLIER}\n", table=VIEW, end=end)


def test_a_year_in_a_column_is_the_one_that_counts(read):
    assert read(f"{HEAD}\n{LINE}\n", end="_21-22")[0].rows == {"19-20": 1}


@pytest.mark.parametrize(
    ("kind", "code", "response_type"),
    [
        (None, "percent", "overall"),
        (None, "3.OA.1", "standard"),
        ("No_Standard", "percent", "overall"),
        ("no_standard", "", "overall"),
        ("Standard", "3.OA.1", "standard"),
        ("Standard", "percent", "standard"),
        ("", "percent", "overall"),
        ("", "3.OA.1", "standard"),
    ],
)
def test_the_response_type_follows_from_kind_or_code(read, kind, code, response_type):
    header, line = f"{EARLIER},Standard_No_Standard", f"illuminate,A1,2022-01-15,3.0,S1,T,{code},81"
    header, line = (EARLIER, line) if kind is None else (header, f"{line},{kind}")
    _, rows = read(f"{header}\n{line}\n", table=VIEW, end="_21-22")
    assert rows[0]["response_type"] == response_type


def test_a_response_type_that_is_there_is_kept(read):
    line = "illuminate,A1,2022-01-15,3.0,S1,T,percent,81,standard"
    _, rows = read(f"{EARLIER},response_type\n{line}\n", table=VIEW, end="_21-22")
    assert rows[0]["response_type"] == "standard"


# What is refused.

BAD = [
    ("", "line 1: the header lacks year, assessment_id"),
    (f"{LINE}\n{LINE}\n", "line 1: the header lacks year"),
    (f"{HEAD},x\n{LINE},1\n", "has no column x"),
    (f"{HEAD},\n{LINE},1\n", "has no column one without a name"),
    (f"{HEAD},title,title\n{LINE},SECRET,SECRET\n", "has title more than once"),
    (f"{HEAD}\n{LINE}\n{LINE},SECRET\n", "line 3: it has 6 fields where the header has 5"),
    (f"{HEAD}\n2019-20,SECRET\n", "line 2: it has 2 fields where the header has 5"),
    (f'{HEAD}\n{LINE}\n"SECRET\n', "it is not valid CSV"),
    (f"{HEAD}\n{LINE.replace('2019-20', 'SECRET')}\n", "line 2: column year must hold"),
    (f"{HEAD}\n{LINE.replace('2019-20', '')}\n", "line 2: column year must hold"),
    (f"{HEAD}\n{LINE.replace('2019-20', '2020')}\n", "line 2: column year must hold"),
    (f"{HEAD}\n{LINE}\n".encode("utf-16-le"), "is neither UTF-8, nor UTF-16"),
    (f"{HEAD}\n{LINE}\n".encode("utf-16")[:-1], "is neither UTF-8, nor UTF-16"),
    (f"{HEAD}\n{LINE}".encode() + b"\x81\n", "is neither UTF-8, nor UTF-16"),
]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_an_invalid_file_is_refused_without_a_value(read, content, words):
    with pytest.raises(InputFileError) as refused:
        read(content)
    assert words in str(refused.value)
    assert "assessment_results_group.csv" in str(refused.value)
    assert not {"SECRET", "S1", "A1"} & set(str(refused.value).replace(",", " ").split())


def test_a_year_that_the_run_builds_is_refused(read):
    with pytest.raises(InputFileError, match="line 2: rows of 19-20 would be duplicates"):
        read(f"{HEAD}\n{LINE}\n", built={"19-20"})
