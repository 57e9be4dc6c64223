"""What the crash tests share: a tiny district, folders to run in, and checks of what remains."""

import hashlib
import os
from pathlib import Path

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest, ShardRequest
from pipeline.illuminate.address import Address
from pipeline.illuminate.endpoints import OVERALL, STANDARD, group
from pipeline.simulator import SMALL, District, Server
from pipeline.years import SchoolYear
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace, fetch_by_assessment

YEAR = SchoolYear(2023)
WINDOW = YEAR.window(YEAR.last_day)
ENDPOINTS = ("overall", "standard", "group")
EARLIER = ("--as-of", "2024-01-31")
"""The options of a run that requests fewer results than one without them."""

_GROUP = group("reporting_group_id", "reporting_group")

# Id, students and standards; together they have results of early and of late in the year.
_ASSESSMENTS = (("101", 4, 2), ("102", 9, 3), ("103", 3, 1))

Shard = tuple[str, str]
"""The endpoint and the assessment of a shard."""


def tiny_district() -> District:
    """Return a district of three assessments, for which a run makes nine shards."""
    district = District(1, District.make(1, SMALL).students, ())
    for assessment_id, students, standards in _ASSESSMENTS:
        district.add_assessment(
            f"Gr 5 Math Unit {assessment_id} Assessment",
            year=YEAR,
            students=students,
            standards=standards,
            assessment_id=assessment_id,
        )
    return district


def write_roster(district: District, folder: Path) -> Path:
    """Write a roster of the district's students and return its path."""
    path = folder / "roster.txt"
    lines = ["STUDENTS.Student_Number\tSTUDENTS.Grade_Level"]
    lines += [f"{number}\t{grade}" for number, grade in district.roster(YEAR)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_workplace(folder: Path, roster: Path) -> Workplace:
    """Return a folder with all settings but the server; runs in it request each shard."""
    settings = {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"), "STUDENT_ROSTERS": str(roster)}
    place = Workplace(folder, settings)
    fetch_by_assessment(place, roster.parent)
    return place


def command(*options: str) -> tuple[str, ...]:
    """Return the command of a run, for tests that start it in a special way."""
    quick = ("--illuminate-max-backoff", "0.01", "--report-enabled", "false")
    return (str(LUIGI), "--module", "pipeline", "RunAll", "--year", str(YEAR), *quick, *options)


def request(server: Server, endpoint: str) -> ShardRequest:
    """Return the request of an endpoint's shards, with the usual field names."""
    kinds = {"overall": OVERALL, "standard": STANDARD, "group": _GROUP}
    renames = tuple(kinds[endpoint].renames)
    return ShardRequest(Address.parse(server.base_url).base, endpoint, WINDOW, renames)


def all_shards(server: Server) -> set[Shard]:
    """Return every shard that a finished run must have."""
    ids = {str(row["assessment_id"]) for row in server.district.catalogue}
    return {(endpoint, assessment_id) for endpoint in ENDPOINTS for assessment_id in ids}


def valid_shards(place: Workplace, server: Server) -> set[Shard]:
    """Return the shards with an entry in a manifest whose bytes are as they were written."""
    return {
        (endpoint, assessment_id)
        for endpoint, manifest in manifests(place).items()
        for assessment_id, entry in manifest.shards.items()
        if manifest.request == request(server, endpoint)
        and not shards.find_damaged(place.shards(endpoint), {assessment_id: entry})
    }


def claimed_shards(place: Workplace) -> set[Shard]:
    """Return the shards with an entry in a manifest, valid or not."""
    return {(endpoint, i) for endpoint, found in manifests(place).items() for i in found.shards}


def manifests(place: Workplace) -> dict[str, Manifest]:
    """Return the manifests that can be read, by endpoint."""
    found = {e: Manifest.read(place.work / f"scores-{e}.jsonl") for e in ENDPOINTS}
    return {endpoint: manifest for endpoint, manifest in found.items() if manifest}


def tree_digest(folder: Path, *, besides: str = "") -> str:
    """Return a digest of all names, contents and modification times below a folder.

    Args:
        folder: the folder.
        besides: a pattern of the names of files that may change.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if besides and path.match(besides):
            continue
        status = path.lstat()
        digest.update(
            f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns}\n".encode()
        )
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def number_from_environment(name: str, usual: int) -> int:
    """Return a number of repetitions; the long version of a test sets the variable."""
    return int(os.environ.get(name) or usual)
