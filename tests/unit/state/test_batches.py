"""Batches, in order, have exactly the rows that all shards have, wherever they are built."""

import functools
import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.extract import shards
from pipeline.extract.manifest import Manifest
from pipeline.schema import ENDPOINTS, GROUP, LATEST, VIEW
from pipeline.state.batches import (
    Batch,
    Fault,
    Summary,
    build_batch,
    cut_batches,
    summarize_batch,
)
from pipeline.transform import combine, standards
from tests.dask_cluster import two_workers
from tests.helpers import request, write_shard
from tests.unit.state import odd
from tests.unit.state.odd import OddDistrict

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> OddDistrict:
    return odd.make(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module", params=["here", "two workers"])
def run_all(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Map]:
    if request.param == "here":
        yield map
        return
    with two_workers(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster.map


def built(
    district: OddDistrict, batches: Iterable[Batch], folder: Path, run_all: Map = map
) -> dict[str, pl.DataFrame]:
    """Return the rows of each table, of the parts of all batches in their order."""
    wanted = [district.table_batch(batch) for batch in batches]
    write = functools.partial(odd.write_part, folder)
    parts: dict[str, list[pl.DataFrame]] = {}
    for made in run_all(functools.partial(build_batch, write=write), wanted):
        assert not isinstance(made, Fault), made
        for name, part in made.items():
            frame = pl.read_parquet(part.path)
            assert (part.rows, part.partition) == (frame.height, odd.PARTITION)
            parts.setdefault(name, []).append(frame)
    return {name: pl.concat(frames) for name, frames in parts.items()}


def published(district: OddDistrict, name: str) -> pl.DataFrame:
    frame = district.published[name]
    return frame.drop("year", strict=False)


@pytest.mark.parametrize("rows", [500, 5000])
def test_the_tables_are_those_of_all_shards(
    district: OddDistrict, tmp_path: Path, run_all: Map, rows: int
) -> None:
    """In order, all columns and types: overall, standard and group, both views and all labels."""
    batches = district.cut(rows)
    assert len(batches) == 3 if rows == 5000 else len(batches) > 9
    found = built(district, batches, tmp_path, run_all)
    large = {table.name for table in district.tables if table.file.suffix == ".parquet"}
    assert found.keys() == large
    for name, frame in found.items():
        assert frame.height > 500
        assert_frame_equal(frame, published(district, name), check_exact=True)

    summaries = list(run_all(summarize_batch, batches))
    assert all(isinstance(each, Summary) for each in summaries)
    titles = [each.titles.lazy() for each in summaries]
    made = odd.labels_of(tmp_path, titles, district.manifests)
    for name, small in (("assessment_labels", made.labels), ("unmapped_titles", made.unmapped)):
        assert_frame_equal(odd.to_polars(small), district.published[name])
    spellings = [each.spellings for each in summaries if each.spellings is not None]
    assert_frame_equal(standards.list_standards(spellings), district.published["standards"])


def test_the_odd_district_is_odd(district: OddDistrict) -> None:
    """Else the test above would prove little."""
    view, latest = (district.published[table.stem] for table in (VIEW, LATEST))
    assert view["curriculum"].unique().to_list().count("Fourth") == 1
    assert latest["attempts"].max() > 1
    assert latest.height < view.height
    assert {"zeta", "Alpha"} < {*district.published["assessment_results_combined"].columns}
    some = district.manifests["overall"].shards
    assert len({entry.columns for entry in some.values() if entry.rows}) > 5


def test_other_columns_than_those_that_are_published_are_refused(district: OddDistrict) -> None:
    """Before anything is written."""
    batch = district.cut(5000)[0]
    more = {**batch.columns, "standard": [*batch.columns["standard"], "new"]}
    found = build_batch(district.table_batch(replace(batch, columns=more)), pytest.fail)
    assert isinstance(found, Fault)
    assert "other columns than those that are published" in found.reason


def test_batches_have_whole_shards_and_no_more_rows_than_wanted(district: OddDistrict) -> None:
    batches = district.cut(100)
    for endpoint in ENDPOINTS:
        of = [batch.entries for batch in batches if batch.endpoint == endpoint]
        counts = [sum(entry.rows for entry in entries.values()) for entries in of]
        assert max(counts) <= 100
        assert all(one + other > 60 for one, other in itertools.pairwise(counts))
        names = [name for entries in of for name in entries]
        known = district.manifests[endpoint].shards
        assert names == [*shards.in_table_order({i: e for i, e in known.items() if e.rows})]
    order = [batch.endpoint for batch in batches]
    assert order == sorted(order, key=ENDPOINTS.index)
    for batch in district.cut(1):
        assert len(batch.entries) == 1


def test_a_batch_is_small(district: OddDistrict) -> None:
    """It goes over the network."""
    for batch in district.cut(500):
        described = pickle.dumps(district.table_batch(batch))
        assert len(described) < 20_000
        assert pickle.loads(described).batch == batch


def test_an_endpoint_without_results_has_a_part_too(district: OddDistrict, tmp_path: Path) -> None:
    none = Manifest(request("group"), {}, {}, "run-1")
    manifests = {**district.manifests, "group": none}
    (last,) = cut_batches(odd.PARTITION, district.snapshot, manifests, 5000)[2:]
    assert (last.endpoint, last.entries) == ("group", {})
    columns = {"group": district.cut(5000)[2].columns["group"]}
    found = built(district, [replace(last, columns=columns)], tmp_path)
    assert found[GROUP.stem].height == 0
    assert_frame_equal(found[GROUP.stem], published(district, GROUP.stem).clear())


def of_one_shard(tmp_path: Path) -> Batch:
    rows = [{"assessment_id": "a b", "title": "secret", "local_student_id": "4711"}]
    entry = write_shard(tmp_path, "a b", rows)
    columns = {"overall": entry.columns, "standard": [], "group": []}
    return Batch(odd.PARTITION, "overall", tmp_path, {"a b": entry}, columns)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, change, Path.unlink])
def test_a_damaged_shard_is_named_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    batch = of_one_shard(tmp_path)
    assert isinstance(summarize_batch(batch), Summary)
    harm(tmp_path / shards.file_name("a b"))
    monkeypatch.setattr(combine, "find_titles", pytest.fail)
    assert summarize_batch(batch) == Fault(
        "the overall shard of assessment a b is damaged or missing; illuminate-pipeline verify in "
        "the district's folder lets its next run fetch it again"
    )


def test_what_cannot_be_read_is_a_fault_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libraries say may hold a value."""

    def fail(*_: object) -> None:
        raise pl.exceptions.ComputeError("4711 is no number")

    monkeypatch.setattr(combine, "find_titles", fail)
    found = summarize_batch(of_one_shard(tmp_path))
    assert found == Fault("what it is built of cannot be read (ComputeError)")


@pytest.mark.parametrize("name", ["labels", "by_grade", "roster"])
def test_labels_and_roster_are_those_that_the_batch_was_made_with(
    district: OddDistrict, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes((district.folder / f"{name}.csv").read_bytes())
    of = district.table_batch(district.cut(5000)[0], **{name: copy})
    with copy.open("a") as file:
        file.write("\n")
    found = build_batch(of, pytest.fail)
    assert found == Fault(f"{copy} was changed meanwhile")
