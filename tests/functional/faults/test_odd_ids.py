"""Ids that are no numbers: each is fetched, named, kept apart, and never leaves the folder."""

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.simulator import Server, serving
from tests.functional.faults import town
from tests.functional.faults.stage import Stage, copy_of
from tests.functional.faults.table import ENDPOINTS, REFUSED, Combination, Place, Trouble
from tests.functional.faults.test_faults import play

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
            Trouble("500", "status", (), value=500), Place(endpoint, None, odd), None, REFUSED
        ),
        id=f"500, {endpoint} of {name}, always",
    )
    for (name, odd), endpoint in zip(IDS.items(), itertools.cycle(ENDPOINTS), strict=False)
]


@pytest.fixture(scope="module")
def odd_server() -> Iterator[Server]:
    district = town.make_odd_town(tuple(IDS.values()))
    with serving(district, town.PROTOCOL, town.CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="module")
def odd_yesterday(tmp_path_factory: pytest.TempPathFactory, odd_server: Server) -> Stage:
    """The folder before the run: nothing was published yet."""
    folder = tmp_path_factory.mktemp("odd") / "data"
    folder.mkdir()
    return Stage(folder, odd_server)


@pytest.fixture
def odd_stage(tmp_path: Path, odd_yesterday: Stage) -> Stage:
    return copy_of(odd_yesterday, tmp_path)


@pytest.fixture(scope="module")
def odd_undisturbed(
    tmp_path_factory: pytest.TempPathFactory, odd_yesterday: Stage
) -> dict[str, bytes]:
    stage = copy_of(odd_yesterday, tmp_path_factory.mktemp("odd-undisturbed"))
    done = stage.run()
    assert done.code == 0, done.shown
    return stage.tables()


def test_every_id_is_fetched_and_none_leaves_the_folder(tmp_path: Path, odd_stage: Stage) -> None:
    done = odd_stage.run()
    assert done.code == 0, done.shown
    table = odd_stage.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    rows = csv.DictReader(io.StringIO(table.read_text("utf-8")))
    assert {row["assessment_id"] for row in rows} == set(IDS.values())
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    shards = {path.name.lower() for path in odd_stage.data.glob("work/*/*/shards/overall/*")}
    assert len(shards) == len(IDS)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_fault(
    combination: Combination, odd_stage: Stage, odd_undisturbed: dict[str, bytes]
) -> None:
    play(combination, odd_stage, odd_undisturbed)
