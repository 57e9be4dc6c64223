"""The published tables are what the district knows, row by row."""

import csv
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.schema import TABLES
from pipeline.simulator import SMALL, District, Fault, Protocol, Server, serving, write_inputs
from pipeline.simulator.district.district import Row
from tests.functional import oracle
from tests.functional.conftest import AUTO, BY_ASSESSMENT, Workplace


def check_tables(place: Workplace, district: District, ids: list[str]) -> None:
    tables = place.data / "illuminate" / "23-24"
    combined = oracle.combined(district, ids)
    assert oracle.read_csv(tables / "assessment_results_combined_historical.csv") == combined
    assert oracle.read_csv(tables / "assessment_results_group_historical.csv") == oracle.group(
        district, ids
    )
    assert oracle.read_csv(tables / "standards.csv") == oracle.standards(combined)
    check_view(place, district, combined)


def check_view(place: Workplace, district: District, combined: list[oracle.Row]) -> None:
    grades = {
        student: "0" if grade == "K" else grade for student, grade in district.roster(oracle.YEAR)
    }
    path = place.data / "views" / "23-24" / "illuminate_assessment_results_historical.csv"
    view = oracle.read_csv(path)
    assert oracle.header(path) == oracle.VIEW
    expected = [oracle.view_of(row, grades) for row in combined]
    assert [{name: row[name] for name in expected[0]} for row in view] == expected
    latest = path.with_name("illuminate_latest_results_historical.csv")
    assert oracle.header(latest) == oracle.LATEST
    assert oracle.read_csv(latest) == oracle.latest(combined, view)
    labels = {
        row["assessment_id"]: row
        for row in oracle.read_csv(place.data / "illuminate" / "23-24" / "assessment_labels.csv")
    }
    by_grade = {
        (row["assessment_id"], row["grade"])
        for row in oracle.read_csv(place.work / "results" / "labels_by_grade.csv")
    }
    for row in view:
        if (row["assessment_id"], row["grade"]) not in by_grade:
            label = labels[row["assessment_id"]]
            for name in ("test_type", "curriculum", "unit", "unit_labels", "title"):
                assert row[name].removeprefix("'") == label[name].removeprefix("'")


def test_dates_as_midnights_make_the_same_tables(
    place: Workplace, server: Server, undisturbed: dict[str, bytes]
) -> None:
    server.faults.add(Fault("rewrite_fields", {"date_taken": "{} 00:00:00"}))
    assert place.run().returncode == 0
    assert place.published() == undisturbed


@pytest.mark.parametrize(
    ("how", "ids"),
    [(AUTO, oracle.published_ids), (BY_ASSESSMENT, oracle.catalogue_ids)],
    ids=["auto", "by_assessment"],
)
@pytest.mark.parametrize(("seed", "cap"), [(1, 1000), (2, 100), (3, 37), (4, 7)])
def test_tables_are_what_the_district_knows(
    place: Workplace,
    how: tuple[str, ...],
    ids: Callable[[District], list[str]],
    seed: int,
    cap: int,
) -> None:
    """Whatever the district, however small its pages, and however they are requested."""
    district = District.make(seed, SMALL)
    inputs = place.folder / "inputs"
    write_inputs(district, inputs)
    with serving(district, Protocol(cap=cap)) as server:
        place.point_at(server)
        done = place.run(
            *how,
            STUDENT_ROSTERS=f"{inputs}/Student_Rosters_{{year}}.txt",
            MANUAL_CHANGES=f"{inputs}/overrides.csv",
        )
    assert done.returncode == 0, done.stderr
    check_tables(place, district, ids(district))


class Padded(District):
    """Puts white space around the ids of some students, and sends some rows both ways."""

    def results(self, *wanted: Any) -> list[Row]:  # type: ignore[override]
        sent = []
        for row in super().results(*wanted):
            padded = {**row, "local_student_id": f" \xa0{row['local_student_id']}\t"}
            sent += [[row], [padded], [row, padded]][zlib.crc32(str(row).encode()) % 3]
        return sent


def test_students_are_found_whatever_white_space_is_around_their_ids(place: Workplace) -> None:
    """Rows that are the same but for it are all there."""
    district = Padded.make(2, SMALL)
    with serving(district) as server:
        place.point_at(server)
        inputs = place.folder / "inputs"
        write_inputs(district, inputs)
        done = place.run(
            STUDENT_ROSTERS=f"{inputs}/Student_Rosters_{{year}}.txt",
            MANUAL_CHANGES=f"{inputs}/overrides.csv",
        )
    assert done.returncode == 0, done.stdout
    check_tables(place, district, oracle.published_ids(district))
    shards = pl.read_parquet(place.shards("overall"), missing_columns="insert")
    assert shards["local_student_id"].str.contains("^ \xa0").any(), "shards keep what was sent"


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(numbers_as_json=True),
        Protocol(row_order="student"),
        Protocol(row_order="reversed", cap=50),
        Protocol(ascii_json=True, gzip=True),
    ],
    ids=["JSON numbers", "by student", "reversed", "escaped and compressed"],
)
def test_how_the_server_writes_makes_no_difference(
    place: Workplace,
    district: District,
    undisturbed: dict[str, bytes],
    protocol: Protocol,
) -> None:
    """Order of rows, numbers as JSON, escapes and compression give the same bytes."""
    with serving(district, protocol) as server:
        place.point_at(server)
        done = place.run()
    assert done.returncode == 0, done.stderr
    assert place.published() == undisturbed


@pytest.mark.parametrize("threads", ["1", "4", "16"])
def test_threads_make_no_difference(
    place: Workplace, undisturbed: dict[str, bytes], threads: str
) -> None:
    done = place.run("--illuminate-threads", threads)
    assert done.returncode == 0, done.stderr
    assert place.published() == undisturbed


def test_parquet_parquets_hold_the_same_rows_as_numbers_and_dates(
    place: Workplace, district: District
) -> None:
    assert place.run().returncode == 0
    for path in place.data.glob("*/23-24/*.parquet"):
        csv_rows = oracle.read_csv(path.with_suffix(".csv"))
        parquet = pl.read_parquet(path)
        assert parquet.columns == list(csv_rows[0])
        assert parquet["date_taken"].dtype == pl.Date
        assert parquet["points"].dtype == pl.Float64
        for name in parquet.columns:
            for sent, value in zip((row[name] for row in csv_rows), parquet[name], strict=True):
                assert _same(sent, value), (path.name, name)


def _same(sent: str, value: object) -> bool:
    if value is None:
        return sent == ""
    if isinstance(value, float | int):
        return float(sent) == value
    return sent in {str(value), f"'{value}"}


def test_parquet_files_say_their_year_and_what_their_columns_mean(place: Workplace) -> None:
    """And no run: the same rows are the same bytes, whichever run wrote them."""
    (place.folder / "own.sql").write_text("SELECT count(*) AS n FROM latest", encoding="utf-8")
    assert place.run(SQL_VIEWS=str(place.folder)).returncode == 0
    known = {table.stem: table for table in TABLES}
    found = {
        path.stem.removesuffix("_historical"): path for path in place.data.glob("[iv]*/*/*.parquet")
    }
    assert found.keys() == {name for name, table in known.items() if table.is_large} | {"own"}
    for name, path in found.items():
        said = pl.read_parquet_metadata(path)
        assert (said["illuminate.table"], said["illuminate.year"]) == (name, "23-24")
        assert "published.json" in said["illuminate.run"]
        columns = known[name].columns if name in known else ()
        meanings = {column.name: column.meaning for column in columns}
        assert json.loads(said["illuminate.columns"]) == meanings
    manifest = json.loads((place.data / "illuminate/23-24/published.json").read_bytes())
    assert not [path for path in found.values() if manifest["run"].encode() in path.read_bytes()]


def test_group_fields_by_other_names(place: Workplace, district: District) -> None:
    """The two fields whose names nobody has published are a setting."""
    protocol = Protocol(group_id_field="group_id", group_label_field="group_label")
    with serving(district, protocol) as server:
        place.point_at(server)
        refused = place.run()
        assert refused.returncode == 30
        assert (
            "rows lack the field reporting_group, reporting_group_id; if it has another name, set "
            "[illuminate] reporting_group_field, reporting_group_id_field"
        ) in refused.stdout
        done = place.run(
            *("--illuminate-reporting-group-id-field", "group_id"),
            *("--illuminate-reporting-group-field", "group_label"),
        )
    assert done.returncode == 0, done.stdout
    check_tables(place, district, oracle.published_ids(district))


def test_group_fields_that_are_other_fields_are_refused(place: Workplace) -> None:
    done = place.run("--illuminate-reporting-group-field", "performance_band_label")
    assert done.returncode == 30
    assert "must name two fields of their own" in done.stdout


def test_no_proxy_is_used_for_this_machine(place: Workplace) -> None:
    assert place.run(http_proxy="http://127.0.0.1:9", no_proxy="").returncode == 0


def test_small_tables(place: Workplace, district: District) -> None:
    """Catalogue, labels, unmapped titles and standards."""
    assert place.run().returncode == 0
    tables = place.data / "illuminate" / "23-24"
    catalogue = oracle.read_csv(tables / "assessments_metadata.csv")
    assert [row["assessment_id"] for row in catalogue] == oracle.catalogue_ids(district)
    labels = oracle.read_csv(tables / "assessment_labels.csv")
    with_results = {
        row["assessment_id"] for row in oracle.combined(district, oracle.published_ids(district))
    }
    assert [row["assessment_id"] for row in labels] == sorted(with_results)
    unmapped = {row["assessment_id"] for row in labels if not row["curriculum"] or not row["unit"]}
    found = oracle.read_csv(tables / "unmapped_titles.csv")
    assert {row["assessment_id"] for row in found} == unmapped
    assert unmapped
    spellings: dict[str, set[str]] = {}
    for row in oracle.read_csv(tables / "standards.csv"):
        spellings.setdefault(row["academic_benchmark_guid"], set()).add(row["normalised_code"])
    assert {guid for guid, codes in spellings.items() if len(codes) > 1} <= {""}
    assert len(spellings) > 1


def test_titles_of_one_meaning_get_one_label(place: Workplace) -> None:
    """By the rules that are shipped; the titles stay as they were delivered."""
    units = {
        ("Math U2L3", "Math U2 L3", "Math Unit No. 2", "Math Unit\u00a0\uff12"): "02 Unit",
        ("Math M1L5", "Math M1 L5"): "01 Module",
        ("Math Unit 1-2", "Math Units 1\u20142", "Math Unit 1\u20112"): "01-02 Units",
        ("Math Unit 1",): "01 Unit",
        ("Math Interim 1",): "Interim 01",
        ("Math Final",): "Z Final",
    }
    district = District.make(size=SMALL)
    expected = {
        district.add_assessment(title, year=oracle.YEAR, students=1, standards=1): (title, label)
        for titles, label in units.items()
        for title in titles
    }
    with serving(district) as server:
        place.point_at(server)
        done = place.run(TITLE_RULES="")
    assert done.returncode == 0, done.stdout
    view = place.data / "views" / "23-24" / "illuminate_assessment_results_historical.csv"
    found = {
        row["assessment_id"]: (row["title"], row["unit_labels"])
        for row in oracle.read_csv(view)
        if row["assessment_id"] in expected
    }
    assert found == {i: (oracle.one_space(title), label) for i, (title, label) in expected.items()}


class Signed(District):
    """Puts a minus before each code of a standard."""

    def results(self, endpoint: str, *wanted: Any) -> list[Row]:  # type: ignore[override]
        sent = super().results(endpoint, *wanted)
        if endpoint != "standard":
            return sent
        return [{**row, "standard_code": f"-{row['standard_code']}"} for row in sent]


def test_no_spreadsheet_runs_a_title_or_a_code(place: Workplace) -> None:
    """Every CSV for people is escaped; what was sent is in the tables of results and in Parquet."""
    signs = "=+-@\uff1d\uff0b\uff0d\uff20"
    district = Signed.make(size=SMALL)
    titles = {
        district.add_assessment(title, year=oracle.YEAR, students=1, standards=1): title
        for title in [f"{sign}Sheet (1)" for sign in signs] + ["\tTab", "\rReturn"]
    }
    rules, overrides = place.folder / "rules.csv", place.folder / "overrides.csv"
    first, second, *_ = titles
    rules.write_text("column,pattern,value\nunit,^'=Sheet,Copied\n", encoding="utf-8")
    header = "assessment_id,grade,test_type,curriculum,unit,title,reason"
    overrides.write_text(f"{header}\n{second},,,,,'+Sheet (2),\n", encoding="utf-8")
    with serving(district) as server:
        place.point_at(server)
        done = place.run(TITLE_RULES=str(rules), MANUAL_CHANGES=str(overrides))
    assert done.returncode == 0, done.stdout
    files = {path.name: path for path in place.data.glob("*/23-24/*.csv")}
    of_results = {n for n in files if n.startswith("assessment_results_")}
    assert len(of_results) == 2
    found = {}
    for name in files.keys() - of_results:
        rows = oracle.read_csv(files[name])
        found[name] = {row["assessment_id"]: row for row in rows if "assessment_id" in row}
        for row in rows:
            assert not [cell for cell in row.values() if cell[:1] in set(f"{signs}\t\r")]
    codes = {row["standard_code"][:2] for row in oracle.read_csv(files["standards.csv"])}
    assert codes == {"'-"}
    catalogue, labels = (
        found[name] for name in ("assessments_metadata.csv", "assessment_labels.csv")
    )
    assert {i: catalogue[i]["title"] for i in titles} == {i: f"'{t}" for i, t in titles.items()}
    assert (labels[first]["title"], labels[first]["unit"]) == ("'=Sheet (1)", "Copied")
    assert labels[second]["title"] == "'+Sheet (2)"
    view = files["illuminate_assessment_results_historical.csv"].with_suffix(".parquet")
    in_parquet = dict(pl.read_parquet(view).select("assessment_id", "title").iter_rows())
    assert (in_parquet[first], in_parquet[second]) == ("=Sheet (1)", "+Sheet (2)")


def test_no_name_of_a_student_is_in_the_view(place: Workplace) -> None:
    assert place.run().returncode == 0
    path = place.data / "views" / "23-24" / "illuminate_assessment_results_historical.csv"
    assert not {"first_name", "last_name", "middle_name"} & set(oracle.header(path))


def test_every_csv_is_plain(place: Workplace) -> None:
    """UTF-8 without a mark, LF, and as many cells in each line as in the header."""
    assert place.run().returncode == 0
    for path in place.data.glob("*/23-24/*.csv"):
        data = path.read_bytes()
        assert not data.startswith(b"\xef\xbb\xbf")
        assert b"\r\n" not in data
        with Path(path).open(encoding="utf-8", newline="") as file:
            assert len({len(row) for row in csv.reader(file)}) == 1
