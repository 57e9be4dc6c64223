"""The town behind its server, with tables that were published yesterday."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import Server, serving
from tests.functional.faults import runs, town
from tests.functional.faults.stage import Stage, copy_of


@pytest.fixture(scope="session", autouse=True)
def _credentials_and_no_patience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ILLUMINATE_CLIENT_ID", town.CREDENTIALS.client_id)
        patch.setenv("ILLUMINATE_CLIENT_SECRET", town.CREDENTIALS.client_secret)
        with runs.quickly():
            yield


@pytest.fixture(scope="session")
def town_server() -> Iterator[Server]:
    with serving(town.make_town(), town.PROTOCOL, town.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="session")
def yesterday(tmp_path_factory: pytest.TempPathFactory, town_server: Server) -> Stage:
    """What is there when a run begins: all of yesterday's."""
    stage = Stage(tmp_path_factory.mktemp("yesterday") / "data", town_server)
    done = stage.run(as_of=town.YESTERDAY)
    assert done.code == 0, done.shown
    return stage


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, yesterday: Stage) -> dict[str, bytes]:
    """What an undisturbed run publishes today; it is not what was published yesterday."""
    stage = copy_of(yesterday, tmp_path_factory.mktemp("undisturbed"))
    done = stage.run()
    assert done.code == 0, done.shown
    assert stage.tables() != yesterday.tables()
    return stage.tables()


@pytest.fixture
def stage(tmp_path: Path, yesterday: Stage) -> Iterator[Stage]:
    """A data folder of the test's own, with yesterday's tables in it."""
    yield copy_of(yesterday, tmp_path)
    yesterday.server.faults.clear()  # also of a test that failed before it did so
