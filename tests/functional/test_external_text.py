"""Text from outside never reaches a terminal, a log or a message as anything but plain lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulator import Fault, Server, serving
from tests.functional.conftest import YEAR, Workplace
from tests.functional.faults import district
from tests.receiver import Receiver, receiving

FORGED = "7\n\x1b[32m  tables      published\x1b[0m\x9b2K\u202e\u2028."
"""An id that forges a green line of the summary."""
SHOWN = r"7\n\x1b[32m  tables      published\x1b[0m\x9b2K\u202e\u2028."
IDS = ("7001", FORGED)


@pytest.fixture
def server() -> Iterator[Server]:
    made_up = district.make_district_with_ids(IDS)
    with serving(made_up, district.PROTOCOL, district.CREDENTIALS) as server:
        server.faults.add(Fault("set_row_fields", {"title": FORGED}, "catalogue"))
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def place(tmp_path: Path, server: Server, receiver: Receiver) -> Workplace:
    workplace = Workplace(tmp_path, {"PIPELINE_WEBHOOK_URL": receiver.url})
    workplace.point_at(server)
    return workplace


def texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else []:
        yield from texts(each)
    for each in value if isinstance(value, list) else []:
        yield from texts(each)


def said(place: Workplace, receiver: Receiver, *options: str) -> tuple[int, str]:
    """Run; return the exit code and what the run says anywhere, which is plain lines."""
    done = place.run(*options)
    written = [*(place.data / "runs").glob("*.json")]
    found = [done.stdout, done.stderr, *(path.read_text("utf-8") for path in written)]
    found += [text for path in written for text in texts(json.loads(path.read_bytes()))]
    found += texts([payload for _, payload in receiver.got])
    everything = "\n".join(found)
    assert [line for line in everything.split("\n") if not line.isprintable()] == []
    return done.returncode, everything


def test_an_id_that_forges_a_line_is_fetched_and_shown_as_what_it_is(
    place: Workplace, server: Server, receiver: Receiver
) -> None:
    server.faults.add(Fault("status", 500, "overall", FORGED))
    code, text = said(place, receiver)
    assert code == 30
    assert f"overall of assessment {SHOWN}: the server answered 500" in text
    assert "overall of assessment 7\\\\n" in text, "nor is it raw in JSON"
    server.faults.clear()
    code, _ = said(place, receiver)
    assert code == 0
    table = place.published()["23-24/assessment_results_combined_historical.csv"]
    assert FORGED.encode() in table
    for command in (("status", "--year", YEAR), ("verify", "--year", YEAR), ("doctor",)):
        shown = place.look(*command).stdout
        assert [line for line in shown.split("\n") if not line.isprintable()] == []


def test_an_id_that_is_lost_is_shown_as_what_it_is(place: Workplace, receiver: Receiver) -> None:
    assert said(place, receiver)[0] == 0
    (victim,) = {path for path in place.shards("overall").iterdir() if path.name[0] == "~"}
    victim.unlink()
    assert f"{SHOWN} is damaged" in place.look("verify", "--year", YEAR).stdout


def test_a_setting_is_shown_as_what_it_is(place: Workplace, receiver: Receiver) -> None:
    code, text = said(place, receiver, "--paths-copy-to", "x", "--illuminate-threads", FORGED)
    assert code == 30
    assert SHOWN in text
