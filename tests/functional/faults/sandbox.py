"""A data folder and the district's server: runs against them, and what the runs leave behind."""

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
from pipeline.extract.manifest import Manifest
from pipeline.simulator import Fault, Server
from pipeline.simulator.api import METHODS
from tests import canaries
from tests.functional.conftest import BY_ASSESSMENT
from tests.functional.faults import district, runs
from tests.functional.faults.table import ENDPOINTS, Combination, Place
from tests.functional.oracle import content
from tests.helpers import is_count

THREADS = 4
_QUICK = (
    *("--illuminate-threads", str(THREADS)),
    *("--illuminate-tries", "3"),
    *("--illuminate-max-backoff", "0.01"),
    *("--report-enabled", "false"),
    *("--log-level", "DEBUG"),
    *BY_ASSESSMENT,
)
_WITH_STUDENTS = (".csv", ".parquet")

Requested = tuple[str, str | None]
"""An endpoint and the requested assessment."""


@dataclass
class Sandbox:
    """A data folder, and the server of a district."""

    data: Path
    server: Server
    options: tuple[str, ...] = ()
    """Options of every run."""

    def run(self, *options: str, as_of: object = district.TODAY) -> runs.Finished:
        """Fetch and publish the year; the server's log begins with this run.

        No run may leak anything. That is checked before any other assertion, whose output could
        repeat the leak.
        """
        self.server.clear_log()
        done = runs.run(
            *("--year", str(district.YEAR), "--as-of", str(as_of)),
            *("--paths-data-dir", str(self.data)),
            *("--illuminate-base-url", self.server.base_url),
            *_QUICK,
            *self.options,
            *options,
        )
        leaks = self.leaks(done.output)
        assert not leaks, leaks
        return done

    def published(self) -> dict[str, bytes]:
        """Return every published file, including the publication manifest."""
        return {
            f"{place}/{name}": data
            for place in ("illuminate", "views")
            for name, data in content(self.data / place).items()
        }

    def tables(self) -> dict[str, bytes]:
        """Return every published file except the manifest, which names the run."""
        return {n: data for n, data in self.published().items() if not n.endswith("published.json")}

    def record(self) -> dict[str, Any]:
        """Return the record of the last run."""
        path = max((self.data / "runs").glob("*-*.json"))
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record

    def missing(self) -> set[Requested]:
        """Return what is not on disk and must be requested by the next run."""
        work = self.data / "work" / str(district.YEAR) / str(district.TODAY)
        ids = sorted({str(row["assessment_id"]) for row in self.server.district.catalogue})
        found = {e: Manifest.read(work / f"scores-{e}.jsonl") for e in ENDPOINTS}
        reused = {e: manifest.shards if manifest else {} for e, manifest in found.items()}
        for endpoint, entries in reused.items():
            assert not shards.find_damaged(work / "shards" / endpoint, entries)
        expected: set[Requested] = {
            (endpoint, i) for endpoint in ENDPOINTS for i in ids if i not in reused[endpoint]
        }
        return expected if (work / "metadata.json").exists() else expected | {("catalogue", None)}

    def requested(self) -> Counter[Requested]:
        """Count the pages that the last run requested."""
        return Counter(
            (r.endpoint, r.assessment_id) for r in self.server.log if _is_data_request(r)
        )

    def pages_requested_twice(self) -> set[tuple[str, str | None, int | None]]:
        """Return the pages that the last run requested more than once."""
        requested = Counter(
            (r.endpoint, r.assessment_id, r.page) for r in self.server.log if _is_data_request(r)
        )
        return {page for page, times in requested.items() if times > 1}

    def leaks(self, output: str) -> dict[str, set[str]]:
        """Return the canaries found in each place after a run that printed `output`.

        Tables and shards contain students, as they must, but no secrets.
        """
        secrets = district.SECRETS | set(self.server.authority._tokens)
        places = {
            "output": output,
            "request lines": "\n".join(request.line for request in self.server.log),
            **{str(path): path.read_bytes().decode(errors="replace") for path in self._files()},
        }
        seen = {
            place: canaries.found(
                secrets if place.endswith(_WITH_STUDENTS) else secrets | district.STUDENTS, text
            )
            for place, text in places.items()
        }
        return {place: leaked for place, leaked in seen.items() if leaked}

    def _files(self) -> list[Path]:
        return [path for path in self.data.rglob("*") if path.is_file()]

    def leftovers(self) -> list[Path]:
        """Return the temporary files that a run left behind."""
        return [path for path in self.data.rglob(".*") if path.stem != ".lock"]


def _is_data_request(request: Any) -> bool:
    return request.endpoint in {"catalogue", *ENDPOINTS} and not is_count(request)


def copy_of(sandbox: Sandbox, folder: Path) -> Sandbox:
    """Copy a sandbox; hard links suffice, because no file is ever changed in place."""
    ignore = shutil.ignore_patterns(".lock*")
    shutil.copytree(sandbox.data, folder / "data", ignore=ignore, copy_function=os.link)
    sandbox.server.authority.revoke_tokens()
    return Sandbox(folder / "data", sandbox.server)


@contextlib.contextmanager
def injected_fault(server: Server, combination: Combination) -> Iterator[None]:
    """Inject the fault of a combination during the context."""
    fault, place = combination.fault, combination.place
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
    """Redirect requests for a place, at most `times`, to a port where nothing listens."""
    send, refused = requests.Session.send, 0

    def misdirect(
        session: requests.Session, request: requests.PreparedRequest, **how: Any
    ) -> requests.Response:
        nonlocal refused
        if _is_for(str(request.url), place) and (times is None or refused < times):
            refused += 1
            request.url = f"http://127.0.0.1:{port}/"
        return send(session, request, **how)

    with socket.socket() as unused, mock.patch.object(requests.Session, "send", misdirect):
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        yield


def _is_for(url: str, place: Place) -> bool:
    parts = urlsplit(url)
    params = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = METHODS.get(parts.path.rstrip("/").rpartition("/")[2], "token")
    return (
        endpoint == place.endpoint
        and place.assessment_id in {None, params.get("assessment_id")}
        and place.page in {None, int(params.get("page", 0))}
    )
