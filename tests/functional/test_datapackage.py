"""Each published folder describes its own files, as the Frictionless tools understand it."""

import csv
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.schema import TABLES
from pipeline.simulator import Server
from tests.functional.conftest import REPOSITORY, YEAR, Workplace

FRICTIONLESS = REPOSITORY / ".venv-frictionless" / "bin" / "python"
# Parquet needs more libraries, and its values are those of the CSV.
VALIDATE = """
import json, sys
from frictionless import Package

with open(sys.argv[1], encoding="utf-8") as file:
    descriptor = json.load(file)
descriptor["resources"] = [each for each in descriptor["resources"] if each["format"] == "csv"]
package = Package.from_descriptor(descriptor, basepath=sys.argv[2])
for line in package.validate().flatten(["rowNumber", "fieldName", "type"]):
    print(*line)
print(len(package.resources), "validated")
"""
VIEW = "SELECT local_student_id, date_taken, score, score > 50 AS passed, points FROM latest"


def descriptor(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "datapackage.json").read_bytes())
    return found


def fields(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in resource["schema"]["fields"]}


@pytest.fixture
def published(place: Workplace) -> Workplace:
    """A place where the tables and a view of the district's own are published."""
    (place.folder / "sql").mkdir()
    (place.folder / "sql" / "own.sql").write_text(VIEW, encoding="utf-8")
    done = place.run(SQL_VIEWS=str(place.folder / "sql"))
    assert done.returncode == 0, done.stdout
    return place


def test_every_file_of_a_folder_is_described_as_it_is(published: Workplace) -> None:
    for kind in ("illuminate", "views"):
        folder = published.data / kind / YEAR
        resources = {each["path"]: each for each in descriptor(folder)["resources"]}
        own = {"published.json", "datapackage.json"}
        assert resources.keys() == {path.name for path in folder.iterdir()} - own
        for name, resource in resources.items():
            content = (folder / name).read_bytes()
            assert resource["bytes"] == len(content)
            assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
            head, rows = read(folder / name)
            assert (list(fields(resource)), resource["rows"]) == (head, rows)


def read(path: Path) -> tuple[list[str], int]:
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        return frame.columns, frame.height
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return head, len(rows)


def test_every_column_has_its_type_and_meaning(published: Workplace) -> None:
    described = {
        resource["path"].partition(".")[0].removesuffix("_historical"): fields(resource)
        for kind in ("illuminate", "views")
        for resource in descriptor(published.data / kind / YEAR)["resources"]
    }
    types = {"text": "string", "integer": "integer", "number": "number", "date": "date"}
    for table in TABLES:
        for column in table.columns:
            field = described[table.stem][column.name]
            assert field["type"] == types[column.kind]
            assert field["description"] == column.meaning
            assert field.get("personal", False) == column.personal
    of_own = {name: field["type"] for name, field in described["own"].items()}
    assert of_own == {
        "local_student_id": "string",
        "date_taken": "date",
        "score": "integer",
        "passed": "boolean",
        "points": "number",
    }
    text = descriptor(published.data / "views" / YEAR)["description"]
    assert "leading zeros" in text


def test_the_descriptors_are_part_of_the_set(published: Workplace) -> None:
    manifest = json.loads((published.data / "illuminate" / YEAR / "published.json").read_bytes())
    names = [name for name in manifest["files"] if name.endswith("datapackage.json")]
    assert sorted(names) == [f"../../views/{YEAR}/datapackage.json", "datapackage.json"]
    damaged = published.data / "views" / YEAR / "datapackage.json"
    damaged.write_bytes(damaged.read_bytes().replace(b"string", b"number"))
    verified = published.look("verify", "--year", YEAR, "--as-of", "2024-06-30")
    assert f"views/{YEAR}/datapackage.json is damaged" in verified.stdout


def test_one_folder_for_all_has_one_descriptor(place: Workplace, server: Server) -> None:
    folder = place.folder / "both"
    done = place.run(SAVE_PATH=str(folder), VIEW_PATH=str(folder))
    assert done.returncode == 0, done.stdout
    described = {each["path"] for each in descriptor(folder / YEAR)["resources"]}
    own = {"published.json", "datapackage.json"}
    assert described == {path.name for path in (folder / YEAR).iterdir()} - own


@pytest.fixture(scope="session")
def validate() -> Callable[[Path], str]:
    if not FRICTIONLESS.exists():
        message = "frictionless is not installed: make .venv-frictionless/.ready"
        if os.environ.get("PIPELINE_TESTS_IN_CI"):
            pytest.fail(message)
        pytest.skip(message)

    def run(folder: Path) -> str:
        words = [FRICTIONLESS, "-c", VALIDATE, folder / "datapackage.json", folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def test_frictionless_finds_no_fault(published: Workplace, validate: Callable[[Path], str]) -> None:
    """The first rows of each file: frictionless takes minutes for a district."""
    for kind, files in (("illuminate", 6), ("views", 3)):
        folder = shortened(published.data / kind / YEAR)
        assert validate(folder) == f"{files} validated\n"
    path = folder / "own_historical.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("true", "much"), encoding="utf-8")
    assert "passed type-error" in validate(folder)


def shortened(folder: Path) -> Path:
    """Return a copy of a folder with a few rows of each CSV, and the descriptor of these rows."""
    described, copy = descriptor(folder), folder.with_name(f"{folder.name}-short")
    copy.mkdir()
    for resource in described["resources"]:
        if resource["format"] == "csv":
            rows = pl.read_csv(folder / resource["path"], infer_schema=False, n_rows=200)
            short = copy / resource["path"]
            rows.write_csv(short)
            content = short.read_bytes()
            resource |= {"rows": rows.height, "bytes": len(content)}
            resource["hash"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (copy / "datapackage.json").write_text(json.dumps(described), encoding="utf-8")
    return copy
