"""Where a state run keeps everything, as pure functions of the state folder."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.paths import Folders


@dataclass(frozen=True)
class StateFolders:
    """The folder of a state run, and what is where in it."""

    root: Path

    @property
    def tables(self) -> Path:
        """The Delta tables, one folder each."""
        return self.root / "tables"

    @property
    def marker(self) -> Path:
        """What is published of all districts; written last."""
        return self.root / "published.json"

    @property
    def latest(self) -> Path:
        """The result of the last state run, for other programs."""
        return self.root / "latest.json"

    @property
    def rebuilt(self) -> Path:
        """The result of the last rebuild, for other programs."""
        return self.root / "rebuilt.json"

    def rebuilding(self, run: str) -> Path:
        """Return what the batches of a rebuild join, while it is under way."""
        return self.root / f"rebuilding-{run}"

    @property
    def lock(self) -> Path:
        """The lock file of this folder."""
        return self.root / ".lock"

    def wanted(self, run: str) -> Path:
        """Return the file that is there as long as a state run wants its districts run."""
        return self.root / f".wanted-{run}"

    @property
    def outcomes(self) -> Path:
        """How the last run of each district and year ended."""
        return self.root / "outcomes"

    def outcome(self, district: str, year: str) -> Path:
        """Return the path of a district's outcome for a school year."""
        return self.outcomes / year / f"{district}.json"

    def district(self, name: str) -> Path:
        """Return the data folder of a district."""
        return self.root / "districts" / name

    def folders(self, name: str) -> Folders:
        """Return the folders that a district's own run works in."""
        return Folders.from_settings(str(self.district(name)), "", "", demo=False)

    def log(self, district: str, year: str) -> Path:
        """Return where the output of a district's last run for a school year is."""
        return self.district(district) / f"run-{year}.log"
