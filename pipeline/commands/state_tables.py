"""Say which versions of the tables of all districts belong together."""

from pipeline.errors import StateError, printable
from pipeline.state.marker import read_marker
from pipeline.tasks.publish_state import open_lakehouse
from pipeline.words import counted


def main() -> int:
    """Print the place, version and rows of each table.

    Raises:
        SettingsError: there is no place for the tables.
        StateError: nothing is published, or the marker cannot be read.
    """
    lakehouse = open_lakehouse()
    marker = read_marker(lakehouse.store)
    if marker is None:
        raise StateError(
            f"Nothing is published in {lakehouse.uri}. Run illuminate-pipeline state run, then run "
            "the same command again."
        )
    print(printable(f"State run {marker.run}:"))
    for name, version in marker.versions.items():
        place = f"{lakehouse.uri}/tables/{name}"
        print(printable(f"  {place} version {version}: {counted(marker.rows[name], 'row')}"))
    return 0
