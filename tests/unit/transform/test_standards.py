"""Spellings of one standard share a code, and no two standards do."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transform.standards import (
    Spelling,
    count_spellings,
    list_standards,
    normalise_codes,
    read_spellings,
)

ONE = "0F3A0000-0000-0000-0000-000000000001"
OTHER = "0F3A0000-0000-0000-0000-000000000002"


def codes(*spellings: tuple[str | None, str | None]) -> list[str | None]:
    found = normalise_codes([Spelling(*each) for each in spellings])
    return [found[Spelling(*each)] for each in spellings]


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "4.NF.B.3",
            "CCSS.Math.Content.4.NF.B.3",
            "4-nf-b-3",
            "4NFB3",
            "CCSS.MATH.4.NF.B.3",
            " 4.NF.B.3.",
        ],
        ["8.EE.C.8.b", "8.EE.C.8b", "CCSS.Mathematics.8.EE.C.8b"],
        ["RL.4.1", "CCSS.ELA-Literacy.RL.4.1", "ccss.ela.rl.4.1"],
        ["RL.9-10.1", "RL.9\u201310.1", "CCSS.ELA-LITERACY.RL.9-10.1"],
        ["MS-LS1-4", "NGSS.MS-LS1-4", "MS LS1.4"],
        ["MP1", "CCSS.Math.Practice.MP1"],
    ],
    ids=lambda spellings: spellings[0],
)
def test_a_code_is_the_same_whatever_its_punctuation_case_and_prefix(spellings: list[str]) -> None:
    assert len(set(codes(*((each, None) for each in spellings)))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.11", "11.1"), ("3.OA.1", "3.OA.11"), ("CCSS", "NGSS"), ("-", "--"), ("3.a", "3.b")],
)
def test_other_codes_stay_apart(one: str, other: str) -> None:
    assert len({*codes((one, None), (other, None))} - {None, ""}) == 2


def test_one_guid_is_one_standard_in_any_spelling() -> None:
    spellings = ["4.NF.B.3", "4.NF.3", "CCSS.Math.Content.4.NF.B.3", None]
    assert codes(*((each, ONE) for each in spellings)) == ["4NF3"] * 4
    assert codes(("4.NF.3", ONE), ("NF3", f" {ONE.lower()}")) == ["NF3", "NF3"]


def test_a_spelling_without_a_guid_is_of_the_only_standard_with_its_code() -> None:
    assert codes(("4.NF.B.3", ONE), ("4.NF.3", ONE), ("4NFB3", None)) == ["4NF3"] * 3


def test_two_guids_are_two_standards_though_they_share_a_code() -> None:
    found = codes(("3.1", ONE), ("3.1", OTHER), ("3.1", None), ("3.01", OTHER))
    assert found == [f"3.1 {ONE}", "3.01", "3.1", "3.01"]


def test_a_guid_without_a_code_is_its_own_code_and_nothing_has_none() -> None:
    assert codes((None, ONE), ("", None), (None, None)) == [ONE, None, None]


CODES = st.sampled_from(["4.NF.3", "4.NF.B.3", "4-nf-3", "CCSS.4.NF.3", "4.NF", "...", "", None])
GUIDS = st.sampled_from([ONE, OTHER, ONE.lower(), "", None])


@given(st.sets(st.builds(Spelling, CODES, GUIDS)))
def test_guids_and_codes_decide_whatever_else_there_is(spellings: set[Spelling]) -> None:
    found = normalise_codes(spellings)
    guids = {each: (each.guid or "").upper() for each in spellings}
    with_guid = {each for each in spellings if guids[each]}
    for one in with_guid:
        for other in with_guid:
            assert (found[one] == found[other]) == (guids[one] == guids[other])
    for each in spellings:
        assert (found[each] is None) == (not each.code and not each.guid)


def test_the_table_has_a_row_per_spelling_and_counts_those_by_standard() -> None:
    rows = [
        ("overall", "percent", None, None),
        ("standard", "4.NF.3", ONE, "Understand"),
        ("standard", "4.NF.3", ONE, None),
        ("standard", "4.NF.3", ONE, "A wording"),
        ("standard", "4.NF.B.3", ONE, ""),
        ("standard", "=1.2", "", None),
        ("standard", None, None, None),
        ("standard", "", "", None),
    ]
    names = ["response_type", "standard_code", "academic_benchmark_guid", "standard_description"]
    combined = pl.LazyFrame(rows, dict.fromkeys(names, pl.String), orient="row")
    parts = [combined.slice(first, 3) for first in range(0, len(rows), 3)]
    for some in ([combined], parts):
        assert list_standards(map(count_spellings, some)).rows() == [
            (None, None, None, None, 2),
            ("=1.2", None, None, "1.2", 1),
            ("4.NF.3", ONE, "A wording", "4NF3", 3),
            ("4.NF.B.3", ONE, None, "4NF3", 1),
        ]


def test_spellings_are_read_as_results_have_them(tmp_path: Path) -> None:
    path = tmp_path / "standards.csv"
    path.write_text(
        "standard_code,academic_benchmark_guid,standard_description,normalised_code,rows\n"
        "'=1.2,,,1.2,1\n01.2,G,A wording,1.2,1\n",
        encoding="utf-8",
    )
    assert read_spellings(path).collect().to_dicts() == [
        {
            "standard_code": code,
            "academic_benchmark_guid": guid,
            "standard_description": wording,
            "normalised_code": "1.2",
        }
        for code, guid, wording in (("=1.2", None, None), ("01.2", "G", "A wording"))
    ]
