"""The record of a run, composed from the receipts that its steps left; counts only."""

import contextlib
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import sections, settings
from pipeline.errors import PipelineError, SettingsError, StorageError, UnforeseenError
from pipeline.publish.commit import Marker
from pipeline.runs import result
from pipeline.runs.notify import tell
from pipeline.runs.summary import summary, summary_of_all_years
from pipeline.schema import ENDPOINTS
from pipeline.storage import files
from pipeline.storage.paths import Place, Snapshot
from pipeline.tasks.base import FileTask, PipelineTask
from pipeline.tasks.fetching import FetchMetadata
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.publishing import TABLE_STEPS, CheckTables, Publish, table_tasks
from pipeline.tasks.reporting import Report
from pipeline.tasks.targets import Manifest, Receipt
from pipeline.tasks.uniting import UNITING_STEPS, PublishYears, ReadPriorYears
from pipeline.tasks.views import own_step

if TYPE_CHECKING:
    from pipeline.tasks.run import Failure, Run

STEPS: tuple[type[PipelineTask], ...] = (ReadInputs, FetchMetadata, *TABLE_STEPS, CheckTables)
"""The steps of every school year that leave a receipt, in the order of the flow."""

STEPS_OF_ALL_YEARS: tuple[type[FileTask], ...] = (ReadPriorYears, *UNITING_STEPS)
"""The steps behind all years together that leave a receipt, in the order of the flow."""


def finish(run: "Run") -> None:
    """Write a record and print a summary of each set of tables, and tell the result of them all."""
    labels = {place.label for place in run.places}
    for failure in run.failures:
        if failure.label not in labels:
            print(_plain(failure.error), file=sys.stderr)
    records: list[tuple[dict[str, Any], Path | None]] = []
    for place in sorted(run.places, key=lambda place: place.label):  # all years come last
        record = compose(run, place)
        path = place.folders.runs / f"{run.id}-{place.label}.json"
        records.append((record, path if _write(path, record) else None))
        print(_told(record, place, path), flush=True)
    of_all = _result(run, records)
    run.outcome = of_all["outcome"]
    if run.folders is not None:
        _write(run.folders.latest, of_all)
    tell(run.webhook, of_all, was_stopped=run.stop.is_set())


def tasks(of: PipelineTask) -> list[PipelineTask]:
    """The steps of a school year that leave a receipt, with those of the SQL files."""
    first = [of.at(ReadInputs), of.at(FetchMetadata)]
    return [*first, *table_tasks(of), of.at(CheckTables)]


def notes(place: Place) -> dict[str, Receipt | Manifest]:
    """The receipts and manifests of a set of tables, by step, as far as they are there."""
    found: dict[str, Receipt | Manifest | None] = {}
    for step in STEPS if isinstance(place, Snapshot) else STEPS_OF_ALL_YEARS:
        found[step.__name__] = Receipt.read(place.receipt(step.__name__))
        if step is FetchMetadata and isinstance(place, Snapshot):
            found |= {f"FetchScores {e}": Manifest.read(place.manifest(e)) for e in ENDPOINTS}
    if isinstance(place, Snapshot):
        own = map(own_step, settings.sql_views())
        found |= {step: Receipt.read(place.receipt(step)) for step in own}
    return {step: note for step, note in found.items() if note is not None}


def compose(run: "Run", place: Place) -> dict[str, Any]:
    """Everything that a run did to a set of tables."""
    marker = Marker.read(place.marker)
    pages = [place.report] if isinstance(place, Snapshot) and sections.report().enabled else []
    return {
        "run": run.id,
        "outcome": _outcome(run, place, marker),
        **place.about,
        "is_made_up": run.is_demo,
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(run.seconds, 1),
        "included_ids": run.included_ids,
        "excluded_ids": run.excluded_ids,
        "let_pass": run.let_pass,
        "steps": {
            step: {"by_this_run": note.run == run.id, **note.facts}
            for step, note in notes(place).items()
        },
        "failures": [
            {"step": failure.step, "reason": _plain(failure.error)}
            for failure in _failures(run, place)
        ],
        "published_by": marker.run if marker else None,
        "report": next((str(page) for page in pages if page.exists()), None),
    }


def _result(run: "Run", records: list[tuple[dict[str, Any], Path | None]]) -> dict[str, Any]:
    source = ""
    with contextlib.suppress(SettingsError):  # which is then among the failures
        source = settings.source_name()
    about = result.About(run.id, source, run.is_demo, run.seconds, run.stop.is_set())
    troubles = [result.Trouble(f.label, f.step, _plain(f.error)) for f in run.failures]
    return result.compose(about, records, troubles)


def _write(path: Path, value: dict[str, Any]) -> bool:
    try:
        files.write_json(path, value)
    except StorageError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _told(record: dict[str, Any], place: Place, path: Path) -> str:
    if isinstance(place, Snapshot):
        return summary(record, place, path)
    return summary_of_all_years(record, place, path)


def latest(folder: Path, year: str) -> dict[str, Any] | None:
    """The record of the last run of a school year; None where there is none."""
    paths = sorted(folder.glob(f"*-{year}.json"))
    return files.read_json(paths[-1], dict) if paths else None


def _failures(run: "Run", place: Place) -> list["Failure"]:
    return [failure for failure in run.failures if failure.label == place.label]


def _outcome(run: "Run", place: Place, marker: Marker | None) -> str:
    if run.stop.is_set():
        return "stopped"
    is_published = marker is not None and marker.run == run.id
    failed = {failure.step for failure in _failures(run, place)}
    if failed:
        return "not reported" if is_published and failed <= {Report.__name__} else "failed"
    if is_published:
        return "published"
    last = (Publish.__name__, PublishYears.__name__)
    done = any((step, place) in run.completed for step in last)
    return "up to date" if done else "not finished"


def _plain(error: BaseException) -> str:
    # The text of an unforeseen error may hold anything; its kind is safe to keep.
    safe = isinstance(error, (PipelineError, UnforeseenError))
    return str(error) if safe else type(error).__name__
