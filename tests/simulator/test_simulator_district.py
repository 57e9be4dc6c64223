import datetime as dt
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from pipeline.simulator import DEMO, SMALL, District
from pipeline.simulator.district import schools
from pipeline.years import SchoolYear

ENDPOINTS = ("overall", "standard", "group")
SCORE = [
    "points",
    "points_possible",
    "percent_correct",
    "performance_band_level",
    "performance_band_label",
    "mastered",
]
WHO = ["local_student_id", "first_name", "last_name", "middle_name"]
SIZES = {"SMALL": SMALL, "DEMO": DEMO, "HARSH DEMO": replace(DEMO, dirtiness="harsh")}
# Changes only when the made-up data are changed on purpose.
DIGESTS = {
    "SMALL": "5b688a7f2b02b002d1e8edb4bf5860ff900f23c61917ee9bff377cec4ad0f09a",
    "DEMO": "4ef603a4796f002d9a893af6033f6a4598f4ff03ce7d8e9596b6b6b718338777",
    "HARSH DEMO": "62531157028d72b2a6ede8770b3fcec6569ef4569f57779da6231b8c51d4a5cb",
}


@pytest.fixture(scope="module", params=SIZES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def district(name):
    return District.make(1, SIZES[name])


@pytest.fixture(scope="module")
def rows(district, year):
    """Return the rows of the year by endpoint and assessment."""
    return {
        endpoint: {
            i: district.results(endpoint, i, year.first_day, year.last_day)
            for i in district.ids_with_results(year)
        }
        for endpoint in ENDPOINTS
    }


@pytest.fixture(scope="module")
def all_rows(rows):
    return [row for by_id in rows.values() for some in by_id.values() for row in some]


def everything_in(district):
    return json.dumps(
        [
            district.catalogue,
            schools.sites(),
            schools.grade_levels(),
            [district.roster(year) for year in district.years],
            [district.results(endpoint) for endpoint in ENDPOINTS],
        ]
    )


def test_the_seed_determines_the_district():
    first = everything_in(District.make(7, SMALL))
    assert everything_in(District.make(7, SMALL)) == first
    assert everything_in(District.make(8, SMALL)) != first


def test_made_up_data_change_only_on_purpose(district, name):
    assert hashlib.sha256(everything_in(district).encode()).hexdigest() == DIGESTS[name]


def test_results_do_not_depend_on_the_order_of_queries(small):
    backwards = District.make(1, SMALL)
    for assessment_id in reversed(backwards.ids_with_results(SchoolYear(2024))):
        backwards.results("group", assessment_id)
    assert everything_in(backwards) == everything_in(small)


def known_until(district, day):
    """Return all that was known of the district on a day."""
    years = [year for year in SHARED if year.first_day <= day]
    return json.dumps(
        [
            district.catalogue,
            [district.roster(year) for year in years],
            [
                district.results(endpoint, None, year.first_day, min(day, year.last_day))
                for endpoint in ENDPOINTS
                for year in years
            ],
        ]
    )


SHARED = [SchoolYear(start) for start in range(2022, 2030)]
DAYS = [dt.date(2025, 3, 1), dt.date(2025, 7, 1), dt.date(2026, 11, 28), dt.date(2030, 1, 1)]


@pytest.mark.parametrize("today", DAYS)
def test_what_was_known_on_a_day_is_the_same_on_each_later_day(today):
    then = known_until(District.make(1, SMALL, today), today)
    for later in [day for day in DAYS if day > today]:
        assert known_until(District.make(1, SMALL, later), today) == then


@pytest.mark.parametrize("today", DAYS)
def test_results_end_today(today):
    district = District.make(1, SMALL, today)
    assert district.years[-1] == SchoolYear.of(today)
    taken = {row["date_taken"] for endpoint in ENDPOINTS for row in district.results(endpoint)}
    dates = taken - {None, "infinity"}
    assert max(dates) <= today.isoformat()
    assert (max(dates) >= district.years[-1].first_day.isoformat()) == (today.month != 7)


@pytest.mark.parametrize("start", range(2025, 2031))
def test_later_years_are_as_large_as_those_that_they_repeat(start):
    """The catalogue does not grow, so that a run costs the same in each year."""
    district = District.make(1, SMALL, dt.date(2031, 6, 30))
    year, repeated = SchoolYear(start), SchoolYear(2022 + (start - 2022) % 3)
    assert len(district.catalogue) == len(District.make(1, SMALL).catalogue)
    assert district.ids_with_results(year) == district.ids_with_results(repeated)
    assert abs(len(district.roster(year)) - len(district.roster(repeated))) <= 5
    assert district.results("overall", None, year.first_day, year.last_day)


def test_the_demo_has_the_size_of_a_district(rows, name):
    counts = {endpoint: [len(some) for some in by_id.values()] for endpoint, by_id in rows.items()}
    total = sum(map(sum, counts.values()))
    several_pages = sum(count > 1000 for count in counts["standard"])
    if name == "SMALL":
        assert (total < 3000, several_pages) == (True, 1)
    else:
        assert 40_000 < total < 60_000
        assert (several_pages, max(counts["standard"]) > 2000) == (4, True)
        assert 150 <= len(rows["overall"]) <= 170


def test_the_catalogue_is_ordered_by_title_and_has_the_fields_of_the_api(district):
    catalogue = district.catalogue
    assert list(catalogue[0]) == [
        "assessment_id",
        "local_assessment_id",
        "title",
        "description",
        "author_id",
        "district_author_id",
        "author_first",
        "author_last",
        "created_at",
        "updated_at",
        "scope_id",
        "scope",
        "subject_id",
        "subject",
        "grade_levels",
    ]
    titles = [row["title"] for row in catalogue]
    assert titles == sorted(titles)
    ids = [row["assessment_id"] for row in catalogue]
    assert ids != sorted(ids)


def test_most_assessments_of_the_catalogue_have_no_results_in_a_year(district, year, name):
    listed = {row["assessment_id"] for row in district.catalogue}
    share = len(listed & set(district.ids_with_results(year))) / len(listed)
    assert share < (0.4 if name == "SMALL" else 0.15)


def test_rows_have_the_fields_of_the_api_in_its_order(rows):
    expected = {
        "overall": [*WHO, "version", "version_label"],
        "standard": ["academic_benchmark_guid", "standard_code", "standard_description", *WHO],
        "group": ["reporting_group_id", "reporting_group", *WHO],
    }
    for endpoint, by_id in rows.items():
        orders = {tuple(row) for some in by_id.values() for row in some}
        assert orders == {("assessment_id", "title", *expected[endpoint], "date_taken", *SCORE)}


def test_standard_rows_are_ordered_by_standard(rows):
    for some in rows["standard"].values():
        codes = [row["standard_code"] for row in some]
        assert codes == sorted(codes)


def test_date_filters_include_both_days(small, longest):
    dates = sorted(
        {row["date_taken"] for row in small.results("overall", longest) if row["date_taken"]}
    )
    day = dates[len(dates) // 2]
    rows = small.results("overall", longest, dt.date.fromisoformat(day), dt.date.fromisoformat(day))
    assert {row["date_taken"] for row in rows} == {day}


def test_rows_without_a_valid_date_never_pass_a_filter(small):
    everything = {row["date_taken"] for row in small.results("overall")}
    assert {None, "infinity", "2000-01-01"} <= everything
    filtered = small.results("overall", None, dt.date(2010, 1, 1))
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", row["date_taken"]) for row in filtered)


def test_an_unknown_assessment_has_no_results(small):
    assert small.results("overall", "no such id") == []


def test_a_student_moves_up_a_grade_each_year(small):
    before, after = (dict(small.roster(SchoolYear(start))) for start in (2022, 2023))
    stayed = before.keys() & after.keys()
    number = {"K": 0} | {str(grade): grade for grade in range(1, 13)}
    assert stayed
    assert all(number[after[i]] == number[before[i]] + 1 for i in stayed)


def test_one_site_is_the_district(small):
    assert [
        site["site_id"] for site in schools.sites() if site["site_type_name"] == "DISTRICT"
    ] == ["9999999"]


def test_an_added_assessment_has_exactly_the_requested_rows(year):
    district = District.make(1, SMALL)
    new_id = district.add_assessment("Late Quiz", year=year, students=20, standards=3, groups=2)
    counts = [
        len(district.results(endpoint, new_id, year.first_day, year.last_day))
        for endpoint in ENDPOINTS
    ]
    assert counts == [20, 60, 40]
    assert [row["title"] for row in district.catalogue].count("Late Quiz") == 1
    assert new_id in district.ids_with_results(year)
    hidden = district.add_assessment(
        "Hidden", year=year, students=1, standards=1, in_catalogue=False, assessment_id="../x"
    )
    assert hidden == "../x"
    assert hidden in district.unlisted_ids(year)


def test_codes_have_several_spellings(district):
    codes = {row["standard_code"] for row in district.results("standard")}
    for pattern in (
        r"\d\.[A-Z]+\.[A-D]\.8\.b",
        r".*\d\.[A-Z]+\.[A-D]\.8b",
        r"CCSS\.Math\.Content\.[K\d]\..*",
        r"[ASFGN]-[A-Z]+\.\d",
        r"MS-[A-Z]+\d-\d",
        r"R[LI]\.\d\.\d",
    ):
        assert any(re.fullmatch(pattern, code) for code in codes), pattern


@pytest.mark.parametrize(
    "is_anomaly",
    [
        pytest.param(lambda row: row["percent_correct"] is None, id="null percent"),
        pytest.param(lambda row: row["percent_correct"] == "", id="empty percent"),
        pytest.param(lambda row: row["percent_correct"] == "NaN", id="NaN percent"),
        pytest.param(lambda row: row["points"] is None, id="null points"),
        pytest.param(lambda row: row["points"] == "infinity", id="infinite points"),
        pytest.param(lambda row: row["points_possible"] == "0", id="nothing to score"),
        pytest.param(
            lambda row: re.fullmatch(r"\d+\.\d\d", row["percent_correct"] or ""), id="66.67"
        ),
        pytest.param(lambda row: re.fullmatch(r"\d+\.5", row["points"] or ""), id="3.5"),
        pytest.param(
            lambda row: row["percent_correct"] and row["performance_band_level"] is None,
            id="null level",
        ),
        pytest.param(
            lambda row: row["percent_correct"] and row["performance_band_label"] is None,
            id="null label",
        ),
        pytest.param(lambda row: row["mastered"] is None, id="null mastered"),
        pytest.param(lambda row: row["middle_name"] is None, id="null middle name"),
        pytest.param(lambda row: not row["last_name"].isascii(), id="letters beyond ASCII"),
        pytest.param(lambda row: "'" in row["last_name"], id="apostrophe"),
        pytest.param(lambda row: "-" in row["last_name"], id="hyphen"),
        pytest.param(lambda row: "," in row["last_name"], id="comma"),
        pytest.param(lambda row: '"' in row["first_name"], id="quotes"),
        pytest.param(lambda row: len(row["local_student_id"]) == 5, id="5 digits"),
        pytest.param(lambda row: len(row["local_student_id"]) == 8, id="8 digits"),
        pytest.param(lambda row: row["local_student_id"].startswith("0"), id="leading zero"),
        pytest.param(lambda row: re.fullmatch("[0-9a-f]{24}", row["assessment_id"]), id="24 hex"),
        pytest.param(lambda row: row["title"].endswith(" "), id="trailing blank"),
        pytest.param(lambda row: "  " in row["title"].strip(), id="double blank"),
        pytest.param(lambda row: not row["title"].isascii(), id="title beyond ASCII"),
        pytest.param(lambda row: row["title"].startswith("="), id="title with ="),
        pytest.param(lambda row: row["title"].startswith("-"), id="title with -"),
    ],
)
def test_the_year_contains_every_anomaly(all_rows, is_anomaly):
    assert any(is_anomaly(row) for row in all_rows)


UNSCORED = {"Healthy Relationships Survey", "Family Delay Form"}


def scored_rows(dirtiness, *window):
    """Return the demo's overall results of all assessments that have questions to score."""
    district = District.make(size=replace(DEMO, dirtiness=dirtiness))
    rows = district.results("overall", None, *window)
    return [row for row in rows if row["title"] not in UNSCORED]


def is_number(text):
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text or "") is not None


@pytest.mark.parametrize(
    ("dirtiness", "least", "most"), [("none", 0, 0), ("realistic", 0.01, 0.05), ("harsh", 0.3, 0.5)]
)
def test_how_many_assessments_have_a_percent_that_is_no_number(year, dirtiness, least, most):
    rows = scored_rows(dirtiness, year.first_day, year.last_day)
    bad = {row["assessment_id"] for row in rows if not is_number(row["percent_correct"])}
    assert least <= len(bad) / len({row["assessment_id"] for row in rows}) <= most


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_dirtiness_changes_values_and_not_rows(endpoint):
    """Repeated rows and wrong dates, of which real districts have many, come with realistic too."""
    realistic, harsh = (
        District.make(size=replace(DEMO, dirtiness=dirtiness)).results(endpoint)
        for dirtiness in ("realistic", "harsh")
    )
    assert len(realistic) == len(harsh)
    changed = {
        name
        for one, other in zip(realistic, harsh, strict=True)
        for name in one
        if one[name] != other[name]
    }
    assert changed == set(SCORE)


def test_no_dirt_leaves_retakes_and_odd_names():
    rows = scored_rows("none")
    assert len({tuple(row.items()) for row in rows}) == len(rows)
    assert all(is_number(row[name]) for row in rows for name in SCORE[:4])
    assert all(re.fullmatch(r"20[2-9]\d-\d\d-\d\d", row["date_taken"]) for row in rows)
    assert all(row["performance_band_label"] and row["mastered"] in {"t", "f"} for row in rows)
    attempts = Counter((row["assessment_id"], row["local_student_id"]) for row in rows)
    assert max(attempts.values()) > 1
    assert any(not row["last_name"].isascii() for row in rows)


def test_nothing_to_score_has_no_percent(all_rows):
    unscored = [row for row in all_rows if row["points_possible"] == "0"]
    assert {row["percent_correct"] for row in unscored} == {None}


def test_some_tested_students_are_not_on_the_roster(district, all_rows, year):
    on_roster = dict(district.roster(year))
    assert any(row["local_student_id"] not in on_roster for row in all_rows)


def test_some_student_numbers_differ_only_by_a_leading_zero(district, year):
    numbers = [number for number, _ in district.roster(year)]
    assert len({number.lstrip("0") for number in numbers}) < len(set(numbers)) == len(numbers)


def test_there_are_exact_duplicates_and_second_attempts(rows):
    duplicates, attempts = 0, Counter()
    for some in rows["overall"].values():
        distinct = {tuple(row.items()) for row in some}
        duplicates += len(some) - len(distinct)
        attempts.update(Counter(dict(row)["local_student_id"] for row in distinct).values())
    assert duplicates > 0
    assert attempts[2] > 0


def test_some_results_belong_to_assessments_missing_from_the_catalogue(district, year):
    listed = {row["assessment_id"] for row in district.catalogue}
    hidden = district.unlisted_ids(year)
    assert hidden
    assert not listed & set(hidden)


def test_one_assessment_is_listed_twice_identically(district):
    ids = Counter(row["assessment_id"] for row in district.catalogue)
    assert sorted(ids.values())[-2:] == [1, 2]
    (twice,) = [i for i, count in ids.items() if count == 2]
    one, other = [row for row in district.catalogue if row["assessment_id"] == twice]
    assert one == other


@pytest.mark.parametrize("field", ["scope", "subject", "grade_levels", "local_assessment_id"])
def test_the_catalogue_has_nulls(district, field):
    assert any(row[field] is None for row in district.catalogue)
