"""A few faults of the table with the real command, in its own process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import Server, serving
from tests.functional.conftest import Workplace
from tests.functional.faults import district
from tests.functional.faults.sandbox import Sandbox, injected_fault
from tests.functional.faults.table import COMBINATIONS, RECOVERS, Combination
from tests.functional.faults.test_faults import check_message

CHOSEN = (
    "500, overall page 2, always",
    "truncated JSON, standard page 3, once",
    "a web page, group page 3, always",
    "429, Retry-After 86400, catalogue page 2, once",
    "silence, standard page 2, always",
    "401 for the client, token, always",
)
DEBUG = ("--log-level", "DEBUG")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(district.make_district(), district.PROTOCOL, district.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """Return a data folder with yesterday's tables."""
    workplace = Workplace(tmp_path_factory.mktemp("command"))
    workplace.point_at(server)
    done = workplace.run("--as-of", str(district.YESTERDAY))
    assert done.returncode == 0, done.stdout
    return workplace.data


@pytest.mark.parametrize("combination", [c for c in COMBINATIONS if str(c) in CHOSEN], ids=str)
def test_fault(
    combination: Combination,
    tmp_path: Path,
    before: Path,
    server: Server,
    undisturbed: dict[str, bytes],
) -> None:
    place = Workplace(tmp_path)
    place.point_at(server)
    shutil.copytree(before, place.data)
    sandbox = Sandbox(place.data, server)
    yesterday = sandbox.published()
    with injected_fault(server, combination):
        done = place.run(*DEBUG, "--illuminate-tries", "3", *combination.fault.options)
    assert sandbox.leaks(done.stdout + done.stderr) == {}
    if combination.expected is RECOVERS:
        assert done.returncode == 0, done.stdout
        assert sandbox.tables() == undisturbed
    else:
        assert done.returncode == 30, done.stdout
        assert sandbox.published() == yesterday
        check_message(combination, sandbox, done.stdout)
    again = place.run(*DEBUG)
    assert sandbox.leaks(again.stdout + again.stderr) == {}
    assert again.returncode == 0, again.stdout
    assert sandbox.tables() == undisturbed


def test_all_chosen_are_in_the_table() -> None:
    assert set(CHOSEN) <= {str(combination) for combination in COMBINATIONS}
