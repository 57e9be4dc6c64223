"""What is refused before anything is requested or changed."""

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.config import rosters, sections, settings
from pipeline.errors import SettingsError

_VARIABLE, _FILE = "LUIGI_CONFIG_PATH", "luigi.cfg"


def check_settings() -> None:
    """Read every setting, and refuse what makes no sense.

    Raises:
        SettingsError: one cannot be read or used.
    """
    settings.check_address()
    settings.check_time_zone()
    settings.source_name()
    settings.historical_before()
    settings.smallest_group()
    rosters.parameters()
    for section in sections.SECTIONS:
        settings.read(section)


def check_config_file(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to go on without settings that somebody wrote down; Luigi only warns, or does not.

    Raises:
        SettingsError: the file that LUIGI_CONFIG_PATH names is missing, or one cannot be read.
    """
    named = environ.get(_VARIABLE)
    if named and not Path(named).is_file():
        raise SettingsError(
            f"{_VARIABLE} names {named}, which is not a file, so its settings are missing. Nothing "
            f"was requested and nothing was changed. Correct or unset {_VARIABLE}, then run the "
            "same command again."
        )
    for path in filter(os.path.exists, (named or _FILE, _FILE)):
        if not os.access(path, os.R_OK):
            raise SettingsError(
                f"{path} cannot be read, so its settings are missing. Nothing was requested and "
                "nothing was changed. Check its permissions, then run the same command again."
            )
