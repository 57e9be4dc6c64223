"""Ranges of another night are taken only where nothing says that they changed, and not for long."""

import datetime as dt
import math
import os
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoppedError, TransientError
from pipeline.extract import ranges
from pipeline.extract.by_page import PARTS
from pipeline.extract.manifest import Manifest, ManifestEntry
from pipeline.extract.parts import Parts
from pipeline.extract.reread import NIGHTS, not_reread, select, take_over
from pipeline.years import Window
from tests.unit.extract.test_by_page import (
    DAYS,
    FIELDS,
    REQUEST,
    District,
    all_rows,
    reading,
    rows_of,
)

DAY = dt.timedelta(days=1)
TODAY = dt.date(2024, 3, 1)
WHOLE = Window(dt.date(2023, 7, 1), TODAY)
RECENT = 14


def part(read_on):
    return ManifestEntry(5, 5, 0, 1, (), None, read_on)


def parts_of(*read_on):
    """Ranges of ten days each from the first of the year on, read on these days."""
    starts = (WHOLE.start + 10 * number * DAY for number in range(len(read_on)))
    named = (ranges.name(Window(start, start + 9 * DAY)) for start in starts)
    return dict(zip(named, map(part, read_on), strict=True))


def names(parts, *numbers):
    return [[*parts][number] for number in numbers]


def test_the_seventh_that_was_read_longest_ago_is_read_again():
    days = [TODAY - number * DAY for number in (1, 2, 6, 3, 6, 2, 1, 3)]
    parts = parts_of(*days)
    assert set(select(parts, WHOLE, RECENT, TODAY)) == {*parts} - {*names(parts, 2, 4)}
    assert len(select(parts_of(*days[:7]), WHOLE, RECENT, TODAY)) == 6


def test_what_was_not_read_within_a_week_or_nobody_knows_when_is_read_again():
    """Also what was read tomorrow, by a clock that was wrong."""
    fresh = TODAY - DAY
    parts = parts_of(fresh, TODAY - 7 * DAY, None, TODAY - 400 * DAY, TODAY + DAY, fresh)
    assert select(parts, WHOLE, RECENT, TODAY) == names(parts, 0, 5)


@pytest.mark.parametrize(("days", "kept"), [(1, True), (14, True), (15, False), (1 << 30, False)])
def test_recent_days_are_read_every_night(days, kept):
    ends = Window(TODAY - 20 * DAY, TODAY - 14 * DAY)
    parts = parts_of(TODAY - 6 * DAY) | {ranges.name(ends): part(TODAY - DAY)}
    assert (ranges.name(ends) in select(parts, WHOLE, days, TODAY)) is kept


def test_a_range_that_ends_after_the_window_is_not_taken():
    later = {ranges.name(Window(TODAY, TODAY + DAY)): part(TODAY)}
    parts = parts_of(TODAY - 6 * DAY) | later
    assert not later.keys() & {*select(parts, WHOLE, 1, TODAY)}


@given(
    st.lists(st.integers(-2, 9), min_size=1, max_size=24),
    st.lists(st.integers(0, 3), max_size=30),
    st.integers(1, 40),
)
def test_every_range_is_read_again_within_seven_days(ages, nights, days):
    """On whatever days there is a run: none leaves a range that was read a week ago."""
    parts, today = parts_of(*(TODAY - age * DAY for age in ages)), TODAY
    for passed in nights:
        today += passed * DAY
        window = Window(WHOLE.start, today)
        kept = {*select(parts, window, days, today)}
        parts = {n: of if n in kept else part(today) for n, of in parts.items()}
        assert all((today - of.read_on).days < NIGHTS for of in parts.values())
        assert all(ranges.parse(name).end <= today - days * DAY for name in kept)


@given(st.integers(1, 24))
def test_the_reading_is_spread_over_the_week(count):
    """After a night that read everything, a seventh of it is enough, for ever."""
    parts, today = parts_of(*[TODAY] * count), TODAY
    for _ in range(3 * NIGHTS):
        today += DAY
        kept = {*select(parts, Window(WHOLE.start, today), 1, today)}
        assert count - len(kept) == math.ceil(count / NIGHTS)
        parts = {name: of if name in kept else part(today) for name, of in parts.items()}


# From one night to the next.

SECOND = replace(REQUEST, window=Window(DAYS[0], DAYS[-1] + DAY))
EVE = DAYS[-1]


@pytest.fixture
def district():
    """A hundred rows a day, so that ranges are short; row 20 is of the twentieth day."""
    return District([(str(n % 7), str(n), str(day), "1") for n, day in enumerate(DAYS * 100)])


@pytest.fixture
def evening(district, tmp_path):
    """The folder of what was read the day before."""
    with reading(district, tmp_path / "evening", today=EVE) as reader:
        reader.read()
    district.requested.clear()
    return tmp_path / "evening"


@pytest.fixture
def night(district, tmp_path):
    with reading(district, tmp_path / "night", SECOND, EVE + DAY) as reader:
        yield reader


def counting(district):
    return lambda window: in_range(district.rows, window).height


def in_range(rows, window):
    first, last = pl.lit(str(window.start)), pl.lit(str(window.end))
    return rows.filter(pl.col("date_taken").is_between(first, last))


def change(district, row, **values):
    is_it = pl.col("local_student_id") == row
    district.rows = district.rows.with_columns(
        pl.when(is_it).then(pl.lit(new)).otherwise(name).alias(name) for name, new in values.items()
    )


def read_rows(reader):
    return rows_of(all_rows(Parts(reader.read(), FIELDS))[0])


def linked(reader, other):
    """Return the ranges that two nights share on the disk."""
    found = (path for path in reader.folder.glob("*.parquet") if (other / path.name).exists())
    return {path.stem for path in found if path.samefile(other / path.name)}


def test_what_need_not_be_read_is_linked_and_the_rest_is_read(district, evening, night):
    known = Manifest.read(evening / PARTS).shards
    take_over(night, [evening], 5, counting(district))
    assert read_rows(night) == rows_of(district.rows)
    kept = linked(night, evening)
    assert kept == {*select(known, SECOND.window, 5, EVE + DAY)}
    assert len(known) > len(kept) > len(known) / 2
    assert not any(
        window.start <= ranges.parse(name).end and ranges.parse(name).start <= window.end
        for window in district.requested
        for name in kept
    )
    reported = not_reread(night)["not reread"]
    assert (reported["ranges"], reported["since"]) == (len(kept), str(EVE))
    assert reported["of"] == len(night.stored.shards)


def test_a_range_whose_count_changed_is_read(district, evening, night):
    change(district, "20", date_taken=str(DAYS[10]))
    take_over(night, [evening], 5, counting(district))
    assert read_rows(night) == rows_of(district.rows)
    for day in (DAYS[10], DAYS[20]):
        assert any(window.start <= day <= window.end for window in district.requested)
    assert linked(night, evening)


def test_a_range_that_cannot_be_counted_is_read(district, evening, night):
    def fail(_):
        raise TransientError("the server answered 503")

    take_over(night, [evening], 5, fail)
    assert read_rows(night) == rows_of(district.rows)
    assert not linked(night, evening)
    assert not_reread(night) == {}


@pytest.mark.parametrize("damage", ["changed", "other size", "gone"])
def test_a_damaged_part_is_read(district, evening, night, damage):
    victim = max(evening.glob("*.parquet"), key=lambda path: path.stem < str(DAYS[25]))
    whole, status = victim.read_bytes(), victim.stat()
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(whole[:-9] + b"123456789" + b"x" * (damage == "other size"))
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    take_over(night, [evening], 5, counting(district))
    assert read_rows(night) == rows_of(district.rows)
    assert victim.stem not in linked(night, evening)


@pytest.mark.parametrize(
    "other",
    [
        {"source": "another"},
        {"endpoint": "group"},
        {"renames": ("x",)},
        {"schema": 0},
        {"window": Window(DAYS[1], DAYS[-1])},
    ],
)
def test_nothing_is_taken_from_another_request(district, evening, night, other):
    found = Manifest.read(evening / PARTS)
    Manifest(replace(found.request, **other), found.shards, {}, "").write(evening / PARTS)
    take_over(night, [evening], 5, counting(district))
    assert night.stored is None


def test_the_newest_night_that_has_parts_is_taken(district, evening, night, tmp_path):
    with reading(district, tmp_path / "older", today=EVE - DAY) as older:
        older.read()
    take_over(night, [tmp_path / "none", evening, older.folder], 5, counting(district))
    assert linked(night, evening)
    assert not linked(night, older.folder)


def test_a_night_that_was_interrupted_goes_on(district, evening, night):
    """It links nothing more: what it had to read again it does read."""
    take_over(night, [evening], 5, counting(district))
    before = night.stored
    night.read()
    after = night.stored
    take_over(night, [evening], 5, counting(district))
    assert night.stored == after
    assert after.shards.items() > before.shards.items()
    assert {of.read_on for name, of in after.shards.items() if name not in before.shards} == {
        EVE + DAY
    }


def test_a_run_that_is_stopped_while_it_counts_links_nothing(district, evening, night):
    def stop(_):
        district.stop.set()
        raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        take_over(night, [evening], 5, stop)
    assert night.stored is None


def test_counts_that_do_not_add_up_make_everything_be_read(district, evening, night):
    """The counts may not be of one time."""
    old = counting(District(district.rows.rows()))
    change(district, "20", date_taken=str(EVE + DAY))
    take_over(night, [evening], 5, old)
    assert linked(night, evening)
    assert read_rows(night) == rows_of(district.rows)
    assert not_reread(night) == {}


def test_a_result_without_a_date_that_was_corrected_makes_everything_be_read(tmp_path):
    """A server that sends such results for any dates has the old one in what was kept."""
    rows = [(str(number % 7), str(number), str(day), "1") for number, day in enumerate(DAYS * 100)]
    before, after = (
        pl.DataFrame([("3", "a", None, points)], dict.fromkeys(FIELDS, pl.String), orient="row")
        for points in ("1", "9")
    )
    district = District(rows)
    dated = district.rows
    district.rows, district.undated = pl.concat([dated, before]), lambda _: before
    with reading(district, tmp_path / "evening", today=EVE) as evening:
        evening.read()
    district.rows, district.undated = pl.concat([dated, after]), lambda _: after
    count = counting(District(rows))
    with reading(district, tmp_path / "night", SECOND, EVE + DAY) as night:
        take_over(night, [evening.folder], 5, lambda window: count(window) + 1)
        assert night.stored.shards
        assert read_rows(night) == rows_of(district.rows)
