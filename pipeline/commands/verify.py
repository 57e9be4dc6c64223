"""Check every checksum and every count again, from the bytes on disk; nothing is requested."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pipeline.commands.options import year_of
from pipeline.config import settings
from pipeline.extract import shards
from pipeline.publish.checks import list_some
from pipeline.runs.build import steps_of
from pipeline.storage import files
from pipeline.storage.files import FileStamp
from pipeline.tasks.base import IncrementalTask
from pipeline.tasks.check_tables import CheckTables, run_checks, score_tasks
from pipeline.tasks.extract import FetchScores
from pipeline.tasks.publish import Publish
from pipeline.tasks.report import Report

Finding = tuple[str, list[str]]
"""What was checked, and what is wrong with it."""


def main(options: argparse.Namespace) -> int:
    """Print a line per thing checked; 0 when all is intact, else 1."""
    publish = Publish(year=year_of(options), as_of=options.as_of)
    wrong = 0
    with settings.frozen():
        for what, faults in (*_files(publish), *_counts(publish)):
            wrong += bool(faults)
            print(f"  {what}: " + (list_some(faults) if faults else "intact"))
    if wrong:
        print("Something is wrong. `make run` restores it.")
        return 1
    print("All files and counts are intact.")
    return 0


def _files(publish: Publish) -> Iterator[Finding]:
    for fetched in score_tasks(publish).values():
        yield _shards(fetched)
    report = publish.other(Report)
    for step in steps_of([report]):
        # The tables are complete without a report.
        if isinstance(step, IncrementalTask) and (step != report or report.receipt):
            yield _step(step)
    yield _published(publish)


def _counts(publish: Publish) -> Iterator[Finding]:
    if not publish.other(CheckTables).complete():
        yield "counts", ["not compared, because not all tables are there and intact"]
        return
    for check in run_checks(publish):
        yield f"{check.name} ({check.note})", [] if check.ok else ["no"]


def _shards(fetched: FetchScores) -> Finding:
    target = fetched.output()
    expected, manifest = fetched.expected(), target.manifest
    what = f"{fetched.endpoint} shards"
    if manifest is None:
        return what, ["not fetched yet"]
    if expected is None:
        return what, ["not checked, because what they follow from is missing or damaged"]
    faults = [f"{i} is missing" for i in sorted(set(expected) - manifest.shards.keys())]
    if damaged := shards.find_damaged(target.folder, manifest.shards):
        target.forget(damaged)  # so that the next run fetches them again
        faults += [f"the shard of assessment {i} is damaged or missing" for i in damaged]
    return f"{len(manifest.shards):,} {what}", faults


def _step(step: IncrementalTask) -> Finding:
    receipt = step.receipt
    if receipt is None:
        return step.name, ["not built yet"]
    paths = {path.name: path for path in step.output().paths}
    damaged = _damaged(receipt.outputs, paths)
    if damaged:
        step.output().path.unlink(missing_ok=True)  # so that the next run builds it again
    return step.name, [f"{name} is damaged or missing" for name in damaged]


def _published(publish: Publish) -> Finding:
    publication = publish.publication()
    if publication is None:
        return "published files", ["nothing is published yet"]
    folder = publish.paths.publication.parent
    damaged = _damaged(publication.files, {name: folder / name for name in publication.files})
    if damaged:
        # A stamp without its time is compared by content, so the next run finds the damage.
        stamps = publication.files
        doubted = {name: stamps[name]._replace(mtime_ns=-1) for name in damaged}
        changed = msgspec.structs.replace(publication, files=stamps | doubted)
        files.write_json(publish.paths.publication, changed)
    return f"{len(publication.files)} published files", [f"{name} is damaged" for name in damaged]


def _damaged(stamps: Mapping[str, FileStamp], paths: Mapping[str, Path]) -> list[str]:
    """Return the names of files that are not there as they were written."""
    there = {name: path for name, path in paths.items() if path.is_file()}
    return [
        name
        for name, stamp in stamps.items()
        if name not in there or files.sha256(there[name]) != stamp.sha256
    ]
