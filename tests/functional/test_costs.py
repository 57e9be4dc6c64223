"""What a run costs, counted in files read, settings read and libraries loaded; never in seconds."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.schema import ENDPOINTS
from pipeline.simulator import Server
from tests.functional.conftest import YEAR, Workplace
from tests.functional.test_reruns import newest_record

HEAVY = {"duckdb", "polars", "pandas", "numpy", "rich", "authlib", "cryptography", "pyrate_limiter"}
TABLES = {
    *("CombineResults", "CombineGroup", "LabelAssessments", "ListStandards", "BuildViews"),
    "CheckTables",
}

# The command, with a note of what it read and loaded written where the first argument says.
TRACED = """
import atexit, json, sys
from collections import Counter
from pathlib import Path
import pipeline
from pipeline.config import sections
from pipeline.storage import files
from luigi.cmdline import luigi_run
from luigi.task_register import Register

read, settings, readings = Counter(), Counter(), Counter()
sha256, call = files.sha256, Register.__call__

def reading(path):
    read[str(path)] += 1
    return sha256(path)

def calling(section, *args, **named):
    if section.__module__ == sections.__name__:
        settings[section.__name__] += 1
    return call(section, *args, **named)

def note():
    noted = {"read": read, "settings": settings, "readings": readings}
    noted["loaded"] = sorted(sys.modules)
    Path(sys.argv[1]).write_text(json.dumps(noted))

files.sha256, Register.__call__ = reading, calling
atexit.register(note)
"""
# For runs that build: how often the rows of an endpoint's shards are read.
ROWS = """
from pipeline.transform.scan import ShardDataset
take = ShardDataset.read

def taking(source, paths, columns):
    readings[paths[0].parent.name] += 1
    return take(source, paths, columns)

ShardDataset.read = taking
"""


def traced(place: Workplace, also: str = "", **variables: str) -> dict[str, Any]:
    """What a run read and loaded."""
    script = f"{TRACED}{also}\nluigi_run(sys.argv[2:])"
    noted = place.folder / "noted.json"
    # Without the report, as the run before it was.
    command = ("--module", "pipeline", "RunAll", "--year", YEAR, "--report-enabled", "false")
    done = place.finish(
        place.start(sys.executable, "-c", script, str(noted), *command, **variables)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
    return found


def steps_of_the_last_run(place: Workplace) -> set[str]:
    steps = json.loads(newest_record(place))["steps"]
    return {name for name, facts in steps.items() if facts["by_this_run"]}


@pytest.fixture
def ran(place: Workplace, server: Server) -> Workplace:
    assert place.run().returncode == 0
    return place


def test_a_rerun_with_nothing_to_do_loads_no_heavy_library(ran: Workplace) -> None:
    assert not HEAVY & set(traced(ran)["loaded"])


def test_a_rerun_with_nothing_to_do_reads_no_shard_and_no_table(ran: Workplace) -> None:
    read = {Path(path).name for path in traced(ran)["read"]}
    assert read == {"Student_Rosters_23-24.txt", "title_rules.csv", "overrides.csv"}


def test_settings_are_read_once_a_run(ran: Workplace) -> None:
    """Once to check what is complete, and once by the run; the source is part of a task's name.

    Luigi computes the parameters of a task twice.
    """
    read = Counter(traced(ran)["settings"])
    assert max(read.values()) <= 2 + 2 * (max(read, key=read.__getitem__) == "illuminate")


def test_each_shard_is_verified_once_and_no_table_is_read_only_for_its_digest(
    ran: Workplace,
) -> None:
    for path in (*(ran.work / "receipts").glob("Combine*"), *ran.work.glob("results/*.csv")):
        path.unlink()
    read = Counter(traced(ran)["read"])
    shards = {path: count for path, count in read.items() if "/shards/" in path}
    kinds = Counter(Path(path).parent.name for path in shards)
    assert set(kinds) == set(ENDPOINTS)
    assert set(shards.values()) == {1}
    assert not [path for path in read if path.endswith("_historical.csv")]


def test_rows_are_read_once_for_all_files_and_counts_of_a_step(place: Workplace) -> None:
    """Overall and standard for the combined table and for both views, group for its table."""
    assert traced(place, ROWS)["readings"] == {"overall": 2, "standard": 2, "group": 1}


def test_an_edited_rule_costs_labels_and_views_only(ran: Workplace, inputs: Path) -> None:
    rules = ran.folder / "rules.csv"
    head, *lines = (inputs / "title_rules.csv").read_text(encoding="utf-8").splitlines()
    rules.write_text("\n".join([head, "curriculum,.,All", *lines]), encoding="utf-8")
    traced(ran, TITLE_RULES=str(rules))
    built = steps_of_the_last_run(ran)
    assert built == {
        "ReadTitleRules",
        "CheckInputs",
        "LabelAssessments",
        "BuildViews",
        "DescribeYear",
        "CheckTables",
    }


def test_another_shard_costs_the_tables_of_its_rows_and_no_request_more(
    ran: Workplace, server: Server
) -> None:
    victim = max(ran.shards("group").glob("*.parquet"), key=lambda path: path.stat().st_size)
    victim.unlink()
    server.clear_log()
    read = traced(ran)["read"]
    assert {r.assessment_id for r in server.log if r.endpoint == "group"} == {victim.stem}
    assert steps_of_the_last_run(ran) <= {*TABLES, "FetchScores group"}
    assert not [path for path in read if "/shards/overall/" in path or "/shards/standard/" in path]
