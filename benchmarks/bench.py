"""What all sections share: where files go, how often to measure, and work that was made once."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import work
from benchmarks.place import Place
from benchmarks.serving import Serving, serving
from benchmarks.sizes import Size
from benchmarks.trial import Trial
from benchmarks.work import Work

THREADS = 16
"""Requests at the same time, where a section does not say otherwise."""


class RowsError(Exception):
    """Somebody brought other rows than the work has."""


@dataclass(frozen=True)
class Finished:
    """A place where the pipeline has run once, without latency: a command fetched, one built."""

    place: Place
    fetched: Trial
    built: Trial
    server: Serving

    def again(self) -> Trial:
        """Run the pipeline again, against an address where nobody answers any more."""
        return self.place.run(self.server.base_url, THREADS)


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        folder: everything that it writes; work is kept there for the next time.
        rounds: how often each peer is measured, in turn with the others.
        short: tiny work, and no peer that needs an environment of its own.
    """

    folder: Path
    rounds: int
    short: bool
    console: Console
    _finished: dict[str, Finished] = field(default_factory=dict)

    def work(self, size: Size) -> Work:
        """The work of a size."""
        self.say(f"work: {size.name}, {size.assessments:,} assessments, {size.rows:,} rows")
        return work.make(size, self.folder / "work")

    @contextmanager
    def room(self) -> Iterator[Path]:
        """An empty folder for one trial.

        Its files are emptied then, and removed with all others at the end: for minutes after many
        files were removed, ext4 is slow to make new ones, and the next trial would pay for it.
        """
        rooms = self.folder / "rooms"
        rooms.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(dir=rooms)).absolute()
        try:
            yield room
        finally:
            for path in room.rglob("*"):
                if path.is_file():
                    os.truncate(path, 0)

    def finished(self, size: Size) -> Finished:
        """A place where the pipeline has run over the work of a size, once for all sections."""
        if size.name not in self._finished:
            made = self.work(size)
            folder = self.folder.absolute() / "places" / made.folder.name
            shutil.rmtree(folder, ignore_errors=True)
            place = Place(folder, made)
            with serving(made) as server:
                fetched = place.run(server.base_url, THREADS, task="FetchAllScores")
                self.say(f"pipeline, {size.name}, fetching: {fetched.whole.wall:.1f} s")
                built = place.run(server.base_url, THREADS)
            check_rows("pipeline", place.rows(), made.wanted)
            self.say(f"pipeline, {size.name}, tables: {built.whole.wall:.1f} s")
            self._finished[size.name] = Finished(place, fetched, built, server)
        return self._finished[size.name]

    def clear(self) -> None:
        """Remove what was fetched and built; work is kept."""
        for name in ("places", "rooms"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def leaves_out(self, peer: str) -> str:
        """Why a peer is left out of this run; nothing if it is not."""
        return "left out of the short mode" if self.short and peer == "dlt" else ""

    def say(self, text: str) -> None:
        """Print what is going on."""
        self.console.print(text, style="dim", highlight=False, soft_wrap=True)


def check_rows(peer: str, brought: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """See that somebody brought all rows, and none twice.

    Raises:
        RowsError: rows are missing or duplicated; nothing is worth comparing then.
    """
    found = {table: brought.get(table, 0) for table in wanted}
    if found != dict(wanted):
        raise RowsError(f"{peer} brought {found} rows, and there are {dict(wanted)}.")
