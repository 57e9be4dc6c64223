"""After a change of the rules, a rebuild has what the districts' own runs would publish."""

import datetime as dt
import functools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipeline.config.settings import DEFAULT_RULES
from pipeline.errors import StoppedError
from pipeline.extract.manifest import forget
from pipeline.publish.commit import Publication
from pipeline.schema import LATEST, TABLES, VIEW
from pipeline.state.batches import Batch
from pipeline.state.cluster import Cluster
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.marker import StateMarker, read_marker
from pipeline.state.parts import Partition
from pipeline.state.paths import StateFolders
from pipeline.state.publish import StateResult, is_published, publish_state
from pipeline.state.published import DistrictYear, published_tables
from pipeline.state.rebuild import Source, rebuild_state
from pipeline.state.run_all import RunAll, here
from pipeline.storage.paths import Folders, Snapshot
from pipeline.tasks.state_run import StateRun
from pipeline.years import SchoolYear
from tests.dask_cluster import die_once, two_workers
from tests.functional.conftest import Workplace
from tests.state.conftest import SEEDS, YEAR, State, make_district, serving_state
from tests.state.sets import of_district as of
from tests.state.sets import read

EVERY = published_tables(with_names=True)
NORTH, SOUTH = Partition("north", YEAR), Partition("south", YEAR)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """Both districts, published together; not to be changed."""
    districts = {name: make_district(seed) for name, seed in SEEDS.items()}
    with serving_state(tmp_path_factory.mktemp("state"), districts) as state:
        config = state.folder / "luigi.cfg"
        text = config.read_text(encoding="utf-8")
        own = "\n[state]\nwith_names=true\nbatch_rows=300\n"
        config.write_text(text.replace("\n[state]\n", own), encoding="utf-8")
        done = state.run_state()
        assert done.returncode == 0, done.stderr
        yield state


@pytest.fixture
def state(published: State, tmp_path: Path) -> State:
    """A copy of them that a test may change."""
    shutil.copytree(published.folder, tmp_path / "copy")
    for server in published.servers.values():
        server.clear_log()
    return replace(published, folder=tmp_path / "copy")


def run_rebuild(state: State) -> "subprocess.CompletedProcess[str]":
    """Run the command, which requests nothing from anybody."""
    done = state.look("state", "rebuild", "--year", YEAR)
    assert not any(server.log for server in state.servers.values())
    assert "Traceback" not in done.stderr
    return done


def change_the_rules(folder: Path) -> None:
    """Label titles in other words, and some assessments, one of them for one grade only."""
    for name, words in (
        ("title_rules.csv", {",ELA\n": ",Reading\n", ",Unit \\1\n": ",Chapter \\1\n"}),
        ("overrides.csv", {",Math,Fall,": ",Maths,Autumn,", "Interim 1 (grade 8)": "Interim 9"}),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        for before, after in words.items():
            assert before in text
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")


def content(root: Path) -> dict[str, pl.DataFrame]:
    """Return what a reader sees who follows the marker."""
    return {name: read(root, name) for name in known(root).versions}


def known(root: Path) -> StateMarker:
    marker = read_marker(Lakehouse(str(root)).store)
    assert marker is not None
    return marker


def sources(state: State, *names: str) -> list[Source]:
    return [
        source_of(
            state.folders.folders(name),
            Partition(name, YEAR),
            state.folder / name / "title_rules.csv",
        )
        for name in names
    ]


def source_of(folders: Folders, partition: Partition, rules: Path = DEFAULT_RULES) -> Source:
    manifest = folders.publication(partition.year)
    overrides = rules.with_name("overrides.csv")
    return Source(
        DistrictYear(partition, manifest), functools.partial(snapshot_of, folders), rules, overrides
    )


def snapshot_of(folders: Folders, publication: Publication) -> Snapshot:
    year = SchoolYear.parse(str(publication.metadata["year"]))
    as_of = dt.date.fromisoformat(publication.metadata["as_of"])
    return Snapshot(folders, year, year.window(as_of), "_historical")


def rebuild(
    root: Path, found: Iterable[Source], run_all: RunAll = here, rows: int = 300
) -> StateResult:
    return rebuild_state(
        Lakehouse(str(root)),
        list(found),
        EVERY,
        run="rebuild-1",
        keep_versions=2,
        batch_rows=rows,
        work=root.with_name("rebuilding"),
        run_all=run_all,
    )


def run_alone(state: State, name: str) -> Path:
    """Publish what a fresh run of a district has, as the only one of another state."""
    own = state.run_alone(name)
    root = own.folder / "state"
    manifest = own.data / "illuminate" / YEAR / "published.json"
    of_own = DistrictYear(Partition(name, YEAR), manifest)
    publish_state(Lakehouse(str(root)), [of_own], EVERY, run="alone", keep_versions=2)
    return root


def test_a_rebuild_has_what_the_districts_own_run_would_publish(state: State) -> None:
    before = content(state.folders.root)
    change_the_rules(state.folder / "north")
    state.folders.rebuilding("killed").mkdir()
    done = run_rebuild(state)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 published, 2 with something new." in done.stdout
    now, marker = content(state.folders.root), known(state.folders.root)
    assert now.keys() == {table.stem for table in TABLES}
    lakehouse = Lakehouse(str(state.folders.root))
    assert len(lakehouse.parts(VIEW.stem, marker.versions[VIEW.stem])) > 6
    expected = content(run_alone(state, "north"))
    for name, rows in now.items():
        assert_frame_equal(of(rows, "north"), expected[name], check_exact=True)
        assert_frame_equal(of(rows, "south"), of(before[name], "south"), check_exact=True)
    assert not of(now[VIEW.stem], "north").equals(of(before[VIEW.stem], "north"))
    assert not [*state.folders.root.glob("rebuilding*")], "also of a run that was killed"

    # The next run does not undo it, because the districts have published nothing new.
    folders = (state.folders.folders(name) for name in ("north", "south"))
    manifests = [
        DistrictYear(p, f.publication(YEAR)) for p, f in zip((NORTH, SOUTH), folders, strict=True)
    ]
    assert is_published(lakehouse, manifests, EVERY)
    again = publish_state(lakehouse, manifests, EVERY, run="next", keep_versions=2)
    assert again.unchanged == [NORTH, SOUTH]
    for partition in (NORTH, SOUTH):
        entry = marker.of(partition)
        assert entry
        assert entry.rebuilt
        assert entry.run == marker.run
    assert state.status().stdout == "School year 23-24: 2 published\n"

    # Once the district has published by the new rules itself, that is what readers see.
    ran = state.run_state()
    assert ran.returncode == 0, ran.stderr
    entry = known(state.folders.root).of(NORTH)
    assert entry
    assert not entry.rebuilt
    for name, rows in content(state.folders.root).items():
        assert_frame_equal(of(rows, "north"), expected[name], check_exact=True)


def harm_shard(folders: Folders) -> None:
    path = next(iter(sorted(folders.work.rglob("shards/overall/*.parquet"))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove_snapshot(folders: Folders) -> None:
    shutil.rmtree(folders.work / YEAR)


def forget_shard(folders: Folders) -> None:
    (manifest,) = folders.work.rglob("scores-group.jsonl")
    folder = manifest.parent / "shards" / "group"
    forget(manifest, [min(folder.iterdir()).stem], folder)


def break_the_rules(folders: Folders) -> None:
    rules = folders.data.parents[2] / folders.data.name / "title_rules.csv"
    rules.write_text("column,pattern,value\ncurriculum,(,x\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (harm_shard, "the overall shard of assessment "),
        (remove_snapshot, "was removed, so it cannot be rebuilt"),
        (forget_shard, "was fetched or built again after it was published"),
        (break_the_rules, 'title_rules.csv, line 2: "(" is not a regular expression'),
    ],
)
def test_a_district_that_cannot_be_rebuilt_stays_and_is_named(
    state: State, harm: Callable[[Folders], None], reason: str
) -> None:
    before = content(state.folders.root)
    change_the_rules(state.folder / "north")
    change_the_rules(state.folder / "south")
    harm(state.folders.folders("north"))
    done = run_rebuild(state)
    assert done.returncode == 30
    assert "1 of 2 published, 1 with something new." in done.stdout
    (failed,) = json.loads(state.folders.rebuilt.read_text(encoding="utf-8"))["failed"]
    assert reason in failed["reason"]
    assert f"north 23-24 failed: {failed['reason']}" in done.stdout
    now = content(state.folders.root)
    assert_frame_equal(of(now[VIEW.stem], "north"), of(before[VIEW.stem], "north"))
    assert not of(now[VIEW.stem], "south").equals(of(before[VIEW.stem], "south"))
    marker = known(state.folders.root)
    entries = marker.of(NORTH), marker.of(SOUTH)
    assert [entry.rebuilt for entry in entries if entry] == [False, True]
    assert state.latest()["published"] == 2, "that is the result of the last state run"


def lose_a_shard(call: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """Build batches without the last of several shards."""
    for batch in batches:
        shards = batch if isinstance(batch, Batch) else batch.batch
        kept = dict(list(shards.entries.items())[:-1]) or shards.entries
        less = replace(shards, entries=kept)
        yield call(less if batch is shards else replace(batch, batch=less))


def lose_a_latest(call: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """Build batches with a row less of the latest attempts, which no district counts."""
    for made in map(call, batches):
        if isinstance(made, dict) and LATEST.stem in made:
            part = made[LATEST.stem]
            made[LATEST.stem] = part._replace(rows=part.rows - 1)
        yield made


@pytest.mark.parametrize("lose", [lose_a_shard, lose_a_latest])
def test_lost_rows_are_refused(state: State, lose: RunAll) -> None:
    before = (state.folders.root / "published.json").read_bytes()
    result = rebuild(state.folders.root, sources(state, "north"), lose)
    assert result.published == []
    assert " rows, of " in result.failed[NORTH]
    assert (state.folders.root / "published.json").read_bytes() == before


def test_a_snapshot_that_changes_meanwhile_is_refused(state: State) -> None:
    folders = state.folders.folders("north")

    def run_all(call: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        yield from map(call, batches)
        forget_shard(folders)

    result = rebuild(state.folders.root, sources(state, "north", "south"), run_all)
    assert "was fetched or built again after it was published" in result.failed[NORTH]
    assert result.published == [SOUTH]


def test_a_district_without_tables_is_missing(state: State) -> None:
    state.folders.folders("north").publication(YEAR).unlink()
    result = rebuild(state.folders.root, sources(state, "north", "south"))
    assert (result.missing, result.published) == ([NORTH], [SOUTH])


def test_nothing_published_is_said(state: State) -> None:
    done = state.look("state", "rebuild", "--year", "22-23")
    assert done.returncode == 30
    assert "2 have nothing published" in done.stderr


def test_rules_of_the_environment_are_refused(state: State) -> None:
    """Districts' own runs do not get them."""
    text = state.file.read_text(encoding="utf-8")
    state.file.write_text(text.replace("north/title_rules.csv", ""), encoding="utf-8")
    state.environment = state.environment | {"TITLE_RULES": "x.csv"}
    done = run_rebuild(state)
    assert done.returncode == 30
    assert "TITLE_RULES is set" in done.stderr


def test_a_rebuild_that_is_asked_to_stop_begins_no_other_batch(tmp_path: Path) -> None:
    run, seen = StateRun("run-1", StateFolders(tmp_path), is_whole=True), list[int]()

    def build(number: int) -> None:
        seen.append(number)
        run.stop.set()

    with pytest.raises(StoppedError, match="nothing was published"):
        list(run.run_all(build, [1, 2]))
    assert seen == [1]


# The demo district, in batches of several sizes and in other processes.


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the demo district, whose own run has published it."""
    place = Workplace(tmp_path_factory.mktemp("demo"))
    done = place.run()
    assert done.returncode == 0, done.stderr
    return place.data / "demo"


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with two_workers(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("where", "rows"),
    [("here", 5000), ("two workers", 500), ("two workers", 5000), ("a worker is killed", 5000)],
)
def test_the_demo_is_the_same_in_batches(
    demo: Path, workers: Cluster, tmp_path: Path, where: str, rows: int
) -> None:
    """All tables in order, with all columns and types."""
    folders = Folders(demo, str(demo / "illuminate"), str(demo / "views"))
    source = source_of(folders, Partition("demo", YEAR), demo / "inputs" / "title_rules.csv")
    locally, built = tmp_path / "locally", tmp_path / "built"
    publish_state(Lakehouse(str(locally)), [source.of], EVERY, run="run-1", keep_versions=2)
    died = tmp_path / "died"

    def killing(call: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return workers.map(functools.partial(die_once, died, call), items)

    run_all = {"here": here, "two workers": workers.map}.get(where, killing)
    result = rebuild(built, [source], run_all, rows)
    assert died.exists() == (where == "a worker is killed")
    assert result.failed == {}
    expected, found = content(locally), content(built)
    assert found.keys() == {table.stem for table in TABLES}
    for name, frame in found.items():
        assert_frame_equal(frame, expected[name], check_exact=True)
    marker = known(built)
    parts = Lakehouse(str(built)).parts(LATEST.stem, marker.versions[LATEST.stem])
    assert len(parts) > 40_000 // rows
