"""Where files are: names people can rely on, and no two years or districts in one place."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import TABLES, VIEW
from pipeline.storage.paths import AllYears, Folders, Snapshot
from pipeline.years import SchoolYear

CURRENT = SchoolYear.parse("24-25")


def folders(data="data", save="", views="", *, demo=False) -> Folders:
    return Folders.from_settings(data, save, views, demo=demo)


def snapshot(year="23-24", as_of=dt.date(2025, 3, 1), chosen=None) -> Snapshot:
    of = SchoolYear.parse(year)
    return Snapshot(chosen or folders(), of, of.window(as_of), of.suffix(CURRENT))


def published(of: Snapshot) -> set[str]:
    return {str(path) for table in TABLES for path in of.published_paths(table)}


def every_path(of: Snapshot) -> set[Path]:
    ours = {
        of.catalogue,
        of.publication,
        of.manifest("overall"),
        of.shards("group"),
        of.receipt("Step"),
    }
    return ours | {
        path for table in TABLES for path in (*of.staging_paths(table), *of.published_paths(table))
    }


HISTORICAL = {
    "data/illuminate/23-24/assessments_metadata.csv",
    "data/illuminate/23-24/assessment_labels.csv",
    "data/illuminate/23-24/unmapped_titles.csv",
    "data/illuminate/23-24/standards.csv",
    "data/illuminate/23-24/assessment_results_group_historical.csv",
    "data/illuminate/23-24/assessment_results_group_historical.parquet",
    "data/illuminate/23-24/assessment_results_combined_historical.csv",
    "data/illuminate/23-24/assessment_results_combined_historical.parquet",
    "data/views/23-24/illuminate_assessment_results_historical.csv",
    "data/views/23-24/illuminate_assessment_results_historical.parquet",
    "data/views/23-24/illuminate_latest_results_historical.csv",
    "data/views/23-24/illuminate_latest_results_historical.parquet",
}


def test_an_earlier_year_is_published_under_historical_names():
    assert published(snapshot("23-24")) == HISTORICAL


def test_the_current_year_is_published_under_plain_names():
    plain = {name.replace("23-24", "24-25").replace("_historical", "") for name in HISTORICAL}
    assert published(snapshot("24-25")) == plain


def test_work_is_in_a_folder_of_the_year_and_the_last_day_requested():
    running = snapshot("24-25", dt.date(2025, 3, 1))
    assert running.catalogue == Path("data/work/24-25/2025-03-01/metadata.json")
    assert running.shards("overall") == Path("data/work/24-25/2025-03-01/shards/overall")
    assert running.manifest("group") == Path("data/work/24-25/2025-03-01/scores-group.jsonl")
    assert running.results == Path("data/work/24-25/2025-03-01/results")


def test_a_finished_year_has_one_work_folder_on_whatever_later_day():
    works = {snapshot("23-24", dt.date(2024, 7, day)).work for day in (1, 2, 31)}
    assert works == {Path("data/work/23-24/2024-06-30")}


def test_a_running_year_has_a_work_folder_for_each_day():
    assert len({snapshot("24-25", dt.date(2025, 3, day)).work for day in (1, 2, 31)}) == 3


def test_a_table_is_published_under_the_name_it_was_built_with():
    for table in TABLES:
        of = snapshot()
        assert [p.name for p in of.published_paths(table)] == [
            p.name for p in of.staging_paths(table)
        ]


def test_all_years_are_published_beside_the_years_under_names_of_their_own():
    together = AllYears(folders(views="out/{year}"), (SchoolYear(2022), SchoolYear(2023)))
    assert [path.as_posix() for path in together.published_paths(VIEW)] == [
        "out/all/illuminate_assessment_results_all_years.csv",
        "out/all/illuminate_assessment_results_all_years.parquet",
    ]
    assert together.publication == Path("data/illuminate/all/published.json")
    assert together.prior in together.output_dirs
    of_years = {path for year in ("22-23", "23-24") for path in snapshot(year).output_dirs}
    assert not of_years & set(together.output_dirs)


def test_no_table_overwrites_another():
    paths = [path for table in TABLES for path in snapshot().staging_paths(table)]
    assert len(set(paths)) == len(paths) == 12


FOLDERS = ["", "out", "out/{year}", "{year}/out", "out-{year}/{year}"]


@given(
    st.integers(2010, 2040),
    st.integers(1, 20),
    st.sampled_from(FOLDERS),
    st.sampled_from(FOLDERS),
    st.booleans(),
)
def test_no_two_years_share_a_file(start, apart, save, views, demo):
    chosen = folders("data", save, views, demo=demo)
    one, other = (snapshot(str(SchoolYear(y)), chosen=chosen) for y in (start, start + apart))
    assert not every_path(one) & every_path(other)


# Folders that a user chooses.


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/exports/{year}/raw", "/exports/23-24/raw"),
        ("/exports", "/exports/23-24"),
        ("/e{year}/{year}", "/e23-24/23-24"),
    ],
)
def test_the_year_is_filled_into_save_path_and_view_path_or_appended(path, folder):
    saved, viewed = (
        snapshot(chosen=folders(save=path)),
        snapshot(chosen=folders(views=path)),
    )
    assert saved.published_folder("illuminate") == Path(folder)
    assert saved.published_folder("views") == Path("data/views/23-24")
    assert viewed.published_folder("views") == Path(folder)
    assert viewed.published_folder("illuminate") == Path("data/illuminate/23-24")


def test_the_publication_is_beside_the_tables():
    chosen = folders(save="/exports/{year}")
    assert snapshot(chosen=chosen).publication.parent == Path("/exports/23-24")


def test_everything_else_is_in_the_data_folder():
    chosen = folders("/srv/data")
    assert {chosen.runs, chosen.lock.parent / "runs"} == {Path("/srv/data/runs")}
    assert snapshot(chosen=chosen).work.is_relative_to("/srv/data/work")


# The demo district.


@given(st.sampled_from(FOLDERS), st.sampled_from(FOLDERS))
def test_made_up_students_are_never_in_a_folder_of_real_ones(save, views):
    real = snapshot(chosen=folders("data", save, views))
    made_up = snapshot(chosen=folders("data", save, views, demo=True))
    assert not every_path(real) & every_path(made_up)
    assert all("demo" in path.parts for path in every_path(made_up))
    assert "demo" in made_up.folders.runs.parts


def test_the_demo_lives_under_demo_in_the_data_folder():
    made_up = snapshot(chosen=folders(demo=True))
    assert made_up.work == Path("data/demo/work/23-24/2024-06-30")
    assert made_up.published_folder("illuminate") == Path("data/demo/illuminate/23-24")
    assert made_up.published_folder("views") == Path("data/demo/views/23-24")


def test_the_page_of_a_school_has_a_plain_name_of_its_own() -> None:
    of = snapshot()
    schools = ["École Nº 5", "ecole-no-5", "../../etc", "23-24", "学校", "x" * 300]
    found = {school: path.name for school, path in of.school_reports(schools).items()}
    assert found == {
        "École Nº 5": "ecole-no-5-2.html",
        "ecole-no-5": "ecole-no-5.html",
        "../../etc": "etc.html",
        "23-24": "23-24-2.html",
        "学校": "school.html",
        "x" * 300: "x" * 80 + ".html",
    }
    assert {path.parent for path in of.school_reports(schools).values()} == {
        of.folders.reports / "23-24"
    }
