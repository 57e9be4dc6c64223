import base64

import pytest
import requests
from authlib.integrations.requests_client import OAuth1Auth, OAuth1Session, OAuth2Session

from pipeline.simulator import Credentials, Protocol
from pipeline.simulator.credentials import Authority

FORM = {
    "client_id": "demo-client",
    "client_secret": "demo-secret",
    "grant_type": "client_credentials",
}


def signed(server, **changes):
    values = {
        "client_id": server.credentials.consumer_key,
        "client_secret": server.credentials.consumer_secret,
        "token": server.credentials.access_token,
        "token_secret": server.credentials.access_token_secret,
    }
    return OAuth1Session(**(values | changes))


def test_the_token_response_gives_the_lifetime(server):
    reply = requests.post(server.token_url, data=FORM, timeout=5).json()
    assert reply.keys() == {"access_token", "token_type", "expires_in"}
    assert reply["expires_in"] == 3600


def test_authlib_gets_and_uses_a_token(server):
    with OAuth2Session("demo-client", "demo-secret") as session:
        session.fetch_token(server.token_url, grant_type="client_credentials")
        assert session.get(server.api_url + "Sites").status_code == 200
    assert [(entry.endpoint, entry.auth) for entry in server.log[-2:]] == [
        ("token", "none"),
        ("sites", "oauth2"),
    ]


def test_client_and_secret_may_be_in_a_basic_header(server):
    form = {"grant_type": "client_credentials"}
    auth = ("demo-client", "demo-secret")
    assert requests.post(server.token_url, data=form, auth=auth, timeout=5).status_code == 200


@pytest.mark.parametrize("encoded", ["x", "/////w=="])
def test_a_basic_header_that_cannot_be_read_is_refused(server, encoded):
    headers = {"Authorization": f"Basic {encoded}"}
    form = {"grant_type": "client_credentials"}
    assert requests.post(server.token_url, form, headers=headers, timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_secret": "wrong"}, 401),
        ({"client_id": "wrong"}, 401),
        ({"client_id": None}, 401),
        ({"grant_type": "password"}, 400),
    ],
)
def test_wrong_token_requests_are_refused_with_an_empty_body(server, changes, status):
    reply = requests.post(server.token_url, data=FORM | changes, timeout=5)
    assert (reply.status_code, reply.content) == (status, b"")


@pytest.mark.parametrize(
    "header",
    [None, "Bearer", "Bearer None", "Basic ZGVtbw==", "Basic x", "OAuth ", "OAuth oauth_nonce=1"],
)
def test_without_valid_credentials_the_api_returns_an_empty_401(server, header):
    headers = {"Authorization": header} if header else {}
    reply = requests.get(server.api_url + "Assessments/", headers=headers, timeout=5)
    assert (reply.status_code, reply.content) == (401, b"")
    assert server.log[-1].auth == ("refused" if header else "none")


def test_a_token_expires():
    now = [100.0]
    authority = Authority(Credentials(), Protocol(token_seconds=60), clock=lambda: now[0])
    token = authority.issue("demo-client", "demo-secret")["access_token"]
    check = (f"GET http://x/ Bearer {token}").split(" ", 2)
    now[0] = 159.9
    assert authority.check(*check) == "oauth2"
    now[0] = 160
    assert authority.check(*check) == "refused"


def test_a_token_can_be_limited_to_a_number_of_requests(serve):
    client = serve(Protocol(token_requests_limit=2))
    assert [client.call("Sites").status_code for _ in range(4)] == [200, 200, 401, 401]
    client.headers["Authorization"] = f"Bearer {client.token()}"
    assert client.call("Sites").status_code == 200


def test_tokens_can_be_revoked(client):
    assert client.call("Sites").status_code == 200
    client.server.authority.revoke_tokens()
    assert client.call("Sites").status_code == 401


def test_a_new_token_does_not_invalidate_the_old_one(client):
    client.token()
    assert client.call("Sites").status_code == 200


@pytest.mark.parametrize(
    "params", [{}, {"consumerKey": "demo-consumer", "limit": 3}, {"a b": "ü&=+%/~"}]
)
def test_a_signed_request_is_accepted(server, params):
    with signed(server) as session:
        assert session.get(server.api_url + "Assessments/", params=params).status_code == 200
    assert server.log[-1].auth == "oauth1"


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "x"}, {"client_secret": "x"}, {"token": "x"}, {"token_secret": "x"}],
)
def test_a_signature_needs_all_four_values(server, changes):
    with signed(server, **changes) as session:
        assert session.get(server.api_url + "Sites").status_code == 401


def test_a_signature_covers_the_query(server):
    request = requests.Request(
        "GET", server.api_url + "Assessments/?limit=1", auth=signed(server).auth
    ).prepare()
    request.url = request.url.replace("limit=1", "limit=2")
    with requests.Session() as session:
        assert session.send(request).status_code == 401


def test_a_signature_is_valid_for_one_request(server):
    auth = signed(server).auth
    assert isinstance(auth, OAuth1Auth)
    request = requests.Request("GET", server.api_url + "Sites", auth=auth).prepare()
    with requests.Session() as session:
        assert [session.send(request).status_code for _ in range(2)] == [200, 401]


def test_credentials_are_settings(serve):
    client = serve(credentials=Credentials(client_id="me", client_secret="mine"))
    assert client.call("Sites").status_code == 200
    assert requests.post(client.server.token_url, data=FORM, timeout=5).status_code == 401


def test_secrets_are_not_logged(server):
    header = base64.b64encode(b"demo-client:demo-secret").decode()
    requests.post(
        server.token_url, data=FORM, headers={"Authorization": f"Basic {header}"}, timeout=5
    )
    assert "demo-secret" not in repr(server.log)
    assert header not in repr(server.log)
