"""Check every checksum and every count again, from the bytes on disk; nothing is requested."""

import argparse
from collections.abc import Iterator

from pipeline.commands.options import published_days, publishing
from pipeline.config import settings
from pipeline.errors import printable
from pipeline.extract import shards
from pipeline.publish.checks import check_year_row_counts, list_some
from pipeline.publish.commit import find_damaged
from pipeline.publish.guards import GUARDED_OF_ALL_YEARS
from pipeline.runs.build import steps_of
from pipeline.storage.paths import how_to_publish
from pipeline.tasks.base import IncrementalTask, PipelineTask
from pipeline.tasks.check_tables import CheckTables, run_checks, score_tasks
from pipeline.tasks.extract import FetchScores
from pipeline.tasks.figures import DiscloseFigures
from pipeline.tasks.publish import Publish, PublishTask
from pipeline.tasks.report import Report
from pipeline.tasks.years import CONCAT_TASKS, PublishYears

Finding = tuple[str, list[str]]
"""What was checked, and what is wrong with it."""


def main(options: argparse.Namespace) -> int:
    """Print a line per thing checked; 0 when all is intact, else 1.

    Before the first run of a day, it is the snapshot that is published.
    """
    wrong = 0
    with settings.frozen():
        publish = _published_or_next(options)
        if publish.publication() is None and not publish.paths.work.exists():
            print(printable(_nothing_to_verify(publish)))
            return 1
        for what, faults in (*_files(publish), *_counts(publish)):
            wrong += bool(faults)
            print(printable(f"  {what}: " + (list_some(faults) if faults else "intact")))
    if wrong:
        years = publish.years if isinstance(publish, PublishYears) else ()
        todo = how_to_publish(publish.partition, years)
        print(f"Something is wrong. Run `{todo}`, which restores it.")
        return 1
    print("All files and counts are intact.")
    return 0


def _nothing_to_verify(publish: Publish | PublishYears) -> str:
    folder, day = publish.paths.publication.parent, publish.as_of
    return (
        f"There is nothing to verify: nothing of {publish.partition} is published in {folder}, or "
        f"published.json there cannot be read, and as of {day} it is not fetched yet. Run "
        f"`{how_to_publish(publish.partition)}`, then run the same command again."
    )


def _published_or_next(options: argparse.Namespace) -> Publish | PublishYears:
    """Return the task of the snapshot of today if that exists, else of the published one."""
    publish = publishing(options)
    publication = publish.publication()
    is_of_year = isinstance(publish, Publish) and options.as_of is None
    if publication and is_of_year and not publish.paths.work.exists():
        return publish.other(Publish, **published_days(publication))
    return publish


def _files(publish: Publish | PublishYears) -> Iterator[Finding]:
    root: PipelineTask = publish
    if isinstance(publish, Publish):
        root = publish.other(Report)
        for fetched in score_tasks(publish).values():
            yield _shards(fetched)
    for step in steps_of([root]):
        # The tables are complete without a report.
        is_optional = isinstance(step, (DiscloseFigures, Report))
        if not isinstance(step, IncrementalTask) or step.partition != publish.partition:
            continue
        if step.receipt or not is_optional:
            yield _step(step)
    yield _published(publish)


def _counts(publish: Publish | PublishYears) -> Iterator[Finding]:
    if isinstance(publish, PublishYears):
        yield from _counts_of_all_years(publish)
        return
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
    damaged = [
        name
        for name, stamp in receipt.outputs.items()
        if name not in paths or not stamp.has_content(paths[name])
    ]
    if damaged:
        step.output().path.unlink(missing_ok=True)  # so that the next run builds it again
    return step.name, [f"{name} is damaged or missing" for name in damaged]


def _counts_of_all_years(publish: PublishYears) -> Iterator[Finding]:
    from pipeline.transform import all_years

    publication = publish.publication()
    if not (publication and publication.matches(publish.paths.publication.parent)):
        yield "counts", ["not compared, because not all published files are intact"]
        return
    if publication.row_counts is None:
        yield "counts", ["an earlier version published them and did not write down how many"]
        return
    expected = publication.row_counts.rows
    for name, task in zip(GUARDED_OF_ALL_YEARS, CONCAT_TASKS, strict=True):
        found = all_years.count_rows_by_year(*publish.paths.published_paths(task.table))
        check = check_year_row_counts(task.table.stem, expected.get(name, {}), found)
        yield f"{check.name} ({check.note})", [] if check.ok else ["no"]


def _published(publish: PublishTask) -> Finding:
    publication = publish.publication()
    if publication is None:
        return "published files", ["nothing is published yet"]
    damaged = find_damaged(publish.paths.publication)
    return f"{len(publication.files)} published files", [f"{name} is damaged" for name in damaged]
