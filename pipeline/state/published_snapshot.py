"""The snapshot that a district's published tables were built of, compared with these tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import printable
from pipeline.extract.catalogue import Catalogue
from pipeline.extract.manifest import Manifest
from pipeline.publish.commit import Publication
from pipeline.publish.database.published_set import choose_files
from pipeline.schema import COMBINED, ENDPOINTS, GROUP, LABELS, VIEW, Table
from pipeline.state.batches import SmallFile
from pipeline.state.published import UnusableSetError
from pipeline.storage.paths import Snapshot
from pipeline.storage.receipts import Receipt

_BUILT = {
    "CombineResults": COMBINED,
    "CombineGroup": GROUP,
    "LabelAssessments": LABELS,
    "BuildViews": VIEW,
}
"""Steps of a district's run, and a table that each of them has built."""


class PublishedSnapshot(NamedTuple):
    """What published tables were built of: shards, the catalogue, and the roster as it was read."""

    manifests: dict[str, Manifest]
    catalogue: Catalogue
    roster: SmallFile


def read_published_snapshot(publication: Publication, snapshot: Snapshot) -> PublishedSnapshot:
    """Return what the published tables were built of; no shard is read here.

    Raises:
        UnusableSetError: the snapshot is gone, or is not what was published.
    """
    place = printable(str(snapshot.work))
    if not snapshot.work.is_dir():
        raise UnusableSetError(f"its snapshot {place} was removed, so it cannot be rebuilt")
    found = {kind: Manifest.read(snapshot.manifest(kind)) for kind in ENDPOINTS}
    manifests = {kind: manifest for kind, manifest in found.items() if manifest}
    source = str(publication.metadata.get("source"))
    catalogue = Catalogue.read(snapshot.catalogue, source, snapshot.window)
    roster = Receipt.read(snapshot.receipt("ReadRoster"))
    if catalogue and roster:
        now = {f"FetchScores {kind}": manifest.rows_digest for kind, manifest in manifests.items()}
        now |= {"FetchMetadata": catalogue.digest, "ReadRoster": roster.digest}
        if all(_is_published(publication, snapshot, *step, now) for step in _BUILT.items()):
            digest = roster.outputs[snapshot.roster.name].sha256
            return PublishedSnapshot(manifests, catalogue, SmallFile(snapshot.roster, digest))
    raise UnusableSetError(
        f"its snapshot {place} was fetched or built again after it was published; run the district "
        "by itself, which publishes it by the new rules"
    )


def _is_published(
    publication: Publication, snapshot: Snapshot, step: str, table: Table, now: Mapping[str, str]
) -> bool:
    """Return True if a step's table is the published one, and was built of what is there now."""
    receipt, file = Receipt.read(snapshot.receipt(step)), choose_files(publication).get(table.stem)
    if receipt is None or file is None:
        return False
    built, inputs = receipt.outputs.get(Path(file).name), receipt.key.inputs
    is_own = built is not None and built.sha256 == publication.files[file].sha256
    return is_own and all(
        now.get(name) == digest for name, digest in inputs.items() if _is_read(name)
    )


def _is_read(step: str) -> bool:
    """Return True if a rebuild reads what a step has left in the snapshot."""
    return step in {"ReadRoster", "FetchMetadata"} or step.startswith("FetchScores ")
