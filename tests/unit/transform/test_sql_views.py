"""The analysts' SQL: what it sees, what it must not do, and how its rows are written."""

import datetime as dt
import shutil
import threading
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputFileError, StoppedError
from pipeline.transform import sql_rules, sql_views
from tests.helpers import read_csv

TYPES = {"text": pl.String, "integer": pl.Int64, "number": pl.Float64, "date": pl.Date}
TITLE = "Zaphod-4711"
ROWS = {
    "results": [
        {"local_student_id": "2", "title": '=a, "b"\nc', "score": 50, "points": 0.1},
        {"local_student_id": "1", "title": TITLE, "score": 70, "points": 0.2},
        {"local_student_id": "3", "title": None, "score": None, "date_taken": dt.date(2024, 5, 2)},
    ],
    "roster": [{"local_student_id": "1", "grade": 0}, {"local_student_id": "02", "grade": 8}],
    "labels": [{"assessment_id": "7", "title": 'Unit "1",\nagain', "unit": "'=Unit 1"}],
}
ABOUT = {"about": "the district's own"}


def sql(folder: Path, text: str, name: str = "own") -> Path:
    path = folder / f"{name}.sql"
    path.write_text(text, encoding="utf-8")
    return path


def write_tables(folder: Path, rows: dict[str, list[dict]]) -> dict[str, Path]:
    """Write a file for each table that SQL sees."""
    folder.mkdir(exist_ok=True)
    made = {}
    for name, table in sql_views.VISIBLE_TABLES.items():
        schema = {column.name: TYPES[column.kind] for column in table.columns}
        frame = pl.DataFrame(rows.get(name, []), schema=schema)
        made[name] = folder / f"{name}.{'csv' if name in {'labels', 'roster'} else 'parquet'}"
        if made[name].suffix == ".csv":
            frame.write_csv(made[name])
        else:
            frame.write_parquet(made[name])
    return made


@pytest.fixture(scope="session")
def tables(tmp_path_factory) -> dict[str, Path]:
    return write_tables(tmp_path_factory.mktemp("tables"), ROWS)


def run(folder: Path, text: str, tables: dict[str, Path]) -> tuple[list[list[str]], pl.DataFrame]:
    """Return the rows of the CSV, with its header, and the Parquet file that an SQL text gives."""
    csv, parquet = files = sql_views.Outputs(folder / "own.csv", folder / "own.parquet")
    spill = folder / "spill"
    sql_views.run(sql(folder, text), tables, files, ABOUT, spill, threading.Event())
    assert not spill.exists()
    header, records = read_csv(csv)
    in_parquet = pl.scan_parquet(parquet, glob=False).collect()
    assert in_parquet.columns == header
    assert in_parquet.height == len(records)
    return [header, *records], in_parquet


def refused(folder: Path, text: str, name: str = "own") -> str:
    """Return why an SQL text is refused before it is run."""
    path = sql(folder, text, name)
    with pytest.raises(InputFileError) as caught:
        sql_views.check(folder, [path])
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


# What is refused before the SQL is run.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT\n  scor\nFROM results", ', line 2: Referenced column "scor" not found'),
        ("SELECT 1\nFROM nothing", ", line 2: Table with name nothing does not exist"),
        ("SELECT 1\nFORM results", ', line 2: syntax error at or near "results"'),
        ("selec 1", ', line 1: syntax error at or near "selec"'),
        ("SELECT sum(title) FROM results", ", line 1: No function matches"),
        ("", ": it must be one SELECT"),
        ("-- nothing", ": it must be one SELECT"),
        ("SELECT 1; SELECT 2", ": it must be one SELECT"),
        ("CREATE TABLE x AS SELECT 1 AS y", ": it must be one SELECT"),
        ("COPY results TO 'x.csv'", ": it must be one SELECT"),
        ("COPY (SELECT 1) TO 'x.csv'", ": it must be one SELECT"),
        ("ATTACH 'x.db'", ": it must be one SELECT"),
        ("INSTALL httpfs", ": it must be one SELECT"),
        ("LOAD httpfs", ": it must be one SELECT"),
        ("SET threads = 4", ": it must be one SELECT"),
        ("PRAGMA enable_external_access", ": it must be one SELECT"),
        ("DELETE FROM results", ": it must be one SELECT"),
        ("SELECT 1\nFROM read_csv('/etc/passwd')", ", line 2: read_csv reads something other"),
        ("SELECT * FROM read_text('/etc/passwd')", ", line 1: read_text reads something other"),
        ("SELECT * FROM '/etc/passwd'", ", line 1: Table with name"),
        ("SELECT * FROM 'other.parquet'", ': Cannot access file "other.parquet"'),
        ("SELECT * FROM glob('/*')", ", line 1: glob reads something other"),
        ("SELECT * FROM query('SELECT random()')", ", line 1: query reads something other"),
        ("SELECT 1\nFROM duckdb_views", ", line 2: duckdb_views reads something other"),
        ("TABLE DuckDB_Tables", ", line 1: duckdb_tables reads something other"),
        ("FROM system.main.sqlite_master", ", line 1: main.sqlite_master reads something other"),
        ("FROM pragma_database_list", ", line 1: pragma_database_list reads something other"),
        ("SELECT 1 FROM pg_class", ", line 1: pg_class reads something other"),
        (
            "SELECT 1\nWHERE EXISTS (FROM information_schema.Columns)",
            ", line 2: information_schema.columns reads something other",
        ),
        ("WITH x AS (FROM duckdb_views) FROM x", ", line 1: duckdb_views reads something other"),
        ("FROM (SHOW DATABASES)", ", line 1: SHOW reads something other"),
        (
            "SELECT *\nFROM (SELECT 1) WHERE random() > 0",
            ", line 2: random may give a different result",
        ),
        ("SELECT '\u00e9\u00e9', now() AS x", ", line 1: now may give a different result"),
        ("SELECT\n\ncurrent_date AS x", ", line 3: current_date may give a different result"),
        ("SELECT Current_Date AS x", ", line 1: current_date may give a different result"),
        ("SELECT RANDOM() AS x", ", line 1: random may give a different result"),
        (
            "SELECT current_localtime() AS x",
            ", line 1: current_localtime may give a different result",
        ),
        ("SELECT ago(INTERVAL 1 DAY) AS x", ", line 1: ago may give a different result"),
        ("SELECT * FROM results USING SAMPLE 2", ", line 1: a sample without REPEATABLE may"),
        ("SELECT [1] AS x", ": column x is of type INTEGER[]; cast it"),
        ("SELECT 'a'::BLOB AS x", ": column x is of type BLOB; cast it"),
    ],
)
def test_invalid_sql_is_refused_with_its_line(tmp_path, text, message):
    assert refused(tmp_path, text).startswith(message)


def test_a_value_in_a_syntax_error_is_not_shown(tmp_path):
    assert TITLE not in refused(tmp_path, f"SELECT 1\n'{TITLE}' 'x'")
    assert TITLE not in refused(tmp_path, f'SELECT "{TITLE}" FROM results')


@pytest.mark.parametrize("name", ["Own", "1st", "own-view", "\u00fcber", "a" * 61, "", "own view"])
def test_a_file_name_that_cannot_name_a_table_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.sql"
    with pytest.raises(InputFileError, match="its name is not a valid table name"):
        sql_views.check(tmp_path, [path])


@pytest.mark.parametrize(
    "name",
    [
        *sql_views.VISIBLE_TABLES,
        "assessment_labels",
        "illuminate_latest_results",
        "labels_by_grade",
    ],
)
def test_the_name_of_an_existing_table_is_refused(tmp_path, name):
    assert "a table has this name already" in refused(tmp_path, "SELECT 1", name)


@pytest.mark.parametrize("name", ["results", "latest", "roster"])
def test_columns_of_the_roster_are_visible_where_there_are_some(tmp_path, name):
    path = sql(tmp_path, f"SELECT school FROM {name}")
    with pytest.raises(InputFileError, match='"school" not found'):
        sql_views.check(tmp_path, [path])
    sql_views.check(tmp_path, [path], ("school",))


def test_students_is_the_name_of_a_table_where_it_is_published(tmp_path):
    """A district that names no columns may have a view of that name."""
    path = sql(tmp_path, "SELECT 1 AS x", "students")
    sql_views.check(tmp_path, [path])
    with pytest.raises(InputFileError, match="a table has this name already"):
        sql_views.check(tmp_path, [path], ("school",))


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "own.sql"
    path.write_bytes(b"SELECT '\xff'")
    with pytest.raises(InputFileError, match="it is not UTF-8"):
        sql_views.check(tmp_path, [path])


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="the folder does not exist"):
        sql_views.check(tmp_path / "views", [])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffSELECT 1 AS x;\n-- the end",
        "FROM results",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a",
        "WITH tables AS (SELECT 1 AS x) SELECT tables.x FROM tables",
        "SELECT column_name FROM (DESCRIBE results)",
        'SELECT * FROM "group"',
        "SELECT * FROM range(3)",
        "SELECT NULL AS x, TRUE AS y, DATE '2024-05-02' AS z, 1.5::DECIMAL(4, 2) AS d",
    ],
)
def test_valid_sql_is_accepted(tmp_path, tables, text):
    sql_views.check(tmp_path, [sql(tmp_path, text)])
    run(tmp_path, text, tables)


# What SQL sees.


@pytest.mark.parametrize("name", sql_views.VISIBLE_TABLES)
def test_every_table_has_the_columns_of_the_dictionary(tmp_path, tables, name):
    (header, *_), _ = run(tmp_path, f'SELECT * FROM "{name}"', tables)
    assert header == list(sql_views.VISIBLE_TABLES[name].names)


def test_an_unknown_field_of_the_api_is_not_visible(tmp_path, tables):
    """A view stays the same whatever the API sends."""
    more = tmp_path / "more.parquet"
    pl.read_parquet(tables["combined"]).with_columns(pl.lit("x").alias("new")).write_parquet(more)
    (header, *_), _ = run(tmp_path, "SELECT * FROM combined", tables | {"combined": more})
    assert "new" not in header


def test_the_roster_and_the_labels_are_read_as_they_are_without_apostrophes(tmp_path, tables):
    (_, *records), in_parquet = run(tmp_path, "SELECT local_student_id, grade FROM roster", tables)
    assert records == [["02", "8"], ["1", "0"]]
    assert in_parquet.schema == {"local_student_id": pl.String, "grade": pl.Int64}
    _, in_parquet = run(tmp_path, "SELECT title, unit, curriculum FROM labels", tables)
    assert in_parquet.rows() == [('Unit "1",\nagain', "=Unit 1", None)]


def test_folders_of_any_name(tmp_path):
    folder = tmp_path / "a[b]*c?d'e" / "year=23-24"
    folder.mkdir(parents=True)
    tables = write_tables(folder, ROWS)
    (header, *records), _ = run(folder, "SELECT count(*) AS n FROM results, roster", tables)
    assert (header, records) == (["n"], [["6"]])


def test_no_other_file_is_opened_even_without_the_check(tmp_path, tables, monkeypatch):
    """The database itself is closed; checking the SQL first only gives a better message."""
    monkeypatch.setattr(sql_rules, "_has_order", lambda *_: False)
    other = tmp_path / "other.csv"
    other.write_text(f"name\n{TITLE}\n", encoding="utf-8")
    for reader in ("read_csv", "read_text", "read_blob"):
        assert "Cannot access file" in refused(tmp_path, f"SELECT * FROM {reader}('{other}')")
        with pytest.raises(InputFileError, match="Cannot access file"):
            run(tmp_path, f"SELECT * FROM {reader}('{other}')", tables)


def test_no_setting_can_be_changed_and_no_extension_loaded(tmp_path):
    with sql_views._connect([]) as database:
        for order in ("SET enable_external_access = true", "SET threads = 4", "INSTALL httpfs"):
            with pytest.raises(duckdb.Error):
                database.execute(order)


# What is written.


def test_formulas_are_escaped_in_the_csv_only(tmp_path, tables):
    (_, *records), in_parquet = run(tmp_path, "SELECT title FROM results ORDER BY title", tables)
    assert [row[0] for row in records] == ['\'=a, "b"\nc', TITLE, ""]
    assert in_parquet["title"].to_list() == ['=a, "b"\nc', TITLE, None]


def test_whole_numbers_stay_whole_and_nan_and_infinity_are_null(tmp_path, tables):
    text = "SELECT sum(score) AS total, 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b FROM results"
    (_, record), in_parquet = run(tmp_path, text, tables)
    assert record == ["120", "", ""]
    assert in_parquet.rows() == [(120, None, None)]
    assert in_parquet.schema["total"] == pl.Int64


def test_rows_without_an_order_are_ordered_by_every_column(tmp_path, tables):
    (_, *records), in_parquet = run(tmp_path, "SELECT local_student_id, score FROM results", tables)
    assert (
        [row[0] for row in records] == in_parquet["local_student_id"].to_list() == ["1", "2", "3"]
    )


def test_an_order_is_kept(tmp_path, tables):
    text = "SELECT local_student_id AS id FROM results ORDER BY score DESC NULLS FIRST"
    (_, *records), in_parquet = run(tmp_path, text, tables)
    assert [row[0] for row in records] == in_parquet["id"].to_list() == ["3", "1", "2"]


def test_the_order_of_a_subquery_is_not_the_order_of_the_rows(tmp_path, tables):
    text = "SELECT * FROM (SELECT local_student_id FROM results ORDER BY score NULLS FIRST)"
    (_, *records), _ = run(tmp_path, text, tables)
    assert records == [["1"], ["2"], ["3"]]


def test_a_null_alone_in_its_row_is_a_record(tmp_path, tables):
    """Many readers skip an empty line."""
    (_, *records), in_parquet = run(tmp_path, "SELECT score FROM results", tables)
    assert records == [["50"], ["70"], [""]]
    assert in_parquet["score"].to_list() == [50, 70, None]
    assert (tmp_path / "own.csv").read_bytes() == b'score\n50\n70\n""\n'


def test_without_rows_there_is_a_header(tmp_path, tables):
    rows, in_parquet = run(tmp_path, "SELECT score FROM results WHERE false", tables)
    assert (rows, in_parquet.schema) == ([["score"]], {"score": pl.Int64})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT title::INTEGER AS x FROM results", "TRY_CAST makes it null"),
        ("SELECT CAST(title AS DATE) AS x FROM results", "TRY_CAST makes it null"),
        ("SELECT (score * 100)::TINYINT AS x FROM results", "a value cannot be cast"),
        ("SELECT error(title) AS x FROM results", "DuckDB reports InvalidInput"),
        ("SELECT score * 1000000000000000000 AS x FROM results", "beyond the range of its type"),
    ],
)
def test_an_error_over_rows_shows_no_value(tmp_path, tables, text, message):
    path = sql(tmp_path, text)
    sql_views.check(tmp_path, [path])
    with pytest.raises(InputFileError) as caught:
        run(tmp_path, text, tables)
    assert str(caught.value).startswith(f"{path}: it failed over the rows of this year: ")
    assert message in str(caught.value)
    assert TITLE not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not (tmp_path / "spill").exists()


LONG = "SELECT max(a.range + b.range) AS x FROM range(90000) AS a, range(90000) AS b"


def run_long(folder: Path, tables: dict[str, Path], stop: threading.Event, limit: float) -> None:
    files = sql_views.Outputs(folder / "own.csv", folder / "own.parquet")
    sql_views.run(sql(folder, LONG), tables, files, ABOUT, folder / "spill", stop, limit)


def test_a_stop_interrupts_the_sql(tmp_path, tables):
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        run_long(tmp_path, tables, stop, 0)
    assert not (tmp_path / "spill").exists()


def test_sql_that_takes_too_long_is_interrupted_by_name(tmp_path, tables):
    with pytest.raises(InputFileError) as caught:
        run_long(tmp_path, tables, threading.Event(), 0.05)
    assert str(caught.value) == (
        f"{tmp_path}/own.sql: it took longer than the 0.05 seconds of [build] view_time_limit. "
        "What was published before is unchanged. Simplify the SQL or raise the limit, then run the "
        "same command again."
    )
    assert not (tmp_path / "spill").exists()


def test_a_view_larger_than_memory_spills_to_disk(tmp_path, tables, monkeypatch):
    """A sort of some 150 MB in 64 MiB."""
    monkeypatch.setattr(sql_views, "MEMORY", "64MiB")
    text = "SELECT md5(i::VARCHAR) AS x, i FROM range(2000000) AS t(i)"
    files = sql_views.Outputs(tmp_path / "own.csv", tmp_path / "own.parquet")
    sql_views.run(sql(tmp_path, text), tables, files, ABOUT, tmp_path / "spill", threading.Event())
    made = pl.read_parquet(files.parquet)["x"]
    assert made.is_sorted()
    assert made.len() == 2_000_000


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc")), min_size=1, max_size=60))
def test_the_same_rows_give_the_same_bytes(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("same")
    rows = [{"score": None, "points": points, "unit": unit} for points, unit in pairs]
    tables = write_tables(folder, {"results": rows})
    text = "SELECT unit, sum(points) AS total, count(*) AS n FROM results GROUP BY unit"
    made = []
    for attempt in ("one", "two"):
        (folder / attempt).mkdir()
        run(folder / attempt, text, tables)
        made.append(
            [(folder / attempt / f"own.{kind}").read_bytes() for kind in ("csv", "parquet")]
        )
        shutil.rmtree(folder / attempt)
    assert made[0] == made[1]


def test_the_parquet_file_says_what_it_is_about(tmp_path: Path, tables: dict[str, Path]) -> None:
    run(tmp_path, "SELECT 1 AS n", tables)
    (path,) = tmp_path.rglob("*.parquet")
    assert ABOUT.items() <= pl.read_parquet_metadata(path).items()
