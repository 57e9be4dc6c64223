"""A load puts everything published of a year into the database, or nothing."""

import subprocess
from typing import Any

import polars as pl
import pytest

from pipeline.errors import LoadError
from pipeline.publish.database.published_set import read_published_set
from pipeline.schema import COMBINED, GROUP, LATEST, TABLES, VIEW
from tests.databases.conftest import SOURCE, Desk, frame, frames

STEMS = [table.stem for table in TABLES]


def expected(content: pl.DataFrame, year: str = "23-24") -> list[tuple[object, ...]]:
    """The rows that a table has in the database."""
    whole = content if "year" in content.columns else content.select(pl.lit(year), pl.all())
    return sorted(whole.rows(), key=repr)


def test_every_table_is_there_with_every_value(desk: Desk) -> None:
    content = frames("23-24", 20)
    desk.publish(content, "first")
    done = desk.load()
    assert done.returncode == 0, done.stderr
    for stem, made in content.items():
        assert desk.content(stem) == expected(made), stem
        assert f"{made.height} rows, 0 before" in done.stdout


def test_the_apostrophe_before_a_formula_in_a_csv_is_not_loaded(desk: Desk) -> None:
    content = frames("23-24", 1)
    titles = pl.lit("'=Unit 4").alias("title"), pl.lit("'quoted'").alias("unit")
    content["assessment_labels"] = content["assessment_labels"].with_columns(*titles)
    desk.publish(content, "first")
    assert desk.load().returncode == 0
    loaded = desk.query("SELECT title, unit FROM assessment_labels")
    assert set(map(tuple, loaded)) == {("=Unit 4", "'quoted'")}


def described(desk: Desk) -> dict[str, tuple[str, dict[str, tuple[str, str]]]]:
    """The comment of each table, and the type and the comment of each of its columns."""
    if desk.emulator:
        return {
            table.table_id: (
                table.description,
                {field.name: (field.field_type, field.description) for field in table.schema},
            )
            for table in desk.emulator.tables(desk.dataset)
        }
    of_tables = {
        "duckdb": "SELECT table_name, comment FROM duckdb_tables()",
        "postgres": "SELECT oid::regclass::text, obj_description(oid) FROM pg_class "
        "WHERE relkind = 'r'",
    }
    of_columns = {
        "duckdb": "SELECT table_name, column_name, data_type, comment FROM duckdb_columns()",
        "postgres": "SELECT attrelid::regclass::text, attname, format_type(atttypid, NULL), "
        "col_description(attrelid, attnum) FROM pg_attribute WHERE attnum > 0",
    }
    columns: dict[str, dict[str, tuple[str, str]]] = {}
    for table, column, kind, comment in desk.query(of_columns[desk.database]):
        columns.setdefault(table, {})[column] = (kind, comment)
    tables = desk.query(of_tables[desk.database])
    return {table: (comment, columns[table]) for table, comment in tables}


def test_columns_have_their_types_and_comments(desk: Desk) -> None:
    desk.publish(frames("23-24", 2), "first")
    assert desk.load().returncode == 0
    types = {"text": "text varchar string", "integer": "bigint integer int64", "date": "date"}
    types["number"] = "double precision float float64"
    found = described(desk)
    for table in TABLES:
        _, columns = found[table.stem]
        assert columns.keys() == {"year", *table.names}
        for column in table.columns:
            kind, comment = columns[column.name]
            assert kind.lower() in types[column.kind], column
            assert comment == column.meaning
    assert found["assessment_labels"][0] == "One row per assessment with results"


def test_a_year_is_replaced_and_no_other(desk: Desk) -> None:
    desk.publish(frames("22-23", 5), "before", "22-23")
    desk.publish(frames("23-24", 20), "first")
    assert desk.load("22-23").returncode == 0
    assert desk.load().returncode == 0
    content = frames("23-24", 9)
    desk.publish(content, "second")
    assert desk.load().returncode == 0
    for stem, made in content.items():
        assert desk.content(stem) == expected(made), stem
        assert desk.content(stem, "22-23") == expected(frames("22-23", 5)[stem], "22-23"), stem


def of_all_years(**rows: int) -> dict[str, pl.DataFrame]:
    """Made-up rows of the large tables, by school year."""
    return {
        table.stem: pl.concat(frame(table, year, count) for year, count in rows.items())
        for table in (COMBINED, GROUP, VIEW)
    }


def test_the_tables_of_all_years_are_replaced_whole_and_no_other(desk: Desk) -> None:
    of_year = frames("23-24", 4)
    desk.publish(of_year, "a year")
    desk.publish(of_all_years(**{"19-20": 7, "23-24": 4}), "first", "all")
    assert desk.load().returncode == 0
    done = desk.load("all")
    assert done.returncode == 0, done.stderr
    assert "Loaded all years, run run of first" in done.stdout
    content = of_all_years(**{"23-24": 5, "24-25": 2})
    desk.publish(content, "second", "all")
    assert desk.load("all").returncode == 0
    for stem, made in content.items():
        loaded = sorted(desk.query(f"SELECT * FROM {stem}_all_years"), key=repr)
        assert loaded == sorted(made.rows(), key=repr), stem
        assert desk.content(stem) == expected(of_year[stem]), stem
    columns = "load, year, as_of, rows_before, rows_loaded"
    runs = desk.query(
        f"SELECT {columns} FROM pipeline_runs WHERE table_name = '{VIEW.stem}_all_years'"
    )
    assert sorted(runs) == [(2, "all", None, 0, 11), (3, "all", None, 11, 7)]
    again = desk.load("all")
    assert again.returncode == 0
    assert "All years of run run of second are already in" in again.stdout
    meaning, found = described(desk)[f"{GROUP.stem}_all_years"]
    assert meaning == f"One{GROUP.grain[3:]}, of all years"
    assert found.keys() >= set(GROUP.names)
    assert all(comment for _, comment in found.values())


def test_every_load_is_recorded_and_the_same_build_is_not_loaded_twice(desk: Desk) -> None:
    desk.publish(frames("23-24", 3), "first")
    assert desk.load().returncode == 0
    before = desk.everything()
    done = desk.load()
    assert done.returncode == 0
    assert "already" in done.stdout
    assert desk.everything() == before
    desk.publish(frames("23-24", 4), "second")
    assert desk.load().returncode == 0
    columns = "load, year, as_of, run, build, source, rows_before, rows_loaded"
    runs = desk.query(
        f"SELECT {columns} FROM pipeline_runs WHERE table_name = '{STEMS[1]}' ORDER BY load"
    )
    assert runs == [
        (1, "23-24", "2024-06-30", "run of first", "first", SOURCE, 0, 4),
        (2, "23-24", "2024-06-30", "run of second", "second", SOURCE, 4, 5),
    ]
    assert len(before["pipeline_runs"]) == len(TABLES)


def test_columns_of_one_year_only_are_null_in_the_others(desk: Desk) -> None:
    combined = STEMS[0]
    content = frames("23-24", 3)
    # BigQuery does not accept every name.
    name, quoted = (
        ("a_field", "a_field") if desk.emulator else ('a "field" 50%', '"a ""field"" 50%"')
    )
    content[combined] = content[combined].with_columns(pl.lit("new").alias(name))
    desk.publish(frames("22-23", 2), "before", "22-23")
    desk.publish(content, "first")
    assert desk.load("22-23").returncode == 0
    done = desk.load()
    assert done.returncode == 0, done.stderr
    sql = f"SELECT {quoted} FROM {combined} ORDER BY year"
    assert desk.query(sql) == [(None,), (None,), ("new",), ("new",), ("new",)]
    desk.publish(frames("23-24", 2), "second")  # and it disappears again
    assert desk.load().returncode == 0
    assert desk.query(sql) == [(None,)] * 4


def test_a_database_of_an_older_version_gets_the_columns_that_it_lacks(desk: Desk) -> None:
    """It was loaded before the views had guids and the attempts of a day."""
    new = {VIEW.stem: ["academic_benchmark_guid"]}
    new[LATEST.stem] = [*new[VIEW.stem], "attempts_that_day"]
    old = {stem: rows.drop(new.get(stem, [])) for stem, rows in frames("22-23", 2).items()}
    desk.publish(old, "before", "22-23")
    assert desk.load("22-23").returncode == 0
    content = frames("23-24", 3)
    desk.publish(content, "first")
    done = desk.load()
    assert done.returncode == 0, done.stderr
    for stem, names in new.items():
        query = f"SELECT {', '.join(names)} FROM {stem} WHERE year ="
        assert set(desk.query(f"{query} '22-23'")) == {(None,) * len(names)}
        loaded = sorted(desk.query(f"{query} '23-24'"), key=repr)
        assert loaded == sorted(content[stem].select(names).rows(), key=repr)


def test_columns_of_the_roster_have_their_meaning(desk: Desk) -> None:
    """Those of the views, and of the students, whose grade is a number."""
    content = frames("23-24", 2)
    for table in (VIEW, LATEST):
        content[table.stem] = content[table.stem].with_columns(pl.lit("Elm").alias("school"))
    content["students"] = pl.DataFrame(
        {"local_student_id": ["01", "02"], "grade": ["7", None], "school": ["Elm", None]}
    )
    desk.publish(content, "first", small=("students",))
    done = desk.load()
    assert done.returncode == 0, done.stderr
    assert desk.query(f"SELECT DISTINCT school FROM {VIEW.stem}") == [("Elm",)]
    loaded = desk.query("SELECT * FROM students ORDER BY grade NULLS LAST")
    assert loaded == [("23-24", "01", 7, "Elm"), ("23-24", "02", None, None)]
    published = read_published_set(desk.manifest(), "23-24")
    meanings = {
        table.name: {field.name: field.meaning for field in table.fields}
        for table in published.tables
    }
    for name in (VIEW.stem, LATEST.stem, "students"):
        assert meanings[name]["school"].startswith("As on the roster; null if")


def test_a_view_of_the_districts_own_may_be_called_students(desk: Desk) -> None:
    own = pl.DataFrame({"local_student_id": [1, 2], "grade": ["a", "b"]})
    desk.publish({**frames("23-24", 1), "students": own}, "first")
    done = desk.load()
    assert done.returncode == 0, done.stderr
    assert desk.content("students") == [("23-24", 1, "a"), ("23-24", 2, "b")]


def view(year: str = "23-24", **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"year": [year, year], **columns})


def test_a_view_of_the_districts_own_has_the_types_of_its_file(desk: Desk) -> None:
    own = pl.DataFrame({"n": [1, 2], "share": [0.5, None], "is_new": [True, False]})
    own = own.with_columns(pl.lit("2024-01-02T03:04:05").str.to_datetime().alias("seen"))
    desk.publish({**frames("23-24", 1), "growth_view": own}, "first")
    done = desk.load()
    assert done.returncode == 0, done.stderr
    assert desk.content("growth_view") == expected(own)
    desk.publish(frames("23-24", 1), "second")  # the view is gone, and so are its rows
    assert desk.load().returncode == 0
    assert desk.content("growth_view") == []
    gone = "SELECT rows_before, rows_loaded FROM pipeline_runs WHERE table_name = 'growth_view'"
    assert desk.query(f"{gone} ORDER BY load") == [(0, 2), (2, 0)]


REFUSED = {
    "another type": (view(n=["a", "b"]), "Column n of growth_view is "),
    "a list": (view(n=[[1], [2]]), "List(Int64)"),
    "rows of another year": (view("19-20", n=[1, 2]), "growth_view would have 0 rows of 23-24"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_view_that_does_not_fit_stops_the_load(desk: Desk, case: str) -> None:
    """Everything is rolled back, including tables that were already replaced."""
    desk.publish({**frames("23-24", 2), "growth_view": view(n=[1, 2])}, "first")
    assert desk.load().returncode == 0
    before = desk.everything()
    own, sentence = REFUSED[case]
    desk.publish({**frames("23-24", 7), "growth_view": own}, "second")
    done = desk.load()
    assert done.returncode == 30
    assert sentence in done.stdout + done.stderr
    assert desk.everything() == before


@pytest.mark.parametrize(
    ("name", "own", "sentence"),
    [
        ("growth_view", view(n=[1, 2], N=[1, 2]), "differ only in case"),
        ("growth_view", view(**{"é" * 32: [1, 2]}), "longer than the 63 bytes"),
        ("growth_view", pl.DataFrame({"year": [2023]}), "is not a school year"),
        ("pipeline_runs", view(n=[1, 2]), "choose another name in the view"),
    ],
)
def test_a_table_that_no_database_accepts_is_refused(
    duck: Desk, name: str, own: pl.DataFrame, sentence: str
) -> None:
    manifest = duck.publish({name: own}, "first")
    with pytest.raises(LoadError, match=sentence):
        read_published_set(manifest, "23-24")


def test_a_value_of_another_type_is_reported_without_the_value(desk: Desk) -> None:
    content = frames("23-24", 3)
    rows = content["unmapped_titles"].with_columns(pl.lit("Nemo42").alias("rows"))
    desk.publish(content, "first")
    assert desk.load().returncode == 0
    before = desk.everything()
    desk.publish({**frames("23-24", 8), "unmapped_titles": rows}, "second")
    done = desk.load()
    assert done.returncode == 30
    assert (
        "A value in unmapped_titles.csv does not have its column's type"
        in done.stdout + done.stderr
    )
    assert "Nemo42" not in done.stdout + done.stderr
    assert desk.everything() == before


def test_loading_before_publishing_is_refused(desk: Desk) -> None:
    done = desk.load()
    assert done.returncode == 30
    assert "make run YEAR=23-24" in done.stdout + done.stderr


def test_a_file_that_was_changed_is_not_loaded(desk: Desk) -> None:
    """Even if its size and modification time are unchanged."""
    import os

    manifest = desk.publish(frames("23-24", 3), "first")
    victim = manifest.parent / "assessment_labels.csv"
    data, status = victim.read_bytes(), victim.stat()
    victim.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = desk.load()
    assert done.returncode == 30
    assert "was changed after it was published" in done.stdout + done.stderr


def test_two_districts_never_share_a_table(desk: Desk) -> None:
    desk.publish(frames("22-23", 2), "before", "22-23", source="the demo district")
    desk.publish(frames("23-24", 2), "first")
    assert desk.load("22-23").returncode == 0
    before = desk.everything()
    done = desk.load()
    assert done.returncode == 30
    assert (
        f"holds tables of the demo district, and these are of {SOURCE}" in done.stdout + done.stderr
    )
    assert desk.everything() == before


# In the middle of a load.

PAUSING = """
import sys
from pipeline.publish.database import load
real = load._replace
def replace(*arguments):
    loaded = real(*arguments)
    print("replaced", flush=True)
    sys.stdin.readline()
    return loaded
load._replace = replace
from pipeline.__main__ import main
sys.exit(main(["load", "--year", "23-24"]))
"""


def load_and_publish_more(desk: Desk, rows: int, more: int) -> dict[str, list[tuple[Any, ...]]]:
    """Load a set of tables and publish a larger one; return what the database then holds."""
    desk.publish(frames("23-24", rows), "first")
    assert desk.load().returncode == 0
    before = desk.everything()
    desk.publish(frames("23-24", more), "second")
    return before


def wait_for_table(process: "subprocess.Popen[str]") -> None:
    """Wait until a pausing load has replaced the rows of one more table."""
    assert process.stdout
    assert process.stdout.readline() == "replaced\n"


def test_a_kill_in_the_middle_leaves_the_old_rows(desk: Desk) -> None:
    before = load_and_publish_more(desk, 2000, 3000)
    process = desk.start("-c", PAUSING)
    with process:
        for stem in STEMS:
            wait_for_table(process)
            if stem != STEMS[-1]:
                assert process.stdin
                process.stdin.write("\n")
                process.stdin.flush()
        process.kill()
    assert desk.everything() == before
    assert desk.load().returncode == 0
    assert len(desk.content(STEMS[0])) == 3000


def test_a_publication_during_the_load_is_noticed(desk: Desk) -> None:
    before = load_and_publish_more(desk, 5, 6)
    process = desk.start("-c", PAUSING)
    with process:
        wait_for_table(process)
        desk.publish(frames("23-24", 6), "third")
        out, err = process.communicate("\n" * len(STEMS), timeout=60)
    assert process.returncode == 30
    assert "Other tables of 23-24 were published while these were loaded" in out + err
    assert desk.everything() == before
