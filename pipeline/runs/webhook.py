"""Tells a webhook how a run ended. Its address is a secret: who knows it can write there."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity

from pipeline.errors import SettingsError, WebhookError
from pipeline.illuminate.address import is_loopback
from pipeline.illuminate.wire import Watch, new_session

_NAME = "PIPELINE_WEBHOOK_URL"
_SUCCESS, _REDIRECT = 2, 3


class _MayPassError(WebhookError):
    """The same request may well succeed a moment later."""


class Webhook:
    """An address that takes JSON.

    Args:
        url: where; https, or plain http to this machine.

    Raises:
        SettingsError: the address cannot be used; the message does not show it.
    """

    def __init__(self, url: str) -> None:
        self._url = url.strip()
        self._is_loopback = _check(self._url)
        # Begun now: no thread can begin once the interpreter is about to end.
        self._line = Watch(threading.Event()).new_line()

    def send(self, payload: dict[str, Any], tries: int, seconds: float) -> None:
        """Send a payload, again if need be.

        Args:
            payload: whatever JSON can hold.
            tries: the most attempts.
            seconds: the longest that one of them may last, whatever the server does.

        Raises:
            WebhookError: it was not taken; says why in plain words, without the address.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_MayPassError),
            stop=tenacity.stop_after_attempt(tries),
            wait=tenacity.wait_exponential(multiplier=0.5, max=5),
            reraise=True,
        )
        with _quiet():
            retrying(self._post, payload, seconds)

    def _post(self, payload: dict[str, Any], seconds: float) -> None:
        with new_session(self._line) as session, self._line.within(seconds):
            session.trust_env = not self._is_loopback  # no proxy stands before this machine
            try:
                with session.post(
                    self._url,
                    json=payload,
                    timeout=seconds,
                    allow_redirects=False,  # the address is nobody else's business
                    stream=True,  # what it says is not read
                ) as reply:
                    status = reply.status_code
            except (requests.RequestException, ValueError, OSError) as error:
                is_late = self._line.was_cut or isinstance(error, requests.Timeout)
                late = f"it did not answer within {seconds:g} s"
                reason = late if is_late else f"the connection failed ({type(error).__name__})"
                raise _MayPassError(_untold(reason)) from None
        _judge(status)


def _judge(status: int) -> None:
    """Take a reply for a success, or not.

    Raises:
        WebhookError: it is none.
    """
    if status // 100 == _SUCCESS:
        return
    may_pass = status >= requests.codes.server_error or status == requests.codes.too_many_requests
    kind = _MayPassError if may_pass else WebhookError
    more = ", which sends elsewhere and is not followed" if status // 100 == _REDIRECT else ""
    raise kind(_untold(f"it answered {status}{more}"))


def _untold(reason: str) -> str:
    return (
        f"THE WEBHOOK WAS NOT TOLD how this run ended: {reason}. The run itself is as said above; "
        f"check {_NAME}."
    )


def _check(url: str) -> bool:
    """See that an address can be used; returns whether it is of this machine.

    Raises:
        SettingsError: it cannot.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise SettingsError(f"{_NAME} is no address; it begins with https://.")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(f"{_NAME} must begin with https; plain http only to this machine.")
    return is_loopback(host)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's log, at any level, from writing down the path that is asked."""
    log = logging.getLogger("urllib3.connectionpool")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
