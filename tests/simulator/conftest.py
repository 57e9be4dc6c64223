"""A small made-up district, a server for it, and a client that has a token."""

import pytest
import requests

from pipeline.simulator import SMALL, District, serving
from pipeline.years import SchoolYear


class Client(requests.Session):
    """Asks one server, with a token; `ask` gives the decoded page."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.headers["Authorization"] = f"Bearer {self.token()}"

    def token(self):
        credentials = self.server.credentials
        form = {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
            "grant_type": "client_credentials",
        }
        reply = self.post(self.server.token_url, data=form, timeout=5)
        assert reply.status_code == 200
        return reply.json()["access_token"]

    def call(self, method, **params):
        return self.get(
            self.server.api_url + method, params=params, timeout=5, allow_redirects=False
        )

    def ask(self, method, **params):
        return self.call(method, **params).json()


@pytest.fixture(scope="session")
def year():
    """The year that holds every peculiarity."""
    return SchoolYear(2023)


@pytest.fixture(scope="session")
def window(year):
    """The parameters that ask for the year."""
    return {
        "date_taken_start": year.first_day.isoformat(),
        "date_taken_end": year.last_day.isoformat(),
    }


@pytest.fixture(scope="session")
def small():
    """The district of seed 1; not to be changed."""
    return District.make(1, SMALL)


@pytest.fixture(scope="session")
def longest(small, year):
    """The assessment with the most standard results in the year."""
    return max(
        small.ids_with_results(year),
        key=lambda i: len(small.results("standard", i, year.first_day, year.last_day)),
    )


@pytest.fixture
def serve(small):
    """Start a server with settings of the test's own; returns a client for it."""
    with_clients = []

    def start(protocol=None, district=small, credentials=None):
        context = serving(district, protocol, credentials)
        client = Client(context.__enter__())
        with_clients.append((context, client))
        return client

    yield start
    for context, client in with_clients:
        client.close()
        context.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    return serve()


@pytest.fixture
def server(client):
    return client.server
