"""The district's server, with tables that were published yesterday."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import Server, serving
from tests.functional.faults import district, runs
from tests.functional.faults.sandbox import Sandbox, copy_of


@pytest.fixture(scope="session", autouse=True)
def _credentials_and_fast_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ILLUMINATE_CLIENT_ID", district.CREDENTIALS.client_id)
        patch.setenv("ILLUMINATE_CLIENT_SECRET", district.CREDENTIALS.client_secret)
        with runs.fast():
            yield


@pytest.fixture(scope="session")
def district_server() -> Iterator[Server]:
    with serving(district.make_district(), district.PROTOCOL, district.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="session")
def yesterday(tmp_path_factory: pytest.TempPathFactory, district_server: Server) -> Sandbox:
    """Publish yesterday's tables, which exist when a test's run begins."""
    sandbox = Sandbox(tmp_path_factory.mktemp("yesterday") / "data", district_server)
    done = sandbox.run(as_of=district.YESTERDAY)
    assert done.code == 0, done.output
    return sandbox


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, yesterday: Sandbox) -> dict[str, bytes]:
    """Return what an undisturbed run publishes today, which differs from yesterday's tables."""
    sandbox = copy_of(yesterday, tmp_path_factory.mktemp("undisturbed"))
    done = sandbox.run()
    assert done.code == 0, done.output
    assert sandbox.tables() != yesterday.tables()
    return sandbox.tables()


@pytest.fixture
def sandbox(tmp_path: Path, yesterday: Sandbox) -> Iterator[Sandbox]:
    """Return a data folder for one test, with yesterday's tables."""
    yield copy_of(yesterday, tmp_path)
    yesterday.server.faults.clear()  # in case the test failed before it did so
