"""At the end of every run, failed or not, a webhook is notified; the run is the same without it."""

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.simulator import Fault, Server
from pipeline.years import SchoolYear
from tests import canaries
from tests.functional.conftest import Workplace
from tests.functional.test_failures import wait_until
from tests.functional.test_last_run import latest
from tests.functional.test_reruns import request_counts
from tests.receiver import SECRET, Receiver, receiving


@pytest.fixture
def receiver(place: Workplace) -> Iterator[Receiver]:
    with receiving() as server:
        place.environment["PIPELINE_WEBHOOK_URL"] = server.url
        yield server


def delivered(receiver: Receiver) -> list[dict[str, Any]]:
    return [payload for _, payload in receiver.got]


def test_every_run_is_delivered_once(place: Workplace, receiver: Receiver) -> None:
    """What was published, then that no table was changed: what latest.json says, and a text."""
    for outcome in ("published", "up to date"):
        receiver.got.clear()
        assert place.run().returncode == 0
        (payload,) = delivered(receiver)
        text = payload.pop("text")
        assert payload == latest(place)
        assert payload["outcome"] == outcome
        assert f"School year 23-24 as of 2024-06-30: {outcome}. " in text
        assert f"{payload['tables'][0]['rows']['view']:,} rows view" in text
        assert "14 checks passed" in text


@pytest.mark.usefixtures("by_assessment")
def test_a_failure_is_delivered(place: Workplace, server: Server, receiver: Receiver) -> None:
    victim = sorted(str(row["assessment_id"]) for row in server.district.catalogue)[3]
    server.faults.add(Fault("status", endpoint="overall", assessment_id=victim, value=403))
    assert place.run().returncode == 30
    (payload,) = delivered(receiver)
    assert payload["outcome"] == "failed"
    assert f"overall of assessment {victim}: the server answered 403" in payload["text"]


@pytest.mark.parametrize("threads", ["0", "many"])
def test_a_setting_that_cannot_be_used_is_delivered(
    place: Workplace, receiver: Receiver, threads: str
) -> None:
    """Also one that hides where the data are, so that nothing can be written."""
    assert place.run("--illuminate-threads", threads).returncode == 30
    (payload,) = delivered(receiver)
    assert payload["outcome"] == "failed"
    assert "[illuminate] threads " in payload["text"]


def test_a_refused_run_delivers_nothing(
    place: Workplace, server: Server, receiver: Receiver
) -> None:
    """It has not run; the active run is reported when it ends, also when it is stopped."""
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    working = place.start_run("--year", "22-23")
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    assert place.run().returncode == 10
    assert delivered(receiver) == []
    working.send_signal(signal.SIGTERM)
    assert place.finish(working).returncode == -signal.SIGTERM
    (payload,) = delivered(receiver)
    assert payload["outcome"] == "stopped"


def test_a_webhook_that_fails_fails_loudly_and_alone(place: Workplace, receiver: Receiver) -> None:
    receiver.statuses = [404]
    done = place.run()
    assert done.returncode == 0
    assert done.stderr.count("Webhook delivery failed: it answered 404.") == 1
    assert "Traceback" not in done.stderr
    assert latest(place)["outcome"] == "published"
    assert canaries.found(SECRET.split("/"), done.stdout + done.stderr) == set()


def test_a_stopped_run_does_not_wait_for_a_silent_webhook(
    place: Workplace, server: Server, receiver: Receiver
) -> None:
    receiver.is_silent = True
    server.faults.add(Fault("silence", endpoint="catalogue", times=1, value=60))
    working = place.start_run("--year", "23-24")
    wait_until(lambda: request_counts(server)["catalogue"] >= 1)
    working.send_signal(signal.SIGTERM)
    done = place.finish(working)
    assert done.returncode == -signal.SIGTERM
    assert "it did not answer within 3 s" in done.stderr
    assert len(delivered(receiver)) == 1


def test_an_address_that_cannot_be_used_stops_the_run(place: Workplace, server: Server) -> None:
    """Before any request, and without the address; the data folder records it all the same."""
    done = place.run(PIPELINE_WEBHOOK_URL=f"http://hooks.example.org/{SECRET}")
    assert done.returncode == 30
    assert "PIPELINE_WEBHOOK_URL must begin with https" in done.stderr
    assert server.log == []
    assert latest(place)["failures"][0]["step"] == "Start"
    assert canaries.found(SECRET.split("/"), done.stdout + done.stderr) == set()


def test_no_student_and_no_secret_is_delivered(
    place: Workplace, server: Server, receiver: Receiver
) -> None:
    """Neither when all is well nor when half of it fails; nor does any file hold the address."""
    server.faults.add(Fault("status", endpoint="group", value=500))
    assert place.run().returncode == 30
    server.faults.clear()
    assert place.run().returncode == 0
    wrong = "a-wrongsecret42"
    assert place.run("--as-of", "2024-03-01", ILLUMINATE_CLIENT_SECRET=wrong).returncode == 30
    assert len(delivered(receiver)) == 3
    said = "\n".join(str(payload) for payload in delivered(receiver))

    students = {student for student, _ in server.district.roster(SchoolYear(2023))}
    tables = b"".join(place.published().values()).decode(errors="replace")
    assert students & {*re.findall(r"\w+", tables)}  # it would be found
    assert not students & {*re.findall(r"\w+", said)}

    secrets = [*SECRET.split("/"), wrong]
    assert canaries.found(secrets, said) == set()
    for path in place.data.rglob("*.json"):
        assert canaries.found(secrets, path.read_text(encoding="utf-8")) == set(), path


def test_doctor_sends_a_message_that_says_that_it_is_a_test(
    place: Workplace, receiver: Receiver
) -> None:
    done = place.look("doctor")
    assert "ok      webhook: accepted a test message; it receives every" in done.stdout
    assert canaries.found(SECRET.split("/"), done.stdout + done.stderr) == set()
    (payload,) = delivered(receiver)
    assert (payload["is_test"], payload["succeeded"]) == (True, None)
    assert (payload["outcome"], payload["tables"]) == ("test", [])
    assert "this is a test message of `doctor`. No run took place." in payload["text"]
    receiver.statuses = [404]
    done = place.look("doctor")
    assert "FAILED  webhook: Webhook delivery failed: it answered 404. Check PIP" in done.stdout
    assert "ended as its summary says" not in done.stdout
    place.environment["PIPELINE_WEBHOOK_URL"] = "nothing"
    assert "FAILED  webhook: PIPELINE_WEBHOOK_URL is not a valid URL" in place.look("doctor").stdout
