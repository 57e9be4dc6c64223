"""The URLs of a district's API, from its base URL."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import SettingsError

_API = "/rest_server.php/Api"
_USUAL_PORTS = {"https": 443, "http": 80}
_THIS_MACHINE = "127.0.0.1"
_EXAMPLE = "https://<district>.illuminateed.com/live"


@dataclass(frozen=True)
class Address:
    """The base URL of a district's API."""

    base: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Parse `https://<district>.illuminateed.com/live`, with or without the API path.

        Raises:
            SettingsError: it is not such a URL, contains credentials, or is plain http to a host
                other than this machine.
        """
        invalid = SettingsError(f"ILLUMINATE_BASE_URL is not a valid URL; use {_EXAMPLE}.")
        if not url.strip().isprintable():
            raise invalid
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise invalid from None
        if "<" in url or ">" in url:
            raise SettingsError(
                "ILLUMINATE_BASE_URL still has a placeholder in angle brackets; put the name of "
                "your district there."
            )
        if "@" in parts.netloc:
            raise SettingsError(
                "ILLUMINATE_BASE_URL must not contain a user or password; "
                "set the credentials in their own variables."
            )
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise invalid
        if parts.scheme == "http" and not is_loopback(host):
            raise SettingsError(
                "ILLUMINATE_BASE_URL must begin with https: student results are never sent "
                "unencrypted."
            )
        path = re.sub("/+", "/", parts.path).rstrip("/").removesuffix(_API)
        shown = f"[{host}]" if ":" in host else host.removesuffix(".")
        is_usual = port in {None, _USUAL_PORTS[parts.scheme]}
        return cls(f"{parts.scheme}://{shown}{'' if is_usual else f':{port}'}{path}")

    @property
    def source(self) -> str:
        """Return the district's name in manifests and tables: one, however the URL is spelled."""
        host = urlsplit(self.base).hostname or ""
        if not self.is_loopback:
            return self.base
        shown = f"[{host}]" if ":" in host else host
        return self.base.replace(shown, _THIS_MACHINE, 1)

    @property
    def is_loopback(self) -> bool:
        """Return whether the API is on this machine."""
        return is_loopback(urlsplit(self.base).hostname or "")

    @property
    def token_url(self) -> str:
        """Return the URL of OAuth 2 tokens."""
        return f"{self.base}/?OAuth2_AccessToken"

    def method_url(self, method: str) -> str:
        """Return the URL of an API method such as `Assessments`."""
        return f"{self.base}{_API}/{method}/"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
