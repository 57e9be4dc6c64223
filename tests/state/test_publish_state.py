"""The tables of many districts: exactly the districts' own, visible together or not at all."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError
from polars.testing import assert_frame_equal

from pipeline.errors import SettingsError, StateError, StoppedError
from pipeline.publish.guards import RowCounts
from pipeline.schema import COMBINED, LABELS, TABLES, VIEW
from pipeline.state import publish as publishing
from pipeline.state.lakehouse import Lakehouse
from pipeline.state.marker import StateMarker, read_marker
from pipeline.state.parts import Partition
from pipeline.state.publish import is_published
from pipeline.state.published import DistrictYear, published_tables
from pipeline.storage import files
from tests.state.sets import (
    FEW,
    YEAR,
    frames,
    marker,
    of_district,
    publish_all,
    publish_district,
    read,
    with_key,
)

FIRST, SECOND = Partition("first", YEAR), Partition("second", YEAR)
REPOSITORY = Path(__file__).parents[2]
NAMES = {"first_name", "last_name", "middle_name"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def first(tmp_path: Path) -> DistrictYear:
    return publish_district(tmp_path / "first", frames(11))


@pytest.fixture
def second(tmp_path: Path) -> DistrictYear:
    return publish_district(tmp_path / "second", frames(23))


def publish_again(district: DistrictYear, rows: int, build: str = "build-2") -> DistrictYear:
    """Publish other rows of a district, as its run of the next day does."""
    data = district.manifest.parents[2]
    return publish_district(data, frames(rows), build)


def content(root: Path) -> dict[str, pl.DataFrame]:
    """Return what a reader sees who follows the marker."""
    return {name: read(root, name) for name in marker(root)["versions"]}


def assert_same(now: dict[str, pl.DataFrame], before: dict[str, pl.DataFrame]) -> None:
    assert now.keys() == before.keys()
    for name, rows in now.items():
        assert_frame_equal(rows, before[name], check_row_order=False)


# What is published.


def test_every_row_and_value_of_every_table_is_there(root: Path, tmp_path: Path) -> None:
    numbers = {"first": 11, "second": 23}
    districts = [
        publish_district(tmp_path / name, frames(rows, tables=TABLES))
        for name, rows in numbers.items()
    ]
    result = publish_all(root, *districts, run="run-7")
    assert (result.published, result.failed) == ([FIRST, SECOND], {})
    for district, rows in numbers.items():
        for name, expected in frames(rows, tables=TABLES).items():
            found = of_district(read(root, name), district)
            assert_frame_equal(found, with_key(expected, district), check_exact=True)


def test_the_marker_counts_what_is_there(root: Path, first, second) -> None:
    publish_all(root, first, second, run="run-7")
    found = marker(root)
    assert found["run"] == "run-7"
    assert found["rows"] == {t.stem: 11 + 23 + 2 * n for n, t in enumerate(FEW)}
    districts = found["years"][YEAR]
    assert districts.keys() == {"first", "second"}
    for name, total in found["rows"].items():
        assert sum(each["rows"][name] for each in districts.values()) == total
        assert read(root, name).height == total


def test_tables_with_names_of_students_are_left_out_unless_they_are_wanted(
    root: Path, first
) -> None:
    publish_all(root, first, with_names=False)
    columns = {column for rows in content(root).values() for column in rows.columns}
    assert not columns & NAMES
    assert VIEW.stem in content(root)
    publish_all(root, first, with_names=True)
    assert set(read(root, COMBINED.stem).columns) >= NAMES
    publish_all(root, first, with_names=False)
    assert COMBINED.stem not in content(root)
    newest = pl.scan_delta(str(root / "tables" / COMBINED.stem)).collect()
    assert newest.height == 0


def newest_with_names(root: Path) -> int:
    return pl.scan_delta(str(root / "tables" / COMBINED.stem)).collect().height


def test_names_do_not_stay_where_a_run_ends_before_the_marker(
    root: Path, first, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was to remove them, or to publish them for the first time."""
    publish_all(root, first, with_names=True)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_marker", fail)
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, first, with_names=False, run="run-2")
    assert COMBINED.stem in content(root)
    publish_all(root, first, with_names=False, run="run-3")
    assert newest_with_names(root) == 0
    assert COMBINED.stem not in content(root)
    assert all(COMBINED.stem not in each for each in marker(root)["earlier"])

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_marker", fail)
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, first, with_names=True, run="run-4")
    assert newest_with_names(root) == 11
    tables = published_tables(with_names=False)
    assert not is_published(Lakehouse(str(root)), [first], tables)
    publish_all(root, first, with_names=False, run="run-5")
    assert newest_with_names(root) == 0
    assert is_published(Lakehouse(str(root)), [first], tables)


def test_no_value_of_a_student_is_in_the_log(root: Path, first) -> None:
    publish_all(root, first)
    logs = [path.read_text("utf-8") for path in root.glob("tables/*/_delta_log/*.json")]
    assert len(logs) == 2 * len(FEW)
    assert not any(text in log for log in logs for text in ("1e400", "Zoë", "minValues", "2024-02"))


def test_nothing_is_readable_for_others(root: Path, first, second) -> None:
    publish_all(root, first)
    for old in root.glob("tables/*/*/*/*.parquet"):
        os.utime(old, (0, 0))
    publish_all(root, first, second, run="run-2")  # which cleans, too
    assert len(list(root.glob(f"tables/{VIEW.stem}/_delta_log/*.json"))) > 2
    assert {path.stat().st_mode & 0o077 for path in root.glob("tables/**/*")} == {0}
    assert (root / "tables").stat().st_mode & 0o077 == 0


def test_the_documented_queries_follow_the_marker(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_all(root / "data" / "state", first, second)
    publish_again(first, 5)
    with monkeypatch.context() as patch:
        fail_at_table(patch, LABELS.stem, OSError())
        with pytest.raises(StateError):
            publish_all(root / "data" / "state", first, second)
    monkeypatch.chdir(root)
    page = (REPOSITORY / "docs" / "state-tables.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for query in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(query, names)
        shown = capsys.readouterr().out
        for rows in (12, 24):
            assert re.search(rf"\b{rows}\b", shown), shown


# The next day.


def test_what_is_unchanged_is_not_committed_again(root: Path, first, second) -> None:
    publish_all(root, first, second)
    before = (root / "published.json").read_bytes()
    logs = sorted(root.glob("tables/*/_delta_log/*"))
    result = publish_all(root, first, second, run="run-2")
    assert result.unchanged == [FIRST, SECOND]
    assert result.published == []
    assert (root / "published.json").read_bytes() == before
    assert sorted(root.glob("tables/*/_delta_log/*")) == logs


def test_a_district_is_replaced_and_the_others_stay(root: Path, first, second) -> None:
    publish_all(root, first, second)
    before = content(root)
    result = publish_all(root, publish_again(first, 5), second, run="run-2")
    assert (result.published, result.unchanged) == ([FIRST], [SECOND])
    for name, rows in frames(5).items():
        assert_frame_equal(of_district(read(root, name), "first"), with_key(rows, "first"))
        others = of_district(read(root, name), "second")
        assert_frame_equal(others, of_district(before[name], "second"))
    assert marker(root)["years"][YEAR]["second"]["run"] == "run-1"


def test_another_year_is_another_partition(root: Path, tmp_path: Path, first) -> None:
    later = publish_district(tmp_path / "first", frames(4, "24-25"), year="24-25")
    publish_all(root, first)
    publish_all(root, later, run="run-2")
    found = read(root, VIEW.stem)
    years = dict(found.group_by("year").len().iter_rows())
    assert years == {YEAR: 11 + FEW.index(VIEW), "24-25": 4 + FEW.index(VIEW)}


def break_a_file(manifest: Path) -> None:
    (manifest.parent / "assessment_labels.csv").write_text("broken")


@pytest.mark.parametrize("harm", [Path.unlink, break_a_file])
def test_a_district_that_cannot_be_published_keeps_its_rows_and_is_named(
    root: Path, first, second, harm: Callable[[Path], None]
) -> None:
    publish_all(root, first, second)
    before = content(root)
    harm(publish_again(first, 5).manifest)
    result = publish_all(root, first, publish_again(second, 6), run="run-2")
    assert result.published == [SECOND]
    assert [*result.missing, *result.failed] == [FIRST]
    assert all("was changed after it was" in reason for reason in result.failed.values())
    for name, rows in content(root).items():
        assert_frame_equal(of_district(rows, "first"), of_district(before[name], "first"))
        assert of_district(rows, "second").height == frames(6)[name].height


def test_parts_that_only_their_worker_sees_are_not_committed(root: Path, first, second) -> None:
    """It has a folder of its own where the others share one, or another server."""
    publish_all(root, first)
    before = read(root, VIEW.stem)

    def elsewhere(call: Callable[[Any], Any], districts: Iterable[Any]) -> Iterable[Any]:
        for found in map(call, districts):
            for path in (root / "tables" / VIEW.stem / "district=second").rglob("*.parquet"):
                path.unlink()
            yield found

    tables, about = published_tables(with_names=True), {"run": "run-2", "keep_versions": 2}
    with pytest.raises(StateError, match=f"1 part of {VIEW.stem} cannot be seen in "):
        publishing.publish_state(Lakehouse(str(root)), [second], tables, **about, run_all=elsewhere)
    assert_frame_equal(read(root, VIEW.stem), before)
    assert publish_all(root, second, run="run-3").published == [SECOND]


def test_nothing_is_committed_by_a_run_that_has_lost_the_folder(root: Path, first) -> None:
    def lost() -> None:
        raise StoppedError("Another run took over.")

    tables = published_tables(with_names=True)
    with pytest.raises(StoppedError):
        publishing.publish_state(
            Lakehouse(str(root)), [first], tables, run="run-1", keep_versions=2, check=lost
        )
    assert not [*root.rglob("*.json")]


def test_rows_of_another_district_of_the_same_name_are_not_replaced(
    root: Path, tmp_path: Path, first
) -> None:
    """As by a test with folders of its own and the real place of the tables."""
    publish_all(root, first)
    other = publish_district(tmp_path / "test" / "first", frames(5), source="https://test/live")
    before = read(root, VIEW.stem)
    result = publish_all(root, other, run="run-2")
    (reason,) = result.failed.values()
    assert "of https://first.example.org/live, and those of this state folder are of http" in reason
    assert_frame_equal(read(root, VIEW.stem), before)
    source = "https://first.example.org/live"
    moved = publish_all(root, other, run="run-3", replace_source=source)
    assert moved.published == [FIRST]
    publish_all(root, first, run="run-4", replace_source="https://test/live")
    data, tables = tmp_path / "test" / "first", frames(6)
    allowed = {"source": "https://test/live", "replaced_source": source}
    again = publish_all(root, publish_district(data, tables, "build-2", **allowed), run="run-5")
    assert again.published == [FIRST]


def test_rows_that_the_district_did_not_count_are_refused(root: Path, tmp_path: Path) -> None:
    rows = frames(11)
    short = RowCounts({"combined": {"83078": rows[VIEW.stem].height + 1}, "group": {}})
    district = publish_district(tmp_path / "first", rows, counts=short)
    result = publish_all(root, district, with_names=False)
    assert "12 rows, of 13 that were counted" in result.failed[FIRST]
    assert result.marker is None
    assert not (root / "published.json").exists()


def test_rows_of_another_year_are_refused(root: Path, tmp_path: Path) -> None:
    district = publish_district(tmp_path / "first", frames(3, "22-23"))
    assert "rows of another year" in publish_all(root, district).failed[FIRST]


def test_is_published_says_whether_readers_see_what_districts_have(
    root: Path, first, second
) -> None:
    tables = published_tables(with_names=True)

    def there(*districts: DistrictYear) -> bool:
        return is_published(Lakehouse(str(root)), districts, tables)

    assert not there(first)
    publish_all(root, first)
    assert there(first)
    assert not there(first, second)
    assert not is_published(Lakehouse(str(root)), [first], published_tables(with_names=False))
    publish_again(first, 5)
    assert not there(first)
    first.manifest.unlink()
    assert there(first)  # nothing of it can be published
    (root / "published.json").unlink()
    assert there(first)
    assert not there(second)


# Columns.


def test_a_column_of_one_district_is_null_in_the_others(root: Path, tmp_path: Path, first) -> None:
    publish_all(root, first)
    rows = frames(4)
    rows[VIEW.stem] = rows[VIEW.stem].with_columns(school=pl.lit("North"))
    other = publish_district(tmp_path / "second", rows)
    publish_all(root, first, other, run="run-2")
    found = read(root, VIEW.stem)
    assert found.columns[-1] == "school"
    assert of_district(found, "second")["school"].unique().to_list() == ["North"]
    assert of_district(found, "first")["school"].unique().to_list() == [None]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("SCHOOL", "is spelled school in other districts"),
        ("District", "has a column district of its own"),
    ],
)
def test_a_column_that_does_not_fit_stops_its_own_district_only(
    root: Path, tmp_path: Path, column: str, reason: str
) -> None:
    districts = []
    for name, heading in (("first", "school"), ("second", column)):
        rows = frames(4)
        rows[VIEW.stem] = rows[VIEW.stem].with_columns(pl.lit("North").alias(heading))
        districts.append(publish_district(tmp_path / name, rows))
    result = publish_all(root, *districts)
    assert result.published == [FIRST]
    assert reason in result.failed[SECOND]
    assert read(root, VIEW.stem)["district"].unique().to_list() == ["first"]


def test_a_table_with_another_type_is_left_alone(root: Path, first) -> None:
    place = root / "tables" / LABELS.stem
    files.make_folder(place)
    schema = deltalake.Schema([deltalake.Field("unit", "long")])
    deltalake.DeltaTable.create(str(place), schema)
    with pytest.raises(StateError, match=r"Column unit \(string\) of assessment_labels"):
        publish_all(root, first)
    assert not (root / "published.json").exists()
    assert deltalake.DeltaTable(str(place)).version() == 0


# All tables or none.


def fail_at_table(monkeypatch: pytest.MonkeyPatch, stem: str, error: BaseException) -> None:
    """Make the commit of a table fail."""
    real = deltalake.DeltaTable.create_write_transaction

    def commit(self: deltalake.DeltaTable, *args: Any, **options: Any) -> None:
        if self.table_uri.rstrip("/").endswith(stem):
            raise error
        real(self, *args, **options)

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", commit)


@pytest.mark.parametrize("stem", [FEW[0].stem, FEW[-1].stem])
@pytest.mark.parametrize("error", [CommitFailedError("a value"), OSError(28, "a value")])
def test_a_failed_commit_changes_nothing(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch, stem: str, error: OSError
) -> None:
    publish_all(root, first, second)
    before = content(root)
    publish_again(first, 5)
    with monkeypatch.context() as patch:
        fail_at_table(patch, stem, error)
        with pytest.raises(StateError, match="see what was published before") as raised:
            publish_all(root, first, second, run="run-2")
    assert "a value" not in str(raised.value)
    assert_same(content(root), before)
    publish_all(root, first, second, run="run-3")
    assert of_district(read(root, stem), "first").height == frames(5)[stem].height


def test_rows_of_a_failed_run_do_not_stay_in_the_tables(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The district's own run took the set back; another district is published."""
    publish_all(root, first, second)
    before = content(root)
    publish_again(first, 5)
    with monkeypatch.context() as patch:
        fail_at_table(patch, FEW[-1].stem, OSError())
        with pytest.raises(StateError):
            publish_all(root, first, second, run="run-2")
    publish_again(first, 11, "build-1")
    result = publish_all(root, first, publish_again(second, 6), run="run-3")
    assert (result.published, result.unchanged) == ([SECOND], [FIRST])
    for name, rows in content(root).items():
        assert_frame_equal(of_district(rows, "first"), of_district(before[name], "first"))


def test_nothing_is_visible_before_the_marker(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_all(root, first)
    before, seen = content(root), []
    real = publishing.write_marker

    def look_first(*args: Any) -> None:
        newest = pl.scan_delta(str(root / "tables" / VIEW.stem)).collect()
        assert newest["district"].n_unique() == 2
        assert_same(content(root), before)
        seen.append(True)
        real(*args)

    monkeypatch.setattr(publishing, "write_marker", look_first)
    publish_all(root, first, second, run="run-2")
    assert seen == [True]
    assert read(root, VIEW.stem)["district"].n_unique() == 2


def test_of_two_committers_one_fails_and_says_so(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other begins and ends just before this one's commit."""
    publish_all(root, first)
    publish_again(first, 5)
    real = deltalake.DeltaTable.create_write_transaction

    def commit(self: deltalake.DeltaTable, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", real)
        publish_all(root, second, run="the other")
        real(self, *args, **options)

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", commit)
    with pytest.raises(StateError, match="another run committed to it meanwhile"):
        publish_all(root, first, run="this one")
    assert marker(root)["run"] == "the other"
    for name, rows in content(root).items():
        assert of_district(rows, "first").height == frames(11)[name].height
        assert of_district(rows, "second").height == frames(23)[name].height


def test_a_marker_that_another_run_wrote_is_not_replaced(
    root: Path, first, second, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_all(root, first)
    real = publishing.write_marker

    def write(*args: Any) -> None:
        monkeypatch.setattr(publishing, "write_marker", real)
        publish_all(root, second, run="the other")
        real(*args)

    monkeypatch.setattr(publishing, "write_marker", write)
    with pytest.raises(StateError, match="Another run has replaced"):
        publish_all(root, publish_again(first, 5), run="this one")
    assert marker(root)["run"] == "the other"
    assert of_district(read(root, VIEW.stem), "first").height == frames(11)[VIEW.stem].height


def test_a_marker_of_another_program_is_left_alone(root: Path, first) -> None:
    files.write_text(root / "published.json", "{}")
    with pytest.raises(StateError, match="cannot be read"):
        publish_all(root, first)
    assert (root / "published.json").read_text("utf-8") == "{}"
    assert not list(root.glob("tables/*"))


def test_a_table_that_lost_a_part_is_noticed(root: Path, first, second) -> None:
    """Somebody else's tool removed a district from the version that the marker names."""
    publish_all(root, first, second)
    found = read_marker(Lakehouse(str(root)).store)
    assert found
    table = deltalake.DeltaTable(str(root / "tables" / VIEW.stem))
    table.delete("district = 'second'")
    changed = {**found.versions, VIEW.stem: table.version()}
    files.write_json(
        root / "published.json",
        StateMarker(found.run, changed, found.rows, found.years, found.earlier),
    )
    with pytest.raises(StateError, match="and its districts have"):
        publish_all(root, publish_again(first, 5), second, run="run-2")


def test_a_folder_that_cannot_be_made_is_named_with_what_was_to_be_there(root: Path, first) -> None:
    files.write_text(root / "tables", "a file")
    with pytest.raises(
        StateError, match=r"A part of .* could not be written to .*follow published"
    ):
        publish_all(root, first)
    assert not (root / "published.json").exists()


def test_without_the_library_the_error_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(SettingsError, match="run make state, then"):
        Lakehouse(str(root))


# What is kept.


def parts(root: Path, stem: str) -> set[Path]:
    return set((root / "tables" / stem).glob("*/*/*.parquet"))


def test_parts_that_were_never_committed_are_removed(root: Path, first, second) -> None:
    publish_all(root, first)
    lakehouse = Lakehouse(str(root))
    old, young = (
        root / "tables" / VIEW.stem / lakehouse.stage(VIEW.stem, rows.lazy(), FIRST).path
        for rows in (frames(3)[VIEW.stem].drop("year"), frames(4)[VIEW.stem].drop("year"))
    )
    os.utime(old, (0, 0))
    publish_all(root, first, second, run="run-2")
    assert not old.exists()
    assert young.exists()  # somebody may be about to commit it


def test_versions_are_kept_for_readers_and_then_removed(root: Path, first) -> None:
    for number in range(1, 5):
        publish_again(first, number, f"build-{number}")
        publish_all(root, first, run=f"run-{number}", keep_versions=2)
    lakehouse, now = Lakehouse(str(root)), read_marker(Lakehouse(str(root)).store)
    assert now
    kept = sorted(now.kept_versions(VIEW.stem))
    assert len(kept) == 2
    assert lakehouse.clean(VIEW.stem, kept, hours=0) == 2
    index = FEW.index(VIEW)
    place = str(root / "tables" / VIEW.stem)
    heights = [pl.scan_delta(place, version=version).collect().height for version in kept]
    assert heights == [3 + index, 4 + index]
    assert len(parts(root, VIEW.stem)) == 2
    # Nor do other programs that write a checkpoint remove the versions of readers.
    configuration = deltalake.DeltaTable(place).metadata().configuration
    assert configuration == {"delta.enableExpiredLogCleanup": "false"}


def test_cleaning_never_takes_what_the_marker_needs(
    root: Path, first, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are newer than the marker."""
    publish_all(root, first)
    before = content(root)
    publish_again(first, 5)
    with monkeypatch.context() as patch:
        fail_at_table(patch, FEW[-1].stem, OSError())
        with pytest.raises(StateError):
            publish_all(root, first, run="run-2")
    now = read_marker(Lakehouse(str(root)).store)
    assert now
    for table in FEW:
        Lakehouse(str(root)).clean(table.stem, now.kept_versions(table.stem), hours=0)
    assert_same(content(root), before)
