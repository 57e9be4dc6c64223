"""Runs the real command line inside of this process, as often and as quickly as the suite needs.

Whatever a run leaves in this process (the run itself, signals, handlers of logs, Luigi's memory
of its tasks) is undone when it ends, so that the next one begins like a new process.
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
from pipeline.tasks.run import Run

_LOGGERS = ("", "pipeline", "luigi", "luigi-interface")
_SETTINGS = ("illuminate", "paths", "years", "build", "report", "snapshot")


@dataclass(frozen=True)
class Finished:
    """How a run ended, what it said on standard output, and all that it printed and logged."""

    code: int
    said: str
    shown: str


def run(*options: str) -> Finished:
    """`luigi --module pipeline RunAll` with these options."""
    out, err = io.StringIO(), io.StringIO()
    with (
        _logs() as logged,
        _signals(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = _run(["--module", "pipeline", "RunAll", *options])
        finally:
            Run.end()
    said = out.getvalue()
    return Finished(code, said, said + err.getvalue() + logged.getvalue())


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
    """Put each section of settings, and what follows from them, together once a run."""
    with contextlib.ExitStack() as stack:
        for name in _SETTINGS:
            once = functools.cache(getattr(settings, name, None) or getattr(sections, name))
            for module in (settings, sections):
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, once))
        yield


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Leave out meanwhile what takes long and has nothing to do with faults.

    Nothing waits for the disk, deadlines are looked at often, and Luigi puts parameters and
    parsers together once.
    """
    with (
        mock.patch.object(os, "fsync"),
        mock.patch.object(wire, "_LOOK_EVERY", 0.02),
        mock.patch.object(
            luigi.Task, "get_params", classmethod(functools.cache(luigi.Task.get_params.__func__))
        ),
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
    """All that is logged meanwhile, from DEBUG up; what a run does to loggers is undone."""
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
