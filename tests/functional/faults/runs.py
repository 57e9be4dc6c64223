"""Runs the real command line in this process, because the suite needs many fast runs.

Whatever a run leaves in this process (the run itself, signal and log handlers, Luigi's cache of
tasks) is undone when it ends, so that the next one begins as in a new process.
"""

import contextlib
import functools
import io
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.retcodes import run_with_retcodes
from luigi.setup_logging import InterfaceLogging

from pipeline.config import sections, settings
from pipeline.illuminate import wire

_LOGGERS = ("", "pipeline", "luigi", "luigi-interface")
_SETTINGS = ("illuminate", "paths", "years", "build", "report", "snapshot")


@dataclass(frozen=True)
class Finished:
    """A run's exit code, its standard output, and everything that it printed and logged."""

    code: int
    stdout: str
    output: str


def run(*options: str) -> Finished:
    """Run `luigi --module pipeline RunAll` with these options."""
    out, err = io.StringIO(), io.StringIO()
    with (
        _logs() as logged,
        _signals(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _run(["--module", "pipeline", "RunAll", *options])
    stdout = out.getvalue()
    return Finished(code, stdout, stdout + err.getvalue() + logged.getvalue())


def _run(arguments: list[str]) -> int:
    luigi.task_register.Register.clear_instance_cache()
    with _settings_read_once():
        try:
            run_with_retcodes(arguments)
        except SystemExit as end:
            return int(end.code or 0)
    raise AssertionError("Luigi always exits")


@contextlib.contextmanager
def _settings_read_once() -> Iterator[None]:
    """Read each section of settings once per run."""
    with contextlib.ExitStack() as stack:
        for name in _SETTINGS:
            once = functools.cache(getattr(settings, name, None) or getattr(sections, name))
            for module in (settings, sections):
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, once))
        yield


@contextlib.contextmanager
def fast() -> Iterator[None]:
    """Skip what takes long and has nothing to do with faults.

    Nothing is synced to disk, deadlines are checked often, and Luigi builds parsers once.
    """
    with (
        mock.patch.object(os, "fsync"),
        mock.patch.object(wire, "_CHECK_EVERY", 0.02),
        mock.patch.object(
            CmdlineParser,
            "_build_parser",
            staticmethod(functools.cache(CmdlineParser._build_parser)),
        ),
    ):
        yield


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logs() -> Iterator[io.StringIO]:
    """Capture all log messages from DEBUG up; undo what a run does to loggers."""
    text = io.StringIO()
    spy = logging.StreamHandler(text)
    loggers = [logging.getLogger(name or None) for name in _LOGGERS]
    before = [(each, each.level, each.propagate, list(each.handlers)) for each in loggers]
    for each in loggers[:2]:
        each.setLevel(logging.DEBUG)
        each.handlers[:] = [spy]
    try:
        with (
            mock.patch.object(InterfaceLogging, "_configured", new=False),
            mock.patch.object(loggers[1], "setLevel"),  # a run would hide its own DEBUG lines
        ):
            yield text
    finally:
        for each, level, propagate, handlers in before:
            each.setLevel(level)
            each.propagate, each.handlers[:] = propagate, handlers
