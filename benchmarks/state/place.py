"""A place for state runs over some districts, by the command line, as anybody runs them."""

import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import RowsError
from benchmarks.place import LUIGI
from benchmarks.trial import REPOSITORY, Trial, run
from benchmarks.work import YEAR
from pipeline.extract.manifest import Manifest
from pipeline.simulator import SMALL, District, Protocol, Server, serving, write_inputs

RUN_ID = "night"
"""The id of every state run; the districts that have an outcome of it are not run again."""

_COLUMNS = "district,base_url,rosters,secrets_folder"


@dataclass(frozen=True)
class Listed:
    """A line of districts.csv, and the district's credentials; those shown are any."""

    name: str
    base_url: str
    roster: Path
    client_id: str = "demo"
    client_secret: str = "demo"  # noqa: S105  no secret: nobody checks it


@dataclass(frozen=True)
class StatePlace:
    """A folder with districts.csv, settings and secrets, and an empty state folder at first."""

    folder: Path
    names: Sequence[str]

    @classmethod
    def make(
        cls, folder: Path, districts: Sequence[Listed], strategy: str = "auto"
    ) -> "StatePlace":
        """Write what state runs need into an empty folder.

        Args:
            folder: becomes the place.
            districts: those that it lists.
            strategy: how their results are fetched.
        """
        folder.mkdir(parents=True, exist_ok=True)
        config = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
        config = config.replace("\nenabled=true\n", "\nenabled=false\n")  # no report
        config = config.replace("\nstrategy=auto\n", f"\nstrategy={strategy}\n")
        (folder / "luigi.cfg").write_text(config, encoding="utf-8")
        lines = [_COLUMNS]
        for each in districts:
            secrets = folder / "secrets" / each.name
            secrets.mkdir(parents=True)
            for name, value in (("ID", each.client_id), ("SECRET", each.client_secret)):
                path = secrets / f"ILLUMINATE_CLIENT_{name}"
                path.touch(0o600)
                path.write_text(value, encoding="utf-8")
            lines.append(f"{each.name},{each.base_url},{each.roster.absolute()},{secrets}")
        (folder / "districts.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
        return cls(folder, [each.name for each in districts])

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def marker(self) -> dict[str, Any]:
        """What belongs together of the tables of all districts."""
        found: dict[str, Any] = json.loads((self.state / "published.json").read_text("utf-8"))
        return found

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every command, besides what is everybody's."""
        return {
            "LUIGI_CONFIG_PATH": str(self.folder / "luigi.cfg"),
            "PIPELINE_STATE_DIR": str(self.state),
            "PYTHONPATH": str(REPOSITORY),
        }

    def state_run(self, *options: str) -> list[str | Path]:
        """`luigi --module pipeline RunState`: always the same run, which does what is missing."""
        command = (LUIGI, "--module", "pipeline", "RunState", "--years", str(YEAR))
        return [*command, "--run-id", RUN_ID, *options]

    def run(self, *options: str) -> Trial:
        """Run that."""
        return run(self.state_run(*options), self.variables, self.folder)

    def rebuild(self, *options: str) -> Trial:
        """`python -m pipeline state rebuild`."""
        command = (sys.executable, "-m", "pipeline", "state", "rebuild", "--year", str(YEAR))
        return run([*command, *options], self.variables, self.folder)

    def forget_tables_of_all(self) -> None:
        """Remove the tables of all districts; what each district has published stays."""
        shutil.rmtree(self.state / "tables")
        (self.state / "published.json").unlink()

    def finished(self, name: str) -> set[tuple[str, str]]:
        """The endpoint and assessment of what has been fetched of a district for good."""
        found = (self.state / "districts" / name / "work").glob("*/*/scores-*.jsonl")
        manifests = ((path.stem.removeprefix("scores-"), Manifest.read(path)) for path in found)
        return {(end, shard) for end, known in manifests if known for shard in known.shards}

    def published(self) -> dict[str, str]:
        """A digest of each file that districts have published, and of each table of all."""
        districts = self.state / "districts"
        files = itertools.chain.from_iterable(
            districts.glob(f"*/{kind}/{YEAR}/*.{ending}")
            for kind in ("illuminate", "views")
            for ending in ("csv", "parquet")
        )
        found = {
            str(path.relative_to(districts)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }
        return found | {
            f"{name}, {self.marker['rows'][name]} rows": _digest(self.state / "tables" / name, at)
            for name, at in self.marker["versions"].items()
        }


def check_equal(who: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """See that a state run has published what another has.

    Raises:
        RowsError: something is missing, too much, or different; nothing is worth comparing then.
    """
    if not wanted:
        raise RowsError("The first run has published nothing.")
    different = sorted(name for name, _ in found.items() ^ wanted.items())
    if different:
        raise RowsError(f"{who} published others: {', '.join(dict.fromkeys(different))}.")


@contextmanager
def serving_districts(
    folder: Path, number: int, latency: float
) -> Iterator[tuple[list[Listed], list[Server]]]:
    """Serve small made-up districts with a latency in seconds, while the context lasts."""
    listed, servers = [], []
    with ExitStack() as stack:
        for seed in range(1, number + 1):
            district, name = District.make(seed, SMALL), f"district-{seed}"
            server = stack.enter_context(serving(district, Protocol(latency_seconds=latency)))
            write_inputs(district, folder / name)
            who = server.credentials
            roster = folder / name / f"Student_Rosters_{YEAR}.txt"
            own = Listed(name, server.base_url, roster, who.client_id, who.client_secret)
            listed.append(own)
            servers.append(server)
        yield listed, servers


def _digest(table: Path, version: int) -> str:
    """Digest the rows of a Delta table, in whatever order they are."""
    import polars as pl

    rows = pl.read_delta(str(table), version=version)
    hashed = rows.select(sorted(rows.columns)).hash_rows(seed=1).sort()
    return hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()
