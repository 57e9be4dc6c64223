"""Suspicious changes are not published: lost rows, an empty catalogue, another roster."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.schema import ENDPOINTS
from pipeline.simulator import SMALL, District, Fault, Server, serving
from pipeline.years import SchoolYear
from tests import canaries
from tests.functional import oracle
from tests.functional.conftest import REPOSITORY, Workplace, copy_data, workplace_in
from tests.functional.test_reruns import newest_record

YEAR = SchoolYear(2023)


@pytest.fixture(scope="session")
def published_once(
    tmp_path_factory: pytest.TempPathFactory, district: District, inputs: Path, port: int
) -> Workplace:
    """A place with one published year, its snapshot then forgotten."""
    once = workplace_in(tmp_path_factory.mktemp("once"), inputs)
    with serving(district, port=port) as server:
        once.point_at(server)
        assert once.run().returncode == 0
        assert once.look("forget", "--year", "23-24").returncode == 0
    return once


@pytest.fixture
def changing(place: Workplace, published_once: Workplace, port: int) -> Iterator[Server]:
    """A district of its own that was published once, its snapshot then forgotten."""
    copy_data(published_once, place)
    with serving(District.make(size=SMALL), port=port) as server:
        place.point_at(server)
        yield server


def everything(place: Workplace) -> dict[str, bytes]:
    """All published files, with the manifest."""
    return oracle.content(place.data / "illuminate") | oracle.content(place.data / "views")


def largest(server: Server) -> str:
    """The assessment with most results by standard."""
    district = server.district
    rows = {
        i: len(district.results("standard", i, YEAR.first_day, YEAR.last_day))
        for i in oracle.catalogue_ids(district)
    }
    return max(rows, key=lambda i: rows[i])


def test_lost_rows_stop_the_run_and_are_named(place: Workplace, changing: Server) -> None:
    """Even when another assessment grew by more; an allowance for this once is recorded."""
    before = everything(place)
    victim = largest(changing)
    changing.faults.add(
        Fault("set_fields", {"results": [], "num_results": 0, "num_pages": 0}, "standard", victim)
    )
    changing.district.add_assessment("Gr 5 Math Unit 1", year=YEAR, students=90, standards=12)
    done = place.run()
    assert done.returncode == 30
    assert "combined lost " in done.stdout
    assert f"assessment {victim} had" in done.stdout
    assert everything(place) == before

    gone = done.stdout.split("combined lost ")[1].split(" rows")[0].replace(",", "")
    assert f"--publish-allow-shrink combined={gone}" in done.stdout
    too_few = place.run("--publish-allow-shrink", f"combined={int(gone) - 1}")
    assert too_few.returncode == 30
    assert everything(place) == before

    let = place.run("--publish-allow-shrink", f"combined={gone}")
    assert let.returncode == 0, let.stdout
    assert f"combined={gone} rows or values fewer, by --publish-allow-shrink" in let.stdout
    assert f"WARNING 23-24: combined lost {int(gone):,} rows (" in let.stderr
    assert json.loads(newest_record(place))["allowed_shrink"] == f"combined={gone}"
    assert place.run().returncode == 0  # the new set is what the next run is compared with


@pytest.mark.parametrize(
    ("endpoint", "column", "text", "table"),
    [
        (None, "percent_correct", "{}%", "combined"),
        ("overall", "percent_correct", None, "combined"),
        ("standard", "date_taken", "{} 13:45:00", "combined"),
        ("group", "mastered", None, "group"),
    ],
)
def test_a_column_that_cannot_be_read_any_more_stops_the_run(
    place: Workplace, changing: Server, endpoint: str | None, column: str, text: str, table: str
) -> None:
    before = everything(place)
    changing.faults.add(Fault("rewrite_fields", {column: text}, endpoint))
    done = place.run()
    assert done.returncode == 30
    assert f"{table}.{column} is readable in " in done.stdout
    assert "of what is published)" in done.stdout
    unreadable = done.stdout.partition(" unreadable (set to null): ")[2]
    assert text is None or f"{table} {column} " in unreadable
    assert everything(place) == before

    flag = done.stdout.split("--publish-allow-shrink ")[1].split(".\n")[0]
    let = place.run("--publish-allow-shrink", flag)
    assert let.returncode == 0, let.stdout
    assert json.loads(newest_record(place))["allowed_shrink"] == flag
    manifest = json.loads((place.data / "illuminate/23-24/published.json").read_bytes())
    assert manifest["about"]["allowed_shrink"] == flag
    assert place.look("forget", "--year", "23-24").returncode == 0
    assert place.run().returncode == 0  # what the next run is compared with is no better


@pytest.mark.parametrize("text", [None, "{}%"])
def test_less_than_half_of_a_column_stops_the_first_run(
    place: Workplace, server: Server, text: str | None
) -> None:
    server.faults.add(Fault("rewrite_fields", {"percent_correct": text}))
    done = place.run()
    assert done.returncode == 30
    for table in ("combined", "group"):
        assert f"{table}.percent_correct is readable in 0.0% of " in done.stdout
    assert place.published() == {}
    server.faults.clear()
    assert place.look("forget", "--year", "23-24").returncode == 0
    assert place.run().returncode == 0


def test_a_district_without_performance_bands_is_published(
    place: Workplace, server: Server
) -> None:
    bands = ("performance_band_level", "performance_band_label", "mastered")
    server.faults.add(Fault("rewrite_fields", dict.fromkeys(bands)))
    assert place.run().returncode == 0


def unlist(server: Server, assessment_id: str) -> None:
    """Let the catalogue lack an assessment."""
    known = server.district._assessments
    known[assessment_id] = dataclasses.replace(known[assessment_id], times_listed=0)
    server.district.version += 1


def cut(server: Server) -> None:
    """Let the district have fewer results."""
    nothing = {"results": [], "num_results": 0, "num_pages": 0}
    server.faults.add(Fault("set_fields", nothing, "standard", largest(server)))


@pytest.mark.parametrize("spelling", ["localhost", "upper case", "slashes"])
def test_another_spelling_of_the_address_does_not_hide_a_loss(
    place: Workplace, changing: Server, spelling: str
) -> None:
    before = everything(place)
    cut(changing)
    url = place.environment["ILLUMINATE_BASE_URL"]
    place.environment["ILLUMINATE_BASE_URL"] = {
        "localhost": url.replace("127.0.0.1", "localhost"),
        "upper case": url.replace("http", "HTTP").replace("127.0.0.1", "LOCALHOST"),
        "slashes": f"{url}//",
    }[spelling]
    done = place.run()
    assert done.returncode == 30, done.stdout
    assert "combined lost " in done.stdout
    assert everything(place) == before


@pytest.mark.parametrize("damage", ["deleted", "truncated"])
def test_tables_without_a_readable_manifest_are_not_replaced_unless_that_is_allowed(
    place: Workplace, changing: Server, damage: str
) -> None:
    cut(changing)
    manifest = place.data / "illuminate/23-24/published.json"
    text = manifest.read_bytes()
    manifest.unlink() if damage == "deleted" else manifest.write_bytes(text[:-5])
    before = everything(place)
    changing.clear_log()
    done = place.run()
    assert done.returncode == 30, done.stdout
    assert "It is not known whose tables are in " in done.stdout
    assert "--publish-replace-source unknown" in done.stdout
    assert everything(place) == before
    assert changing.log == []
    let = place.run("--publish-replace-source", "unknown")
    assert let.returncode == 0, let.stdout
    assert "tables of unknown, by --publish-replace-source" in let.stdout
    assert json.loads(newest_record(place))["replaced_source"] == "unknown"
    assert json.loads(manifest.read_bytes())["about"]["replaced_source"] == "unknown"
    assert place.run().returncode == 0


def test_another_districts_tables_are_not_replaced_unless_that_is_allowed(
    place: Workplace, changing: Server
) -> None:
    """A second district with its own data folder, and the folders of the first for its tables."""
    first = place.environment["ILLUMINATE_BASE_URL"]
    place.environment |= {
        "SAVE_PATH": str(place.data / "illuminate"),
        "VIEW_PATH": str(place.data / "views"),
        "PIPELINE_DATA_DIR": str(place.folder / "second"),
    }
    before = everything(place)
    with serving(District.make(seed=2, size=SMALL)) as second:
        place.point_at(second)
        done = place.run("--checks-roster-floor", "0")
        assert done.returncode == 30, done.stdout
        assert f"are of {first}; this run's are of {second.base_url}" in done.stdout
        assert everything(place) == before
        assert second.log == []
        wrong = place.run("--checks-roster-floor", "0", "--publish-replace-source", "unknown")
        assert wrong.returncode == 30
        let = place.run("--checks-roster-floor", "0", "--publish-replace-source", first)
        assert let.returncode == 0, let.stdout
        assert everything(place) != before


def test_another_districts_views_are_not_replaced_unless_that_is_allowed(
    place: Workplace, changing: Server
) -> None:
    """Although the second district has tables, and a manifest, of its own."""
    with serving(District.make(seed=2, size=SMALL)) as second:
        own = Workplace(place.folder / "second", dict(place.environment))
        own.folder.mkdir()
        own.point_at(second)
        floor = ("--checks-roster-floor", "0")
        assert own.run(*floor).returncode == 0
        before = everything(place)
        own.environment["VIEW_PATH"] = str(place.data / "views")
        done = own.run(*floor)
        assert done.returncode == 30, done.stdout
        assert f"It is not known whose tables are in {place.data}/views/23-24: " in done.stdout
        assert "does not name illuminate_" in done.stdout
        assert everything(place) == before
        assert own.run(*floor, "--publish-replace-source", "unknown").returncode == 0


@pytest.mark.parametrize("line", ["allow_shrink=combined=99999", "replace_source=unknown"])
def test_an_allowance_cannot_be_set_permanently(
    place: Workplace, changing: Server, line: str
) -> None:
    config = (REPOSITORY / "luigi.cfg").read_text(encoding="utf-8")
    own = place.folder / "own.cfg"
    own.write_text(f"{config}\n[publish]\n{line}\n", encoding="utf-8")
    done = place.run(LUIGI_CONFIG_PATH=str(own))
    assert done.returncode == 30
    assert "on the command line of that one run" in done.stderr


def test_a_draft_without_results_may_leave_the_catalogue(
    place: Workplace, changing: Server
) -> None:
    """It is reported; an assessment with results may not."""
    results = place.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    tested = {row["assessment_id"] for row in oracle.read_csv(results)}
    listed = set(oracle.catalogue_ids(changing.district))
    draft, kept = min(listed - tested), min(listed & tested)
    unlist(changing, draft)
    done = place.run()
    assert done.returncode == 0, done.stdout
    assert f"1 assessment is no longer listed, without results: {draft}" in done.stdout
    assert place.look("forget", "--year", "23-24").returncode == 0
    unlist(changing, kept)
    done = place.run()
    assert done.returncode == 30
    assert "catalogue lost 1 row" in done.stdout
    assert "--publish-allow-shrink catalogue=1." in done.stdout


def test_an_empty_catalogue_after_a_full_one_stops_the_run(
    place: Workplace, changing: Server
) -> None:
    before = everything(place)
    changing.faults.add(Fault("empty_catalogue", endpoint="catalogue"))
    done = place.run()
    assert done.returncode == 30
    assert "catalogue lost " in done.stdout
    assert everything(place) == before


@pytest.mark.parametrize("options", [("--as-of", "2023-08-20"), ("--checks-allow-empty",)])
def test_a_district_without_results_yet_is_a_success(
    place: Workplace, server: Server, options: tuple[str, ...]
) -> None:
    """Nothing was published before, so there is nothing to miss; not after the year's end."""
    for kind in ("catalogue", *ENDPOINTS):
        server.faults.add(Fault("empty_catalogue", endpoint=kind))
    done = place.run(*options)
    assert done.returncode == 0, done.stdout
    assert " has no results" in done.stdout.splitlines()[1]
    path = place.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    assert oracle.read_csv(path) == []


def test_a_finished_year_without_any_results_is_not_published(
    place: Workplace, server: Server
) -> None:
    """Although there is a catalogue; the first line of the summary says so."""
    nothing = {"results": [], "num_results": 0, "num_pages": 0}
    server.faults.add(*(Fault("set_fields", nothing, kind) for kind in ENDPOINTS))
    done = place.run()
    assert done.returncode == 30
    first = done.stdout.splitlines()[1]
    assert first.startswith("School year 23-24 as of 2024-06-30 has no results: FAILED")
    assert "make refresh YEAR=23-24, which" in done.stdout
    assert "set [checks] allow_empty=true" in done.stdout
    assert place.published() == {}
    assert place.run("--checks-allow-empty").returncode == 0


def test_another_districts_roster_stops_the_run(place: Workplace, server: Server) -> None:
    roster = place.folder / "roster.txt"
    roster.write_text(
        "STUDENTS.Student_Number\tSTUDENTS.Grade_Level\n" + "99000001\t4\n", encoding="utf-8"
    )
    done = place.run(STUDENT_ROSTERS=str(roster))
    assert done.returncode == 30
    assert "check failed: the roster does not match this year" in done.stdout
    assert place.published() == {}
    assert "99000001" not in done.stdout + done.stderr
    lower = place.run("--checks-roster-floor", "0", STUDENT_ROSTERS=str(roster))
    assert lower.returncode == 0


def test_ids_that_lost_their_leading_zeros_are_counted(
    place: Workplace, district: District
) -> None:
    """By the check and by the summary; neither names one."""
    grades = dict(district.roster(YEAR))
    lines = ["Student_Number;Grade_Level", *(f"0000{i};{grade}" for i, grade in grades.items())]
    roster = place.folder / "roster.csv"
    roster.write_text("\n".join(lines), encoding="utf-8")
    stopped = place.run(STUDENT_ROSTERS=str(roster))
    done = place.run("--checks-roster-floor", "0", STUDENT_ROSTERS=str(roster))
    assert (stopped.returncode, done.returncode) == (30, 0)
    view = oracle.read_csv(place.data / "views/23-24/illuminate_assessment_results_historical.csv")
    near = len({row["local_student_id"] for row in view} & grades.keys())
    words = "others differ from an id on it only by leading zeros or .0"
    assert f"{near:,} of the {words}" in stopped.stdout
    assert f"; {near:,} {words}" in done.stdout
    said = stopped.stdout + stopped.stderr + done.stdout + done.stderr
    assert canaries.found([f"0000{i}" for i in grades], said) == set()


def test_a_roster_with_far_fewer_students_than_last_time_stops_the_run(
    place: Workplace, server: Server
) -> None:
    assert place.run().returncode == 0
    before = everything(place)
    source = place.environment["STUDENT_ROSTERS"].replace("{year}", "23-24")
    with open(source, encoding="utf-8") as file:  # noqa: PTH123
        head, *lines = file.read().splitlines()
    half = place.folder / "half.txt"
    half.write_text("\n".join([head, *lines[::2]]), encoding="utf-8")
    done = place.run("--checks-roster-floor", "0.1", STUDENT_ROSTERS=str(half))
    assert done.returncode == 30
    assert "last time it was" in done.stdout
    assert everything(place) == before


def test_a_roster_that_is_not_configured_any_more_stops_the_run(
    place: Workplace, server: Server
) -> None:
    """Every grade that is published would become null."""
    assert place.run().returncode == 0
    before = everything(place)
    done = place.run(STUDENT_ROSTERS="")
    assert done.returncode == 30
    assert "no roster is configured, and 9" in done.stdout
    assert "Configure the roster of this year" in done.stdout
    assert everything(place) == before
    done = place.run("--checks-roster-drop", "1", STUDENT_ROSTERS="")
    assert done.returncode == 0
    assert "roster      none: grades are null" in done.stdout


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_is_open_to_its_owner_only_under_any_umask(
    place: Workplace, server: Server, umask: int
) -> None:
    done = place.finish(
        place.start("sh", "-c", f"umask {umask:04o}; {run_command()}", PYTHONDONTWRITEBYTECODE="1")
    )
    assert done.returncode == 0, done.stderr
    assert modes(place) == {(0o700, True), (0o600, False)}


def test_the_group_can_read_if_this_is_configured(place: Workplace, server: Server) -> None:
    assert place.run("--paths-group-readable").returncode == 0
    assert modes(place) == {(0o750, True), (0o640, False)}
    place.environment["LUIGI_CONFIG_PATH"] = str(place.folder / "own.cfg")
    (place.folder / "own.cfg").write_text("[paths]\ngroup_readable=true\n", encoding="utf-8")
    for command in ("report", "forget"):
        assert place.look(command, "--year", "23-24").returncode == 0
    assert modes(place) == {(0o750, True), (0o640, False)}


def run_command() -> str:
    from tests.functional.conftest import LUIGI

    return f"exec {LUIGI} --module pipeline RunAll --year 23-24"


def modes(place: Workplace) -> set[tuple[int, bool]]:
    return {
        (path.stat().st_mode & 0o777, path.is_dir())
        for path in (place.data, *place.data.rglob("*"))
    }
