"""What a run leaves when it ends: a record per table set, a summary, `latest.json`, a webhook post.

All of it is counts and names; no value of a student.
"""

import contextlib
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import sections, settings
from pipeline.errors import PipelineError, SettingsError, StorageError
from pipeline.runs import acknowledged, news, result, retention
from pipeline.runs.build import PublishedSet, Step, StepReceipt, requirements
from pipeline.runs.messages import print_error
from pipeline.runs.notify import notify
from pipeline.runs.summary import summarize, summarize_all_years, summarize_delivery
from pipeline.storage import files
from pipeline.storage.paths import Snapshot, TableSetPaths
from pipeline.storage.replacement import intent_path

if TYPE_CHECKING:
    from pipeline.runs.context import RunContext


@dataclass(frozen=True)
class TableSet:
    """A table set that a run works on, and the steps that do, in the order of the flow."""

    paths: TableSetPaths
    steps: Sequence[Step]
    done: Collection[str]
    """The ids of the tasks that are complete."""

    @property
    def partition(self) -> str:
        """The school year that it is about, like `23-24`, or `all`."""
        return self.steps[-1].partition

    @property
    def delivers(self) -> bool:
        """Whether it is a delivery of what is published, which changes no table."""
        return self.steps[-1].delivers

    @property
    def waits_for(self) -> list[str]:
        """The other school years that its report waits for, because they are not done."""
        reports = (each for each in self.steps if each.name in result.REPORT_STEPS)
        needed = {
            need.partition
            for report in reports
            if report.task_id not in self.done
            for need in requirements(report)
            if need.task_id not in self.done
        }
        return sorted(needed - {self.partition})

    @property
    def publishing(self) -> Step | None:
        """The step that publishes it; None if that was not requested."""
        return next((step for step in self.steps if step.publishes), None)


def finish(run: "RunContext") -> str:
    """Write a record and print a summary of each table set; report how the run ended.

    Returns:
        The outcome of the whole run, one of those in `pipeline.runs.result`.
    """
    sets = table_sets(run)
    partitions = {each.partition for each in sets}
    reasons = [failure.reason for failure in run.failures if failure.partition not in partitions]
    for reason in dict.fromkeys(reasons):
        print_error(reason)
    records: list[tuple[dict[str, Any], Path | None]] = []
    for each in sets:
        run.register_outputs(each.paths)
        record = compose(run, each)
        path = each.paths.folders.runs / f"{run.id}-{each.partition}.json"
        records.append((record, path if _write(path, record) else None))
        note = run.notes.get(each.partition, "")
        print(note or _summarize(record, each, path), flush=True)
    of_all = _result(run, records)
    # What a delivery did is no news of the tables, of which other programs read here.
    if run.folders is not None and not (sets and all(each.delivers for each in sets)):
        _write(run.folders.latest, of_all)
    notify(run.webhook, of_all, was_stopped=run.stop.is_set())
    # Last: a run that was killed or stopped while it notified leaves what it published new.
    if run.folders is not None and of_all["succeeded"] and not run.stop.is_set():
        _acknowledge(run.folders.acknowledged, sets, [record for record, _ in records])
    if not run.stop.is_set():
        _remove_old(run, sets)
    return str(of_all["outcome"])


def table_sets(run: "RunContext") -> list[TableSet]:
    """Return the table sets that a run works on; all years come last."""
    steps: dict[str, list[Step]] = {}
    for step in [] if run.was_refused else run.build.steps():
        if step.partition:
            steps.setdefault(step.partition, []).append(step)
    sets, done = [], run.build.done()
    for partition in sorted(steps):
        with contextlib.suppress(PipelineError):  # its step failed with the same sentence
            sets.append(TableSet(steps[partition][0].paths, steps[partition], done))
    return sets


def compose(run: "RunContext", tables: TableSet) -> dict[str, Any]:
    """Return everything that a run did to a table set, as its record says it."""
    paths = tables.paths
    publishing = tables.publishing
    publication = publishing.publication() if publishing else None
    receipts = {step.name: _receipt(step) for step in tables.steps}
    steps = {
        name: {"by_this_run": receipt.run == run.id, **receipt.stats}
        for name, receipt in receipts.items()
        if receipt is not None
    }
    for name, counted in run.build.failed_requests(tables.partition).items():
        steps[f"failed {name}"] = {"by_this_run": True, **counted}
    return {
        "run": run.id,
        "outcome": outcome(run, tables),
        **paths.metadata,
        "is_made_up": run.is_demo,
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(run.seconds, 1),
        "own_seconds": round(run.build.seconds(tables.partition), 1),
        "is_one_of_several": len({step.partition for step in run.build.steps()}) > 1,
        "included_ids": run.included_ids,
        "excluded_ids": run.excluded_ids,
        "allowed_shrink": run.allowed_shrink,
        "replaced_source": run.replaced_source,
        "steps": steps,
        "new": _news(tables, steps),
        "failures": [
            {"step": failure.step, "reason": failure.reason}
            for failure in run.failures
            if failure.partition == tables.partition
        ],
        "published_by": publication.run if publication else None,
        "report_waits_for": tables.waits_for,
        "withdrawn": publication.withdrawn if publication and publication.run == run.id else [],
        "sql_views": settings.read(sections.paths).sql_views,
        "is_half_published": _is_half_published(paths, publication),
        "report": _report(paths),
    }


def _is_half_published(paths: TableSetPaths, publication: PublishedSet | None) -> bool:
    """Return True if readers find files of two runs, because publishing could not be undone."""
    manifest = paths.publication
    is_whole = publication is not None and publication.matches(manifest.parent)
    return intent_path(manifest).exists() and not is_whole


def _report(paths: TableSetPaths) -> str | None:
    is_wanted = settings.read(sections.report).enabled
    if is_wanted and isinstance(paths, Snapshot) and paths.report.exists():
        return str(paths.report)
    return None


def _receipt(step: Step) -> StepReceipt | None:
    try:
        return step.receipt
    except PipelineError:  # for which it failed
        return None


def outcome(run: "RunContext", tables: TableSet) -> str:
    """Return how the work on a table set ended: an outcome of `pipeline.runs.result`."""
    if run.stop.is_set():
        return "stopped"
    publishing = tables.publishing
    is_published = publishing is not None and publishing.task_id in tables.done
    is_new = is_published and not _is_acknowledged(tables)
    failed = {f.step for f in run.failures if f.partition == tables.partition}
    if failed:
        return "not reported" if is_new and failed <= result.REPORT_STEPS else "failed"
    if is_published and tables.waits_for:
        return "not reported" if is_new else "not finished"
    if publishing is not None:
        return ("published" if is_new else "up to date") if is_published else "not finished"
    return "done" if all(step.task_id in tables.done for step in tables.steps) else "not finished"


def latest(folder: Path, partition: str) -> dict[str, Any] | None:
    """Return the newest record of a table set in the folder of records; None if there is none."""
    paths = sorted(folder.glob(f"*-{partition}.json"))
    return files.read_json(paths[-1], dict) if paths else None


def _is_acknowledged(tables: TableSet) -> bool:
    published = _published(tables)
    return published is not None and published.has_content_of(_acknowledged(tables))


def _acknowledged(tables: TableSet) -> acknowledged.Published | None:
    return acknowledged.read(tables.paths.folders.acknowledged).get(tables.partition)


def _news(tables: TableSet, steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is published now and was not after the last successful run, if that is known."""
    before, now = _acknowledged(tables), _inventory(tables, steps)
    known = before.inventory if before else None
    return news.compare(now, known) if known and now else {}


def _inventory(tables: TableSet, steps: Mapping[str, Mapping[str, Any]]) -> news.Inventory | None:
    """Return what is in the published tables of a school year; None if they are not of this run.

    It is read only where the files are not those of the last successful run.
    """
    published, before = _published(tables), _acknowledged(tables)
    publishing = tables.publishing
    is_published = publishing is not None and publishing.task_id in tables.done
    if published is None or not is_published or not isinstance(tables.paths, Snapshot):
        return None
    if before and before.inventory and published.has_content_of(before):
        return before.inventory
    return news.take_inventory(tables.paths, steps)


def _acknowledge(
    path: Path, sets: Sequence[TableSet], records: Sequence[Mapping[str, Any]]
) -> None:
    """Write down what is published, now that everybody has been notified of it."""
    now = {
        tables.partition: found._replace(inventory=_inventory(tables, record["steps"]))
        for tables, record in zip(sets, records, strict=True)
        if (found := _published(tables))
    }
    _write(path, acknowledged.read(path) | now)


def _remove_old(run: "RunContext", sets: Sequence[TableSet]) -> None:
    done = run.build.done()
    for tables in sets:
        is_published = tables.publishing is not None and tables.publishing.task_id in done
        if is_published and isinstance(tables.paths, Snapshot):
            retention.remove_old_snapshots(tables.paths)
    for tables in sets:
        retention.remove_old_records(tables.paths.folders.runs, tables.partition)


def _published(tables: TableSet) -> acknowledged.Published | None:
    publication = tables.publishing.publication() if tables.publishing else None
    if publication is None:
        return None
    manifest = str(tables.paths.publication.resolve())
    return acknowledged.Published(manifest, publication.content_digest())


def _result(
    run: "RunContext", records: Sequence[tuple[dict[str, Any], Path | None]]
) -> dict[str, Any]:
    source = ""
    with contextlib.suppress(SettingsError):  # which is then among the failures
        source = settings.source_name()
    about = result.RunFacts(run.id, source, run.is_demo, run.seconds, run.stop.is_set())
    return result.compose(about, records, run.failures)


def _write(path: Path, value: Any) -> bool:  # noqa: ANN401  whatever JSON can hold
    try:
        files.write_json(path, value)
    except StorageError as error:
        print_error(error)
        return False
    return True


def _summarize(record: dict[str, Any], tables: TableSet, path: Path) -> str:
    own = tables.steps[-1].summary() if record["outcome"] == "done" else ""
    if own:
        return own
    if tables.delivers:
        return summarize_delivery(record, tables.steps[-1].name, path)
    if isinstance(tables.paths, Snapshot):
        return summarize(record, tables.paths, path)
    return summarize_all_years(record, tables.paths, path)
