"""A folder that tables cannot be published in is found before anything is requested."""

import json

import pytest

from pipeline.simulator import Server
from tests.functional.conftest import LUIGI, YEAR, Workplace


@pytest.mark.parametrize("setting", ["SAVE_PATH", "VIEW_PATH"])
def test_it_is_found_before_the_first_request(
    place: Workplace, server: Server, setting: str
) -> None:
    (place.folder / "file").write_text("in the way", encoding="utf-8")
    done = place.run(**{setting: f"{place.folder}/file/tables"})
    assert done.returncode == 30
    sentence = (
        f"Files cannot be written and renamed in {place.folder}/file/tables/{YEAR}: Not a "
        "directory. Nothing was requested, and what was published before is kept. Move the file "
        f"{place.folder}/file out of the way, "
    )
    assert done.stderr.count(sentence) == 1
    assert f"or set {setting} to another folder, then run the same command again." in done.stderr
    assert server.log == []
    latest = json.loads((place.data / "runs" / "latest.json").read_text(encoding="utf-8"))
    assert [failure["step"] for failure in latest["failures"]] == ["Start"]
    assert place.leftovers() == []


def test_so_is_that_of_all_years_before_the_first_year_is_fetched(
    place: Workplace, server: Server
) -> None:
    (place.folder / "all").write_text("in the way", encoding="utf-8")
    command = (LUIGI, "--module", "pipeline", "RunYears", "--years", YEAR)
    done = place.finish(place.start(*command, SAVE_PATH=f"{place.folder}/{{year}}/tables"))
    assert done.returncode == 30
    assert f"in {place.folder}/all/tables: Not a directory" in done.stderr
    assert server.log == []


def test_a_step_that_publishes_nothing_needs_no_such_folder(place: Workplace) -> None:
    (place.folder / "file").write_text("in the way", encoding="utf-8")
    command = (LUIGI, "--module", "pipeline", "FetchMetadata", "--year", YEAR)
    done = place.finish(place.start(*command, SAVE_PATH=f"{place.folder}/file"))
    assert done.returncode == 0, done.stderr
