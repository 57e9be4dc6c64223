"""How far a step is: lines in a log, a bar on a terminal, and a percentage for Luigi."""

import io
import logging

import pytest

from pipeline.runs.progress import ProgressReporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def told():
    return []


@pytest.fixture
def lines(monkeypatch, caplog):
    """The lines of a log: standard error is no terminal."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(logging.getLogger("pipeline"), "propagate", True)
    caplog.set_level(logging.INFO, "pipeline")
    return caplog


def go(told, steps, failed=0):
    with ProgressReporter(
        "overall", steps, lambda percentage, text: told.append((percentage, text))
    ) as shown:
        for number in range(steps):
            shown.step(failed=number < failed)


def test_the_last_line_counts_what_was_done_and_what_failed(lines, told):
    go(told, 1200, failed=3)
    assert lines.messages[-1].startswith("overall: 1,200 of 1,200, ")
    assert lines.messages[-1].endswith(", 3 failed")


def test_lines_come_at_sane_intervals(lines, told):
    """A thousand steps within a moment are one line, not a thousand."""
    go(told, 1000)
    assert len(lines.messages) == 1


def test_luigi_is_told_of_the_end(lines, told):
    go(told, 10)
    percentage, text = told[-1]
    assert percentage == 100
    assert text.startswith("overall: 10 of 10, ")


def test_an_early_end_is_told_as_it_is(lines, told):
    with ProgressReporter(
        "overall", 4, lambda percentage, text: told.append((percentage, text))
    ) as shown:
        shown.step(failed=False)
    assert told[-1][0] == 25
    assert "overall: 1 of 4" in lines.messages[-1]
    assert "s left" in lines.messages[-1]


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch, caplog, told):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    go(told, 7, failed=1)
    assert "7/7" in terminal.getvalue()
    assert "1 failed" in terminal.getvalue()
    assert caplog.messages == []


def test_nothing_to_do_is_all_done(lines, told):
    go(told, 0)
    assert told[-1][0] == 100
