"""How the run of each district ended, kept in one small file per district and school year."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.storage import files

Ending = Literal["published", "up to date", "failed", "stopped"]


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
        return self.outcome in {"published", "up to date"}

    def line(self) -> str:
        """Return how it ended, for people, and the reason if there is one."""
        head = f"{self.district} {self.year} {self.outcome}"
        return f"{head}: {self.reason}" if self.reason else head

    @classmethod
    def read(cls, path: Path) -> "Outcome | None":
        """Return the outcome at `path`; None where the district has not been run."""
        return files.read_json(path, cls)


def summarize(run: str, outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Return the result of a state run for other programs: how many of how many are published."""
    counts = Counter(each.outcome for each in outcomes)
    published = sum(each.is_published for each in outcomes)
    outcome = "published" if counts["published"] else "up to date"
    return {
        "run": run,
        "outcome": outcome if published == len(outcomes) else "failed",
        "succeeded": published == len(outcomes),
        "finished_at": now(),
        "seconds": round(seconds, 1),
        "years": sorted({each.year for each in outcomes}),
        "tried": len(outcomes),
        "published": published,
        "new": [{"district": e.district, "year": e.year} for e in outcomes if is_new(e)],
        "failed": [
            {"district": e.district, "year": e.year, "reason": e.reason, "log": e.log}
            for e in outcomes
            if not e.is_published
        ],
    }


def is_new(outcome: Outcome) -> bool:
    """Return True if the district published something that no successful run had published."""
    return outcome.outcome == "published"


def now() -> str:
    """Return the time, as records give it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
