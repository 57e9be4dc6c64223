"""From the base URL that a district gives to the addresses that are asked."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import SettingsError

_API = "/rest_server.php/Api"
_EXAMPLE = "https://<district>.illuminateed.com/live"


@dataclass(frozen=True)
class Address:
    """Where a district's API lives; `base` is its name in metadata and shards."""

    base: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read `https://<district>.illuminateed.com/live`, with or without the API path behind it.

        Raises:
            SettingsError: it is no such address, holds credentials, or is plain http to a host
                other than this machine.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SettingsError(f"ILLUMINATE_BASE_URL is no address; use {_EXAMPLE}.") from None
        if "@" in parts.netloc:
            raise SettingsError(
                "ILLUMINATE_BASE_URL must not hold a user or password; "
                "credentials have variables of their own."
            )
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise SettingsError(f"ILLUMINATE_BASE_URL is no address; use {_EXAMPLE}.")
        if parts.scheme == "http" and not is_loopback(host):
            raise SettingsError(
                "ILLUMINATE_BASE_URL must begin with https: results of students never travel "
                "unencrypted."
            )
        path = parts.path.rstrip("/").removesuffix(_API).rstrip("/")
        shown = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}")

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(urlsplit(self.base).hostname or "")

    @property
    def token_url(self) -> str:
        """Where OAuth 2 tokens are given out."""
        return f"{self.base}/?OAuth2_AccessToken"

    def method_url(self, method: str) -> str:
        """The address of an API method such as `Assessments`."""
        return f"{self.base}{_API}/{method}/"


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
