"""What a run prints while it works: a line per message."""

import logging
import traceback

import pytest

import pipeline  # noqa: F401  which quiets Luigi
from pipeline.errors import SettingsError
from pipeline.runs.messages import print_lines


def test_a_message_is_one_line_whatever_it_quotes(capsys):
    with print_lines():
        logging.getLogger("pipeline.any").warning("%s was restored", "a\n\x1b[32mb\u202e")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r" a\n\x1b[32mb\u202e was restored")


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


def _log_as_luigi_does() -> None:
    text = f"Will not run a task due to error in deps() method:\n{traceback.format_exc()}"
    logging.getLogger("luigi-interface").warning(text)
