"""The benchmark as people run it, with tiny work; nothing is said about how long anything takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NAMES = ("fetch", "tables", "rerun", "nights", "delivery", "growth", "memory")
"""All sections but the one of many districts, which has a test of its own."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


def test_everybody_brings_the_same_rows_and_every_table_is_printed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *NAMES, "--short", "--folder", tmp_path],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for words in (
        "Fetching tiny",
        "The server is not what is measured",
        "Tables of",
        "Requests of a first run",
        "Reruns over",
        "Nights over",
        "The size of work/",
        "What is done with the tables",
        "Growth with the number of assessments",
        "Memory with the number of rows",
    ):
        assert words in done.stdout
    assert "dlt: skipped" in done.stdout
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert tuple(results["sections"]) == NAMES
    fetched = {trial["peer"]: trial for trial in results["sections"]["fetch"]["trials"]}
    assert {"pipeline", "drain", "drain, same requests", "seed's way"} <= set(fetched)
    rows = {peer: trial["rows"] for peer, trial in fetched.items()}
    assert rows["pipeline"] > rows["pipeline, by assessment"] == rows["drain"] == rows["seed's way"]
    # Rows are compared while it runs; here, that each of them really sent requests.
    assert all(trial["server"]["requests"] > 1 for trial in fetched.values())
    built = {trial["peer"] for trial in results["sections"]["tables"]["trials"]}
    assert {"pipeline", "polars alone", "polars, rewriting the finished tables"} <= built
    page = (tmp_path / "results" / "results.md").read_text(encoding="utf-8")
    assert "| pipeline |" in page
    assert page.startswith("**Targets**")
    assert "| rows of unlisted assessments published | at least 100 % | 100 % |" in page
    assert str(tmp_path) not in page
    assert not (tmp_path / "places").exists()
