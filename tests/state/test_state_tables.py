"""A state run publishes what its districts have published, row for row."""

import os
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from pipeline.runs.lock import Lock
from pipeline.schema import GROUP, TABLES, VIEW
from tests.state.conftest import SEEDS, YEAR, State
from tests.state.sets import marker, of_district, read


def own_rows(state: State, district: str, stem: str) -> pl.DataFrame:
    """Return the rows of a district's own Parquet file, as the Delta table has them."""
    (file,) = state.of(district).data.glob(f"*/{YEAR}/{stem}_historical.parquet")
    rest = pl.exclude("district", "year")
    key = (pl.lit(district).alias("district"), pl.lit(YEAR).alias("year"))
    return pl.read_parquet(file).select(*key, rest)


def damage(file: Path) -> None:
    """Change a file so that its size and time do not tell."""
    status, content = file.stat(), file.read_bytes()
    file.write_bytes(content[:-2] + b"?\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_tables_of_all_districts_are_those_of_each(state: State) -> None:
    done = state.run_state()
    assert done.returncode == 0, done.stdout + done.stderr
    root: Path = state.folders.root
    found = marker(root)
    assert found["run"] == state.latest()["run"]
    assert found["versions"].keys() == {t.stem for t in TABLES if not t.has_student_names}
    assert GROUP.stem not in found["versions"]
    for district in SEEDS:
        counts = found["years"][YEAR][district]
        assert counts["counted"] == {VIEW.stem: counts["rows"][VIEW.stem]}
        for table in TABLES:
            if table.stem in found["versions"] and table.is_large:
                rows = of_district(read(root, table.stem), district)
                assert_frame_equal(rows, own_rows(state, district, table.stem))
    shown = state.look("state", "tables").stdout
    assert shown.startswith(f"State run {found['run']}:\n")
    for name, version in found["versions"].items():
        assert f"/tables/{name} version {version}: {found['rows'][name]:,} rows\n" in shown
    assert state.run_state().returncode == 99
    assert marker(root) == found

    # What no longer is what the district published, is not published with the others' again.
    damage(state.of("north").data / "illuminate" / YEAR / "assessment_labels.csv")
    (root / "published.json").unlink()
    done = state.run_state()
    assert done.returncode == 30
    assert "1 of 2 published, 1 with something new." in done.stdout
    why = "What it has published is not in the tables of all: A published file of 23-24 in"
    assert f"  north 23-24 failed: {why}" in done.stdout
    (failed,) = state.latest()["failed"]
    assert (failed["district"], state.latest()["new"]) == ("north", [["south", YEAR]])
    shown = state.status()
    assert shown.returncode == 1
    assert f"  north not in the tables of all: {why}" in shown.stdout
    assert "1 published" in shown.stdout
    with Lock(state.folders.lock):
        assert "north not in the tables of all: the state run under way" in state.status().stdout
    state.folders.latest.unlink()
    assert "north not in the tables of all: run illuminate-pipeline" in state.status().stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert marker(root)["years"][YEAR].keys() == {"south"}
    assert read(root, VIEW.stem)["district"].unique().to_list() == ["south"]


def test_the_tables_of_no_run_are_named_as_none(state: State) -> None:
    done = state.look("state", "tables")
    assert done.returncode == 1
    assert "Nothing is published in" in done.stderr


def test_without_the_library_nothing_is_requested(state: State) -> None:
    stub = state.folder / "without" / "deltalake.py"
    stub.parent.mkdir()
    stub.write_text("raise ImportError")
    paths = [str(stub.parent), os.environ.get("PYTHONPATH", "")]
    state.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    state.refuses("run make state, then run the same command again")
