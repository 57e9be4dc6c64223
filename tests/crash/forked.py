"""Runs of the command, forked from a process that has imported everything, to save time."""

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
_TIMEOUT = 60


def run(place: Workplace, *options: str) -> int:
    """Run as from the command line; return the exit code."""
    return _run(place, options, None)


def record(place: Workplace, *options: str) -> tuple[int, list[Operation]]:
    """Return the exit code of a run and all of its file operations."""
    operations_path = place.folder.with_name(f"{place.folder.name}.operations")
    code = _run(place, options, operations_path)
    return code, pickle.loads(operations_path.read_bytes())


def output(place: Workplace) -> str:
    """Return what the last run printed."""
    return _output_path(place).read_text(encoding="utf-8")


def _run(place: Workplace, options: tuple[str, ...], operations_path: Path | None) -> int:
    process = _processes.Process(target=_child, args=(place, options, operations_path))
    process.start()
    process.join(_TIMEOUT)
    assert process.exitcode is not None, "the run does not end in time"
    code = process.exitcode
    process.close()
    return code


def _output_path(place: Workplace) -> Path:
    return place.folder.with_name(f"{place.folder.name}.output")


def _child(place: Workplace, options: tuple[str, ...], operations_path: Path | None) -> None:
    os.chdir(place.folder)
    handle = os.open(_output_path(place), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(place.environment)
    apply_environment()
    recorder = Recorder(place.folder) if operations_path else nullcontext()
    try:
        with recorder:
            _command(options)
    finally:
        if isinstance(recorder, Recorder) and operations_path:
            operations_path.write_bytes(pickle.dumps(recorder.operations))


def _command(options: tuple[str, ...]) -> None:
    try:
        luigi_run(command(*options)[1:])
    finally:
        atexit._run_exitfuncs()
