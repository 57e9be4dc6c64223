"""A connection that failed is explained: which host, and why; never by a secret of an address."""

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from pipeline.illuminate.wire import WatchedSocket, new_session
from pipeline.network import explain, host_of
from tests import canaries

SECRETS = ["canaryuser", "canarypassword", "canarypath"]


class Odd(BaseHTTPRequestHandler):
    """As a server it sends too little; as a proxy it connects to nobody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x")

    def do_CONNECT(self) -> None:
        self.send_error(407 if "forbidden" not in self.path else 403)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def odd() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def port(*, listens: bool) -> Iterator[str]:
    """A port where nobody answers, for one reason or another."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        if listens:
            reserved.listen()
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


def why(url: str, proxy: str = "", timeout: float = 10) -> str:
    """The explanation of a request that fails."""
    watched = WatchedSocket()
    session = new_session(watched)
    session.trust_env = False
    session.proxies = {"https": proxy, "http": proxy} if proxy else {}
    with session, pytest.raises((requests.RequestException, OSError)) as failed:
        session.get(f"{url}/canarypath", timeout=timeout)
    watched.close()
    text = explain(failed.value, host_of(url), host_of(proxy))
    assert canaries.found(SECRETS, text) == set()
    return text


def test_nobody_listens() -> None:
    with port(listens=False) as there:
        assert why(f"http://{there}").startswith(f"{there} refuses connections: ")


def test_nobody_answers() -> None:
    with port(listens=True) as there:
        assert why(f"http://{there}", timeout=0.3).startswith(f"{there} did not answer in time: ")


def test_a_reply_that_is_cut_off(odd: str) -> None:
    assert why(f"http://{odd}") == f"{odd} closed the connection within a reply"


def test_a_server_without_encryption(odd: str) -> None:
    text = why(f"https://{odd}")
    assert text.startswith(f"{odd} does not talk TLS as it should (wrong version number); ")


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (socket.EAI_NONAME, "x.example.org cannot be resolved to an address; "),
        (socket.EAI_AGAIN, "x.example.org cannot be resolved: no name server (DNS) answers"),
    ],
)
def test_a_name_that_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "said by the system")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert why("https://x.example.org").startswith(what)
    proxy = why("https://y.example.org", "http://canaryuser:canarypassword@x.example.org:3128")
    assert proxy.startswith(f"the proxy {what.replace('.org ', '.org:3128 ')}")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_nobody_runs(scheme: str) -> None:
    with port(listens=False) as there:
        text = why("https://x.example.org", f"{scheme}://canaryuser:canarypassword@{there}")
    assert text.startswith(f"the proxy {there} refuses connections: ")
    assert text.endswith("; check HTTPS_PROXY, ALL_PROXY and NO_PROXY")


def test_a_proxy_that_wants_a_password_or_refuses_the_server(odd: str) -> None:
    proxy = f"http://canaryuser:canarypassword@{odd}"
    text = why("https://x.example.org", proxy)
    assert text.startswith(f"the proxy {odd} answered 407: it requires a user and a password; ")
    assert why("https://forbidden.example.org", proxy).startswith(f"the proxy {odd} answered 403; ")


def test_a_proxy_whose_address_makes_no_sense() -> None:
    text = why("https://x.example.org", "http://[canarypassword")
    assert text.startswith("the address of the proxy cannot be used; check HTTPS_PROXY")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EHOSTUNREACH, ""), "cannot be reached: there is no route to it"),
        (OSError(errno.ENETUNREACH, ""), "cannot be reached: there is no route to it"),
        (ConnectionResetError(errno.ECONNRESET, ""), "closed the connection"),
        (TimeoutError(), "did not answer in time"),
        (ssl.SSLError(1, "canarypath"), "does not talk TLS as it should (sslerror)"),
        (ValueError("canarypath"), "broke off the exchange (ValueError)"),
    ],
)
def test_what_the_system_says(error: Exception, what: str) -> None:
    assert explain(error, "x.example.org").startswith(f"x.example.org {what}")


@pytest.mark.parametrize("where", ["args", "cause", "os_error", "kwargs"])
def test_the_error_of_the_system_is_found_wherever_a_library_keeps_it(where: str) -> None:
    inner, outer = ConnectionRefusedError(errno.ECONNREFUSED, ""), RuntimeError()
    if where == "args":
        outer = RuntimeError(inner)
    elif where == "cause":
        outer.__cause__ = inner
    elif where == "os_error":
        outer.os_error = inner  # type: ignore[attr-defined]  aiohttp's
    else:
        outer.kwargs = {"error": inner}  # type: ignore[attr-defined]  botocore's
    assert "refuses connections" in explain(outer, "x")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://canaryuser:canarypassword@x.example.org/canarypath?canarypath", "x.example.org"),
        ("https://x.example.org:443/", "x.example.org"),
        ("http://x.example.org:443/", "x.example.org:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("canaryuser:canarypassword@x.example.org:3128", "x.example.org:3128"),
        ("https://x.example.org:canarypath", ""),
        ("postgresql://u:canarypassword@canaryuser@x.example.org/db", "x.example.org"),
        ("postgresql://u:12/canarypassword@x.example.org/db", ""),
        ("postgresql://u:12?canarypassword@x.example.org/db", ""),
        ("", ""),
    ],
)
def test_the_host_of_an_address_is_all_that_is_shown_of_it(url: str, host: str) -> None:
    assert host_of(url) == host
