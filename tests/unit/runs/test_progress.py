"""How far a step is: lines in a log, a bar on a terminal, and a percentage for Luigi."""

import io
import logging

import pytest

from pipeline.runs.progress import ProgressReporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def reported():
    return []


@pytest.fixture
def lines(monkeypatch, caplog):
    """The lines of a log: standard error is no terminal."""
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(logging.getLogger("pipeline"), "propagate", True)
    caplog.set_level(logging.INFO, "pipeline")
    return caplog


def go(reported, steps, failed=0):
    with ProgressReporter(
        "overall", steps, lambda percentage, text: reported.append((percentage, text))
    ) as shown:
        for number in range(steps):
            shown.step(failed=number < failed)


def test_the_last_line_counts_what_was_done_and_what_failed(lines, reported):
    go(reported, 1200, failed=3)
    assert lines.messages[-1].startswith("overall: 1,200 of 1,200, ")
    assert lines.messages[-1].endswith(", 3 failed")


def test_lines_come_at_sane_intervals(lines, reported):
    """A thousand steps within a moment are one line, not a thousand."""
    go(reported, 1000)
    assert len(lines.messages) == 1


def test_the_end_is_reported_to_luigi(lines, reported):
    go(reported, 10)
    percentage, text = reported[-1]
    assert percentage == 100
    assert text.startswith("overall: 10 of 10, ")


def test_an_early_end_is_reported_as_it_is(lines, reported):
    with ProgressReporter(
        "overall", 4, lambda percentage, text: reported.append((percentage, text))
    ) as shown:
        shown.step(failed=False)
    assert reported[-1][0] == 25
    assert "overall: 1 of 4" in lines.messages[-1]
    assert "s left" in lines.messages[-1]


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch, caplog, reported):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    go(reported, 7, failed=1)
    assert "7/7" in terminal.getvalue()
    assert "1 failed" in terminal.getvalue()
    assert caplog.messages == []


def test_while_nothing_is_done_there_is_no_rate_and_no_estimate(lines, reported):
    with ProgressReporter("overall", 4, lambda *_: None) as shown:
        shown.step(failed=False, steps=0)
    assert lines.messages == ["overall: 0 of 4"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_to_do_is_all_done_and_not_shown(monkeypatch, lines, reported, stream):
    shown = stream()
    monkeypatch.setattr("sys.stderr", shown)
    go(reported, 0)
    assert reported[-1][0] == 100
    assert (lines.messages, shown.getvalue()) == ([], "")
