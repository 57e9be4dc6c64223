"""status, verify and doctor tell the truth and change nothing."""

import datetime as dt
import os
import re
import sys
from importlib import metadata

import msgspec
import pytest

from pipeline.extract.manifest import Manifest
from pipeline.runs.lock import Lock
from pipeline.simulator import Fault, Server
from tests import canaries
from tests.functional import oracle
from tests.functional.conftest import Workplace
from tests.functional.test_reruns import newest_record, requested_shards

YEAR = ("--year", "23-24")


def test_status_before_any_run(place: Workplace, server: Server) -> None:
    done = place.look("status", *YEAR)
    assert done.returncode == 1
    assert "nothing is published yet" in done.stdout
    assert server.log == []
    assert not place.data.exists()


def test_status_after_a_run(place: Workplace, server: Server) -> None:
    assert place.run().returncode == 0
    server.clear_log()
    before = oracle.content(place.data)
    done = place.look("status", *YEAR)
    assert done.returncode == 0
    for endpoint in ("overall", "standard", "group"):
        count = sum(kept == endpoint for kept, _ in place.kept_shards())
        assert f"FetchScores {endpoint}".ljust(22) + f"{count} of {count} shards" in done.stdout
    assert "published at" in done.stdout
    assert server.log == []
    assert oracle.content(place.data) == before


def test_status_for_other_programs(place: Workplace) -> None:
    before = place.look("status", *YEAR, "--json")
    assert (before.returncode, msgspec.json.decode(before.stdout)["up_to_date"]) == (1, False)
    assert place.run().returncode == 0
    after = place.look("status", *YEAR, "--json")
    state = msgspec.json.decode(after.stdout)
    assert (after.returncode, state["year"], state["up_to_date"]) == (0, "23-24", True)
    assert state["last_run"]["outcome"] == "published"
    assert "14 files as of 2024-06-30" in state["steps"]["Publish"]


def test_the_version_is_that_of_the_package(place: Workplace) -> None:
    done = place.look("--version")
    assert (done.returncode, done.stdout) == (
        0,
        f"illuminate-pipeline {metadata.version('illuminate-pipeline')}\n",
    )


@pytest.mark.usefixtures("by_assessment")
def test_status_after_a_failure(place: Workplace, server: Server) -> None:
    """It says what is missing, that it failed, and why."""
    victim = sorted(str(row["assessment_id"]) for row in server.district.catalogue)[3]
    server.faults.add(Fault("status", endpoint="group", assessment_id=victim, value=403))
    assert place.run().returncode == 30
    done = place.look("status", *YEAR)
    assert done.returncode == 1
    assert "1 failed last time" in done.stdout
    assert f"group of assessment {victim}" in done.stdout


def test_refresh_fetches_everything_again(place: Workplace, server: Server) -> None:
    """It ends well also where the tables turn out the same."""
    assert place.run().returncode == 0
    everything = requested_shards(server)
    server.clear_log()
    done = place.look("refresh", *YEAR)
    assert done.returncode == 0, done.stdout + done.stderr
    assert requested_shards(server) == everything
    assert "no table was changed" in done.stdout


def test_the_help_of_run_is_the_tasks_own(place: Workplace) -> None:
    done = place.look("run", "RunAll", "--help")
    assert done.returncode == 0
    for option in ("--year", "--as-of", "--help-all"):
        assert option in done.stdout


def test_a_day_that_is_none_is_refused_in_words(place: Workplace) -> None:
    done = place.look("status", *YEAR, "--as-of", "2024-13-01")
    assert done.returncode == 2
    assert "'2024-13-01' is not a day; write it like 2024-01-31" in done.stderr


def test_a_day_of_a_run_that_is_none_is_refused_in_words(place: Workplace) -> None:
    done = place.run("--as-of", "1/31/2024")
    assert done.returncode == 40
    stamp, level, sentence = done.stderr[:19], done.stderr[19:26], done.stderr[26:]
    assert dt.datetime.fromisoformat(stamp)
    assert (level, sentence) == (" ERROR ", "'1/31/2024' is not a day: write it like 2024-01-31.\n")


def test_verify_finds_all_whole(place: Workplace, server: Server) -> None:
    assert place.run().returncode == 0
    server.clear_log()
    done = place.look("verify", *YEAR)
    assert done.returncode == 0, done.stdout
    assert "All files and counts are intact." in done.stdout
    assert server.log == []


def test_verify_finds_every_kind_of_harm(place: Workplace) -> None:
    """Also harm that leaves size and time of change as they were."""
    assert place.run().returncode == 0
    victims = [
        next(place.shards("overall").glob("*.parquet")),
        place.work / "metadata.json",
        place.work / "results" / "assessment_labels.csv",
        place.data / "illuminate" / "23-24" / "assessments_metadata.csv",
    ]
    for victim in victims:
        data, status = victim.read_bytes(), victim.stat()
        victim.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
        done = place.look("verify", *YEAR)
        assert done.returncode == 1, victim
        is_shard = victim.suffix == ".parquet"
        assert (f"assessment {victim.stem} is" if is_shard else victim.name) in done.stdout
        assert "Run `make run YEAR=23-24`, which restores it." in done.stdout
    assert place.run().returncode == 0  # what verify found, the next run restores
    assert place.look("verify", *YEAR).returncode == 0


def test_a_failed_check_stops_before_publishing(place: Workplace) -> None:
    """Counts that do not add up are named, and what was published before stays."""
    assert place.run().returncode == 0
    before = place.published()
    manifest = Manifest.read(place.manifest("overall"))
    assert manifest is not None
    victim, entry = next(iter(manifest.shards.items()))
    manifest.shards[victim] = msgspec.structs.replace(entry, server_total=entry.rows + 9)
    manifest.write(place.manifest("overall"))
    (place.work / "checks.json").unlink()
    done = place.run()
    assert done.returncode == 30
    assert "A check failed before publishing (overall shards have every row" in done.stdout
    assert "make refresh YEAR=23-24" in done.stdout
    assert place.published() == before


def test_doctor_shows_no_password_of_an_address(place: Workplace) -> None:
    place.environment["ILLUMINATE_BASE_URL"] = "https://bob:hunter2@x.example.org/live"
    place.environment["PIPELINE_COPY_TO"] = "s3://key:hunter2@bucket/copies"
    done = place.look("doctor")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    assert "copy_to = (not shown: it contains a password; docs/copies.md says " in done.stdout


def test_verify_before_any_run(place: Workplace) -> None:
    done = place.look("verify", *YEAR)
    assert done.returncode == 1
    assert "not fetched yet" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert "There is nothing to verify" in done.stdout
    assert "Run `make run YEAR=23-24`, then run the same command again." in done.stdout


def test_status_says_once_why_something_is_not_known(place: Workplace) -> None:
    assert place.run().returncode == 0
    place.environment["ILLUMINATE_BASE_URL"] = "http://district.example.org/live"
    done = place.look("status", *YEAR)
    assert done.returncode == 1
    assert done.stdout.count("ILLUMINATE_BASE_URL must begin with https") == 1
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["ReadTitleRules"] == "up to date"
    assert lines["FetchMetadata"].startswith("not known: ILLUMINATE_BASE_URL must begin with")
    assert lines["BuildViews"] == "not known, for the same reason as FetchMetadata"
    assert lines["Publish"].endswith(
        "up to date is not known, for the same reason as FetchMetadata"
    )


def states(place: Workplace) -> dict[str, str]:
    """What status says of each step."""
    done = place.look("status", *YEAR, "--json")
    return dict(msgspec.json.decode(done.stdout)["steps"])


def test_status_says_which_step_others_wait_for(place: Workplace) -> None:
    """Nobody knows what they will be like before that step is done."""
    assert place.run().returncode == 0
    roster = place.folder / "roster.txt"
    place.environment["STUDENT_ROSTERS"] = str(roster)
    found = states(place)
    assert found["ReadRoster"] == f"waits for {roster}, which cannot be found"
    assert found["ReadTitleRules"] == "up to date"
    for step in ("CheckInputs", "FetchMetadata", "BuildViews", "CheckTables"):
        assert found[step] == "waits for ReadRoster", step
    assert re.fullmatch(
        "14 files as of 2024-06-30, fetched on .*, by run .*; waits for ReadRoster",
        found["Publish"],
    )
    roster.write_text("STUDENT_NUMBER\tGRADE_LEVEL\nS1\t3\n", encoding="utf-8")
    found = states(place)
    assert found["ReadRoster"] == "to be rebuilt"
    assert found["BuildViews"] == "waits for ReadRoster"


def test_status_says_which_step_of_which_year_all_years_wait_for(place: Workplace) -> None:
    command = ("run", "RunYears", "--years", "23-24", "--report-enabled", "false")
    assert place.look(*command).returncode == 0
    (place.work / "receipts/BuildViews.json").unlink()
    done = place.look("status", "--year", "all", "--json")
    found = msgspec.json.decode(done.stdout)["steps"]
    assert found["ConcatResults"] == "up to date"
    assert found["ConcatView"] == "to be rebuilt"
    assert found["PublishYears"].endswith("; waits for BuildViews of 23-24")


def test_status_says_which_run_is_at_work(place: Workplace) -> None:
    def at_work(year: str) -> str:
        lines = place.look("status", "--year", year).stdout.splitlines()
        return "".join(line for line in lines if line.startswith("  at work"))

    with Lock(place.data / ".lock") as lock:
        lock.note([place.data / "illuminate" / "23-24", place.data / "reports"])
        who = rf", since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC \(process {os.getpid()}\)"
        assert re.fullmatch(f" +at work +a run of 23-24{who}", at_work("23-24"))
        assert re.fullmatch(
            f" +at work +another process uses this data folder{who}", at_work("22-23")
        )
    assert at_work("23-24") == ""


@pytest.mark.usefixtures("by_assessment")
def test_status_says_why_a_number_of_shards_is_not_known(place: Workplace, server: Server) -> None:
    server.faults.add(Fault("status", endpoint="catalogue", value=403))
    assert place.run().returncode == 30
    unknown = "number of shards not known: it depends on the "
    for endpoint in ("overall", "standard", "group"):
        why = f"{unknown}catalogue, which is not fetched yet"
        assert states(place)[f"FetchScores {endpoint}"] == why
    server.faults.clear()
    server.faults.add(Fault("status", endpoint="overall", value=403))
    assert place.run().returncode == 30
    found = states(place)
    assert found["FetchScores overall"].startswith("0 of ")
    for endpoint in ("standard", "group"):
        why = f"{unknown}overall results, which are not all fetched yet"
        assert found[f"FetchScores {endpoint}"] == why


def test_doctor_when_all_is_well(place: Workplace, server: Server) -> None:
    """One request is tried, every setting has its origin, and no secret is shown."""
    done = place.look("doctor")
    assert done.returncode == 0, done.stdout
    assert "base_url = http://127.0.0.1" in done.stdout
    assert "from ILLUMINATE_BASE_URL" in done.stdout
    assert "[illuminate] threads = 10, from luigi.cfg" in done.stdout
    assert server.credentials.client_secret not in done.stdout + done.stderr
    assert [r.endpoint for r in server.log] == ["token", "catalogue"]


def test_doctor_names_what_is_wrong(place: Workplace) -> None:
    done = place.look("doctor")
    assert done.returncode == 0
    wrong = "a-wrongsecret77"
    place.environment |= {
        "ILLUMINATE_CLIENT_SECRET": wrong,
        "STUDENT_ROSTERS": "/nowhere/roster.txt",
    }
    done = place.look("doctor")
    assert done.returncode == 1
    assert "FAILED  district: the server rejected the credentials" in done.stdout
    assert "FAILED  roster" in done.stdout
    assert "ok      title rules" in done.stdout
    assert canaries.found([wrong], done.stdout + done.stderr) == set()


def test_forget_waits_for_nobody(place: Workplace) -> None:
    done = place.look("forget", *YEAR)
    assert done.returncode == 0
    assert "no snapshot" in done.stdout


def test_bad_year_in_a_sentence(place: Workplace) -> None:
    done = place.look("status", "--year", "2024")
    assert done.returncode == 2
    assert "could mean" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scheduler_can_tell_by_the_exit_code(place: Workplace) -> None:
    """0 where something was published, 99 where no table was changed, else what Luigi says."""

    def run(*options: str, **variables: str) -> int:
        command = (sys.executable, "-m", "pipeline", "run", "RunAll", *options)
        return place.finish(place.start(*command, **variables)).returncode

    assert run(*YEAR) == 0
    assert run(*YEAR) == 99
    assert run(*YEAR, "--as-of", "2024-03-01", ILLUMINATE_CLIENT_SECRET="wrong") == 30
    assert run(*YEAR, "--illuminate-threads", "0") == 30
    assert run("--year", "2024") == 40
    command = (sys.executable, "-m", "pipeline", "run", "FetchMetadata", *YEAR)
    assert place.finish(place.start(*command)).returncode == 0  # one step is no finished run


def test_the_record_of_a_run_up_to_date(place: Workplace) -> None:
    assert place.run().returncode == 0
    assert place.run().returncode == 0
    assert '"outcome": "up to date"' in newest_record(place)
