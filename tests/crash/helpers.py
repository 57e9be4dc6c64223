"""What the crash tests share: a tiny district, places to run in, and looks at what is left."""

import hashlib
import os
from pathlib import Path

from pipeline.extract import shards
from pipeline.extract.shards import Origin
from pipeline.illuminate.address import Address
from pipeline.illuminate.endpoints import OVERALL, STANDARD, group
from pipeline.simulator import SMALL, District, Server
from pipeline.years import SchoolYear
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace

YEAR = SchoolYear(2023)
WINDOW = YEAR.window(YEAR.last_day)
ENDPOINTS = ("overall", "standard", "group")
EARLIER = ("--as-of", "2024-01-31")
"""The options of a run that asks for fewer results than one without them."""

_GROUP = group("reporting_group_id", "reporting_group")

# Id, students and standards; together they have results of early and of late in the year.
_ASSESSMENTS = (("101", 4, 2), ("102", 9, 3), ("103", 3, 1))

Shard = tuple[str, str]
"""The endpoint and the assessment of a shard."""


def tiny_district() -> District:
    """Three assessments; a run makes nine shards of them."""
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
    """A roster of the district's students; returns its path."""
    path = folder / "roster.txt"
    lines = ["STUDENTS.Student_Number\tSTUDENTS.Grade_Level"]
    lines += [f"{number}\t{grade}" for number, grade in district.roster(YEAR)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_place(folder: Path, roster: Path) -> Workplace:
    """A place where everything is set but the server."""
    settings = {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg"), "STUDENT_ROSTERS": str(roster)}
    return Workplace(folder, settings)


def command(*options: str) -> tuple[str, ...]:
    """The command of a run, for those who start it in a way of their own."""
    quick = ("--illuminate-longest-wait", "0.01", "--report-enabled", "false")
    return (str(LUIGI), "--module", "pipeline", "RunAll", "--year", str(YEAR), *quick, *options)


def origin(server: Server, endpoint: str) -> Origin:
    """Where the shards of an endpoint are from, by the usual names of its fields."""
    kinds = {"overall": OVERALL, "standard": STANDARD, "group": _GROUP}
    own_names = tuple(kinds[endpoint].own_names)
    return Origin(Address.parse(server.base_url).base, endpoint, WINDOW, own_names)


def all_shards(server: Server) -> set[Shard]:
    """Every shard that a run must have in the end."""
    ids = {str(row["assessment_id"]) for row in server.district.catalogue}
    return {(endpoint, assessment_id) for endpoint in ENDPOINTS for assessment_id in ids}


def whole_shards(place: Workplace, server: Server) -> set[Shard]:
    """The shards on disk that prove to be whole."""
    return {
        (endpoint, assessment_id)
        for endpoint, assessment_id in all_shards(server)
        if shards.find(place.shards(endpoint), origin(server, endpoint), assessment_id)
    }


def visible_shards(place: Workplace) -> set[Shard]:
    """The shards that stand under their own names, whole or not."""
    paths = place.work.glob("shards/*/*.parquet")
    return {(path.parent.name, path.stem) for path in paths if not path.name.startswith(".")}


def tree_digest(folder: Path) -> str:
    """One digest of all names, contents and times of change below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(
            f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns}\n".encode()
        )
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def number_from_environment(name: str, usual: int) -> int:
    """How often something is tried; the long version of a test sets the variable."""
    return int(os.environ.get(name) or usual)
