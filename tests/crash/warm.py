"""Runs of the command in processes forked from one that has imported everything: no waiting."""

import atexit
import multiprocessing
import os
import pickle
from contextlib import nullcontext
from pathlib import Path

from luigi.cmdline import luigi_run

from pipeline.config.settings import apply_environment
from tests.crash.disk_model import Operation, Recorder
from tests.crash.helpers import command
from tests.functional.conftest import Workplace

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])
_PATIENCE = 60


def run(place: Workplace, *options: str) -> int:
    """A run in a place, as the command line starts it; its exit code."""
    return _run(place, options, None)


def record(place: Workplace, *options: str) -> tuple[int, list[Operation]]:
    """The exit code of a run, and every file operation of it."""
    noted = place.folder.with_name(f"{place.folder.name}.operations")
    code = _run(place, options, noted)
    return code, pickle.loads(noted.read_bytes())


def said(place: Workplace) -> str:
    """What the last run printed."""
    return _output(place).read_text(encoding="utf-8")


def _run(place: Workplace, options: tuple[str, ...], noted: Path | None) -> int:
    process = _processes.Process(target=_child, args=(place, options, noted))
    process.start()
    process.join(_PATIENCE)
    assert process.exitcode is not None, "the run does not end"
    code = process.exitcode
    process.close()
    return code


def _output(place: Workplace) -> Path:
    return place.folder.with_name(f"{place.folder.name}.output")


def _child(place: Workplace, options: tuple[str, ...], noted: Path | None) -> None:
    os.chdir(place.folder)
    output = os.open(_output(place), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(place.environment)
    apply_environment()
    recorder = Recorder(place.folder) if noted else nullcontext()
    try:
        with recorder:
            _command(options)
    finally:
        if isinstance(recorder, Recorder) and noted:
            noted.write_bytes(pickle.dumps(recorder.operations))


def _command(options: tuple[str, ...]) -> None:
    try:
        luigi_run(command(*options)[1:])
    finally:
        atexit._run_exitfuncs()
