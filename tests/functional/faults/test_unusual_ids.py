"""Ids that are not numbers: each is fetched, named, distinct, and stays in the folder."""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import Server, serving
from tests.functional.faults import district
from tests.functional.faults.sandbox import Sandbox, copy_of
from tests.functional.faults.table import ENDPOINTS, REFUSED, Combination, FaultCase, Place
from tests.functional.faults.test_faults import run_combination

IDS = {
    "up and away": "../../../escaped",
    "a folder": "a/b",
    "the parent": "..",
    "a formula": "=1+1",
    "300 letters": "x" * 300,
    "capital letters": "Unit",
    "the same in small letters": "unit",
    "Arabic digits": "٣٤",
    "a query": "a b&page=9#%?",
    "white space around": " 7\xa0\t",
    "a line of its own": "7\n\x1b[32m\x9b\u202e\u2028",
}
COMBINATIONS = [
    pytest.param(
        Combination(
            FaultCase("500", "status", (), value=500),
            Place(endpoint, None, assessment_id),
            None,
            REFUSED,
        ),
        id=f"500, {endpoint} of {name}, always",
    )
    for (name, assessment_id), endpoint in zip(
        IDS.items(), itertools.cycle(ENDPOINTS), strict=False
    )
]


@pytest.fixture(scope="module")
def unusual_server() -> Iterator[Server]:
    with_unusual_ids = district.make_district_with_ids(tuple(IDS.values()))
    with serving(with_unusual_ids, district.PROTOCOL, district.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="module")
def unusual_yesterday(tmp_path_factory: pytest.TempPathFactory, unusual_server: Server) -> Sandbox:
    """Return an empty data folder: nothing was published yet."""
    folder = tmp_path_factory.mktemp("unusual") / "data"
    folder.mkdir()
    return Sandbox(folder, unusual_server)


@pytest.fixture
def unusual_sandbox(tmp_path: Path, unusual_yesterday: Sandbox) -> Sandbox:
    return copy_of(unusual_yesterday, tmp_path)


@pytest.fixture(scope="module")
def unusual_undisturbed(
    tmp_path_factory: pytest.TempPathFactory, unusual_yesterday: Sandbox
) -> dict[str, bytes]:
    sandbox = copy_of(unusual_yesterday, tmp_path_factory.mktemp("unusual-undisturbed"))
    done = sandbox.run()
    assert done.code == 0, done.output
    return sandbox.tables()


def test_every_id_is_fetched_and_none_leaves_the_folder(
    tmp_path: Path, unusual_sandbox: Sandbox
) -> None:
    done = unusual_sandbox.run()
    assert done.code == 0, done.output
    table = unusual_sandbox.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    rows = csv.DictReader(io.StringIO(table.read_text("utf-8")))
    assert {row["assessment_id"] for row in rows} == {each.strip() for each in IDS.values()}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    shards = {path.name.lower() for path in unusual_sandbox.data.glob("work/*/*/shards/overall/*")}
    assert len(shards) == len(IDS)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_fault(
    combination: Combination, unusual_sandbox: Sandbox, unusual_undisturbed: dict[str, bytes]
) -> None:
    run_combination(combination, unusual_sandbox, unusual_undisturbed)
