"""Show the progress of a long step: a live bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)

_LINE_EVERY = 10.0
_REPORT_EVERY = 1.0


class ProgressReporter:
    """Count finished steps of a known number, and show the progress.

    `report(percentage, text)` is called at most once a second, for Luigi's web page.
    """

    def __init__(self, what: str, total: int, report: Callable[[int, str], None]) -> None:
        self._what = what
        self._total = total
        self._report = report
        self._done = self._failed = 0
        self._started = self._reported = self._printed = time.monotonic()
        self._bar = _bar() if total and sys.stderr.isatty() else None

    def __enter__(self) -> "ProgressReporter":
        """Show the start."""
        if self._bar is not None:
            self._bar.start()
            self._bar_task = self._bar.add_task(self._what, total=self._total, note="")
        return self

    def __exit__(self, *_: object) -> None:
        """Show the end, which may be early."""
        if self._bar is not None:
            self._bar.stop()
        elif self._total:
            log.info("%s", self._text())
        self._report(self._percentage, self._text())

    def step(self, *, failed: bool, steps: int = 1) -> None:
        """Count a finished step, or several."""
        self._done += steps
        self._failed += failed
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar_task, completed=self._done, note=self._note(now))
        elif now - self._printed >= _LINE_EVERY:
            self._printed = now
            log.info("%s", self._text())
        if now - self._reported >= _REPORT_EVERY:
            self._reported = now
            self._report(self._percentage, self._text())

    @property
    def _percentage(self) -> int:
        return 100 * self._done // self._total if self._total else 100

    def _note(self, now: float) -> str:
        if not self._done:
            return ""
        rate = self._done / max(now - self._started, 1e-9)
        return f"{rate:,.0f}/s" + (f", {self._failed} failed" if self._failed else "")

    def _text(self) -> str:
        now = time.monotonic()
        text = f"{self._what}: {self._done:,} of {self._total:,}"
        if note := self._note(now):
            text += f", {note}"
        if 0 < self._done < self._total:
            left = (self._total - self._done) * (now - self._started) / self._done
            text += f", about {left:,.0f} s left"
        return text


def _bar() -> "Progress":
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description:<14}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[note]}"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
