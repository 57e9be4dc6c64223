"""What a run prints while it works: lines with time and level."""

import logging
import re
import traceback

import pytest

import pipeline  # noqa: F401  which quiets Luigi
from pipeline.errors import SettingsError, StorageError
from pipeline.runs import messages
from pipeline.runs.messages import print_error, print_lines

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed on standard error, without the time, which each line must have."""
    found = capsys.readouterr().err.splitlines()
    assert [line for line in found if not re.match(f"{STAMP} ", line)] == []
    return [re.sub(f"^{STAMP} ", "", line) for line in found]


def test_a_message_is_one_line_whatever_it_quotes(capsys):
    with print_lines():
        logging.getLogger("pipeline.any").warning("%s was restored", "a\n\x1b[32mb\u202e")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r" a\n\x1b[32mb\u202e was restored")


def test_a_line_has_time_and_level(capsys):
    with print_lines():
        logging.getLogger("pipeline").info("one")
        logging.getLogger("pipeline").warning("two")
    assert lines(capsys) == ["INFO one", "WARNING two"]


def test_an_error_of_several_lines_has_them_on_each(capsys):
    with print_lines():
        print_error(StorageError("one", "two %s"))
    assert lines(capsys) == ["ERROR one", "ERROR two %s"]


def test_a_line_that_nobody_handles_has_them_too(capsys, monkeypatch):
    """A library's warning, for example, or one of a command that is no run."""
    alone = logging.getLogger("alone")
    monkeypatch.setattr(alone, "propagate", False)
    alone.warning("one")
    assert lines(capsys) == ["WARNING one"]


@pytest.fixture
def luigi(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A logger like Luigi's, with the filter but no handler yet."""
    logger = logging.Logger("luigi-like")
    monkeypatch.setitem(logging.root.manager.loggerDict, logger.name, logger)
    logger.addFilter(messages._PlainErrors())
    return logger


def test_lines_of_luigi_have_them_too(capsys, luigi):
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    luigi.addHandler(handler)
    luigi.info("\n===== Summary =====\n\x1b done\n")
    luigi.warning("last")
    assert lines(capsys) == ["INFO ===== Summary =====", r"INFO \x1b done", "WARNING last"]


def test_a_form_that_somebody_chose_stays(capsys, luigi):
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s of mine"))
    luigi.addHandler(handler)
    luigi.info("one")
    assert capsys.readouterr().err == "one of mine\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [(SettingsError("a sentence"), False), (ValueError("row of a student"), True)],
    ids=["on purpose", "unexpected"],
)
def test_why_a_task_cannot_be_scheduled_is_said_without_data(caplog, error, said):
    """Luigi puts the traceback, with the text of the error, into its message."""
    try:
        raise error
    except (ValueError, SettingsError):
        _log_as_luigi_does()
    assert bool(caplog.records) == said
    assert "row of a student" not in caplog.text
    assert ("UnexpectedError: ValueError" in caplog.text) == said
    assert ("test_messages.py" in caplog.text) == said  # where it was raised


def test_a_traceback_of_no_error_is_not_printed(capsys, luigi):
    """Luigi asks for one when a scheduler cannot be reached."""
    luigi.addHandler(logging.StreamHandler())
    luigi.warning("Failed connecting", exc_info=True)
    assert capsys.readouterr().err == "Failed connecting\n"


def _log_as_luigi_does() -> None:
    text = f"Will not run a task due to error in deps() method:\n{traceback.format_exc()}"
    logging.getLogger("luigi-interface").warning(text)
