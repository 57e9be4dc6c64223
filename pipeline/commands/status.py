"""What is done, missing, failed and published, and from which snapshot; nothing is changed."""

import argparse
import json
import os
from typing import Any

import luigi

from pipeline.commands.options import publishing
from pipeline.config import sections, settings
from pipeline.errors import PipelineError, StorageError, printable
from pipeline.runs import lock, record
from pipeline.runs.build import requirements, steps_of
from pipeline.storage import snapshots
from pipeline.storage.paths import ALL_YEARS, TableSetPaths
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.extract import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadInput
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
    steps = [each for each in steps_of([root]) if isinstance(each, PipelineTask)]
    states = _States()
    last = record.latest(paths.folders.runs, publish.partition)
    return {
        **paths.metadata,
        "is_made_up": settings.is_demo(),
        "work": str(paths.work),
        "work_size": snapshots.disk_size(paths.folders.work),
        "at_work": _at_work(paths),
        "up_to_date": publish.complete(),
        "steps": {
            step.name: states.of(step) for step in steps if step.partition == publish.partition
        },
        "last_run": None if last is None else {k: last[k] for k in _OF_A_RUN},
    }


_UP_TO_DATE = "up to date"
_OF_A_RUN = ("run", "outcome", "finished_at", "failures")


def _at_work(paths: TableSetPaths) -> dict[str, Any] | None:
    """Return which process holds the data folder, and whether it works on this table set."""
    try:
        holder = lock.find_holder(paths.folders.lock)
    except StorageError as error:
        return {"not_known": str(error)}
    if holder is None:
        return None
    is_on_this = paths.publication.parent.absolute() in holder.folders
    return {"process": holder.process, "since": holder.since, "is_on_this": is_on_this}


def as_text(found: dict[str, Any]) -> str:
    """Return a status as lines for people."""
    made_up = " (demo district, nobody in it is real)" if found["is_made_up"] else ""
    head = f"{_title(found)}{made_up}, in {found['work']}"
    size = f"{found['work_size']}, all years and days together"
    lines = {**found["steps"], "work/": size, "last run": _last_run(found["last_run"])}
    if found["at_work"]:
        lines["at work"] = _describe_work(found["at_work"], found["year"])
    texts = [head, *(f"  {name:<21} {text}" for name, text in lines.items())]
    return "\n".join(printable(line) for text in texts for line in text.split("\n"))


def _describe_work(work: dict[str, Any], year: str) -> str:
    if "not_known" in work:
        return f"not known: {work['not_known']}"
    who = f"a run of {year}" if work["is_on_this"] else "another process uses this data folder"
    return f"{who}, since {work['since']} (process {work['process']})"


def _title(found: dict[str, Any]) -> str:
    if found["year"] == ALL_YEARS:
        return f"All years, {', '.join(found['years'])}"
    return f"School year {found['year']} as of {found['as_of']}"


class _States:
    """The state of each step; why one is not known is said once, at the first such step."""

    def __init__(self) -> None:
        self._known: dict[luigi.Task, bool] = {}
        self._reasons: dict[str, str] = {}

    def of(self, step: PipelineTask) -> str:
        """Return the state of a step in words."""
        try:
            state = self._state(step)
        except PipelineError as error:
            state = f"not known{self._reason(step, error)}"
            if isinstance(step, PublishTask):
                state = f"whether that is up to date is {state}"
        return _published(step, state) if isinstance(step, PublishTask) else state

    def _state(self, step: PipelineTask) -> str:
        """Return the state of a step, or what is to be done where it publishes.

        Raises:
            PipelineError: it is not known.
        """
        is_fresh = step.is_fresh(self._known)
        if isinstance(step, FetchScores):
            return _shards(step)
        if is_fresh:
            return _UP_TO_DATE + (_fetched_at(step) if isinstance(step, FetchMetadata) else "")
        if isinstance(step, ReadInput) and (path := step.place()) and not os.access(path, os.F_OK):
            return f"waits for {path}, which cannot be found"
        if step.has_output():
            awaited = (_name(each, step.partition) for each in self._awaited(step))
            return f"waits for {', '.join(awaited)}"
        if isinstance(step, PublishTask):
            return f"the next run publishes again{_withdrawn(step)}"
        return "to be rebuilt" if step.receipt else "not built yet"

    def _awaited(self, step: PipelineTask) -> list[PipelineTask]:
        """Return the steps that are to be done first before it is known what becomes of one."""
        found: dict[PipelineTask, None] = {}
        for each in requirements(step):
            if isinstance(each, PipelineTask) and not each.is_fresh(self._known):
                found |= dict.fromkeys(self._awaited(each) or [each])
        return list(found)

    def _reason(self, step: PipelineTask, error: PipelineError) -> str:
        """Return why the state of a step is not known."""
        first = self._reasons.setdefault(str(error), step.name)
        return f": {error}" if first == step.name else f", for the same reason as {first}"


def _name(step: PipelineTask, partition: str) -> str:
    return step.name if step.partition == partition else f"{step.name} of {step.partition}"


def _fetched_at(fetched: FetchMetadata) -> str:
    catalogue = fetched.catalogue()
    if catalogue is None:
        return ""
    when = f"{catalogue.fetched_at:%Y-%m-%d %H:%M} UTC"
    return f", {counted(len(catalogue.assessments), 'assessment')} as of {when}"


def _shards(fetched: FetchScores) -> str:
    expected = fetched.expected()
    if expected is None:
        is_listed = fetched.other(FetchMetadata).catalogue() is not None
        what = "overall results, which are not all" if is_listed else "catalogue, which is not"
        return f"number of shards not known: it depends on the {what} fetched yet"
    missing = len(fetched.output().missing())
    there = f"{len(expected) - missing:,} of {counted(len(expected), 'shard')}"
    manifest = fetched.receipt
    failed = manifest.stats.get("failed", 0) if manifest else 0
    if not missing:
        return there
    return f"{there}, {failed:,} failed last time" if failed else f"{there}, the rest is to fetch"


def _published(publish: PublishTask, state: str) -> str:
    """Return what is published, and its state unless that is up to date."""
    publication = publish.publication()
    if publication is None:
        return "nothing is published yet"
    what = f"of {', '.join(publication.years)}"
    if isinstance(publish, Publish):
        what = f"as of {publication.metadata['as_of']}, fetched on {publication.fetched_on}"
    about = f"{counted(len(publication.files), 'file')} {what}, by run {publication.run}"
    if not publication.matches(publish.paths.publication.parent):
        return f"{about}; a file was changed or removed since, and the next run restores it"
    return about if state == _UP_TO_DATE else f"{about}; {state}"


def _withdrawn(publish: PublishTask) -> str:
    """Return which views the next run removes, and why."""
    views = publish.withdrawn_views()
    if not views:
        return ""
    is_set = settings.read(sections.paths).sql_views
    why = "has no such SQL file any more" if is_set else "is not set any more"
    return f", and removes {', '.join(views)}, because [paths] sql_views {why}"


def _last_run(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none"
    reasons = "".join(f"\n    {f['step']}: {f['reason']}" for f in last["failures"])
    return f"{last['outcome']} at {last['finished_at']}{reasons}"
