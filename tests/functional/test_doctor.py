"""doctor tries what a run does, of the year that is asked for, and counts as the run counts."""

import json
import re
import shutil
import socket
from pathlib import Path

import duckdb
import pytest

from pipeline.commands.doctor import TRIALS
from pipeline.publish.database import duckdb_file
from pipeline.simulator import Fault, Server
from tests.functional import oracle
from tests.functional.conftest import YEAR, Workplace

OF_YEAR = ("--year", YEAR)
SET_BY = "OAuth 2, set by ILLUMINATE_CLIENT_ID, ILLUMINATE_CLIENT_SECRET"


def lines(place: Workplace, *options: str) -> dict[str, str]:
    """What doctor says of each thing that it tries, with its mark."""
    done = place.look("doctor", *options)
    assert done.stderr == ""
    found = re.findall(r"^  (ok|note|FAILED) +([^:]+): (.*)$", done.stdout, re.MULTILINE)
    failed = [name for mark, name, _ in found if mark == "FAILED"]
    assert done.returncode == bool(failed)
    last = f"{len(failed)} of {len(found)} FAILED." if failed else "Nothing failed: "
    assert done.stdout.splitlines()[-1].startswith(last)
    return {name: f"{mark}: {text}" for mark, name, text in found}


def test_it_counts_as_a_run_counts(place: Workplace, own: Server) -> None:
    """Also where the catalogue lists an assessment twice, and a year has a roster of its own."""
    own.district.catalogue.append(dict(own.district.catalogue[0]))
    before = lines(place, *OF_YEAR)
    assert [*before] == [*TRIALS]
    assert {"process", "memory", "file system", "tables", "views", "disk", "roster"} <= {*before}
    assert {"district", "database", "copies", "webhook"} <= {*before}
    # The line goes on where that much is not free.
    assert "fetching 1,000,000 results for the first time writes 762.9 MiB" in before["disk"]
    assert place.run().returncode == 0
    (record,) = (place.data / "runs").glob(f"*-{YEAR}.json")
    steps = json.loads(record.read_text(encoding="utf-8"))["steps"]
    after = lines(place, *OF_YEAR)
    listed = f"its catalogue has {steps['FetchMetadata']['assessments']:,} assessments"
    assert steps["FetchMetadata"]["duplicates"] == 1
    for found in (before, after):
        assert f"accepts the credentials ({SET_BY}), {listed}" in found["district"]
        assert f"has {steps['ReadRoster']['students']:,} students ({YEAR})" in found["roster"]
        assert found["title rules"].endswith(f"has {steps['ReadTitleRules']['rules']:,} rules")
        assert found["overrides"].endswith(f"has {steps['ReadOverrides']['overrides']:,} overrides")
    results = steps["CombineResults"]["rows"] + steps["CombineGroup"]["rows"]
    assert f"fetching {results:,} results, as last published, for" in after["disk"]


def test_it_is_about_the_year_that_is_asked_for(place: Workplace, inputs: Path) -> None:
    rosters = place.folder / "rosters"
    rosters.mkdir()
    shutil.copy(inputs / f"Student_Rosters_{YEAR}.txt", rosters)
    place.environment["STUDENT_ROSTERS"] = f"{rosters}/Student_Rosters_{{year}}.txt"
    found = lines(place, *OF_YEAR)
    assert found["school year"] == "ok: 23-24, results dated 2023-07-01 to 2024-06-30"
    assert found["roster"].startswith("ok: ")
    assert found["tables"].endswith(f"renamed in data/illuminate/{YEAR}")
    other = lines(place, "--year", "22-23")
    assert other["roster"].startswith("FAILED: The roster file")
    assert "Student_Rosters_22-23.txt does not exist" in other["roster"]
    assert "begins on 2098-07-01" in lines(place, "--year", "98-99")["school year"]


def test_what_can_be_tried_is_tried_with_settings_that_cannot_be_used(place: Workplace) -> None:
    shipped = Path(place.environment["LUIGI_CONFIG_PATH"]).read_text(encoding="utf-8")
    wrong = place.folder / "wrong.cfg"
    wrong.write_text(shipped.replace("settles=09-30", "settles=30 September"), encoding="utf-8")
    place.environment["LUIGI_CONFIG_PATH"] = str(wrong)
    found = lines(place, *OF_YEAR)
    assert found["settings"].startswith("FAILED: [years] settles is '30 September'; it must be a ")
    assert found["roster"].startswith("ok: ")
    assert "accepts the credentials" in found["district"]


def test_what_can_be_tried_is_tried_where_the_demo_cannot_be_written(place: Workplace) -> None:
    place.environment = {"PIPELINE_DATA_DIR": str(place.folder / "there")}
    (place.folder / "there").write_text("in the way", encoding="utf-8")
    found = lines(place, *OF_YEAR)
    assert "there/demo/inputs cannot be written: Not a directory" in found["demo"]
    assert found["district"].startswith("ok: the demo district answers")


def test_credentials_are_judged_once_they_were_tried(place: Workplace) -> None:
    found = lines(place)
    assert found["district"].startswith("ok: ")
    assert f"/live accepts the credentials ({SET_BY})" in found["district"]
    assert "credentials" not in found
    right = place.environment.pop("ILLUMINATE_CLIENT_SECRET")
    missing = "FAILED: ILLUMINATE_CLIENT_SECRET must be set as well"
    assert lines(place)["district"].startswith(missing)
    place.environment["ILLUMINATE_CLIENT_SECRET"] = f"not {right}"
    refused = lines(place)["district"]
    assert refused.startswith("FAILED: the server rejected the credentials; check ILLUMINATE_CL")
    assert "not known" not in refused
    del place.environment["ILLUMINATE_BASE_URL"]
    assert " are set and ILLUMINATE_BASE_URL is not" in lines(place)["district"]
    place.environment["ILLUMINATE_CLIENT_SECRET"] = right
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{unused.getsockname()[1]}"
        place.environment["ILLUMINATE_BASE_URL"] = f"http://{there}/live"
        found = lines(place)
    refused = f"the token request failed: the connection failed: {there} refuses connections"
    assert found["district"].startswith(f"FAILED: {refused}")
    assert f"not known whether the credentials ({SET_BY}) are right. Check" in found["district"]


@pytest.mark.parametrize("endpoint", ["token", "catalogue"])
def test_credentials_are_known_once_there_was_a_token(
    place: Workplace, server: Server, endpoint: str
) -> None:
    server.faults.add(Fault("status", endpoint=endpoint, value=503))
    found = lines(place)["district"]
    assert found.startswith("FAILED: ")
    assert ("not known whether the credentials" in found) is (endpoint == "token")
    assert found.endswith(" Run the same command again later.")


def test_a_database_file_that_is_there_is_tried_like_any_database(place: Workplace) -> None:
    """So it is found that another program reads it, which keeps a load from writing to it."""
    path = place.data / "illuminate.duckdb"
    with duckdb_file.open_writable(path) as database:
        database.execute("CREATE TABLE own AS SELECT 1 AS one")
    before = oracle.content(place.data)
    found = lines(place)["database"]
    name = path.relative_to(place.folder)
    assert found == f"ok: {name} lets us create tables; one was created and rolled back"
    assert oracle.content(place.data) == before
    with duckdb.connect(path, read_only=True):
        found = lines(place)["database"]
    assert found.startswith(f"FAILED: The database {name} cannot be used: another program has it")


def test_it_writes_to_every_folder_and_leaves_nothing(place: Workplace) -> None:
    there = place.folder / "there"
    names = {
        "SAVE_PATH": "tables",
        "VIEW_PATH": "views",
        "PIPELINE_DATA_DIR": "reports",
        "PIPELINE_COPY_TO": "copies",
    }
    place.environment |= {setting: f"{there}/{name}" for setting, name in names.items()}
    found = lines(place)
    assert [found[name] for name in names.values() if not found[name].startswith("ok: ")] == []
    database = f"{there}/reports/illuminate.duckdb"
    assert found["database"] == f"ok: none is configured; make load can write the file {database}"
    assert [*place.folder.iterdir()] == []
    there.write_text("in the way", encoding="utf-8")
    found = lines(place)
    for setting, name in names.items():
        todo = "Make it writable" if name == "copies" else f"Move the file {there} out of the way"
        assert re.match(rf"FAILED: .*: Not a directory\. .*{todo}", found[name]), name
        assert f" {setting} to another folder" in found[name] or name == "copies"
    assert found["database"].startswith(f"FAILED: Files cannot be written and renamed in {there}/")
    assert " PIPELINE_DATA_DIR to another folder" in found["database"]
    assert [*place.folder.iterdir()] == [there]
