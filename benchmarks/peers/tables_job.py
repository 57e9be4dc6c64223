"""What everybody who writes tables is given: shards, roster, labels, columns, and a folder."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

YEAR = "23-24"


@dataclass(frozen=True)
class Job:
    """The shards of each endpoint that have rows, each table's columns and file, and the rest."""

    shards: dict[str, list[str]]
    columns: dict[str, list[str]]
    published: dict[str, str]
    roster: Path
    labels: Path
    out: Path

    def place(self, table: str, ending: str) -> Path:
        """Where a table goes."""
        return self.out / f"{table}.{ending}"

    @classmethod
    def read(cls) -> "Job":
        """The job that the command line names, and the folder to write into."""
        parser = argparse.ArgumentParser()
        parser.add_argument("job", type=Path)
        parser.add_argument("out", type=Path)
        options = parser.parse_args()
        said = json.loads(options.job.read_text(encoding="utf-8"))
        return cls(
            said["shards"],
            said["columns"],
            said["published"],
            Path(said["roster"]),
            Path(said["labels"]),
            options.out,
        )

    def write(self, path: Path) -> None:
        """Write the job down for the command line of a peer."""
        said = {
            "shards": self.shards,
            "columns": self.columns,
            "published": self.published,
            "roster": str(self.roster),
            "labels": str(self.labels),
        }
        path.write_text(json.dumps(said), encoding="utf-8")
