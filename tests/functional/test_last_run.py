"""runs/latest.json always says how the last run ended."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulator import Fault, Server
from tests.functional.conftest import LUIGI, Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_reruns import request_counts


def latest(place: Workplace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path(place).read_text(encoding="utf-8"))
    return found


def path(place: Workplace) -> Path:
    return place.data / "runs" / "latest.json"


def test_published_then_up_to_date(place: Workplace) -> None:
    """A program can tell whether there is something new; the record that is named says the rest."""
    assert place.run().returncode == 0
    first = latest(place)
    assert (first["outcome"], first["succeeded"]) == ("published", True)
    assert first["published"] == ["23-24"]
    (table,) = first["tables"]
    record = json.loads((place.data / "runs" / table["record"]).read_text(encoding="utf-8"))
    assert record["run"] == first["run"]
    assert table["rows"]["view"] == record["steps"]["BuildViews"]["rows"] > 0
    assert place.run().returncode == 0
    second = latest(place)
    assert (second["outcome"], second["succeeded"]) == ("up to date", True)
    assert second["published"] == []
    assert second["run"] > first["run"]
    assert second["tables"][0]["requests"] == 0


def test_the_last_record_of_a_year_is_no_result(place: Workplace) -> None:
    """The new file is none of the records that `status` reads."""
    assert place.run().returncode == 0
    assert "last run              published at" in place.look("status", "--year", "23-24").stdout


@pytest.mark.usefixtures("by_assessment")
def test_a_failure_in_plain_words(place: Workplace, server: Server) -> None:
    victim = sorted(str(row["assessment_id"]) for row in server.district.catalogue)[3]
    server.faults.add(Fault("status", endpoint="overall", assessment_id=victim, value=403))
    assert place.run().returncode == 30
    result = latest(place)
    assert (result["outcome"], result["succeeded"]) == ("failed", False)
    (failure,) = result["failures"]
    assert (failure["label"], failure["step"]) == ("23-24", "FetchScores")
    assert f"overall of assessment {victim}" in failure["reason"]
    assert result["tables"][0]["shards_failed"] == 1


def test_a_year_that_fails_beside_one_that_does_not(place: Workplace) -> None:
    """Each set of tables has an outcome of its own."""
    rosters = place.environment["STUDENT_ROSTERS"]
    assert Path(rosters.replace("{year}", "22-23")).exists()
    only = place.folder / "Student_Rosters_22-23.txt"
    only.write_bytes(Path(rosters.replace("{year}", "22-23")).read_bytes())
    command = (LUIGI, "--module", "pipeline", "RunYears", "--years", "22-23,23-24")
    roster = str(only).replace("22-23", "{year}")
    done = place.finish(place.start(*command, STUDENT_ROSTERS=roster))
    assert done.returncode == 30
    result = latest(place)
    outcomes = {table["label"]: table["outcome"] for table in result["tables"]}
    assert outcomes == {"22-23": "published", "23-24": "failed", "all": "not finished"}
    assert (result["outcome"], result["published"]) == ("failed", ["22-23"])


def test_a_setting_that_cannot_be_used(place: Workplace) -> None:
    """The result of the run before is replaced."""
    assert place.run().returncode == 0
    done = place.run("--illuminate-threads", "0")
    assert done.returncode == 30
    sentence = (
        "[illuminate] threads is 0; it must be 1 to 64. Nothing was requested and nothing was "
        "changed. Correct it, then run the same command again."
    )
    assert done.stderr.count(sentence) == 1
    result = latest(place)
    assert result["outcome"] == "failed"
    assert result["failures"] == [{"label": "", "step": "Start", "reason": sentence}]
    assert result["tables"] == []


def test_a_year_to_come(place: Workplace) -> None:
    """A run that worked on no tables."""
    assert place.run("--as-of", "2999-01-01").returncode == 0  # the year ended before
    place.environment["LUIGI_CONFIG_PATH"] = ""
    done = place.finish(
        place.start(
            LUIGI, "--module", "pipeline", "RunAll", "--year", "98-99", "--as-of", "2099-01-01"
        )
    )
    assert done.returncode == 30
    result = latest(place)
    assert (result["outcome"], result["tables"]) == ("failed", [])
    assert "is still to come" in result["failures"][0]["reason"]


def test_a_run_that_was_refused_has_not_run(place: Workplace, server: Server) -> None:
    """It changes neither the last result nor the one that the active run will write."""
    assert place.run().returncode == 0
    before = path(place).read_bytes()
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    server.clear_log()
    working = place.start_run("--year", "22-23")
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    for options in ((), ("--illuminate-threads", "0")):
        assert place.run(*options).returncode == 10
    assert path(place).read_bytes() == before
    working.send_signal(signal.SIGTERM)
    place.finish(working)
    assert latest(place)["outcome"] == "stopped"


def test_a_setting_keeps_what_a_killed_run_left_to_sweep(place: Workplace, server: Server) -> None:
    """A run that cannot start sweeps like any other, before it forgets where to."""
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    working = place.start_run("--year", "23-24")
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    working.kill()
    place.finish(working)
    left = place.work / ".metadata.json.1-1.partial"
    left.write_text("half", encoding="utf-8")
    assert place.run("--illuminate-threads", "0").returncode == 30
    assert not left.exists()
