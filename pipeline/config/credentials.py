"""Secrets: from the environment, or from files that it names; never settings, never printed."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pipeline.config.sections import OAUTH1, OAUTH2
from pipeline.errors import SettingsError
from pipeline.illuminate.auth import Credentials, OAuth1Credentials, OAuth2Credentials


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
            raise SettingsError.refused(
                f"{' and '.join(missing)} must be set as well (or with _FILE behind the name, "
                "a file that holds the value)"
            )
    raise SettingsError.refused(
        "ILLUMINATE_BASE_URL is set and credentials are not",
        f"Set {' and '.join(OAUTH2)}, or unset the address to work with the demo district",
    )


def find_secret(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of the variable `name`, or the content of the file that `name`_FILE names.

    Raises:
        SettingsError: both are set, the file cannot be read, or the value is blank or has several
            lines.
    """
    value, file_name = environ.get(name), environ.get(f"{name}_FILE")
    if value and file_name:
        raise SettingsError.refused(f"{name} and {name}_FILE are both set", "Unset one of them")
    if file_name:
        return _read_secret(f"{name}_FILE", Path(file_name))
    return _one_line(value, name) if value else None


def _read_secret(variable: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        # It may be the secret itself, so it is not shown.
        raise SettingsError.refused(
            f"{variable} names a file that cannot be read ({error.strerror})",
            "Check its path and permissions",
        ) from None
    place = f"{variable} names {path}, which"
    if mode & stat.S_IRWXO:
        raise SettingsError.refused(
            f"{place} everybody on this machine can open", "Take that right away (chmod o= FILE)"
        )
    try:
        return _one_line(path.read_text(encoding="utf-8").removesuffix("\n"), place)
    except (OSError, UnicodeDecodeError):
        raise SettingsError.refused(
            f"{place} cannot be read", "Check its permissions and that it is text"
        ) from None


def _one_line(text: str, place: str) -> str:
    if not text.strip() or "\n" in text:
        raise SettingsError.refused(f"{place} is blank or has several lines", "Set it to one line")
    return text
