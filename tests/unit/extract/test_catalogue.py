"""The catalogue: which assessments are fetched, and when what is on disk may be used."""

import datetime as dt
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract.catalogue import SCHEMA, Catalogue
from pipeline.storage import files
from tests.helpers import WINDOW


def catalogue(*ids: str) -> Catalogue:
    return Catalogue(
        source="a district",
        window=WINDOW,
        fetched_at=dt.datetime(2024, 7, 1, 4, 30, tzinfo=dt.UTC),
        server_total=len(ids) + 1,
        duplicates=1,
        pages=1,
        assessments=[{"assessment_id": i, "title": f"Unit {i}", "scope": None} for i in ids],
    )


id_sets = st.sets(st.sampled_from(["1", "2", "10", "9", "114845"]))


@given(id_sets, id_sets, id_sets)
def test_known_and_included_assessments_are_fetched_less_those_excluded(known, include, exclude):
    assert catalogue(*known).select_ids(include, exclude) == sorted((known | include) - exclude)


def test_ids_to_include_or_exclude_may_come_in_any_order_and_twice():
    assert catalogue("2", "1").select_ids(["9", "9", "3"], ("1", "1", "7")) == ["2", "3", "9"]


def test_white_space_around_ids_makes_no_difference_but_the_catalogues_is_requested():
    known = catalogue(" 2", "1\t", "10")
    assert known.select_ids(["2", " 1", "3"], ["10 "]) == [" 2", "1\t", "3"]
    assert [row["assessment_id"] for row in known.rows()] == ["1", "10", "2"]
    assert known.assessments[0]["assessment_id"] == " 2", "kept as it was sent"


# On disk.


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "metadata.json"
    files.write_json(path, catalogue("1", "Ä-2"))
    return path


def test_a_catalogue_is_read_back_as_it_was_written(written):
    assert Catalogue.read(written, "a district", WINDOW) == catalogue("1", "Ä-2")


def test_the_catalogue_of_another_source_is_not_used(written):
    assert Catalogue.read(written, "another district", WINDOW) is None


def test_ids_that_are_not_listed_are_found():
    assert catalogue("1", "2").unlisted(["3", "2", "02"]) == ["02", "3"]


@pytest.mark.parametrize("side", ["start", "end"])
def test_the_catalogue_of_another_window_is_not_used(written, side):
    other = replace(WINDOW, **{side: dt.date(2024, 1, 1)})
    assert Catalogue.read(written, "a district", other) is None


# That of a finished year may have schema 2 and have been fetched before it settled.
@pytest.mark.parametrize("schema", [2, SCHEMA + 1])
def test_the_catalogue_of_another_schema_is_not_used(written, schema):
    other = msgspec.structs.replace(catalogue("1"), schema=schema)
    files.write_json(written, other)
    assert Catalogue.read(written, "a district", WINDOW) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"source": 1}'])
def test_a_damaged_catalogue_is_not_used(written, content):
    written.write_text(content)
    assert Catalogue.read(written, "a district", WINDOW) is None


def test_no_catalogue_is_not_used(tmp_path):
    assert Catalogue.read(tmp_path / "metadata.json", "a district", WINDOW) is None
