import signal
import subprocess
import sys
import threading

import pytest
import requests

from pipeline.simulator import Fault, Protocol, serving

PROCESS = """
from pipeline.simulator import SMALL, District, Server, serve_forever

serve_forever(
    Server(District.make(1, SMALL)),
    ready=lambda url: print(url, flush=True),
    until_stdin_closes=True,
)
"""


@pytest.fixture
def process():
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        yield started
        started.kill()


def test_the_log_describes_each_request(client, longest, window):
    server = client.server
    server.clear_log()
    client.call(
        "AssessmentAggregateStudentResponsesGroup/", assessment_id=longest, page=2, **window
    )
    client.call("Nonsense")
    requests.get(server.base_url + "/api/v2/", timeout=5)
    group, nonsense, login = server.log
    assert (group.endpoint, group.assessment_id, group.page) == ("group", longest, 2)
    assert (group.status, group.auth, group.fault) == (200, "oauth2", None)
    assert group.params["date_taken_start"] == "2023-07-01"
    assert group.line.startswith("GET /live/rest_server.php/Api/AssessmentAggregateStudentResp")
    assert group.line.endswith("&date_taken_start=2023-07-01&date_taken_end=2024-06-30")
    assert login.line == "GET /live/api/v2/"
    assert (nonsense.endpoint, nonsense.status, nonsense.page) == ("other", 404, None)
    assert (login.endpoint, login.status, login.auth) == ("other", 200, "none")
    assert group.connection == nonsense.connection != login.connection
    assert group.time < nonsense.time < login.time


def test_the_log_names_the_fault(client):
    client.server.faults.add(Fault("status", 500, times=1), Fault("reset_before"))
    client.call("Sites")
    with pytest.raises(requests.ConnectionError):
        client.call("Sites")
    assert [(entry.status, entry.fault) for entry in client.server.log[-2:]] == [
        (500, "status"),
        (0, "reset_before"),
    ]


def test_a_server_can_go_down_and_return_on_its_port(client):
    server = client.server
    address = server.base_url
    server.stop_listening()
    with pytest.raises(requests.ConnectionError):
        client.call("Sites")
    server.resume_listening()
    assert server.base_url == address
    assert client.call("Sites").status_code == 200
    server.stop_listening()
    with pytest.raises(requests.ConnectionError):
        client.call("Sites")


def test_a_port_in_use_is_an_error(server, small):
    with pytest.raises(OSError, match="in use"), serving(small, port=server.port):
        pass


def test_many_threads_get_their_own_responses(client, small, year, window):
    server = client.server
    token = client.headers["Authorization"]
    failures = []

    def fetch(assessment_id):
        rows = small.results("overall", assessment_id, year.first_day, year.last_day)
        with requests.Session() as session:
            session.headers["Authorization"] = token
            page = session.get(
                server.api_url + "AssessmentAggregateStudentResponses/",
                params={"assessment_id": assessment_id, **window},
                timeout=10,
            ).json()
        if page["num_results"] != len(rows):
            failures.append(assessment_id)

    threads = [threading.Thread(target=fetch, args=(i,)) for i in small.ids_with_results(year)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("kind", ["silence", "drip_body", "drip_headers"])
def test_a_server_can_stop_while_clients_wait(small, kind):
    with serving(small) as server, requests.Session() as session:
        server.faults.add(Fault(kind, 30))
        with pytest.raises(requests.exceptions.RequestException):
            session.get(server.base_url + "/", timeout=0.05)


def test_latency_does_not_delay_stopping(small):
    slow = Protocol(latency_seconds=60)
    with serving(small, slow) as server, pytest.raises(requests.ReadTimeout):
        requests.get(server.base_url, timeout=0.05)


def test_latency_delays_the_response(serve):
    client = serve(Protocol(latency_seconds=0.01))
    assert client.call("Sites").elapsed.total_seconds() >= 0.01


def test_a_process_ends_with_its_parent(process):
    base_url = process.stdout.readline().strip()
    assert requests.get(base_url + "/", timeout=5).status_code == 200
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_stops_quietly_on_a_signal(process, number):
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""
