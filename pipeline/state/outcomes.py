"""How the run of each district ended, kept in one small file per district and school year."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.errors import printable
from pipeline.storage import files

Ending = Literal["published", "up to date", "failed", "stopped"]

_GOOD = ("published", "up to date")


class Outcome(msgspec.Struct, frozen=True):
    """How a state run's run of one district and school year ended; no value of a student.

    Attributes:
        run: the id of the state run.
        district: the district's name.
        year: the school year, like 23-24.
        outcome: how it ended.
        exit_code: that of its process; negative: the signal that ended it.
        seconds: how long it took.
        finished_at: when it ended.
        reason: why it is not published, in a sentence; else empty.
        log: where its output is.
    """

    run: str
    district: str
    year: str
    outcome: Ending
    exit_code: int
    seconds: float
    finished_at: str
    reason: str
    log: str

    @property
    def is_published(self) -> bool:
        """Whether everything of the district is published."""
        return self.outcome in _GOOD

    def line(self) -> str:
        """Return how it ended, for people, and the reason if there is one."""
        head = f"{self.district} {self.year} {self.outcome}"
        return f"{head}: {self.reason}" if self.reason else head

    @classmethod
    def read(cls, path: Path) -> "Outcome | None":
        """Return the outcome at `path`; None where the district has not been run."""
        return files.read_json(path, cls)


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a state run for other programs: how many of how many are published.

    Attributes:
        run: the id of the state run.
        outcome: how it ended; `published` where something is new, else `up to date`.
        succeeded: whether everything is published.
        tried: how many districts and years were run.
        published: how many of these are published.
        new: those of which something new was published.
        failed: how the others ended.
        failures: what else went wrong, in sentences.
        seconds: how long it took.
        finished_at: when it ended.
    """

    run: str
    outcome: Ending
    succeeded: bool
    tried: int
    published: int
    new: list[tuple[str, str]]
    failed: list[Outcome]
    failures: list[str]
    seconds: float
    finished_at: str

    def text(self) -> str:
        """Return it for people, with a line for each district that is not published."""
        head = (
            f"State run {self.run}: {self.published:,} of {self.tried:,} published, "
            f"{len(self.new):,} with something new."
        )
        return "\n".join(map(printable, [head, *(f"  {each.line()}" for each in self.failed)]))

    @classmethod
    def read(cls, path: Path) -> "RunResult | None":
        """Return the result at `path`; None where no state run has ended."""
        return files.read_json(path, cls)


def of_run(folder: Path, run: str) -> list[Outcome]:
    """Return the outcomes of one state run, in order of year and district."""
    found = map(Outcome.read, sorted(folder.glob("*/*.json")))
    return [each for each in found if each and each.run == run]


def summarize(
    run: str,
    outcomes: Sequence[Outcome],
    *,
    new: Collection[tuple[str, str]],
    refused: Mapping[tuple[str, str], str],
    failures: Sequence[str],
    was_stopped: bool,
    seconds: float,
) -> RunResult:
    """Return the result of a state run.

    Args:
        run: its id.
        outcomes: how it ended for each district and year that it tried.
        new: those that have something new in what is published of all districts.
        refused: those whose tables could not be published with the others', and why; they failed.
        failures: what else went wrong, in sentences.
        was_stopped: whether it was asked to stop.
        seconds: how long it took.
    """
    outcomes = [_unless_refused(each, refused) for each in outcomes]
    failed = [each for each in outcomes if not each.is_published]
    changed = {(each.district, each.year) for each in outcomes if each.outcome == "published"}
    changed.update(new)
    outcome: Ending = "published" if changed else "up to date"
    if failed or failures:
        outcome = "failed"
    if was_stopped:
        outcome = "stopped"
    return RunResult(
        run=run,
        outcome=outcome,
        succeeded=outcome in _GOOD,
        tried=len(outcomes),
        published=len(outcomes) - len(failed),
        new=sorted(changed),
        failed=failed,
        failures=list(failures),
        seconds=round(seconds, 1),
        finished_at=now(),
    )


def _unless_refused(outcome: Outcome, refused: Mapping[tuple[str, str], str]) -> Outcome:
    reason = refused.get((outcome.district, outcome.year))
    if reason is None or not outcome.is_published:
        return outcome
    return msgspec.structs.replace(outcome, outcome="failed", reason=reason)


def now() -> str:
    """Return the time, as records give it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
