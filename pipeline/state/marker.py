"""The state marker: one file, written last, that says which versions of the tables belong together.

A reader who takes the versions that it names sees one whole set, while tables may be newer.
"""

from collections.abc import Collection, Mapping

import msgspec

from pipeline.errors import StateError
from pipeline.publish.commit import Publication
from pipeline.publish.store import Store, store_errors, store_reason
from pipeline.state.parts import Partition

NAME = "published.json"


class DistrictRows(msgspec.Struct, frozen=True):
    """What is published of a district and year: which set of its own, and its rows per table.

    `build` and `content` are those of the district's own manifest; `counted` is how many rows the
    district's own run counted after dropping duplicates, for the tables of which it says so. If
    they are `rebuilt`, `run` made them of the same shards, by rules that may be newer. `source` is
    the address of the district's API.
    """

    run: str
    build: str
    content: str
    rows: dict[str, int]
    counted: dict[str, int]
    rebuilt: bool = False
    source: str = ""

    def are_of(self, publication: Publication) -> bool:
        """Return True if they are the rows of what a district has published."""
        found = (publication.build, publication.content_digest())
        return (self.build, self.content) == found

    def only(self, tables: Collection[str]) -> "DistrictRows":
        """Return the same of these tables only."""
        kept = {name: count for name, count in self.rows.items() if name in tables}
        counted = {name: count for name, count in self.counted.items() if name in tables}
        return msgspec.structs.replace(self, rows=kept, counted=counted)


class StateMarker(msgspec.Struct, frozen=True):
    """What is published of all districts: the run, the version and rows of each table.

    `years` has the districts of each school year, and `earlier` the versions of the tables that
    markers before this one named and that are kept for readers who are still reading them.
    """

    run: str
    versions: dict[str, int]
    rows: dict[str, int]
    years: dict[str, dict[str, DistrictRows]]
    earlier: tuple[dict[str, int], ...] = ()

    def of(self, partition: Partition) -> DistrictRows | None:
        """Return what is published of a district and year; None where nothing is."""
        return self.years.get(partition.year, {}).get(partition.district)

    def rows_by_district(self, table: str) -> dict[tuple[str, str], int]:
        """Return the rows of a table by district and year."""
        return rows_by_district(self.years, table)

    def kept_versions(self, table: str) -> set[int]:
        """Return the versions of a table that this marker, or one before it, names."""
        named = (versions.get(table) for versions in (self.versions, *self.earlier))
        return {version for version in named if version is not None}


def rows_by_district(
    years: Mapping[str, Mapping[str, DistrictRows]], table: str
) -> dict[tuple[str, str], int]:
    """Return the rows of a table by district and year, where it has the table."""
    return {
        (district, year): found.rows[table]
        for year, districts in years.items()
        for district, found in districts.items()
        if table in found.rows
    }


def read_marker(store: Store) -> StateMarker | None:
    """Return the marker at a place; None where nothing is published.

    Raises:
        StateError: it cannot be read, or is another program's file.
    """
    try:
        content = store.read(_path(store))
        return msgspec.json.decode(content, type=StateMarker) if content is not None else None
    except store_errors(msgspec.DecodeError) as error:
        raise StateError(
            f"{_path(store)} cannot be read ({store_reason(error)}), so it is unknown what is "
            "published. Nothing was changed; check whose it is, the credentials and the network, "
            "then run the same command again."
        ) from None


def write_marker(store: Store, marker: StateMarker, before: StateMarker | None) -> None:
    """Replace the marker, if it is still the one that the run began with.

    That is not one step: a marker that another run writes in between is replaced.

    Raises:
        StateError: another run has published meanwhile, or it cannot be written.
    """
    if read_marker(store) != before:
        raise StateError(
            f"Another run has replaced {_path(store)} meanwhile; what this run committed is not "
            "published. Wait until the other run has ended, then run the same command again."
        )
    content = msgspec.json.format(msgspec.json.encode(marker, order="deterministic"), indent=1)
    try:
        store.write(_path(store), content + b"\n")
    except store_errors() as error:
        raise StateError(
            f"{_path(store)} cannot be written ({store_reason(error)}). Readers who follow it see "
            "what was published before. Fix this, then run the same command again."
        ) from None
    if read_marker(store) != marker:
        raise StateError(
            f"{_path(store)} is not what was just written. Run the same command again."
        )


def _path(store: Store) -> str:
    return f"{store.root.rstrip('/')}/{NAME}"
