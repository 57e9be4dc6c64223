"""Post the result of a run to a webhook. Its URL is a secret: it lets anybody write there."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity
from requests.utils import get_environ_proxies, select_proxy

from pipeline import network
from pipeline.errors import SettingsError, WebhookError
from pipeline.illuminate.address import is_loopback
from pipeline.illuminate.wire import DeadlineWatcher, new_session

_NAME = "PIPELINE_WEBHOOK_URL"
_FIX = "Correct or unset it"
_SUCCESS, _REDIRECT = 2, 3


class _TemporaryError(WebhookError):
    """The same request may succeed a moment later."""


class Webhook:
    """A URL that takes JSON.

    Args:
        url: where; https, or plain http to this machine.

    Raises:
        SettingsError: the address cannot be used; the message does not show it.
    """

    def __init__(self, url: str) -> None:
        self._url = url.strip()
        self._is_loopback = _check(self._url)
        self._host = network.host_of(self._url)
        # Begun now: no thread can begin once the interpreter is about to end.
        self._socket = DeadlineWatcher(threading.Event()).new_socket()

    def send(self, payload: dict[str, Any], tries: int, seconds: float) -> None:
        """Send a payload, with retries.

        Args:
            payload: whatever JSON can hold.
            tries: the most attempts.
            seconds: the longest that one of them may last, whatever the server does.

        Raises:
            WebhookError: it was not taken; says why in plain words, without the address.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TemporaryError),
            stop=tenacity.stop_after_attempt(tries),
            wait=tenacity.wait_exponential(multiplier=0.5, max=5),
            reraise=True,
        )
        with _quiet():
            retrying(self._post, payload, seconds)

    def _post(self, payload: dict[str, Any], seconds: float) -> None:
        with new_session(self._socket) as session, self._socket.within(seconds):
            session.trust_env = not self._is_loopback  # no proxy for this machine
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
                is_late = self._socket.was_cut or isinstance(error, requests.Timeout)
                late = f"it did not answer within {seconds:g} s ({self._host})"
                reason = late if is_late else self._explain(error)
                raise _TemporaryError(_message(reason)) from None
        _judge(status)

    def _explain(self, error: Exception) -> str:
        proxies = {} if self._is_loopback else get_environ_proxies(self._url)
        proxy = network.host_of(select_proxy(self._url, proxies) or "")
        return f"the connection failed: {network.explain(error, self._host, proxy)}"


def _judge(status: int) -> None:
    """Accept a successful reply.

    Raises:
        WebhookError: it is none.
    """
    if status // 100 == _SUCCESS:
        return
    is_temporary = (
        status >= requests.codes.server_error or status == requests.codes.too_many_requests
    )
    kind = _TemporaryError if is_temporary else WebhookError
    more = ", which sends elsewhere and is not followed" if status // 100 == _REDIRECT else ""
    raise kind(_message(f"it answered {status}{more}"))


def _message(reason: str) -> str:
    return f"Webhook delivery failed: {reason}. Check {_NAME}."


def _check(url: str) -> bool:
    """Check a URL; return True if it is on this machine.

    Raises:
        SettingsError: it cannot.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        fault = "is not a valid URL; it must begin with https://"
        raise SettingsError.refused(f"{_NAME} {fault}", _FIX)
    if parts.scheme == "http" and not is_loopback(host):
        fault = "must begin with https; plain http only to this machine"
        raise SettingsError.refused(f"{_NAME} {fault}", _FIX)
    return is_loopback(host)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the URL's path out of the library's log, at any level."""
    log = logging.getLogger("urllib3.connectionpool")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
