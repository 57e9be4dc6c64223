"""What the report has shown is remembered from night to night, and holds what comes next."""

import sys
from pathlib import Path

import polars as pl

from pipeline.report.disclosure import FIGURE
from pipeline.report.groups import KEY
from tests.functional.conftest import LUIGI, REPOSITORY, YEAR, Workplace
from tests.functional.test_report import page_of, text_of
from tests.functional.test_reruns import newest_record

SMALLEST = 5
SMALL_GROUPS = ("--report-smallest-group", str(SMALLEST))


def report(place: Workplace, *options: str, **variables: str) -> str:
    done = place.run("--report-enabled", "true", *SMALL_GROUPS, *options, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def figures_of(place: Workplace) -> Path:
    return place.data / "work" / YEAR / "figures.parquet"


def test_figures_are_held_from_night_to_night(tmp_path: Path) -> None:
    """On the second night three groups have five results more, and two have fewer."""
    place = Workplace(tmp_path, {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")})
    nights = []
    for night in ("2024-02-16", "2024-02-17"):
        command = (LUIGI, "--module", "pipeline", "RunAll", "--year", YEAR, *SMALL_GROUPS)
        done = place.finish(place.start(*command, "--as-of", night, "--today", night))
        assert done.returncode == 0, done.stdout + done.stderr
        latest = pl.read_parquet(next(place.data.glob("demo/views/*/*latest_results*.parquet")))
        overall = latest.filter(response_type="overall").drop_nulls(["grade", "mastered"])
        students = overall.group_by("grade", "assessment_id").agg(students=pl.len().cast(pl.Int64))
        shown = pl.read_parquet(place.data / "demo/work" / YEAR / "figures.parquet")
        nights.append(shown.filter(kind="overall").join(students, on=["grade", "assessment_id"]))
    before, now = nights
    both = before.join(now, on=KEY, suffix="_now")
    assert both.height == before.height
    grown = pl.col("students_now") - pl.col("students")
    replaced, held = both.filter(grown >= SMALLEST), both.filter(grown < SMALLEST)
    assert replaced.select((pl.col("sizes_now").list.len() == 2).all()).item()
    assert replaced.height >= 3
    assert held.filter(grown > 0).height >= 2
    for name in FIGURE:
        assert held[name].equals(held[f"{name}_now"].alias(name), null_equal=True)


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
    done = place.run("--report-enabled", "true", *SMALL_GROUPS)
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
