"""What is done, missing, failed and published, and from which snapshot; nothing is changed."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from pipeline.config import sections, settings
from pipeline.publish.commit import Marker
from pipeline.schema import ENDPOINTS
from pipeline.tasks import record
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.fetching import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.publishing import Publish
from pipeline.tasks.reporting import Report
from pipeline.years import SchoolYear


def status(year: SchoolYear, as_of: dt.date) -> int:
    """Print a line per step; 0 when all tables are up to date, else 1."""
    publish = Publish(year=year, as_of=as_of)
    snapshot = publish.snapshot
    made_up = " (demo district, nobody in it is real)" if settings.is_demo() else ""
    print(f"School year {year} as of {snapshot.window.end}{made_up}, in {snapshot.work}")
    for name, text in _lines(publish):
        print(f"  {name:<21} {text}")
    return 0 if publish.up_to_date() else 1


def _lines(publish: Publish) -> Iterator[tuple[str, str]]:
    yield "ReadInputs", _state(publish.at(ReadInputs))
    yield "FetchMetadata", _state(publish.at(FetchMetadata)) + _fetched_at(publish)
    for endpoint in ENDPOINTS:
        yield f"FetchScores {endpoint}", _shards(publish.at(FetchScores, endpoint=endpoint))
    for task in record.tasks(publish)[2:]:
        yield task.name, _state(task)
    yield "Publish", _published(publish)
    if sections.report().enabled:
        yield "Report", _state(publish.at(Report))
    yield "last run", _last_run(publish)


def _state(task: PipelineTask) -> str:
    if task.up_to_date():
        return "up to date"
    return "to be built anew" if task.output().receipt else "not built yet"


def _fetched_at(publish: Publish) -> str:
    catalogue = publish.at(FetchMetadata).read()
    if catalogue is None:
        return ""
    when = f"{catalogue.fetched_at:%Y-%m-%d %H:%M} UTC"
    return f", {len(catalogue.assessments):,} assessments as of {when}"


def _shards(task: FetchScores) -> str:
    expected = task.expected()
    if expected is None:
        return "not known before the catalogue is there"
    missing = set(expected) - task.output().intact().keys()
    there = f"{len(expected) - len(missing):,} of {len(expected):,} shards"
    manifest = task.output().manifest
    failed = manifest.facts.get("failed", 0) if manifest else 0
    if not missing:
        return there
    return f"{there}, {failed:,} failed last time" if failed else f"{there}, the rest is to fetch"


def _published(publish: Publish) -> str:
    marker = Marker.read(publish.snapshot.marker)
    if marker is None:
        return "nothing is published yet"
    about = f"{len(marker.files)} files as of {marker.about['as_of']}, by run {marker.run}"
    if not marker.fits(publish.snapshot.marker.parent):
        return f"{about}; a file was changed or removed since, the next run mends it"
    return about if publish.up_to_date() else f"{about}; the next run publishes anew"


def _last_run(publish: Publish) -> str:
    snapshot = publish.snapshot
    last: dict[str, Any] | None = record.latest(snapshot.folders.runs, str(snapshot.year))
    if last is None:
        return "none"
    reasons = "".join(f"\n    {f['step']}: {f['reason']}" for f in last["failures"])
    return f"{last['outcome']} at {last['finished_at']}{reasons}"
