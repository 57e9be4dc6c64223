"""luigi.cfg as somebody wrote it. Luigi itself skips what it cannot open, and merges the rest.

It reads the files when it is imported, so nothing here imports it.
"""

import configparser
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import SettingsError

VARIABLE = "LUIGI_CONFIG_PATH"
"""The variable that names one more file, whose settings override those of the others."""

_USUAL = ("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg")
_OUR_COMMANDS = ("illuminate-pipeline", "-m")
"""The name of the program while Python imports this package for a command."""
_REFUSED = 30
_TWICE = (configparser.DuplicateSectionError, configparser.DuplicateOptionError)


def find(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files that Luigi reads, where there are any."""
    return [*map(Path, filter(os.path.exists, (*_USUAL, environ.get(VARIABLE, ""))))]


def parse(path: Path) -> configparser.RawConfigParser:
    """Return the sections of a file, with their settings as text.

    Raises:
        OSError: the file cannot be opened.
        SettingsError: it is no text, or Luigi cannot parse it; the message names the line.
    """
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as Luigi does
    try:
        with path.open() as file:  # in the encoding of the locale, as Luigi does
            parser.read_file(file)
    except UnicodeDecodeError as error:
        raise SettingsError.refused(
            f"{path} is not text in {error.encoding}", f"Save it in {error.encoding}"
        ) from None
    except (configparser.ParsingError, *_TWICE) as error:
        line = error.lineno if hasattr(error, "lineno") else error.errors[0][0]
        fault = "is there twice" if isinstance(error, _TWICE) else "is no name=value in a [section]"
        raise SettingsError.refused(f"{path}, line {line} {fault}") from None
    return parser


def refuse_unparseable() -> None:
    """Refuse a file that Luigi cannot parse; its own answer is a traceback.

    Raises:
        SystemExit: in a command of ours, which has said why.
        SettingsError: in another program.
    """
    try:
        for path in find():
            with contextlib.suppress(OSError):  # which each command refuses itself
                parse(path)
    except SettingsError as error:
        if Path(sys.argv[0]).name not in _OUR_COMMANDS:
            raise
        print(error, file=sys.stderr)
        raise SystemExit(_REFUSED) from None
