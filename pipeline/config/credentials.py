"""Secrets: from the environment, or from files that it names; never settings, never printed."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pipeline.config.sections import OAUTH1, OAUTH2
from pipeline.errors import SettingsError
from pipeline.illuminate.auth import Credentials, OAuth1Credentials, OAuth2Credentials

_AGAIN = "Nothing was requested. Correct this, then run the same command again."


def find_credentials(environ: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials in the environment: OAuth 2 if given, else OAuth 1.

    Raises:
        SettingsError: none are complete; the message names the variables that are missing.
    """
    for names, kind in ((OAUTH2, OAuth2Credentials), (OAUTH1, OAuth1Credentials)):
        values = {name: find_secret(name, environ) for name in names}
        if all(values.values()):
            return kind(*(value for value in values.values() if value))
        if any(values.values()):
            missing = [name for name, value in values.items() if not value]
            raise SettingsError(
                f"{' and '.join(missing)} must be set as well (or with _FILE behind the name, "
                f"a file that holds the value). {_AGAIN}"
            )
    raise SettingsError(
        f"ILLUMINATE_BASE_URL is set and credentials are not: set {' and '.join(OAUTH2)}, or "
        f"unset the address to work with the demo district. {_AGAIN}"
    )


def find_secret(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of the variable `name`, or the content of the file that `name`_FILE names.

    Raises:
        SettingsError: the file cannot be read, or the value is blank or has several lines.
    """
    value = environ.get(name) or None
    if value is None and (file_name := environ.get(f"{name}_FILE")):
        value = _read_secret(name, Path(file_name))
    if value is not None and (not value.strip() or "\n" in value):
        raise SettingsError(f"{name} is blank or has several lines; set it to one line. {_AGAIN}")
    return value


def _read_secret(name: str, path: Path) -> str:
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise SettingsError(
                f"{name}_FILE names a file that everybody on this machine can open; "
                f"take that right away (chmod o= FILE). {_AGAIN}"
            )
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            f"{name}_FILE names a file that cannot be read; check its path, its permissions and "
            f"that it is text. {_AGAIN}"
        ) from None
