"""Where the suite plays: the town behind its server, what was published yesterday, and runs."""

import contextlib
import json
import os
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import requests

from pipeline.extract import shards
from pipeline.simulator import Fault, Server
from pipeline.simulator.api import METHODS
from tests import canaries
from tests.functional.faults import runs, town
from tests.functional.faults.table import ENDPOINTS, Combination, Place
from tests.functional.oracle import content

THREADS = 4
_QUICK = (
    *("--illuminate-threads", str(THREADS)),
    *("--illuminate-tries", "3"),
    *("--illuminate-longest-wait", "0.01"),
    *("--report-enabled", "false"),
    *("--log-level", "DEBUG"),
)
_OF_STUDENTS = (".csv", ".parquet")

Asked = tuple[str, str | None]
"""An endpoint, and the assessment that it was asked for."""


@dataclass
class Stage:
    """A data folder, and the server of a town."""

    data: Path
    server: Server

    def run(self, *options: str, as_of: object = town.TODAY) -> runs.Finished:
        """Fetch and publish the year, from a server whose log begins with this run.

        Whatever is wanted of a run, nothing leaks from it; that is looked at before any other
        assertion, because what those show may hold what leaked.
        """
        self.server.clear_log()
        done = runs.run(
            *("--year", str(town.YEAR), "--as-of", str(as_of)),
            *("--paths-data-dir", str(self.data)),
            *("--illuminate-base-url", self.server.base_url),
            *_QUICK,
            *options,
        )
        leaks = self.leaks(done.shown)
        assert not leaks, leaks
        return done

    def published(self) -> dict[str, bytes]:
        """Every published file, the marker among them."""
        return {
            f"{place}/{name}": data
            for place in ("illuminate", "views")
            for name, data in content(self.data / place).items()
        }

    def tables(self) -> dict[str, bytes]:
        """What is published but for the marker, which names the run."""
        return {n: data for n, data in self.published().items() if not n.endswith("published.json")}

    def record(self) -> dict[str, Any]:
        """What the last run wrote down of itself."""
        path = max((self.data / "runs").glob("*-*.json"))
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record

    def missing(self) -> set[Asked]:
        """What is not on disk, and must be asked for by the next run."""
        work = self.data / "work" / str(town.YEAR) / str(town.TODAY)
        ids = sorted({str(row["assessment_id"]) for row in self.server.district.catalogue})
        wanted: set[Asked] = {
            (endpoint, i)
            for endpoint in ENDPOINTS
            for i in ids
            if not (work / "shards" / endpoint / shards.file_name(i)).exists()
        }
        return wanted if (work / "metadata.json").exists() else wanted | {("catalogue", None)}

    def asked(self) -> Counter[Asked]:
        """How many pages of what were asked for by the last run."""
        return Counter((r.endpoint, r.assessment_id) for r in self.server.log if _is_asked(r))

    def pages_asked_twice(self) -> set[tuple[str, str | None, int | None]]:
        """Pages that the last run asked for more than once."""
        asked = Counter(
            (r.endpoint, r.assessment_id, r.page) for r in self.server.log if _is_asked(r)
        )
        return {page for page, times in asked.items() if times > 1}

    def leaks(self, shown: str) -> dict[str, set[str]]:
        """Each place where canaries can be read that must not be there, after a run printed this.

        Tables and shards hold students, as they must, and no secret.
        """
        secrets = town.SECRETS | set(self.server.authority._tokens)
        places = {
            "output": shown,
            "request lines": "\n".join(request.line for request in self.server.log),
            **{str(path): path.read_bytes().decode(errors="replace") for path in self._files()},
        }
        seen = {
            place: canaries.found(
                secrets if place.endswith(_OF_STUDENTS) else secrets | town.STUDENTS, text
            )
            for place, text in places.items()
        }
        return {place: leaked for place, leaked in seen.items() if leaked}

    def _files(self) -> list[Path]:
        return [path for path in self.data.rglob("*") if path.is_file()]

    def leftovers(self) -> list[Path]:
        """Temporary files that a run forgot."""
        return [path for path in self.data.rglob(".*") if path.name != ".lock"]


def _is_asked(request: Any) -> bool:
    return request.endpoint in {"catalogue", *ENDPOINTS}


def copy_of(stage: Stage, folder: Path) -> Stage:
    """The same in another folder; no file is ever written in place, so links will do."""
    ignore = shutil.ignore_patterns(".lock")
    shutil.copytree(stage.data, folder / "data", ignore=ignore, copy_function=os.link)
    stage.server.authority.revoke_tokens()
    return Stage(folder / "data", stage.server)


@contextlib.contextmanager
def trouble(server: Server, combination: Combination) -> Iterator[None]:
    """Let the fault of a combination happen meanwhile."""
    fault, place = combination.trouble, combination.place
    if fault.kind == "refused":
        with _refused(place, combination.times):
            yield
        return
    server.faults.add(
        Fault(
            fault.kind,
            fault.value,
            place.endpoint,
            place.assessment_id,
            place.page,
            times=combination.times,
            retry_after=fault.retry_after,
        )
    )
    try:
        yield
    finally:
        server.faults.clear()


@contextlib.contextmanager
def _refused(place: Place, times: int | None) -> Iterator[None]:
    """Send the requests for a place, or so many of them, to a port where nobody listens."""
    send, refused = requests.Session.send, 0

    def misdirect(
        session: requests.Session, request: requests.PreparedRequest, **how: Any
    ) -> requests.Response:
        nonlocal refused
        if _is_for(str(request.url), place) and (times is None or refused < times):
            refused += 1
            request.url = f"http://127.0.0.1:{port}/"
        return send(session, request, **how)

    with socket.socket() as nobody, mock.patch.object(requests.Session, "send", misdirect):
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        yield


def _is_for(url: str, place: Place) -> bool:
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = METHODS.get(parts.path.rstrip("/").rpartition("/")[2], "token")
    return (
        endpoint == place.endpoint
        and place.assessment_id in {None, asked.get("assessment_id")}
        and place.page in {None, int(asked.get("page", 0))}
    )
