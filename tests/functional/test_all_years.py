"""All years together: every row once, nothing built twice, never a mixture."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.publish.commit import Publication
from pipeline.schema import COMBINED, GROUP, VIEW
from pipeline.simulator import District, Fault, Protocol, Server, serving
from tests.functional import oracle
from tests.functional.conftest import LUIGI, Workplace, copy_data, workplace_in
from tests.functional.test_reruns import damage_without_trace

YEARS = ("22-23", "23-24", "24-25")
VIEW_OF_ALL = "views/all/illuminate_assessment_results_all_years"
OF_ALL = {
    COMBINED: "illuminate/all/assessment_results_combined_all_years",
    GROUP: "illuminate/all/assessment_results_group_all_years",
    VIEW: VIEW_OF_ALL,
}


def run_years(
    place: Workplace, *options: str, years: str = ",".join(YEARS)
) -> "subprocess.CompletedProcess[str]":
    quick = ("--illuminate-max-backoff", "0.01")
    command = (LUIGI, "--module", "pipeline", "RunYears", "--years", years)
    return place.finish(place.start(*command, *quick, *options))


def lasting(place: Workplace) -> dict[str, bytes]:
    """All that a run leaves, but for its lock and its records."""
    return {
        name: data
        for name, data in oracle.content(place.data).items()
        if name != ".lock" and not name.startswith("runs/")
    }


def of_all(place: Workplace) -> dict[str, bytes]:
    """What people see of all years together, with its marker."""
    return {
        name: data
        for name, data in lasting(place).items()
        if name.startswith(("illuminate/all/", "views/all/"))
    }


def of_year(place: Workplace, year: str, stem: str, folder: str = "illuminate") -> Path:
    suffix = "" if year == "24-25" else "_historical"
    return place.data / folder / year / f"{stem}{suffix}.csv"


def record_of_all(place: Workplace) -> dict:
    return json.loads(max((place.data / "runs").glob("*-all.json")).read_text(encoding="utf-8"))


def write_csv(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def server(district: District, port: int) -> Iterator[Server]:
    with serving(district, port=port) as server:
        yield server


@pytest.fixture(scope="session")
def kept(
    tmp_path_factory: pytest.TempPathFactory, district: District, inputs: Path, port: int
) -> tuple[Workplace, "subprocess.CompletedProcess[str]"]:
    """A place in which all years were published, and what the run said."""
    place = workplace_in(tmp_path_factory.mktemp("all years"), inputs)
    with serving(district, port=port) as server:
        place.point_at(server)
        done = run_years(place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place, done


@pytest.fixture
def ran(place: Workplace, kept: tuple[Workplace, object]) -> Workplace:
    """A place of its own where all years are published."""
    copy_data(kept[0], place)
    return place


def test_each_year_has_its_own_time(kept) -> None:
    """The times of the years add up to no more than the run's."""
    _, done = kept
    found = re.findall(r"^  time +([\d.]+) s, of ([\d.]+) s for", done.stdout, re.MULTILINE)
    own, whole = zip(*[map(float, each) for each in found], strict=True)
    assert len(own) == len(YEARS) + 1
    assert min(own) > 0
    assert sum(own) <= max(whole) + 0.1 * len(own)


@pytest.mark.parametrize("table", OF_ALL)
def test_every_row_of_every_year_appears_once_in_the_order_of_the_years(kept, table) -> None:
    """The CSV's rows are those of the years, digit by digit."""
    data = kept[0].data
    place = Workplace(data.parent)
    parts = [of_year(place, year, table.stem, table.folder) for year in YEARS]
    path = data / f"{OF_ALL[table]}.csv"
    assert oracle.read_csv(path) == [row for part in parts for row in oracle.read_csv(part)]
    assert oracle.header(path)[: len(table.names)] == list(table.names)
    assert {row["year"] for row in oracle.read_csv(path)} == set(YEARS)
    # Nothing is quoted again, and no apostrophe is put before what has one.
    bodies = [part.read_bytes().split(b"\n", 1)[1] for part in parts]
    assert path.read_bytes().split(b"\n", 1)[1] == b"".join(bodies)


@pytest.mark.parametrize("table", OF_ALL)
def test_the_parquet_has_true_types_and_the_rows_of_the_years(kept, table) -> None:
    data = kept[0].data
    place = Workplace(data.parent)
    frame = pl.read_parquet(data / f"{OF_ALL[table]}.parquet")
    kinds = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
    for column in table.columns:
        assert frame.schema[column.name] == kinds[column.kind], column.name
    parts = [
        pl.read_parquet(of_year(place, year, table.stem, table.folder).with_suffix(".parquet"))
        for year in YEARS
    ]
    assert frame.equals(pl.concat(parts))


def test_the_summary_and_the_record_count_each_year(kept) -> None:
    data, done = kept[0].data, kept[1]
    place = Workplace(data.parent)
    facts = record_of_all(place)
    rows = facts["steps"]["ConcatResults"]["rows by year"]
    assert rows == {
        year: len(oracle.read_csv(of_year(place, year, COMBINED.stem))) for year in YEARS
    }
    assert facts["outcome"] == "published"
    assert facts["years"] == list(YEARS)
    summary = done.stdout[done.stdout.index("All years, 22-23, 23-24, 24-25: published.") :]
    for year, count in rows.items():
        assert f"{year}       combined {count:,}," in summary


def test_the_marker_names_the_published_set_of_every_year(kept) -> None:
    data = kept[0].data
    about = json.loads((data / "illuminate/all/published.json").read_bytes())["about"]
    builds = {
        year: json.loads((data / f"illuminate/{year}/published.json").read_bytes())["build"]
        for year in YEARS
    }
    assert about["years"] == builds


@pytest.mark.parametrize("kind", ["illuminate", "views"])
def test_the_tables_of_all_years_are_described(kept, kind: str) -> None:
    folder = kept[0].data / kind / "all"
    described = json.loads((folder / "datapackage.json").read_bytes())["resources"]
    own = {"published.json", "datapackage.json"}
    assert {each["path"] for each in described} == {path.name for path in folder.iterdir()} - own
    for each in described:
        content = (folder / each["path"]).read_bytes()
        assert each["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_nothing_to_do_on_the_next_night(ran: Workplace, server: Server) -> None:
    """Finished years cost no request and no byte, on whatever later day."""
    before = lasting(ran)
    done = run_years(ran, "--as-of", "2026-01-31", years="2024-2025 2022-23,23-24")
    assert done.returncode == 0
    assert "All years, 22-23, 23-24, 24-25: everything is up to date" in done.stdout
    assert server.log == []
    assert lasting(ran) == before


def test_one_changed_shard_rebuilds_its_year_and_all_years_only(
    ran: Workplace, server: Server
) -> None:
    before = lasting(ran)
    victim = max(ran.shards("standard").glob("*.parquet"), key=lambda path: path.stat().st_size)
    victim.unlink()
    server.faults.add(Fault("rewrite_fields", {"mastered": "x"}, "standard"))
    done = run_years(ran)
    assert done.returncode == 0, done.stdout
    assert {(r.endpoint, r.assessment_id) for r in server.log if r.endpoint != "token"} == {
        ("standard", victim.stem)
    }
    after = lasting(ran)
    changed = {name for name in before if after[name] != before[name]}
    assert {f"{VIEW_OF_ALL}.csv", f"{OF_ALL[COMBINED]}.csv"} <= changed
    assert not [name for name in changed if "22-23" in name or "24-25" in name]
    assert f"{OF_ALL[GROUP]}.csv" not in changed
    assert oracle.read_csv(ran.data / f"{OF_ALL[COMBINED]}.csv") == [
        row for year in YEARS for row in oracle.read_csv(of_year(ran, year, COMBINED.stem))
    ]


def test_a_year_that_fails_leaves_all_years_as_they_were(ran: Workplace, server: Server) -> None:
    """Another year is published again meanwhile, and still none of it is mixed in."""
    before, published = of_all(ran), ran.published()
    shutil.rmtree(ran.work)
    victim = max(
        (ran.data / "work/22-23/2023-06-30/shards/standard").glob("*.parquet"),
        key=lambda path: path.stat().st_size,
    )
    victim.unlink()
    server.faults.add(
        Fault("status", endpoint="group", value=500),
        Fault("rewrite_fields", {"mastered": "x"}, "standard", victim.stem),
    )
    done = run_years(ran)
    assert done.returncode == 30
    assert "School year 22-23 as of 2023-06-30: published." in done.stdout
    assert "School year 23-24 as of 2024-06-30: FAILED" in done.stdout
    assert "All years, 22-23, 23-24, 24-25: not finished" in done.stdout
    changed = {name for name, data in ran.published().items() if data != published[name]}
    assert {name[:5] for name in changed} == {"22-23"}
    assert of_all(ran) == before


def test_reports_wait_for_an_earlier_year_that_fails(ran: Workplace, server: Server) -> None:
    """Tables are published all the same, and the summary of each year says what it waits for."""
    pages = {year: ran.data / "reports" / f"{year}.html" for year in YEARS}
    before = {year: page.read_bytes() for year, page in pages.items()}
    for snapshot in ("22-23/2023-06-30/shards/group", "23-24/2024-06-30/shards/standard"):
        shards = (ran.data / "work" / snapshot).glob("*.parquet")
        max(shards, key=lambda path: path.stat().st_size).unlink()
    server.faults.add(
        Fault("status", endpoint="group", value=400),
        Fault("rewrite_fields", {"mastered": "x"}, "standard"),
    )
    done = run_years(ran)
    assert done.returncode == 30
    waits = (
        "  Report: not rebuilt before 22-23, with which it compares. Fix what failed "
        "there, then run the same command again.\n"
    )
    assert (
        "School year 23-24 as of 2024-06-30: published, but the report waits for another year; "
        f"the previous report is unchanged.\n{waits}"
    ) in done.stdout
    assert f"not finished; what was published before is unchanged.\n{waits}" in done.stdout
    assert {year: page.read_bytes() for year, page in pages.items()} == before

    server.faults.clear()
    assert run_years(ran).returncode == 0
    assert pages["23-24"].read_bytes() != before["23-24"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_damaged_file_of_all_years_is_restored(
    ran: Workplace, server: Server, ending: str
) -> None:
    before = of_all(ran)
    victim = ran.data / f"{VIEW_OF_ALL}.{ending}"
    data = victim.read_bytes()
    victim.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert run_years(ran).returncode == 0
    assert server.log == []
    assert {k: v for k, v in of_all(ran).items() if "published" not in k} == {
        k: v for k, v in before.items() if "published" not in k
    }


def test_no_year_is_lost_unless_that_is_allowed(ran: Workplace, server: Server) -> None:
    before, published = of_all(ran), published_rows(ran)
    refused = run_years(ran, years="22-23,23-24")
    assert refused.returncode == 30
    lost = {name: by_year["24-25"] for name, by_year in published.items()}
    view = lost["view_all_years"]
    assert f"view_all_years lost {view:,} rows (school year 24-25 had {view:,}" in refused.stdout
    assert of_all(ran) == before
    allowed = ",".join(f"{name}={rows}" for name, rows in lost.items())
    assert f"--publish-allow-shrink {allowed}." in refused.stdout
    done = run_years(ran, "--publish-allow-shrink", allowed, years="22-23,23-24")
    assert done.returncode == 0, done.stdout
    assert server.log == []
    rows = oracle.read_csv(ran.data / f"{VIEW_OF_ALL}.csv")
    assert {row["year"] for row in rows} == {"22-23", "23-24"}


def published_rows(place: Workplace) -> dict[str, dict[str, int]]:
    """How many rows of each year the tables of all years have, as their manifest says."""
    manifest = Publication.read(place.data / "illuminate/all/published.json")
    assert manifest
    assert manifest.row_counts
    return manifest.row_counts.rows


def test_a_year_may_lose_what_its_own_guard_allowed(ran: Workplace, server: Server) -> None:
    """The loss was allowed when the year was published by itself, and is not asked about again."""
    victim = max(ran.shards("group").glob("*.parquet"), key=lambda path: path.stat().st_size)
    before = published_rows(ran)["group_all_years"]["23-24"]
    excluded = ("--illuminate-exclude-ids", victim.stem)
    assert ran.run(*excluded).returncode == 0
    done = run_years(ran, *excluded)
    assert done.returncode == 0, done.stdout
    assert published_rows(ran)["group_all_years"]["23-24"] < before


def test_all_years_are_shown_verified_loaded_and_copied(ran: Workplace, server: Server) -> None:
    ran.environment["PIPELINE_COPY_TO"] = str(ran.folder / "copies")
    shown = ran.look("status", "--year", "all")
    assert shown.returncode == 0, shown.stdout
    assert f"All years, {', '.join(YEARS)}" in shown.stdout
    assert f"8 files of {', '.join(YEARS)}, by run" in shown.stdout
    assert ran.look("verify", "--year", "all").returncode == 0
    for command in ("load", "copy"):
        assert ran.look(command, "--year", "all").returncode == 0
        assert "already in" in ran.look(command, "--year", "all").stdout
    with duckdb.connect(str(ran.data / "illuminate.duckdb"), read_only=True) as database:
        for name, table in zip(published_rows(ran), OF_ALL, strict=True):
            sql = f"SELECT year, count(*) FROM {table.stem}_all_years GROUP BY year"
            assert dict(database.execute(sql).fetchall()) == published_rows(ran)[name]
    for name, data in of_all(ran).items():
        if name.endswith((".csv", ".parquet")):
            (copied,) = ran.folder.glob(f"copies/all/*/{Path(name).name}")
            assert copied.read_bytes() == data
    assert server.log == []


def test_what_an_earlier_version_published_is_counted_by_the_next_run(
    ran: Workplace, server: Server
) -> None:
    path = ran.data / "illuminate/all/published.json"
    before, manifest = published_rows(ran), json.loads(path.read_bytes())
    del manifest["counted"], manifest["about"]["year"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert "an earlier version published them" in ran.look("verify", "--year", "all").stdout
    assert run_years(ran).returncode == 0
    assert server.log == []
    assert published_rows(ran) == before
    assert ran.look("verify", "--year", "all").returncode == 0


@pytest.mark.parametrize("victim", ["views/all", "work/all/results"])
def test_verify_finds_damage_in_all_years(ran: Workplace, server: Server, victim: str) -> None:
    """Whatever its size and time say; the next run restores it."""
    before = of_all(ran)
    path = max((ran.data / victim).rglob("*.csv"), key=lambda path: path.stat().st_size)
    damage_without_trace(path)
    found = ran.look("verify", "--year", "all")
    assert found.returncode == 1
    assert f"{path.name} is damaged" in found.stdout
    assert f'Run `make years YEARS="{" ".join(YEARS)}"`' in found.stdout
    assert run_years(ran).returncode == 0
    assert {k: v for k, v in of_all(ran).items() if "published.json" not in k} == {
        k: v for k, v in before.items() if "published.json" not in k
    }
    assert ran.look("verify", "--year", "all").returncode == 0


@pytest.mark.parametrize("command", ["status", "verify", "load", "copy"])
def test_without_tables_of_all_years_it_is_said_how_to_make_them(
    place: Workplace, command: str
) -> None:
    place.environment["PIPELINE_COPY_TO"] = str(place.folder / "copies")
    done = place.look(command, "--year", "all")
    assert done.returncode in {1, 30}
    said = done.stdout + done.stderr
    assert "ll years" in said
    assert "make years" in said
    assert "Traceback" not in said


# Files from before the pipeline.


def before_the_pipeline(year: str) -> list[dict[str, str]]:
    """Rows as the view of an earlier year had them: fewer columns, and in another order."""
    names = ("date_taken", "year", "grade", "local_student_id", "assessment_id", "response_type")
    more = ("standard_code", "score", "title", "performance_band_label", "points")
    return [
        dict(zip((*names, *more), values, strict=True))
        for values in (
            (
                "2020-01-15",
                year,
                "5.0",
                "S-Ü1",
                "A1",
                "overall",
                "percent",
                "81",
                "=1+1",
                "Größe",
                "8.10",
            ),
            ("15.1.2020", year, "K", "S2", "A1", "overall", "percent", "", "'=2+2", "", "NaN"),
        )
    ]


ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_prior_files_come_first_whatever_their_encoding(ran: Workplace, server, encoding) -> None:
    """Columns by name, numbers in their digits, unparseable values null and counted by column."""
    old = ran.folder / "old"
    path = write_csv(
        old / "illuminate_assessment_results_1920.csv",
        before_the_pipeline("2019-20"),
        encoding,
    )
    before = oracle.read_csv(ran.data / f"{VIEW_OF_ALL}.csv")
    done = run_years(ran, "--paths-prior-years", str(old))
    assert done.returncode == 0, done.stdout
    assert server.log == []
    first, second, *rest = oracle.read_csv(ran.data / f"{VIEW_OF_ALL}.csv")
    assert rest == before
    assert (first["year"], first["grade"], first["points"]) == ("19-20", "5", "8.10")
    assert (first["local_student_id"], first["performance_band_label"]) == ("S-Ü1", "Größe")
    assert (first["title"], second["title"]) == ("'=1+1", "'=2+2")
    assert (second["date_taken"], second["grade"], second["points"]) == ("", "0", "")
    assert first["curriculum"] == ""
    typed = pl.read_parquet(ran.data / f"{VIEW_OF_ALL}.parquet")
    assert typed["title"][:2].to_list() == ["=1+1", "=2+2"]
    assert typed["points"][:2].to_list() == [8.1, None]
    facts = record_of_all(ran)["steps"]["ReadPriorYears"]["files"][str(path)]
    assert facts["rows"] == {"19-20": 2}
    assert facts["encoding"] == ENCODINGS[encoding]
    assert sum(counts["unparseable"] for counts in facts["values"].values()) == 2
    assert (
        f"{path} ({ENCODINGS[encoding]}): 2 rows of 19-20, "
        "2 values unreadable (set to null): date_taken 1, points 1\n"
    ) in done.stdout
    again = lasting(ran)
    assert "up to date" in run_years(ran, "--paths-prior-years", str(old)).stdout
    assert lasting(ran) == again


def test_files_of_the_earlier_scripts_load_as_they_are(ran: Workplace) -> None:
    """The year is in their names, and the kind of results in another column or in the code."""
    old, names = ran.folder / "old", ("assessment_id", "date_taken", "grade", "local_student_id")
    view = [("A1", "2022-01-15", "3.0", "S1"), ("A1", "2022-01-15", "K", "S2")]
    rows = [
        {
            **dict(zip(names, values, strict=True)),
            "standard_code": code,
            "score": score,
            "count": "1",
        }
        for values in (*view, view[0])
        for code, score in (("percent", "66.5"), ("3.OA.1", "66"))
    ]
    path = write_csv(old / "illuminate_assessment_results_21-22.csv", rows)
    plain = [{k: v for k, v in row.items() if k not in ("grade", "score")} for row in rows]
    combined = [
        row | {"version": "1", "Standard_No_Standard": kind, "__count": "1"}
        for row, kind in zip(plain, ["No_Standard", "Standard"] * 3, strict=True)
    ]
    write_csv(
        old / "assessment_results_combined_21-22.csv",
        [row | {"new_or_current": "historical"} for row in combined],
    )
    done = run_years(ran, "--paths-prior-years", str(old))
    assert done.returncode == 0, done.stdout
    for table in (VIEW, COMBINED):
        first = oracle.read_csv(ran.data / f"{OF_ALL[table]}.csv")[:6]
        assert [row["response_type"] for row in first] == ["overall", "standard"] * 3
        assert {row["year"] for row in first} == {"21-22"}
    first = oracle.read_csv(ran.data / f"{VIEW_OF_ALL}.csv")[:6]
    assert [row["grade"] for row in first] == ["3", "3", "0", "0", "3", "3"]
    assert [row["score"] for row in first] == ["", "66"] * 3
    assert (
        f"{path} (UTF-8): 6 rows of 21-22, 3 values unreadable (set to null): score 3; "
        "2 rows have the key of a row before\n"
    ) in done.stdout


REFUSED = [
    ("unknown", "has no column shoe_size"),
    ("no key", "the header lacks standard_code, date_taken"),
    ("no year", "line 3: column year must hold a school year"),
    ("same year", "line 2: rows of 23-24 would be duplicates"),
    ("copied", "is a copy of"),
    ("overlapping", "it has rows of 19-20, and so has"),
    ("other name", "Rename the file so that its name begins with"),
    ("nothing", "there is no CSV file"),
]


@pytest.mark.parametrize(("fault", "words"), REFUSED)
def test_a_prior_file_that_cannot_be_used_stops_all_years(
    ran: Workplace, fault: str, words: str
) -> None:
    """In one sentence with file and column, and without a value; what was published stays."""
    before, old = of_all(ran), ran.folder / "old"
    rows = before_the_pipeline("23-24" if fault == "same year" else "19-20")
    name = "illuminate_assessment_results_old.csv"
    if fault == "unknown":
        rows = [{**row, "shoe_size": "forty-seven"} for row in rows]
    elif fault == "no key":
        rows = [
            {k: v for k, v in row.items() if k not in ("date_taken", "standard_code")}
            for row in rows
        ]
    elif fault == "no year":
        rows[1]["year"] = ""
    elif fault == "copied":
        write_csv(old / "illuminate_assessment_results_older.csv", rows)
    elif fault == "overlapping":
        older = [{**row, "year": year} for row in rows for year in ("18-19", "19-20")]
        write_csv(old / "illuminate_assessment_results_all_to_2020.csv", older)
    elif fault == "other name":
        name = "results.csv"
    if fault != "nothing":
        write_csv(old / name, rows)
    done = run_years(ran, "--paths-prior-years", str(old))
    assert done.returncode == 30
    assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not [
        value for value in ("S-Ü1", "Größe", "forty-seven") if value in done.stdout + done.stderr
    ]
    assert of_all(ran) == before


def test_a_bad_prior_file_keeps_no_year_from_being_published(place: Workplace) -> None:
    """It is read first, and all years together wait until it is fixed."""
    write_csv(place.folder / "old" / "results.csv", before_the_pipeline("19-20"))
    done = run_years(place, "--paths-prior-years", str(place.folder / "old"), years="23-24")
    assert done.returncode == 30
    assert "School year 23-24 as of 2024-06-30: published." in done.stdout
    assert "All years, 23-24: FAILED" in done.stdout
    assert of_year(place, "23-24", COMBINED.stem).exists()
    assert of_all(place) == {}


@pytest.mark.parametrize(("years", "words"), [("", "Which school years?"), ("22-23,2024", "2024")])
def test_years_that_cannot_be_read_are_refused_in_a_sentence(
    place: Workplace, server: Server, years: str, words: str
) -> None:
    done = run_years(place, years=years)
    assert done.returncode == 40
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert server.log == []


def test_undated_rows_that_each_year_has_are_counted(place: Workplace, district: District) -> None:
    """A server whose filter lets them through delivers them for any year."""
    with serving(district, Protocol(undated_pass=True)) as server:
        place.point_at(server)
        done = run_years(place, years="22-23,23-24")
    assert done.returncode == 0, done.stdout
    undated = {
        kind: sum(row["date_taken"] is None for row in district.results(kind, None, None, None))
        for kind in ("overall", "standard", "group")
    }
    assert undated["overall"]
    combined, group = (
        sum(not row["date_taken"] for row in oracle.read_csv(place.data / f"{OF_ALL[table]}.csv"))
        for table in (COMBINED, GROUP)
    )
    assert combined == 2 * (undated["overall"] + undated["standard"])
    assert group == 2 * undated["group"]
    found = {"combined": combined, "group": group, "view": combined}
    counts = ", ".join(f"{name} {count:,}" for name, count in found.items() if count)
    assert f"rows without a date are in the tables of several years: {counts}\n" in done.stdout


def test_no_undated_rows_are_reported_where_there_are_none(place: Workplace) -> None:
    assert "undated" not in run_years(place, years="22-23,23-24").stdout
