"""luigi.cfg as somebody wrote it. Luigi itself skips what it cannot open, and merges the rest."""

import os
from collections.abc import Mapping
from configparser import RawConfigParser
from pathlib import Path

VARIABLE = "LUIGI_CONFIG_PATH"
"""The variable that names one more file, whose settings override those of the others."""

_USUAL = ("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg")


def find(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files that Luigi reads, where there are any."""
    return [*map(Path, filter(os.path.exists, (*_USUAL, environ.get(VARIABLE, ""))))]


def parse(path: Path) -> RawConfigParser:
    """Return the sections of a file, with their settings as text.

    Raises:
        OSError: the file cannot be opened.
    """
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as Luigi does
    with path.open() as file:  # in the encoding of the locale, as Luigi does
        parser.read_file(file)
    return parser
