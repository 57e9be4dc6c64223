"""Why a connection failed, in plain words, whatever library made it.

Libraries wrap the error of the system in errors of their own, whose texts hold whole URLs, and with
them maybe secrets. So it is the wrapped error that is described, and of a URL the host alone.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from http.client import IncompleteRead
from urllib.parse import urlsplit

_USUAL_PORTS = {"https": 443, "http": 80}
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_OF_A_PROXY = {"ProxyError", "ProxyConnectionError"}
_NO_PROXY = {"InvalidProxyURL", "InvalidURL", "InvalidSchema"}
"""What requests raises of a proxy's address, or of a server's, but that is checked before."""
_PROXY_SETTINGS = "check HTTPS_PROXY, ALL_PROXY and NO_PROXY"

OTHER_HOST = "it was issued for another host; check the address"
_CERTIFICATES = {
    9: "it is not valid yet; check the date of this machine",
    10: "it has expired; tell whoever runs the server, or check the date of this machine",
    62: OTHER_HOST,
    64: OTHER_HOST,
}
"""What OpenSSL's codes of a certificate that does not hold mean."""

_UNSIGNED = (
    "it is not signed by an authority that this machine trusts; if your network uses its own "
    "certificate, set REQUESTS_CA_BUNDLE to its file"
)
_UNSIGNED_CODES = {2, 18, 19, 20, 21}

ERRNOS = {
    errno.ECONNREFUSED: "refuses connections: nothing listens there, or a firewall is in the way",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to it from this machine's network",
    errno.ENETUNREACH: "cannot be reached: there is no route to it from this machine's network",
    errno.ETIMEDOUT: "did not answer in time: it is overloaded, or a firewall is in the way",
}
"""What numbers of the system's errors mean, as the rest of a sentence that begins with the host."""
UNRESOLVED = "cannot be resolved to an address; check how it is spelled, and the DNS"
CLOSED = "closed the connection"

_KINDS: dict[type[BaseException], str] = {
    TimeoutError: ERRNOS[errno.ETIMEDOUT],
    IncompleteRead: "closed the connection within a reply",
    ConnectionError: CLOSED,  # one that was refused has its number above
}


def host_of(url: str) -> str:
    """Return the host of a URL, with a port that is not the usual one, and nothing else.

    Empty if that is not certain: a slash in a password makes a part of it look like the host.
    """
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if url.count("@") > parts.netloc.count("@"):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return shown if port in {None, _USUAL_PORTS.get(parts.scheme)} else f"{shown}:{port}"


def explain(error: BaseException, host: str, proxy: str = "") -> str:
    """Return why a connection to a host failed, and what to check.

    Args:
        error: what a library raised.
        host: the server's, as `host_of` returns it.
        proxy: that of the proxy in between, if any.
    """
    host = host or "the host"
    if problem := certificate_problem(error, host):
        return problem
    causes = list(_causes(error))
    names = {type(each).__name__ for each in causes}
    if names & _NO_PROXY:
        return f"the address of the proxy cannot be used; {_PROXY_SETTINGS}"
    replies = [found[1] for each in causes if (found := _TUNNEL.search(str(each)))]
    if replies:
        needs = ": it requires a user and a password" if replies[0] == "407" else ""
        return f"the proxy {proxy} answered {replies[0]}{needs}; {_PROXY_SETTINGS}"
    said = describe(error) or f"broke off the exchange ({type(error).__name__})"
    is_proxys = names & _OF_A_PROXY
    return f"the proxy {proxy} {said}; {_PROXY_SETTINGS}" if is_proxys else f"{host} {said}"


def certificate_problem(error: BaseException, host: str) -> str:
    """Return what is wrong with a certificate; nothing if the error is another."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            code = each.verify_code
            unknown = f"{each.verify_message} (OpenSSL's code {code})"
            why = _UNSIGNED if code in _UNSIGNED_CODES else _CERTIFICATES.get(code, unknown)
            return f"the server's certificate is not trusted ({host}): {why}"
        if "suitable TLS CA certificate bundle" in str(each):
            return "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that does not exist"
    return ""


def describe(error: BaseException) -> str:
    """Return what became of a connection, as the rest of a sentence; nothing if that is not known.

    The sentence begins with the name of the host.
    """
    return next(filter(None, map(_describe, _causes(error))), "")


def host_in(error: BaseException) -> str:
    """Return the host that an error names, where only the library knows it; else nothing."""
    for each in _causes(error):
        kept = getattr(each, "kwargs", None)
        url = kept.get("endpoint_url", "") if isinstance(kept, dict) else ""  # botocore
        url = url or getattr(getattr(each, "request", None), "url", "")  # requests
        host, port = (getattr(each, name, None) for name in ("host", "port"))  # aiohttp
        if not url and isinstance(host, str):
            url = f"{host}:{port}" if port else host
        if url and (found := host_of(url)):
            return found
    return ""


def _describe(error: BaseException) -> str:
    """Return what an error of the system says of a host, as the rest of a sentence."""
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_AGAIN:
            return "cannot be resolved: no name server (DNS) answers this machine"
        return UNRESOLVED
    if isinstance(error, ssl.SSLError):
        reason = (getattr(error, "reason", "") or type(error).__name__).replace("_", " ").lower()
        return f"does not talk TLS as it should ({reason}); check that the address is of https"
    if isinstance(error, OSError) and error.errno in ERRNOS:
        return ERRNOS[error.errno]
    return next((text for kind, text in _KINDS.items() if isinstance(error, kind)), "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it wraps, in any of the places where libraries keep them."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = getattr(each, "kwargs", None)  # botocore's
        places = (
            *each.args,
            *(kept.values() if isinstance(kept, dict) else ()),
            *(getattr(each, name, None) for name in ("reason", "original_error", "os_error")),
            each.__cause__,
            each.__context__,
        )
        waiting += [place for place in places if isinstance(place, BaseException)]
