"""What most tests share: a small made-up district, a server for it, and clients of that server."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline.illuminate.address import Address
from pipeline.illuminate.auth import OAuth2Credentials
from pipeline.illuminate.client import Client
from pipeline.illuminate.limits import Limits
from pipeline.simulator import SMALL, District, serving
from pipeline.years import SchoolYear, Window
from tests import bigquery as emulators
from tests import postgres as servers

# A slow machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no core waits for it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def district() -> District:
    """The small district of seed 1; not to be changed."""
    return District.make(1, SMALL)


@pytest.fixture(scope="session")
def window() -> Window:
    """The dates of the school year 23-24."""
    year = SchoolYear(2023)
    return Window(year.first_day, year.last_day)


@pytest.fixture
def serve(district):
    """Start a server with settings of the test's own: `serve(district=, protocol=, ...)`."""
    started = []

    def start(district=district, protocol=None, credentials=None):
        context = serving(district, protocol, credentials)
        started.append(context)
        return context.__enter__()

    yield start
    for context in reversed(started):
        context.__exit__(None, None, None)


@pytest.fixture
def server(serve):
    """A server of the small district."""
    return serve()


@pytest.fixture
def until():
    """Wait for something that other threads do; `until(condition)` fails if it never happens."""

    def wait(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "what was waited for never happened"
            time.sleep(0.001)

    return wait


@pytest.fixture
def connect():
    """Make a client for a server that waits before no retry; `connect(server, tries=2)`."""
    clients = []

    def make(server, credentials=None, stop=None, map_pages=map, **limits):
        known = server.credentials
        client = Client(
            Address.parse(server.base_url),
            credentials or OAuth2Credentials(known.client_id, known.client_secret),
            Limits(**{"max_backoff": 0.0, **limits}),
            stop,
            map_pages,
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """A real PostgreSQL server on a socket of its own."""
    programs = servers.programs()
    if programs is None:
        if os.environ.get("PIPELINE_TESTS_IN_CI"):
            pytest.fail("PostgreSQL's server is not installed; .ci/run installs it")
        pytest.skip("PostgreSQL's server is not on this machine (apt-get install postgresql)")
    with servers.serving(programs) as server:
        yield server


@pytest.fixture(scope="session")
def bigquery() -> Iterator[emulators.BigQuery]:
    """A BigQuery emulator on a loopback port."""
    python = emulators.emulator()
    if python is None:
        pytest.skip("BigQuery's emulator has an environment of its own: make test-bigquery")
    with emulators.serving(python) as server:
        yield server
