"""Every digest and every count again, from the bytes on disk; nothing is asked."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ShardError
from pipeline.extract import shards
from pipeline.publish.commit import Marker
from pipeline.schema import ENDPOINTS
from pipeline.storage import files
from pipeline.tasks import record
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.fetching import FetchScores
from pipeline.tasks.publishing import CheckTables, Publish, run_checks
from pipeline.tasks.reporting import Report
from pipeline.years import SchoolYear

_NAMED = 5

Finding = tuple[str, list[str]]
"""What was looked at, and what was wrong there."""


def verify(year: SchoolYear, as_of: dt.date) -> int:
    """Print a line per thing looked at; 0 when all of it is whole, else 1."""
    publish = Publish(year=year, as_of=as_of)
    wrong = 0
    for what, faults in (*_files(publish), *_counts(publish)):
        wrong += bool(faults)
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        print(f"  {what}: " + (", ".join(faults[:_NAMED]) + more if faults else "whole"))
    print("Something is wrong; make run mends it." if wrong else "All is whole.")
    return 1 if wrong else 0


def _files(publish: Publish) -> Iterator[Finding]:
    for endpoint in ENDPOINTS:
        yield _shards(publish.at(FetchScores, endpoint=endpoint))
    for task in record.tasks(publish):
        yield _step(task)
    if publish.at(Report).output().receipt:  # the tables are whole without it
        yield _step(publish.at(Report))
    yield _published(publish)


def _counts(publish: Publish) -> Iterator[Finding]:
    if not publish.at(CheckTables).up_to_date():
        yield "counts", ["not compared, because not all tables are there and whole"]
        return
    for check in run_checks(publish):
        yield f"{check.name} ({check.note})", [] if check.ok else ["no"]


def _shards(task: FetchScores) -> Finding:
    target = task.output()
    expected, manifest = task.expected(), target.manifest
    what = f"{task.endpoint} shards"
    if expected is None or manifest is None:
        return what, ["not fetched yet"]
    faults = [f"{i} is missing" for i in sorted(set(expected) - manifest.shards.keys())]
    for assessment_id, entry in manifest.shards.items():
        try:
            found = shards.check(target.folder, target.origin, assessment_id)
        except ShardError as error:
            faults.append(str(error))
            _have_it_read_again(target.folder / shards.file_name(assessment_id))
        else:
            if found.file.sha256 != entry.file.sha256:
                faults.append(f"{assessment_id} is not the one of the manifest")
    return f"{len(manifest.shards):,} {what}", faults


def _step(task: PipelineTask) -> Finding:
    receipt = task.output().receipt
    if receipt is None:
        return task.name, ["not built yet"]
    places = {path.name: path for path in task.paths()}
    damaged = [
        name
        for name, made in receipt.made.items()
        if name not in places or not _has_digest(made, places[name])
    ]
    return task.name, [f"{name} is damaged or missing" for name in damaged]


def _published(publish: Publish) -> Finding:
    marker = Marker.read(publish.snapshot.marker)
    if marker is None:
        return "published files", ["nothing is published yet"]
    folder = publish.snapshot.marker.parent
    damaged = [name for name, made in marker.files.items() if not _has_digest(made, folder / name)]
    return f"{len(marker.files)} published files", [f"{name} is damaged" for name in damaged]


def _has_digest(made: files.Fingerprint, path: Path) -> bool:
    if path.is_file() and files.sha256(path) == made.sha256:
        return True
    _have_it_read_again(path)
    return False


def _have_it_read_again(path: Path) -> None:
    """Let the next run look into a damaged file whose size and time of change are as they were."""
    if path.is_file():
        path.touch()
