"""How a scheduler is reached: with certificates, or without on this machine only."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.errors import SettingsError
from pipeline.illuminate.address import is_loopback

if TYPE_CHECKING:
    from distributed import Security

_SETTING = "[state] scheduler"


def find_security(address: str, tls_folder: str) -> "Security | None":
    """Return the certificates for an address; None for one of this machine.

    Whoever reaches a scheduler without TLS can run any code on its workers.

    Raises:
        SettingsError: the address needs certificates that are not there, or is none.
    """
    from distributed import Security

    scheme, host = urlsplit(address).scheme, urlsplit(address).hostname
    if scheme == "tcp" and host and is_loopback(host):
        return None
    if scheme != "tls" or not host:
        raise SettingsError(
            f"{_SETTING} is {address}; it must be like tls://head:8786 (tcp:// is for a scheduler "
            "on this machine only, because it lets everybody in). Nothing was requested."
        )
    files = {name: Path(tls_folder) / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path in files.values():
        if not tls_folder or not path.is_file():
            raise SettingsError(
                f"{_SETTING} is {address}, so [state] tls_folder must name a folder with ca.pem, "
                f"cert.pem and key.pem; {path if tls_folder else 'it is empty'}"
                f"{' is not there' if tls_folder else ''}. Nothing was requested."
            )
    return Security(
        require_encryption=True,
        tls_ca_file=str(files["ca"]),
        tls_client_cert=str(files["cert"]),
        tls_client_key=str(files["key"]),
    )
