"""A webhook is notified in time, and nobody else; a failure is a sentence without the address."""

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import SettingsError, WebhookError
from pipeline.runs.notify import find_webhook
from pipeline.runs.webhook import Webhook
from tests import canaries
from tests.receiver import SECRET, Receiver, receiving

PAYLOAD = {"text": "über", "outcome": "published"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_it_gets_the_payload(receiver: Receiver) -> None:
    Webhook(receiver.url).send(PAYLOAD, tries=1, seconds=20)
    assert receiver.got == [(f"/services/{SECRET}", PAYLOAD)]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_pass_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    Webhook(receiver.url).send(PAYLOAD, tries=2, seconds=20)
    assert len(receiver.got) == 2


def test_a_server_that_goes_on_failing(receiver: Receiver) -> None:
    receiver.statuses = [500] * 9
    failure = fails(lambda: Webhook(receiver.url).send(PAYLOAD, tries=2, seconds=20))
    assert "it answered 500. " in failure
    assert len(receiver.got) == 2


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_refusal_is_not_retried(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    failure = fails(lambda: Webhook(receiver.url).send(PAYLOAD, tries=3, seconds=20))
    assert f"it answered {status}" in failure
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    failure = fails(lambda: Webhook(receiver.url).send(PAYLOAD, tries=3, seconds=20))
    assert f"it answered {status}, which sends elsewhere and is not followed" in failure
    assert len(receiver.got) == 1


@pytest.mark.parametrize("way", ["is_silent", "drips"])
def test_a_server_that_never_answers_is_left(receiver: Receiver, way: str) -> None:
    """Also one whose every byte is in time: were it not left, this test would not end."""
    setattr(receiver, way, True)
    failure = fails(lambda: Webhook(receiver.url).send(PAYLOAD, tries=1, seconds=0.5))
    assert "it did not answer within 0.5 s" in failure


def test_nobody_is_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/{SECRET}"
        failure = fails(lambda: Webhook(url).send(PAYLOAD, tries=1, seconds=20))
    assert "the connection failed" in failure


def test_no_proxy_is_used_for_this_machine(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    Webhook(receiver.url).send(PAYLOAD, tries=1, seconds=20)
    assert len(receiver.got) == 1


def test_no_log_holds_the_address(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Who can read a log could write where the address leads."""
    caplog.set_level(logging.DEBUG)
    receiver.statuses = [500]
    Webhook(receiver.url).send(PAYLOAD, tries=2, seconds=20)
    assert canaries.found(SECRET.split("/"), caplog.text) == set()


def fails(send: Callable[[], None]) -> str:
    """The sentence of a failure, which shows no part of the address."""
    with pytest.raises(WebhookError) as failure:
        send()
    sentence = str(failure.value)
    assert sentence.startswith("Webhook delivery failed: ")
    assert canaries.found(SECRET.split("/"), repr(failure.value) + sentence) == set()
    assert failure.value.__cause__ is None
    return sentence


@pytest.mark.parametrize(
    "url",
    [
        f"http://hooks.example.org/{SECRET}",
        f"http://127.0.0.1.example.org/{SECRET}",
        f"ftp://hooks.example.org/{SECRET}",
        f"hooks.example.org/{SECRET}",
        f"https:///{SECRET}",
        f"https://x.example.org:port/{SECRET}",
        f"https://[x/{SECRET}",
        SECRET,
        " ",
    ],
)
def test_an_address_that_cannot_be_used(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Webhook(url)
    assert "PIPELINE_WEBHOOK_URL" in str(refused.value)
    assert canaries.found(SECRET.split("/"), str(refused.value)) == set()


def test_where_the_address_comes_from(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "webhook"
    file.write_text(f"{receiver.url}\n", encoding="utf-8")
    file.chmod(0o600)
    assert find_webhook({}) is None
    for environ in (
        {"PIPELINE_WEBHOOK_URL": receiver.url},
        {"PIPELINE_WEBHOOK_URL_FILE": str(file)},
    ):
        webhook = find_webhook(environ)
        assert webhook is not None
        webhook.send(PAYLOAD, tries=1, seconds=20)
    assert receiver.got == [(f"/services/{SECRET}", PAYLOAD)] * 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PIPELINE_WEBHOOK_URL_FILE names a file"):
        find_webhook({"PIPELINE_WEBHOOK_URL_FILE": str(tmp_path / "none")})
