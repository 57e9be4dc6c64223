"""districts.csv: what it may say, and how each fault is named."""

from pathlib import Path

import pytest

from pipeline.errors import InputFileError
from pipeline.state.districts import COLUMNS, read_districts

HEADER = "district,base_url,secrets_folder,rosters,time_zone"
NORTH = "north,https://north.illuminateed.com/live,north,rosters/{year}.txt,America/Denver"


@pytest.fixture
def write(tmp_path: Path):
    """Write districts.csv beside a folder of secrets for each of two districts."""

    def write(*lines: str) -> Path:
        for name in ("north", "south"):
            (tmp_path / name).mkdir(exist_ok=True)
        path = tmp_path / "districts.csv"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return path

    return write


def test_a_line_is_a_district_with_absolute_paths(write, tmp_path: Path) -> None:
    path = write(HEADER, NORTH, "# closed in 2022", "south,https://south.example/live,south,,")
    north, south = read_districts(path)
    assert north.district == "north"
    assert north.base_url == "https://north.illuminateed.com/live"
    assert north.rosters == f"{tmp_path}/rosters/{{year}}.txt"
    assert north.secrets_folder == f"{tmp_path}/north"
    assert north.time_zone == "America/Denver"
    assert (south.rosters, south.title_rules, south.manual_changes, south.time_zone) == ("",) * 4


def test_an_absolute_path_stays(write, tmp_path: Path) -> None:
    (district,) = read_districts(
        write("title_rules,district,base_url,secrets_folder", f"/r.csv,a,https://a/b,{tmp_path}")
    )
    assert (district.title_rules, district.secrets_folder) == ("/r.csv", str(tmp_path))


@pytest.mark.parametrize(
    ("lines", "place", "fault"),
    [
        ([], "line 1", "the column district is missing"),
        ([HEADER], "line 1", "no district follows the header"),
        (["district,base_url", "a,https://a/b"], "line 1", "the column secrets_folder is missing"),
        ([f"{HEADER},password", NORTH], "line 1", '"password" is not a column'),
        ([f"{HEADER},rosters", NORTH], "line 1", "the column rosters is there twice"),
        ([HEADER, "north"], "line 2", "it has 1 cells where the header has 5"),
        ([HEADER, NORTH.replace("north,", ",", 1)], "line 2", "the district is empty"),
        ([HEADER, NORTH.replace("north,", "North,", 1)], "line 2", '"North" cannot name a folder'),
        ([HEADER, NORTH.replace("north,", "../x,", 1)], "line 2", '"../x" cannot name a folder'),
        ([HEADER, NORTH.replace("north,", "a" * 64 + ",", 1)], "line 2", "at most 63"),
        ([HEADER, "north,,north,,"], "line 2", "the base_url is empty"),
        ([HEADER, "north,https://a/b,,,"], "line 2", "the secrets_folder is empty"),
        ([HEADER, "north,https://a/b,gone,,"], "line 2", "there is no folder"),
        ([HEADER, "north,ftp://a/b,north,,"], "line 2", "base_url is not a valid URL"),
        ([HEADER, "north,http://a/b,north,,"], "line 2", "base_url must begin with https"),
        ([HEADER, NORTH.replace("Denver", "Nowhere")], "line 2", '"America/Nowhere" is no time'),
        ([HEADER, NORTH.replace("America/Denver", "../zone")], "line 2", '"../zone" is no time'),
        ([HEADER, NORTH, "north,https://a/b,north,,"], "line 3", "repeats the district of line 2"),
        (
            [HEADER, NORTH, "south,https://NORTH.illuminateed.com:443/live/,south,,"],
            "line 3",
            "repeats the base_url of line 2",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(write, lines, place, fault) -> None:
    with pytest.raises(InputFileError) as refused:
        read_districts(write(*lines))
    assert f"districts.csv, {place}: " in str(refused.value)
    assert fault in str(refused.value)
    assert str(refused.value).endswith("Fix the line, then run the same command again.")


def test_an_address_with_a_password_is_refused_without_showing_it(write) -> None:
    with pytest.raises(InputFileError) as refused:
        read_districts(write(HEADER, "north,https://me:hunter2@a/b,north,,"))
    assert "base_url must not contain a user or password" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="it cannot be read"):
        read_districts(tmp_path / "districts.csv")


def test_no_column_holds_a_secret() -> None:
    assert COLUMNS == (
        "district",
        "base_url",
        "rosters",
        "title_rules",
        "manual_changes",
        "secrets_folder",
        "time_zone",
    )
