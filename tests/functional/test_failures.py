"""What fails says so in a plain sentence, keeps what is good, and a rerun needs only the rest."""

import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.simulator import District, Fault, Protocol, Server, serving
from pipeline.years import SchoolYear
from tests import canaries
from tests.functional import oracle
from tests.functional.conftest import LUIGI, YEAR, Workplace
from tests.functional.test_reruns import request_counts, requested_shards


@pytest.fixture
def victims(district: District) -> list[str]:
    return district.ids_with_results(SchoolYear(2023))[:3]


@pytest.mark.usefixtures("by_assessment")
@pytest.mark.parametrize("endpoints", [("overall",) * 3, ("standard", "group", "group")])
def test_failed_shards_do_not_stop_the_others(
    place: Workplace,
    server: Server,
    victims: list[str],
    undisturbed: dict[str, bytes],
    endpoints: tuple[str, ...],
) -> None:
    """Each is named with endpoint and reason; all others are kept; the rerun fetches them only."""
    failing = list(zip(endpoints, victims, (500, 403, 503), strict=True))
    for endpoint, assessment_id, status in failing:
        server.faults.add(
            Fault("status", endpoint=endpoint, assessment_id=assessment_id, value=status)
        )
    done = place.run()
    assert done.returncode == 30
    for endpoint, assessment_id, status in failing:
        assert f"{endpoint} of assessment {assessment_id}: the server answered {status}" in (
            done.stdout
        )
    assert "FAILED; what was published before is unchanged." in done.stdout
    assert place.published() == {}
    missing = {(endpoint, assessment_id) for endpoint, assessment_id, _ in failing}
    kept = place.kept_shards()
    assert kept == requested_shards(server) - missing

    server.faults.clear()
    server.clear_log()
    assert place.run().returncode == 0
    begun = {endpoint for endpoint, _ in kept}
    assert {each for each in requested_shards(server) if each[0] in begun} == missing
    assert request_counts(server)["catalogue"] == 0
    assert place.published() == undisturbed


def test_passing_faults_are_retried(
    place: Workplace, server: Server, undisturbed: dict[str, bytes]
) -> None:
    """A run with temporary faults gives the bytes of an undisturbed one."""
    for fault in (
        Fault("status", value=502, every=9, times=3),
        Fault("reset_before", every=13, times=2),
        Fault("truncated_json", every=11, times=2),
        Fault("short_body", every=17, times=2),
        Fault("status", endpoint="token", value=500, times=1),
        Fault("status", endpoint="catalogue", value=503, times=1),
    ):
        server.faults.add(fault)
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert place.published() == undisturbed
    assert " 0 of them retries" not in done.stdout


@pytest.mark.usefixtures("by_assessment")
@pytest.mark.parametrize("endpoint", ["catalogue", "overall", "standard", "group"])
def test_a_bad_beginning_of_a_step(
    place: Workplace, server: Server, undisturbed: dict[str, bytes], endpoint: str
) -> None:
    """What failed in all its attempts is requested once more at the end of its step."""
    times = {"catalogue": 7, "overall": 40}.get(endpoint, 25)
    server.faults.add(Fault("status", 502, endpoint, times=times))
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert place.published() == undisturbed
    assert sum(request.status == 502 for request in server.log) == times


def test_an_outage_costs_at_most_a_tenth_more_requests(
    place: Workplace, server: Server, district: District
) -> None:
    """A few retries are free, and each thread may have a request under way when it is noticed."""
    threads = 4
    server.faults.add(Fault("status", 503, "overall"))
    assert place.run("--illuminate-threads", str(threads)).returncode == 30
    wanted = len(oracle.catalogue_ids(district))
    assert request_counts(server)["overall"] <= 10 + 1.1 * wanted + threads


def test_tokens_that_end_early_lose_nothing(
    place: Workplace, district: District, undisturbed: dict[str, bytes]
) -> None:
    """A token refused after some requests is renewed once for all threads."""
    with serving(district, Protocol(token_requests_limit=20)) as server:
        place.point_at(server)
        done = place.run("--illuminate-threads", "16")
        good = sum(request.status == 200 and request.endpoint != "token" for request in server.log)
        tokens = request_counts(server)["token"]
    assert done.returncode == 0, done.stdout
    assert place.published() == undisturbed
    assert tokens <= good // 20 + 1


def test_wrong_credentials(place: Workplace, server: Server) -> None:
    """The run ends at once, names the variables, and shows no value."""
    wrong = "a-wrongsecret42"
    done = place.run(ILLUMINATE_CLIENT_SECRET=wrong)
    assert done.returncode == 30
    assert "check ILLUMINATE_CLIENT_ID and ILLUMINATE_CLIENT_SECRET" in done.stdout
    assert canaries.found([wrong], done.stdout + done.stderr) == set()
    assert request_counts(server) == {"token": 1}


@pytest.mark.parametrize("endpoint", ["token", "catalogue"])
def test_requests_of_a_step_that_failed_are_counted(
    place: Workplace, server: Server, endpoint: str
) -> None:
    """Those for access tokens too: a summary that denies them hides what went wrong."""
    server.faults.add(Fault("status", endpoint=endpoint, value=503))
    done = place.run()
    assert done.returncode == 30
    sent = request_counts(server)
    once_more = done.stderr.count("23-24 catalogue: failed, and is requested once more: the ")
    assert once_more == 1
    retries = done.stderr.count(" failed, retrying: the ") + once_more
    assert retries == done.stderr.count("catalogue, page 1: attempt ") + once_more > once_more
    tokens = "1 for an access token" if sent["token"] == 1 else f"{sent['token']} for access tokens"
    assert f"requests    {sent.total()}, {retries} of them retries, {tokens}" in done.stdout
    latest = json.loads((place.data / "runs" / "latest.json").read_text(encoding="utf-8"))
    (table,) = latest["tables"]
    assert (table["requests"], table["tokens"]) == (sent.total() - sent["token"], sent["token"])


def test_credentials_without_an_address_do_not_publish_the_demo(place: Workplace) -> None:
    del place.environment["ILLUMINATE_BASE_URL"]
    done = place.run()
    assert done.returncode == 30
    assert "are set and ILLUMINATE_BASE_URL is not" in done.stderr
    assert not list(place.data.rglob("*.csv"))
    tried = place.look("doctor")
    assert tried.returncode == 1
    assert "FAILED  district: " in tried.stdout


def test_oauth_1(place: Workplace, server: Server, undisturbed: dict[str, bytes]) -> None:
    """The older scheme fetches the same."""
    for name in ("ILLUMINATE_CLIENT_ID", "ILLUMINATE_CLIENT_SECRET"):
        del place.environment[name]
    known = server.credentials
    done = place.run(
        ILLUMINATE_CONSUMER_KEY=known.consumer_key,
        ILLUMINATE_CONSUMER_SECRET=known.consumer_secret,
        ILLUMINATE_ACCESS_TOKEN=known.access_token,
        ILLUMINATE_ACCESS_TOKEN_SECRET=known.access_token_secret,
    )
    assert done.returncode == 0, done.stdout
    assert place.published() == undisturbed
    assert {request.auth for request in server.log} == {"oauth1"}


def test_a_secret_from_a_file(place: Workplace, server: Server) -> None:
    file = place.folder / "secret"
    file.write_text(server.credentials.client_secret + "\n", encoding="utf-8")
    file.chmod(0o600)
    del place.environment["ILLUMINATE_CLIENT_SECRET"]
    assert place.run(ILLUMINATE_CLIENT_SECRET_FILE=str(file)).returncode == 0


def test_a_web_page_in_place_of_data(place: Workplace, server: Server) -> None:
    """The first answer distinguishes a wrong base URL from a fault."""
    place.environment["ILLUMINATE_BASE_URL"] = server.base_url.replace("/live", "/live/api/v2")
    done = place.run()
    assert done.returncode == 30
    assert "https://<district>.illuminateed.com/live" in done.stdout


def test_nobody_answers(place: Workplace) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        done = place.run(ILLUMINATE_BASE_URL=f"http://127.0.0.1:{port}/live")
    assert done.returncode == 30
    assert "the connection failed" in done.stdout or "the token request failed" in done.stdout


def corrupt_rules(inputs: dict[str, Path]) -> str:
    inputs["TITLE_RULES"].write_text("column,pattern,value\nunit,(,x\n", encoding="utf-8")
    return "title_rules.csv, line 2"


def corrupt_overrides(inputs: dict[str, Path]) -> str:
    head = "assessment_id,grade,test_type,curriculum,unit,title,reason\n"
    inputs["MANUAL_CHANGES"].write_text(f"{head}1,twelve,,ELA,,,\n", encoding="utf-8")
    return "overrides.csv, line 2"


STUDENT = "770016384290"


def corrupt_roster(inputs: dict[str, Path]) -> str:
    inputs["STUDENT_ROSTERS"].write_text(
        f"STUDENTS.Student_Number\tSTUDENTS.Grade_Level\n{STUDENT}\t4\n77002\t5\n{STUDENT}\t5\n",
        encoding="utf-8",
    )
    return "lines 2 and 4"


def damage_roster(inputs: dict[str, Path]) -> str:
    inputs["STUDENT_ROSTERS"].write_text(
        f"Student_Number,Grade_Level\n{STUDENT},4\n7.70016E+11,5\n7.70016E+11,6\n",
        encoding="utf-8",
    )
    return "roster.txt, lines 3 and 4: the student number is damaged"


def pack_roster(inputs: dict[str, Path]) -> str:
    inputs["STUDENT_ROSTERS"].write_bytes(b"PK\x03\x04\x14\x00" + b"\x00" * 30)
    return "looks like an Excel workbook"


def remove_roster(inputs: dict[str, Path]) -> str:
    inputs["STUDENT_ROSTERS"].unlink()
    return "roster"


@pytest.mark.parametrize(
    "corrupt",
    [
        corrupt_rules,
        corrupt_overrides,
        corrupt_roster,
        damage_roster,
        pack_roster,
        remove_roster,
    ],
)
def test_bad_input_files_stop_before_any_request(
    place: Workplace,
    server: Server,
    inputs: Path,
    corrupt: Callable[[dict[str, Path]], str],
) -> None:
    """A bad line is named by file and line, and nothing was requested; no student is named."""
    own = {
        "STUDENT_ROSTERS": place.folder / "roster.txt",
        "TITLE_RULES": place.folder / "title_rules.csv",
        "MANUAL_CHANGES": place.folder / "overrides.csv",
    }
    for variable, path in own.items():
        source = Path(place.environment[variable].replace("{year}", "23-24"))
        path.write_bytes(source.read_bytes())
        place.environment[variable] = str(path)
    expected = corrupt(own)
    done = place.run()
    assert done.returncode == 30
    assert expected in done.stdout
    assert canaries.found([STUDENT], done.stdout + done.stderr) == set()
    assert server.log == []


def test_a_bad_rule_stops_before_requests_also_when_resuming(
    place: Workplace, server: Server
) -> None:
    """With the catalogue there and shards missing, nothing is requested either."""
    assert place.run().returncode == 0
    next(place.shards("overall").glob("*.parquet")).unlink()
    server.clear_log()
    rules = place.folder / "title_rules.csv"
    rules.write_text("column,pattern,value\nunit,(,x\n", encoding="utf-8")
    assert place.run(TITLE_RULES=str(rules)).returncode == 30
    assert server.log == []


@pytest.mark.usefixtures("by_assessment")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_while_every_thread_waits(
    place: Workplace, server: Server, number: signal.Signals, undisturbed: dict[str, bytes]
) -> None:
    """The run ends by the signal, says so, keeps finished shards, and a rerun goes on."""
    server.faults.add(Fault("silence", endpoint="standard"))
    process = place.start_run("--year", "23-24", "--illuminate-threads", "4")
    wait_until(lambda: request_counts(server)["standard"] >= 4)
    kept = place.kept_shards()
    process.send_signal(number)
    done = place.finish(process)
    assert done.returncode == -number
    assert "School year 23-24 as of 2024-06-30: stopped.\n" in done.stdout
    assert (done.stdout + done.stderr).count("run the same command to continue") == 1
    for wrong in ("exclude_ids", "could not be fetched", "asked to stop", "FAILED"):
        assert wrong not in done.stdout
    assert place.leftovers() == []

    server.faults.clear()
    server.clear_log()
    assert place.run().returncode == 0
    assert requested_shards(server).isdisjoint(kept)
    assert place.published() == undisturbed
    wanted = sum(endpoint == "standard" for endpoint, _ in place.kept_shards())
    how_far = f"standard stopped; 0 of {wanted} fetched and kept."
    assert f"FetchScores: {how_far}" in done.stdout
    assert f"23-24 standard: 0 of {wanted}\n" in done.stderr


def wait_until(ready: Callable[[], bool]) -> None:
    """Poll until something outside of this process has happened."""
    import time

    limit = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.002)


def test_a_second_run_in_the_same_folder(place: Workplace, server: Server) -> None:
    """It exits 10 and changes nothing, whatever its arguments; the first goes on."""
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    first = place.start_run("--year", "23-24")
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    second = place.finish(place.start_run("--year", "22-23"))
    assert second.returncode == 10
    assert "is at work in" in second.stderr
    first.kill()
    place.finish(first)
    server.faults.clear()
    assert place.run().returncode == 0  # the lock died with its owner


def test_the_record_reports_the_same_to_programs(place: Workplace, server: Server) -> None:
    """The JSON record has outcome, counts per step, checks and failures, and no student."""
    assert place.run().returncode == 0
    (path,) = (place.data / "runs").glob("*-*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["outcome"] == "published"
    steps = record["steps"]
    requests = sum(facts.get("requests", 0) for facts in steps.values())
    assert requests == sum(r.endpoint != "token" for r in server.log)
    assert all(check["ok"] for check in steps["CheckTables"]["checks"])
    students = {student.encode() for student, _ in server.district.roster(SchoolYear(2023))}
    data = path.read_bytes()
    assert not [student for student in students if b'"' + student + b'"' in data]


def test_one_step_alone_is_done_and_publishes_nothing(place: Workplace, server: Server) -> None:
    """A single task can be run; nothing is said to be published."""
    done = place.finish(
        place.start(LUIGI, "--module", "pipeline", "FetchMetadata", "--year", "23-24")
    )
    assert done.returncode == 0, done.stderr
    assert f"School year {YEAR} as of 2024-06-30: done." in done.stdout
    assert "published" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert set(request_counts(server)) == {"token", "catalogue"}


def test_a_roster_that_cannot_be_read_is_a_sentence(place: Workplace, server: Server) -> None:
    (place.folder / "rosters").mkdir()
    done = place.run(STUDENT_ROSTERS=str(place.folder / "rosters"))
    assert done.returncode == 30
    assert f"{place.folder / 'rosters'}: the folder has no users.csv" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert server.log == []


def test_the_number_of_processor_threads_is_a_setting(place: Workplace) -> None:
    """It takes effect only if it is set before polars is imported."""
    code = (
        "from luigi.cmdline_parser import CmdlineParser\n"
        "words = ['--module', 'pipeline', 'RunAll', '--build-threads', '1']\n"
        "with CmdlineParser.global_instance(words):\n"
        "    from pipeline.runs import context\n"
        "    context.current().begin()\n"
        "import polars\n"
        "print('threads', polars.thread_pool_size())\n"
    )
    done = place.finish(place.start(sys.executable, "-c", code))
    assert "threads 1\n" in done.stdout, done.stderr


def test_a_mistyped_option_is_refused(place: Workplace) -> None:
    done = place.finish(place.start(LUIGI, "--module", "pipeline", "RunAll", "--yaer", "23-24"))
    assert done.returncode != 0
