"""What a process must be allowed before a run begins."""

import threading

import pytest

from pipeline.config import settings
from pipeline.errors import StorageError
from pipeline.runs import memory, process


def test_too_few_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever limits them, and whatever else counts towards it; those that started have ended."""
    start, before = threading.Thread.start, threading.active_count()

    def start_some(thread: threading.Thread) -> None:
        if threading.active_count() - before == 20:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    with pytest.raises(StorageError, match=r"threads, and the system let it start 20\. Raise"):
        process.prepare()
    assert threading.active_count() == before


def test_little_memory_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of every run, at its start; what it may use and what it needs."""
    found = memory.Memory(256 * memory.MEGABYTE, "the limit of its container or service")
    monkeypatch.setattr(memory, "available", lambda: found)
    process.prepare()
    (said,) = caplog.messages
    assert said.startswith("This run may use 256 MB of memory (the limit of its container ")
    assert "the demo takes 512 MB" in said


def test_all_threads_that_a_run_needs_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (started.append(thread), start(thread))
    )
    monkeypatch.setattr(process.os, "cpu_count", lambda: 4)
    process.prepare()
    assert len(started) == 32 + settings.threads() + 6 * 4
