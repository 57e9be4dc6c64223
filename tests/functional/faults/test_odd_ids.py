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
    "a twin": "Twin",
    "its twin": "twin",
    "Arabic digits": "٣٤",
    "a query": "a b&page=9#%?",
}
COMBINATIONS = [
    pytest.param(
        Combination(
            FaultCase("500", "status", (), value=500), Place(endpoint, None, odd), None, REFUSED
        ),
        id=f"500, {endpoint} of {name}, always",
    )
    for (name, odd), endpoint in zip(IDS.items(), itertools.cycle(ENDPOINTS), strict=False)
]


@pytest.fixture(scope="module")
def odd_server() -> Iterator[Server]:
    with_odd_ids = district.make_district_with_ids(tuple(IDS.values()))
    with serving(with_odd_ids, district.PROTOCOL, district.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="module")
def odd_yesterday(tmp_path_factory: pytest.TempPathFactory, odd_server: Server) -> Sandbox:
    """Return an empty data folder: nothing was published yet."""
    folder = tmp_path_factory.mktemp("odd") / "data"
    folder.mkdir()
    return Sandbox(folder, odd_server)


@pytest.fixture
def odd_sandbox(tmp_path: Path, odd_yesterday: Sandbox) -> Sandbox:
    return copy_of(odd_yesterday, tmp_path)


@pytest.fixture(scope="module")
def odd_undisturbed(
    tmp_path_factory: pytest.TempPathFactory, odd_yesterday: Sandbox
) -> dict[str, bytes]:
    sandbox = copy_of(odd_yesterday, tmp_path_factory.mktemp("odd-undisturbed"))
    done = sandbox.run()
    assert done.code == 0, done.output
    return sandbox.tables()


def test_every_id_is_fetched_and_none_leaves_the_folder(
    tmp_path: Path, odd_sandbox: Sandbox
) -> None:
    done = odd_sandbox.run()
    assert done.code == 0, done.output
    table = odd_sandbox.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    rows = csv.DictReader(io.StringIO(table.read_text("utf-8")))
    assert {row["assessment_id"] for row in rows} == set(IDS.values())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    shards = {path.name.lower() for path in odd_sandbox.data.glob("work/*/*/shards/overall/*")}
    assert len(shards) == len(IDS)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_fault(
    combination: Combination, odd_sandbox: Sandbox, odd_undisturbed: dict[str, bytes]
) -> None:
    run_combination(combination, odd_sandbox, odd_undisturbed)
