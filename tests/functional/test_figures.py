"""What the report has shown is remembered from night to night, and holds what comes next."""

import itertools
import sys
from pathlib import Path

import polars as pl

from pipeline.report.disclosure import FIGURE
from pipeline.report.groups import KEY
from tests.functional.conftest import YEAR, Workplace
from tests.functional.test_report import page_of, text_of
from tests.functional.test_reruns import newest_record

NIGHTS = ("2024-02-01", "2024-02-02", "2024-04-01", "2024-06-10")
SMALLEST = 5


def report(place: Workplace, *options: str, **variables: str) -> str:
    enabled = ("--report-enabled", "true", "--report-smallest-group", str(SMALLEST))
    done = place.run(*enabled, *options, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def figures_of(place: Workplace) -> Path:
    return place.data / "work" / YEAR / "figures.parquet"


def test_figures_are_held_from_night_to_night(place: Workplace) -> None:
    """Any two that are shown of a group are of sizes that differ by the smallest group."""
    before = pl.DataFrame(schema=pl.Schema(dict.fromkeys(KEY, pl.String) | {"grade": pl.Int64}))
    replaced = 0
    for night in NIGHTS:
        report(place, "--as-of", night, "--today", night)
        now = pl.read_parquet(figures_of(place))
        assert before.join(now, on=KEY, how="anti").is_empty()
        for sizes in now["sizes"]:
            assert all(abs(a - b) >= SMALLEST for a, b in itertools.combinations(sizes, 2))
        if "sizes" in before.columns:
            both = before.join(now, on=KEY, suffix="_now")
            replaced += both.filter(pl.col("sizes") != pl.col("sizes_now")).height
            held = both.filter(pl.col("sizes") == pl.col("sizes_now"))
            for name in FIGURE:
                assert held[name].equals(held[f"{name}_now"].alias(name), null_equal=True)
        before = now
    assert replaced > 5


def test_figures_outlive_every_snapshot_and_name_no_student(place: Workplace) -> None:
    report(place)
    known = figures_of(place).read_bytes()
    assert figures_of(place).stat().st_mode & 0o077 == 0
    students = pl.read_parquet(next(place.data.glob(f"views/{YEAR}/*latest*.parquet")))
    ids = set(students["local_student_id"].drop_nulls())
    of = pl.read_parquet(figures_of(place))
    texts = of.select(pl.col(pl.String)).unpivot()["value"].drop_nulls()
    assert of.height > 20
    assert not ids & set(texts)
    for command in ("clean-snapshots", "forget"):
        assert place.look(command, "--year", YEAR).returncode == 0
        assert figures_of(place).read_bytes() == known
    report(place)
    assert figures_of(place).read_bytes() == known
    assert place.look("verify", "--year", YEAR).returncode == 0


def test_figures_of_another_threshold_are_made_anew(place: Workplace) -> None:
    report(place)
    sizes = pl.read_parquet(figures_of(place))["size"].unique()
    report(place, "--report-smallest-group", "10")
    coarser = pl.read_parquet(figures_of(place))["size"].unique()
    assert any(size % 10 for size in sizes)
    assert not any(size % 10 for size in coarser)


def test_a_damaged_file_of_figures_stops_the_report_and_nothing_else(place: Workplace) -> None:
    report(place)
    page = page_of(place).read_bytes()
    figures_of(place).write_bytes(b"no Parquet file")
    done = place.run("--report-enabled", "true", "--report-smallest-group", str(SMALLEST))
    assert done.returncode == 30
    assert "figures.parquet cannot be read" in done.stdout
    assert '"outcome": "failed"' in newest_record(place)
    assert page_of(place).read_bytes() == page
    figures_of(place).unlink()
    report(place)


def test_a_chart_that_kills_its_process_costs_the_chart_and_not_the_run(
    place: Workplace, tmp_path: Path
) -> None:
    """As V8 does where it gets no executable memory."""
    (tmp_path / "vl_convert.py").write_text("import os\nos.abort()\n")
    search = ":".join([str(tmp_path), *filter(None, sys.path)])
    told = report(place, PYTHONPATH=search)
    assert "charts could not be drawn; tables are shown in their place" in told
    text = text_of(page_of(place))
    assert "The chart could not be drawn; this is its table." in text
    assert "Show as a table" not in text
