"""A small made-up district, its server, and a client with a token."""

import pytest
import requests

from pipeline.simulator import SMALL, District, serving
from pipeline.years import SchoolYear


class Client(requests.Session):
    """Sends requests to one server with a token; `fetch` returns the decoded page."""

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

    def fetch(self, method, **params):
        return self.call(method, **params).json()


@pytest.fixture(scope="session")
def year():
    """Return the year that contains every anomaly."""
    return SchoolYear(2023)


@pytest.fixture(scope="session")
def window(year):
    """Return the parameters of requests for the year."""
    return {
        "date_taken_start": year.first_day.isoformat(),
        "date_taken_end": year.last_day.isoformat(),
    }


@pytest.fixture(scope="session")
def small():
    """Return the district of seed 1; tests must not change it."""
    return District.make(1, SMALL)


@pytest.fixture(scope="session")
def longest(small, year):
    """Return the assessment with the most standard results in the year."""
    return max(
        small.ids_with_results(year),
        key=lambda i: len(small.results("standard", i, year.first_day, year.last_day)),
    )


@pytest.fixture
def serve(small):
    """Return a function that starts a server with given settings and returns a client for it."""
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
