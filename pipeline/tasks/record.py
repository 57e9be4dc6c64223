"""The record of a run, composed from the receipts that its steps left; counts only."""

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import files
from pipeline.errors import PipelineError, StorageError, UnforeseenError
from pipeline.layout import Snapshot
from pipeline.publish import Marker
from pipeline.summary import summary
from pipeline.tables import ENDPOINTS
from pipeline.targets import Manifest, Receipt
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.fetching import FetchMetadata
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.publishing import TABLE_STEPS, CheckTables, Publish

if TYPE_CHECKING:
    from pipeline.tasks.run import Run

STEPS: tuple[type[PipelineTask], ...] = (ReadInputs, FetchMetadata, *TABLE_STEPS, CheckTables)
"""The steps that leave a receipt, in the order of the flow."""


def finish(run: "Run") -> None:
    """Write a record and print a summary of each snapshot that the run worked on."""
    if not run.snapshots:
        print(*(_plain(error) for _, error in run.failures), sep="\n", file=sys.stderr)
    for snapshot in run.snapshots:
        record = compose(run, snapshot)
        path = snapshot.folders.runs / f"{run.id}-{snapshot.year}.json"
        try:
            files.write_json(path, record)
        except StorageError as error:
            print(error, file=sys.stderr)
        print(summary(record, snapshot, path), flush=True)


def notes(snapshot: Snapshot) -> dict[str, Receipt | Manifest]:
    """The receipts and manifests of a snapshot, by step, as far as they are there."""
    found: dict[str, Receipt | Manifest | None] = {}
    for step in STEPS:
        found[step.__name__] = Receipt.read(snapshot.receipt(step.__name__))
        if step is FetchMetadata:
            found |= {f"FetchScores {e}": Manifest.read(snapshot.manifest(e)) for e in ENDPOINTS}
    return {step: note for step, note in found.items() if note is not None}


def compose(run: "Run", snapshot: Snapshot) -> dict[str, Any]:
    """Everything that a run did to a snapshot."""
    marker = Marker.read(snapshot.marker)
    return {
        "run": run.id,
        "outcome": _outcome(run, snapshot, marker),
        "year": str(snapshot.year),
        "as_of": snapshot.window.end.isoformat(),
        "is_made_up": run.is_demo,
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(run.seconds, 1),
        "included_ids": run.included_ids,
        "excluded_ids": run.excluded_ids,
        "let_pass": run.let_pass,
        "steps": {
            step: {"by_this_run": note.run == run.id, **note.facts}
            for step, note in notes(snapshot).items()
        },
        "failures": [{"step": step, "reason": _plain(error)} for step, error in run.failures],
        "published_by": marker.run if marker else None,
    }


def latest(folder: Path, year: str) -> dict[str, Any] | None:
    """The record of the last run of a school year; None where there is none."""
    paths = sorted(folder.glob(f"*-{year}.json"))
    return files.read_json(paths[-1], dict) if paths else None


def _outcome(run: "Run", snapshot: Snapshot, marker: Marker | None) -> str:
    if run.stop.is_set():
        return "stopped"
    if run.failures:
        return "failed"
    if marker is not None and marker.run == run.id:
        return "published"
    return "up to date" if (Publish.__name__, snapshot) in run.completed else "not finished"


def _plain(error: BaseException) -> str:
    # The text of an unforeseen error may hold anything; its kind is safe to keep.
    safe = isinstance(error, (PipelineError, UnforeseenError))
    return str(error) if safe else type(error).__name__
