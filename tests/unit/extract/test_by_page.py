"""Reading all results by ranges of dates: every row, whatever goes wrong, or a plain refusal."""

import contextlib
import datetime as dt
import functools
import threading
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

from pipeline.errors import (
    ByPageError,
    ResponseError,
    StoppedError,
    StorageError,
    TooManyPagesError,
    TransientError,
)
from pipeline.extract import by_page, ranges, shards
from pipeline.extract.by_page import RangeReader, Server, compare, write_shards
from pipeline.extract.fetch import Retries
from pipeline.extract.manifest import ShardRequest
from pipeline.extract.parts import Parts, count_days, same_rows
from pipeline.extract.pool import Pool
from pipeline.illuminate.pages import Result
from pipeline.years import Window
from tests.helpers import begin_early

DAYS = [dt.date(2023, 7, 1) + number * dt.timedelta(days=1) for number in range(40)]
WINDOW = Window(DAYS[0], DAYS[-1])
REQUEST = ShardRequest("a district", "overall", WINDOW)
TODAY = dt.date(2023, 8, 10)
FIELDS = ("assessment_id", "local_student_id", "date_taken", "points")
LIMIT = 10


def rows_of(table):
    return sorted(table.select(FIELDS).iter_rows(), key=str)


class District:
    """A server of made-up rows; `broken` says why a range fails, or nothing."""

    def __init__(self, rows):
        self.rows = pl.DataFrame(rows, schema=dict.fromkeys(FIELDS, pl.String), orient="row")
        self.requested, self.counted, self.likely = [], 0, {}
        self.broken = lambda _: None
        self.undated = None
        self.stop = threading.Event()

    def count(self):
        self.counted += 1
        return self.rows.height

    def fetch(self, window, most_pages, likely_rows=0):
        self.requested.append(window)
        self.likely[window] = likely_rows
        if error := self.broken(window):
            raise error
        first, last = str(window.start), str(window.end)
        rows = self.rows.filter(pl.col("date_taken").is_between(pl.lit(first), pl.lit(last)))
        if self.undated:
            rows = pl.concat([rows, self.undated(window)])
        pages = -(-rows.height // LIMIT)
        if most_pages and pages > most_pages:
            raise TooManyPagesError(pages)
        return Result(rows, rows.height, pages, 0)

    def fetch_one(self, assessment_id, likely_rows=0):
        self.likely[assessment_id] = likely_rows
        rows = self.rows.filter(pl.col("assessment_id").str.strip_chars() == assessment_id)
        return Result(rows.unique(), rows.height, 1, rows.height - rows.unique().height)


@pytest.fixture
def district():
    """Five rows a day, of seven assessments; one day has a thousand, and one row comes twice."""
    days = [*DAYS * 5, *[DAYS[20]] * 1000]
    rows = [(str(n % 7), str(n), str(day), "1") for n, day in enumerate(days)]
    return District([*rows, rows[3]])


@contextlib.contextmanager
def reading(district, folder, request=REQUEST, today=TODAY):
    """Open what reads the results of a district into a folder."""

    @contextlib.contextmanager
    def show(rows):
        yield lambda _: rows

    with Pool(4) as pool:
        server = Server(
            district.count,
            district.fetch,
            district.fetch_one,
            LIMIT,
            pool,
            district.stop,
            retries=Retries("23-24 overall", lambda: None, lambda: True),
        )
        yield RangeReader(server, request, folder, show, today)


@pytest.fixture
def reader(district, tmp_path):
    with reading(district, tmp_path / "parts") as reader:
        yield reader


def read(reader):
    return Parts(reader.read(), FIELDS)


def all_rows(parts):
    found = [result for batch in parts.read(parts.rows) for result in batch.values()]
    return pl.concat(result.rows for result in found), sum(each.declared for each in found)


def test_every_row_is_found_by_its_assessment(reader, district):
    parts = read(reader)
    assert parts.rows == Counter(district.rows["assessment_id"])
    found, declared = all_rows(parts)
    assert rows_of(found) == rows_of(district.rows.unique())
    assert declared == district.rows.height
    assert district.counted == 1


def test_of_one_range_it_is_known_how_many_rows_are_likely(reader, district):
    district.rows = district.rows.head(3 * LIMIT)
    read(reader)
    assert district.likely == {WINDOW: 3 * LIMIT}


def test_of_several_ranges_it_is_not_known_how_many_rows_are_likely(reader, district):
    read(reader)
    assert len(district.likely) > 1
    assert set(district.likely.values()) == {0}


def test_of_the_first_ranges_half_of_what_is_likely_is_requested_at_once(reader, district):
    days = Counter(map(dt.date.fromisoformat, district.rows["date_taken"]))
    reader.likely = lambda: {day: 3 * count for day, count in days.items()}
    read(reader)
    likely = {each: count for each, count in district.likely.items() if count}
    assert len(likely) >= 3
    for each, count in likely.items():
        there = sum(n for day, n in days.items() if each.start <= day <= each.end)
        assert count == there // 2


def test_ranges_are_cut_but_for_a_single_day(reader, district):
    read(reader)
    longest = max(district.requested, key=ranges.days)
    busy = Window(DAYS[20], DAYS[20])
    assert busy in district.requested
    assert ranges.days(longest) > 1
    kept = [ranges.parse(path.stem) for path in reader.read()]
    for each in kept:
        assert each == busy or district.fetch(each, by_page.MOST_PAGES).pages <= by_page.MOST_PAGES


def test_no_range_is_too_long_where_rows_come_on_the_days_of_others(reader, district):
    """As those of another endpoint do: there is a third of their number on each day."""
    rows = Counter(map(dt.date.fromisoformat, district.rows["date_taken"]))
    reader.likely = lambda: {day: 3 * count for day, count in rows.items()}
    assert read(reader).rows == Counter(district.rows["assessment_id"])
    days = [
        day
        for each in district.requested
        for day in range(each.start.toordinal(), each.end.toordinal() + 1)
    ]
    assert len(days) == len(set(days)) == len(DAYS)


def test_rows_are_counted_by_the_day_that_they_are_dated_on(tmp_path):
    dates = ["2023-07-02", "2023-07-02 00:00:00", "2023-07-03", "2023-02-31", "infinity", "", None]
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path, column in zip(paths, ("points", "another"), strict=True):
        pl.DataFrame({"date_taken": dates, column: dates}).write_parquet(path)
    assert count_days(paths) == {dt.date(2023, 7, 2): 4, dt.date(2023, 7, 3): 2}
    assert count_days([]) == {}


def test_what_was_read_is_not_read_again(reader, district):
    first = reader.read()
    district.requested.clear()
    assert reader.read() == first
    assert district.requested == []


def test_a_damaged_part_is_read_again(reader, district):
    victim = reader.read()[1]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-9] + b"123456789")
    district.requested.clear()
    reader.read()
    assert victim.read_bytes() == whole
    assert district.requested == [ranges.parse(victim.stem)]


def test_parts_of_another_request_are_not_kept(reader, district):
    reader.read()
    district.requested.clear()
    reader.request = ShardRequest("another district", "overall", WINDOW)
    reader.read()
    assert min(each.start for each in district.requested) == WINDOW.start


def test_rows_that_were_entered_after_some_ranges_were_read_are_not_lost(reader, district):
    reader.read()
    late = pl.DataFrame([("3", "late", str(DAYS[0]), "9")], district.rows.schema, orient="row")
    district.rows = pl.concat([district.rows, late])
    parts = read(reader)
    assert rows_of(all_rows(parts)[0]) == rows_of(district.rows.unique())


def test_ranges_that_never_add_up_are_refused(reader, district):
    reader.server = replace(reader.server, count=lambda: district.rows.height + 1)
    with pytest.raises(ByPageError, match=r"it declares 1,202 results in all, and 1,201 by dates"):
        reader.read()
    assert not reader.folder.exists()
    assert len(district.requested) == len(set(district.requested))


def test_rows_that_are_entered_while_ranges_are_read_are_not_lost(reader, district):
    late = pl.DataFrame([("3", "late", str(DAYS[-1]), "9")], district.rows.schema, orient="row")

    def enter(_):
        if len(district.requested) == 1:
            district.rows = pl.concat([district.rows, late])

    district.broken = enter
    assert rows_of(all_rows(read(reader))[0]) == rows_of(district.rows.unique())
    assert district.counted == 2
    assert len(district.requested) == len(set(district.requested)), "nothing was read twice"


@pytest.mark.parametrize("longest", [1, 3, 10])
def test_ranges_that_fail_are_halved(reader, district, longest):
    district.broken = lambda w: TransientError("no") if ranges.days(w) > longest else None
    found, _ = all_rows(read(reader))
    assert rows_of(found) == rows_of(district.rows.unique())


def test_a_day_that_fails_is_refused_before_many_requests_are_wasted(reader, district):
    district.broken = lambda _: TransientError("the server answered 503")
    with pytest.raises(ByPageError, match="results of 2023-07-01 could not be read: the server"):
        reader.read()
    assert len(district.requested) <= 2 * 7


def test_an_answer_that_is_wrong_for_good_is_refused_at_once(reader, district):
    district.broken = lambda _: ResponseError("the server answered 400")
    with pytest.raises(ByPageError, match="the server answered 400"):
        reader.read()
    assert len(district.requested) <= 4  # those at the same time


def test_a_stopped_run_keeps_what_it_read(reader, district):
    def stop_later(_):
        if len(district.requested) > 3:
            district.stop.set()

    district.broken = stop_later
    with pytest.raises(StoppedError):
        reader.read()
    district.stop.clear()
    district.broken = lambda _: None
    kept = {path.stem for path in reader.folder.glob("*.parquet")}
    assert kept
    district.requested.clear()
    reader.read()
    assert not kept & {*map(ranges.name, district.requested)}


UNDATED = [("3", "a", None, "1"), ("3", "a", None, "1"), ("5", "b", "", "2"), ("8", "c", None, "3")]


@pytest.fixture
def undated(district):
    """Rows without a date, one of them twice, that the server counts and has by assessment."""
    rows = pl.DataFrame(UNDATED, district.rows.schema, orient="row")
    district.rows = pl.concat([district.rows, rows])
    return rows


def first_and(*days):
    return lambda window: any(window.start <= day <= window.end for day in (DAYS[0], *days))


@pytest.mark.parametrize(
    "sends",
    [lambda _: True, first_and(), first_and(DAYS[20], DAYS[-1])],
    ids=["each", "first", "some"],
)
def test_rows_without_a_date_that_several_ranges_have_are_kept_once(
    reader, district, undated, sends
):
    district.undated = lambda window: undated if sends(window) else undated.clear()
    parts = read(reader)
    found, declared = all_rows(parts)
    assert rows_of(found) == rows_of(district.rows.unique())
    assert declared == district.rows.height
    assert parts.rows == Counter(district.rows["assessment_id"])
    compare(reader.server, parts, ["3", "5", "8"])
    assert parts.undated == {"3", "5", "8"}


def test_rows_without_a_date_that_belong_to_a_range_each_are_all_kept(reader, district, undated):
    days = dict(zip((DAYS[3], DAYS[39]), undated.iter_slices(2), strict=True))
    district.undated = lambda w: pl.concat(
        [undated.clear(), *(row for day, row in days.items() if w.start <= day <= w.end)]
    )
    found, declared = all_rows(read(reader))
    assert rows_of(found) == rows_of(district.rows.unique())
    assert declared == district.rows.height


def test_rows_without_a_date_that_change_from_range_to_range_are_refused(reader, district, undated):
    district.undated = lambda window: undated[: 1 + ranges.days(window) % 3]
    with pytest.raises(ByPageError, match=r"it declares .* results in all, and .* by dates"):
        reader.read()


def test_rows_without_a_date_that_are_none_by_assessment_are_refused_early(
    reader, district, undated
):
    district.undated = lambda _: undated
    one = district.fetch_one
    district.rows = district.rows.filter(pl.col("date_taken") > "")
    reader.server = replace(reader.server, count=lambda: 1205, fetch_one=one)
    with pytest.raises(ByPageError, match="assessment 3 has 0 rows by assessment and 1 by page"):
        reader.read()
    assert max(window.end for window in district.requested) < DAYS[25]  # not the others


def test_rows_without_a_readable_date_are_compared_as_those_without_any(reader, district):
    """A server may send these for any range, too."""
    rows = [("3", "a", "soon", "1")], district.rows.schema
    district.undated = lambda _: pl.DataFrame(*rows, orient="row")
    reader.server = replace(reader.server, count=lambda: 1202)
    with pytest.raises(ByPageError, match="assessment 3 has 0 rows by assessment and 1 by page"):
        reader.read()
    assert max(window.end for window in district.requested) < DAYS[25]  # not the others
    district.rows = pl.concat([district.rows, pl.DataFrame(*rows, orient="row")])
    assert read(reader).rows == Counter(district.rows["assessment_id"])


def test_no_results_are_none_only_where_that_may_be(reader, district):
    district.rows = district.rows.clear()
    with pytest.raises(ByPageError, match="it counts no results"):
        reader.read()
    reader.may_be_none = True
    assert reader.read() == []


def test_a_row_that_differs_is_noticed(reader, district):
    parts = read(reader)
    compare(reader.server, parts, ["0", "1", "5", "none"])
    district.rows = district.rows.with_columns(
        points=pl.when(pl.col("local_student_id") == "5").then(pl.lit("2")).otherwise("points")
    )
    compare(reader.server, parts, ["0", "1", "none"])
    with pytest.raises(ByPageError, match=r"assessment 5 has .* and other rows by page"):
        compare(reader.server, parts, ["0", "1", "5", "none"])


def test_what_came_early_is_not_requested_again(reader, district):
    parts = read(reader)
    with begin_early(reader.server.pool, reader.server.fetch_one, ["0", "1"]) as early:
        early.end()
        district.likely.clear()
        compare(reader.server, parts, ["0", "1", "5", "none"], early=early.take)
    assert district.likely == {"5": 0, "none": 0}


@pytest.mark.parametrize("how", ["another row was there", "it failed"])
def test_what_came_early_and_differs_or_failed_is_requested_again(reader, district, how):
    """A result may have been entered since; only what comes now counts."""
    parts, early_rows = read(reader), district.rows.filter(pl.col("local_student_id") != "5")

    def before(assessment_id):
        if how == "it failed":
            raise TransientError("the server answered 503")
        rows = early_rows.filter(pl.col("assessment_id") == assessment_id)
        return Result(rows, rows.height, 1, 0)

    with begin_early(reader.server.pool, before, ["0", "5"]) as early:
        compare(reader.server, parts, ["0", "5"], early=early.take)
    assert "5" in district.likely
    district.rows = early_rows
    with (
        begin_early(reader.server.pool, before, ["0", "5"]) as early,
        pytest.raises(ByPageError, match="assessment 5 has"),
    ):
        compare(reader.server, parts, ["0", "5"], early=early.take)


def test_an_assessment_without_rows_by_page_that_has_some_is_noticed(reader, district):
    parts = read(reader)
    more = pl.DataFrame([("8", "1", str(DAYS[0]), "1")], district.rows.schema, orient="row")
    district.rows = pl.concat([district.rows, more])
    with pytest.raises(ByPageError, match="assessment 8 has 1 row by assessment and 0 by page"):
        compare(reader.server, parts, ["8"])


def test_shards_are_written_for_the_assessments_that_are_wanted(reader, district, tmp_path):
    parts = read(reader)
    write = functools.partial(shards.write, tmp_path / "s", "overall")
    entries = write_shards(reader.server, parts, [" 3 ", "4", "none"], write)
    assert entries.keys() == {" 3 ", "4", "none"}
    assert entries["none"].file is None
    of = district.rows.filter(pl.col("assessment_id") == "3")
    assert (entries[" 3 "].server_total, entries[" 3 "].rows) == (of.height, of.unique().height)
    assert entries[" 3 "].duplicates == 1
    assert entries["4"].file.matches(tmp_path / "s/4.parquet")


def test_many_assessments_are_read_a_few_at_a_time(reader, monkeypatch):
    monkeypatch.setattr("pipeline.extract.parts._BATCH", 300)
    parts = read(reader)
    batches = [*parts.read(parts.rows)]
    assert len(batches) > 1
    assert sorted(i for batch in batches for i in batch) == sorted(parts.rows)
    assert max(sum(map(len, (r.rows for r in batch.values()))) for batch in batches) <= 300


def test_assessments_with_rows_without_a_date_are_known(tmp_path):
    path = tmp_path / "part.parquet"
    rows = [("1", "a", "2023-07-01", "1"), ("2", "a", None, "1"), (" 3", "a", "soon", "1")]
    pl.DataFrame(rows, dict.fromkeys(FIELDS, pl.String), orient="row").write_parquet(path)
    assert Parts([path], FIELDS).undated == {"2", "3"}


def test_a_column_that_one_reply_lacks_is_null_there():
    one = pl.DataFrame({"a": ["1", "2"], "b": [None, None]}, {"a": pl.String, "b": pl.String})
    assert same_rows(one, pl.DataFrame({"a": ["2", "1"]}))
    assert not same_rows(one, pl.DataFrame({"a": ["2", "1"], "c": ["x", None]}))
    assert not same_rows(one, pl.DataFrame({"a": ["2"]}))


def test_fields_that_only_some_ranges_have_come_last_by_name(tmp_path):
    known = {"assessment_id": ["1"], "date_taken": ["2023-07-01"]}
    pl.DataFrame({**known, "z": ["1"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({**known, "b": ["2"]}).write_parquet(tmp_path / "b.parquet")
    parts = Parts([tmp_path / "a.parquet", tmp_path / "b.parquet"], [*known])
    ((result,),) = (batch.values() for batch in parts.read(["1"]))
    assert result.rows.columns == [*known, "b", "z"]
    assert {*result.rows.select("b", "z").iter_rows()} == {(None, "1"), ("2", None)}


def test_a_disk_that_is_full_is_no_fault_of_the_server(reader, monkeypatch):
    def fail(*_):
        raise StorageError("No space left on device")

    monkeypatch.setattr(by_page.shards, "write", fail)
    with pytest.raises(StorageError, match="No space left"):
        reader.read()
