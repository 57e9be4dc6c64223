"""What is done, missing, failed and published, and from which snapshot; nothing is changed."""

import argparse
import json
from typing import Any

import luigi

from pipeline.commands.options import publishing
from pipeline.config import sections, settings
from pipeline.errors import PipelineError, printable
from pipeline.runs import record
from pipeline.runs.build import Step, steps_of
from pipeline.storage import snapshots
from pipeline.storage.paths import ALL_YEARS
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.extract import FetchMetadata, FetchScores
from pipeline.tasks.publish import Publish, PublishTask
from pipeline.tasks.report import Report
from pipeline.tasks.years import PublishYears
from pipeline.words import counted


def main(options: argparse.Namespace) -> int:
    """Print a line per step; 0 when all tables are up to date, else 1."""
    with settings.frozen():
        found = status(publishing(options))
    print(json.dumps(found, indent=1) if options.json else as_text(found))
    return 0 if found["up_to_date"] else 1


def status(publish: Publish | PublishYears) -> dict[str, Any]:
    """Return the state of each step of a year or of all, what is published, and the last run."""
    paths, with_report = publish.paths, settings.read(sections.report).enabled
    root = publish.other(Report) if with_report and isinstance(publish, Publish) else publish
    steps = [step for step in steps_of([root]) if step.partition == publish.partition]
    states = _States()
    last = record.latest(paths.folders.runs, publish.partition)
    return {
        **paths.metadata,
        "is_made_up": settings.is_demo(),
        "work": str(paths.work),
        "work_size": snapshots.disk_size(paths.folders.work),
        "up_to_date": publish.complete(),
        "steps": {step.name: states.of(step) for step in steps},
        "last_run": None if last is None else {k: last[k] for k in _OF_A_RUN},
    }


_OF_A_RUN = ("run", "outcome", "finished_at", "failures")


def as_text(found: dict[str, Any]) -> str:
    """Return a status as lines for people."""
    made_up = " (demo district, nobody in it is real)" if found["is_made_up"] else ""
    head = f"{_title(found)}{made_up}, in {found['work']}"
    size = f"{found['work_size']}, all years and days together"
    lines = {**found["steps"], "work/": size, "last run": _last_run(found["last_run"])}
    texts = [head, *(f"  {name:<21} {text}" for name, text in lines.items())]
    return "\n".join(printable(line) for text in texts for line in text.split("\n"))


def _title(found: dict[str, Any]) -> str:
    if found["year"] == ALL_YEARS:
        return f"All years, {', '.join(found['years'])}"
    return f"School year {found['year']} as of {found['as_of']}"


class _States:
    """The state of each step; why one is not known is said once, at the first such step."""

    def __init__(self) -> None:
        self._known: dict[luigi.Task, bool] = {}
        self._reasons: dict[str, str] = {}

    def of(self, step: Step) -> str:
        """Return the state of a step in words."""
        problem = self._problem(step)
        if isinstance(step, PublishTask):
            return _published(step, problem)
        if problem:
            return problem
        if isinstance(step, FetchScores):
            return _shards(step)
        if self._known.get(step, False):
            return "up to date" + (_fetched_at(step) if isinstance(step, FetchMetadata) else "")
        return "to be rebuilt" if step.receipt else "not built yet"

    def _problem(self, step: Step) -> str:
        """Return why it is not known whether a step is up to date; empty if that is known."""
        if not isinstance(step, PipelineTask):
            return ""
        try:
            step.is_fresh(self._known)
        except PipelineError as error:
            first = self._reasons.setdefault(str(error), step.name)
            if first != step.name:
                return f"not known, for the same reason as {first}"
            return f"not known: {error}"
        return ""


def _fetched_at(fetched: FetchMetadata) -> str:
    catalogue = fetched.catalogue()
    if catalogue is None:
        return ""
    when = f"{catalogue.fetched_at:%Y-%m-%d %H:%M} UTC"
    return f", {counted(len(catalogue.assessments), 'assessment')} as of {when}"


def _shards(fetched: FetchScores) -> str:
    expected = fetched.expected()
    if expected is None:
        return "not known before the catalogue is there"
    missing = len(fetched.output().missing())
    there = f"{len(expected) - missing:,} of {counted(len(expected), 'shard')}"
    manifest = fetched.receipt
    failed = manifest.stats.get("failed", 0) if manifest else 0
    if not missing:
        return there
    return f"{there}, {failed:,} failed last time" if failed else f"{there}, the rest is to fetch"


def _published(publish: PublishTask, problem: str) -> str:
    publication = publish.publication()
    if publication is None:
        return "nothing is published yet"
    what = f"of {', '.join(publication.years)}"
    if isinstance(publish, Publish):
        what = f"as of {publication.metadata['as_of']}, fetched on {publication.fetched_on}"
    about = f"{counted(len(publication.files), 'file')} {what}, by run {publication.run}"
    if not publication.matches(publish.paths.publication.parent):
        return f"{about}; a file was changed or removed since, and the next run restores it"
    if problem:
        return f"{about}; whether that is up to date is {problem}"
    if views := publish.withdrawn_views():
        gone = f"{', '.join(views)}, of which [paths] sql_views has no SQL file any more"
        return f"{about}; the next run publishes again, and removes {gone}"
    return about if publish.complete() else f"{about}; the next run publishes again"


def _last_run(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none"
    reasons = "".join(f"\n    {f['step']}: {f['reason']}" for f in last["failures"])
    return f"{last['outcome']} at {last['finished_at']}{reasons}"
