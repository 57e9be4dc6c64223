"""A rerun does what is missing or stale, and nothing else."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipeline.simulator import SMALL, District, Fault, Server, serving, write_inputs
from pipeline.years import SchoolYear
from tests.functional import oracle
from tests.functional.conftest import Workplace
from tests.helpers import is_count

VIEW = "views/23-24/illuminate_assessment_results_historical"


def request_counts(server: Server) -> Counter[str]:
    """How many requests of each kind the server saw."""
    return Counter(request.endpoint for request in server.log)


def requested_shards(server: Server) -> set[tuple[str, str | None]]:
    """Which shards were requested from the server."""
    wanted = {"overall", "standard", "group"}
    return {
        (r.endpoint, r.assessment_id)
        for r in server.log
        if r.endpoint in wanted and not is_count(r)
    }


def lasting(place: Workplace) -> dict[str, bytes]:
    """All that a run leaves, but for its lock and its record."""
    return {
        name: data
        for name, data in oracle.content(place.data).items()
        if name != ".lock" and not name.startswith("runs/")
    }


def damage_without_trace(victim: Path) -> None:
    """Change a byte, with size and time of change as they were."""
    data, status = bytearray(victim.read_bytes()), victim.stat()
    data[len(data) // 3] ^= 1
    victim.unlink()  # what is published may be the same file under another name
    victim.write_bytes(data)
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def ran(place: Workplace, server: Server) -> Workplace:
    """A place where everything is done, and a server that has forgotten it."""
    assert place.run().returncode == 0
    server.clear_log()
    return place


@pytest.mark.usefixtures("by_assessment")
def test_one_request_per_page_and_one_token(
    place: Workplace, server: Server, district: District
) -> None:
    """A first run requests each page once: as few requests as the protocol allows.

    Results over all assessments are only counted: of a settled year, of any year, of all dates.
    """
    assert place.run().returncode == 0
    counts = [r for r in server.log if is_count(r)]
    assert Counter(r.endpoint for r in counts) == {"overall": 3, "standard": 1, "group": 1}
    assert {r.params["limit"] for r in counts} == {"1"}
    pages = Counter((r.endpoint, r.assessment_id, r.page) for r in server.log if r not in counts)
    assert set(pages.values()) == {1}
    assert {endpoint for endpoint, _ in requested_shards(server)} == {
        "overall",
        "standard",
        "group",
    }
    assert request_counts(server)["token"] == 1
    in_turn = list(dict.fromkeys(r.endpoint for r in server.log))
    assert in_turn == ["token", "catalogue", "overall", "standard", "group"]


def test_by_page_one_request_per_page_and_one_token(place: Workplace, server: Server) -> None:
    """Each endpoint is counted once more: all ranges together are compared with that."""
    assert place.run().returncode == 0
    counts = Counter(r.endpoint for r in server.log if is_count(r))
    assert counts == {"overall": 4, "standard": 2, "group": 2}
    pages = Counter(
        (r.endpoint, r.assessment_id, r.params.get("date_taken_start"), r.page)
        for r in server.log
        if not is_count(r)
    )
    assert set(pages.values()) == {1}
    in_turn = list(dict.fromkeys(r.endpoint for r in server.log if not is_count(r)))
    assert in_turn == ["token", "catalogue", "overall", "standard", "group"]


def test_nothing_to_do(ran: Workplace, server: Server) -> None:
    """The second run sends no request and changes no byte."""
    before = lasting(ran)
    done = ran.run()
    assert done.returncode == 0
    assert "everything is up to date; no table was changed" in done.stdout
    assert server.log == []
    assert lasting(ran) == before


@pytest.mark.parametrize("endpoint", ["overall", "standard", "group"])
def test_one_shard_deleted(ran: Workplace, server: Server, endpoint: str) -> None:
    """Only it is fetched, and everything is as before."""
    before = ran.published()
    victim = sorted(ran.shards(endpoint).glob("*.parquet"))[5]
    victim.unlink()
    assert ran.run().returncode == 0
    assert requested_shards(server) == {(endpoint, victim.stem)}
    assert request_counts(server)["catalogue"] == 0
    assert victim.exists()
    assert ran.published() == before


def test_one_shard_damaged(ran: Workplace, server: Server) -> None:
    """A changed byte is noticed, and only that shard is fetched again."""
    before = ran.published()
    victim = max(ran.shards("standard").glob("*.parquet"), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 3] ^= 1
    victim.write_bytes(data)
    assert ran.run().returncode == 0
    assert requested_shards(server) == {("standard", victim.stem)}
    assert ran.published() == before


def test_damage_that_left_no_trace_stops_the_table_that_would_be_built(
    ran: Workplace, server: Server, inputs: Path
) -> None:
    """Also with size and time as they were; the run after fetches that shard and is right."""
    before = ran.published()
    victim = max(ran.shards("standard").glob("*.parquet"), key=lambda p: p.stat().st_size)
    damage_without_trace(victim)
    (ran.work / "results" / "assessment_results_combined_historical.csv").unlink()
    done = ran.run()
    assert done.returncode == 30
    assert f"standard shard of assessment {victim.stem} was damaged on disk" in done.stdout
    assert ran.published() == before
    assert ran.run().returncode == 0
    assert requested_shards(server) == {("standard", victim.stem)}
    assert ran.published() == before


@pytest.mark.parametrize("table", ["combined", "group"])
def test_damage_that_left_no_trace_stops_the_labels_that_would_be_read_from_it(
    ran: Workplace, server: Server, inputs: Path, table: str
) -> None:
    """Titles are read from the tables' Parquet files; the next run rebuilds the damaged one."""
    before = ran.published()
    parquet = ran.work / "results" / f"assessment_results_{table}_historical.parquet"
    damage_without_trace(parquet)
    (ran.work / "results" / "assessment_labels.csv").unlink()
    done = ran.run()
    assert done.returncode == 30
    assert f"{parquet.name} was damaged on disk; nothing was published" in done.stdout
    assert ran.published() == before
    assert ran.run().returncode == 0
    assert server.log == []
    assert ran.published() == before


def lose_manifest(place: Workplace, harm: str) -> None:
    lost = place.manifest("standard")
    if harm == "deleted":
        lost.unlink()
    else:
        lost.write_bytes(place.manifest("group").read_bytes())


@pytest.mark.usefixtures("by_assessment")
@pytest.mark.parametrize("harm", ["deleted", "of another request"])
def test_a_manifest_lost(ran: Workplace, server: Server, harm: str) -> None:
    """No shard counts without an entry: those of that endpoint are fetched again, and no other."""
    before, kept = ran.published(), ran.kept_shards()
    lose_manifest(ran, harm)
    assert ran.run().returncode == 0
    assert requested_shards(server) == {shard for shard in kept if shard[0] == "standard"}
    assert request_counts(server)["catalogue"] == 0
    assert ran.published() == before
    assert ran.kept_shards() == kept


@pytest.mark.parametrize("harm", ["deleted", "of another request"])
def test_by_page_a_manifest_lost(ran: Workplace, server: Server, harm: str) -> None:
    """All results of that endpoint are read again, and of no other."""
    before, kept = ran.published(), ran.kept_shards()
    lose_manifest(ran, harm)
    assert ran.run().returncode == 0
    assert ("standard", None) in requested_shards(server)
    assert {endpoint for endpoint, _ in requested_shards(server)} == {"standard"}
    assert request_counts(server)["catalogue"] == 0
    assert ran.published() == before
    assert ran.kept_shards() == kept


def test_an_entry_damaged(ran: Workplace, server: Server) -> None:
    """A byte of a manifest that changed costs the one shard of its line."""
    before, kept = ran.published(), ran.kept_shards()
    lost = ran.manifest("overall")
    content = bytearray(lost.read_bytes())
    content[-9] ^= 1
    lost.write_bytes(content)
    assert ran.run().returncode == 0
    (fetched,) = requested_shards(server)
    assert fetched[0] == "overall"
    assert ran.published() == before
    assert ran.kept_shards() == kept


def test_one_assessment_added(place: Workplace, inputs: Path) -> None:
    """Once the catalogue is fetched again, only the new assessment is fetched."""
    district = District.make(size=SMALL)
    with serving(district) as server:
        place.point_at(server)
        assert place.run().returncode == 0
        added = district.add_assessment(
            "Gr 6 Math Unit 9 Assessment", year=SchoolYear(2023), students=30, standards=3
        )
        (place.work / "metadata.json").unlink()
        server.clear_log()
        assert place.run().returncode == 0
        assert requested_shards(server) == {(e, added) for e in ("overall", "standard", "group")}
    rows = oracle.read_csv(
        place.data / "illuminate/23-24/assessment_results_combined_historical.csv"
    )
    assert rows == oracle.combined(district, oracle.published_ids(district))
    assert added in {row["assessment_id"] for row in rows}


def test_a_rule_edited(ran: Workplace, server: Server, inputs: Path) -> None:
    """Nothing is fetched, the tables of results stay, and the view changes."""
    before = ran.published()
    rules = ran.folder / "rules.csv"
    lines = (inputs / "title_rules.csv").read_text(encoding="utf-8").splitlines()
    lines.insert(1, "curriculum,.,Everything")
    rules.write_text("\n".join(lines), encoding="utf-8")
    assert ran.run(TITLE_RULES=str(rules)).returncode == 0
    assert server.log == []
    after = ran.published()
    assert {Path(name).name for name in before if before[name] != after[name]} == {
        "assessment_labels.csv",
        "unmapped_titles.csv",
        "datapackage.json",
        "views.datapackage.json",
        "illuminate_assessment_results_historical.csv",
        "illuminate_assessment_results_historical.parquet",
        "illuminate_latest_results_historical.csv",
        "illuminate_latest_results_historical.parquet",
    }
    view = oracle.read_csv(ran.data / f"{VIEW}.csv")
    curricula = Counter(row["curriculum"] for row in view)
    assert curricula.most_common(1)[0][0] == "Everything"


def test_a_comment_in_the_rules_changes_nothing(
    ran: Workplace, server: Server, inputs: Path
) -> None:
    """An edit that changes no label is read, and the view is not rebuilt."""
    before = lasting(ran)
    rules = ran.folder / "rules.csv"
    text = (inputs / "title_rules.csv").read_text(encoding="utf-8")
    rules.write_text(text + "# reviewed in May\n", encoding="utf-8")
    assert ran.run(TITLE_RULES=str(rules)).returncode == 0
    assert server.log == []
    after = lasting(ran)
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed == {
        "ReadTitleRules.json",
        "title_rules.csv",
        "CheckInputs.json",
        "LabelAssessments.json",
    }


def test_overrides_that_match_nothing_are_counted_and_named(
    ran: Workplace, server: Server, district: District
) -> None:
    tested = district.ids_with_results(SchoolYear(2023))
    empty = min(set(oracle.catalogue_ids(district)) - set(tested))
    overrides = ran.folder / "overrides.csv"
    lines = [
        "assessment_id,grade,test_type,curriculum,unit,title,reason",
        f"{tested[0]},,survey,,,,matches",
        f"{tested[0]},14,survey,,,,no such grade",
        f"{tested[0]}.0,PK,survey,,,,no such id",
        f"{empty},,survey,,,,no results",
    ]
    overrides.write_text("\n".join(lines), encoding="utf-8")
    done = ran.run(MANUAL_CHANGES=str(overrides))
    assert done.returncode == 0, done.stdout
    assert server.log == []
    assert (
        f"overrides   3 of 4 match nothing: assessment {tested[0]}.0 grade -1 (not in the "
        f"catalogue), {empty} (no results), {tested[0]} grade 14 (no results)\n"
    ) in done.stdout
    assert '"unmatched overrides": [' in newest_record(ran)


def test_a_roster_edited(ran: Workplace, server: Server, inputs: Path) -> None:
    """Nothing is fetched; grades in the view follow the roster."""
    source = (inputs / "Student_Rosters_23-24.txt").read_text(encoding="utf-8")
    head, *lines = source.splitlines()
    grade = head.split("\t").index("STUDENTS.Grade_Level")
    moved = ["\t".join([*c[:grade], "7", *c[grade + 1 :]]) for c in (x.split("\t") for x in lines)]
    (ran.folder / "roster.txt").write_text("\n".join([head, *moved]), encoding="utf-8")
    assert ran.run(STUDENT_ROSTERS=str(ran.folder / "roster.txt")).returncode == 0
    assert server.log == []
    view = oracle.read_csv(ran.data / f"{VIEW}.csv")
    assert {row["grade"] for row in view} == {"7", ""}


def test_a_roster_in_another_form_with_codes(ran: Workplace, district: District) -> None:
    """The grades are the same, but for a code, which is null and counted."""
    before = oracle.read_csv(ran.data / f"{VIEW}.csv")
    coded = next(row["local_student_id"] for row in before if row["grade"])
    students = [(i, "99" if i == coded else grade) for i, grade in district.roster(oracle.YEAR)]
    lines = ['"[1]STUDENT_NUMBER";"[1]Grade_Level"', *(f'"{i}";"{grade}"' for i, grade in students)]
    (ran.folder / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    done = ran.run("--report-enabled", "true", STUDENT_ROSTERS=str(ran.folder / "roster.csv"))
    assert done.returncode == 0, done.stdout
    assert "; 1 on it has a code that is no grade (set to null)" in done.stdout
    expected = [row | {"grade": ""} if row["local_student_id"] == coded else row for row in before]
    assert oracle.read_csv(ran.data / f"{VIEW}.csv") == expected


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("harm", ["deleted", "truncated", "one byte"])
def test_a_published_file_damaged(ran: Workplace, server: Server, ending: str, harm: str) -> None:
    """It is restored with no request."""
    before = ran.published()
    victim = ran.data / f"{VIEW}.{ending}"
    data = victim.read_bytes()
    if harm == "deleted":
        victim.unlink()
    elif harm == "truncated":
        victim.write_bytes(data[: len(data) // 2])
    else:
        victim.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert ran.run().returncode == 0
    assert server.log == []
    assert ran.published() == before


@pytest.mark.parametrize("endpoint", ["overall", "standard"])
def test_other_rows_of_either_endpoint_make_another_table(
    ran: Workplace, server: Server, endpoint: str
) -> None:
    """Each part of the combined table is one of its inputs."""
    before = ran.published()
    victim = max(ran.shards(endpoint).glob("*.parquet"), key=lambda p: p.stat().st_size)
    victim.unlink()
    server.faults.add(Fault("rewrite_fields", {"mastered": "x"}, endpoint))
    done = ran.run()
    assert done.returncode == 0, done.stdout
    changed = {Path(name).name for name, data in ran.published().items() if data != before[name]}
    assert "assessment_results_combined_historical.csv" in changed
    assert "illuminate_assessment_results_historical.csv" in changed


def test_files_touched_but_not_changed(ran: Workplace, server: Server) -> None:
    """Another time of change alone makes no work."""
    for path in ran.data.rglob("*.*"):
        if path.is_file():
            os.utime(path, (1, 1))
    done = ran.run()
    assert done.returncode == 0
    assert "no table was changed" in done.stdout
    assert server.log == []


@pytest.mark.usefixtures("by_assessment")
def test_work_on_another_server_is_not_mixed_in(ran: Workplace) -> None:
    """Everything is requested from another source, whose tables may replace those of the first."""
    first, other = ran.environment["ILLUMINATE_BASE_URL"], District.make(2, SMALL)
    write_inputs(other, ran.folder / "other")
    rosters = f"{ran.folder}/other/Student_Rosters_{{year}}.txt"
    with serving(other) as server:
        ran.point_at(server)
        allowed = ("--publish-replace-source", first)
        assert ran.run(*allowed, STUDENT_ROSTERS=rosters).returncode == 0
        ids = set(oracle.catalogue_ids(other))
        assert {i for endpoint, i in requested_shards(server) if endpoint == "overall"} == ids
    rows = oracle.read_csv(ran.data / "illuminate/23-24/assessment_results_combined_historical.csv")
    assert rows == oracle.combined(other, oracle.catalogue_ids(other))


def test_by_page_work_on_another_server_is_not_mixed_in(
    ran: Workplace, server: Server, district: District
) -> None:
    """It is the same district at another address."""
    first, before = ran.environment["ILLUMINATE_BASE_URL"], ran.published()
    with serving(district) as other:
        ran.point_at(other)
        assert ran.run("--publish-replace-source", first).returncode == 0
        of_all = {endpoint for endpoint, i in requested_shards(other) if i is None}
        assert of_all == {"overall", "standard", "group"}
    assert server.log == []
    assert ran.published() == before


@pytest.mark.usefixtures("by_assessment")
def test_include_and_exclude(ran: Workplace, server: Server, district: District) -> None:
    """Ids that the catalogue lacks are fetched, faulty ones left out and named in the record."""
    hidden = district.unlisted_ids(SchoolYear(2023))[0]
    shunned = district.ids_with_results(SchoolYear(2023))[0]
    assert shunned != hidden
    done = ran.run(
        *("--illuminate-include-ids", f'["{hidden}"]'),
        *("--illuminate-exclude-ids", f'["{shunned}", "mistyped"]'),
    )
    assert done.returncode == 0, done.stdout
    assert requested_shards(server) == {(e, hidden) for e in ("overall", "standard", "group")}
    rows = oracle.read_csv(ran.data / "illuminate/23-24/assessment_results_combined_historical.csv")
    ids = sorted({*oracle.catalogue_ids(district), hidden} - {shunned})
    assert rows == oracle.combined(district, ids)
    assert f"excluded    assessment {shunned}, mistyped" in done.stdout
    assert "exclude_ids); not in the catalogue: mistyped\n" in done.stdout
    assert f'"excluded_ids": [\n  "{shunned}",\n  "mistyped"\n ]' in newest_record(ran)


def newest_record(place: Workplace) -> str:
    return max((place.data / "runs").glob("*-*.json")).read_text(encoding="utf-8")


def test_forget_fetches_again_and_keeps_what_is_published(ran: Workplace, server: Server) -> None:
    before = ran.published()
    forgot = ran.look("forget", "--year", "23-24")
    assert forgot.returncode == 0
    assert not ran.work.exists()
    assert ran.published() == before
    assert ran.run().returncode == 0
    assert request_counts(server)["catalogue"] == 1
    assert ran.published() == before


@pytest.mark.usefixtures("by_assessment")
def test_published_files_stay_while_a_run_fails(
    ran: Workplace, server: Server, district: District
) -> None:
    """A run that cannot be whole changes nothing that people see."""
    before = oracle.content(ran.data / "views") | oracle.content(ran.data / "illuminate")
    shutil.rmtree(ran.work)
    server.faults.add(
        Fault("status", endpoint="group", assessment_id=oracle_id(district), value=500)
    )
    done = ran.run()
    assert done.returncode == 30
    assert oracle.content(ran.data / "views") | oracle.content(ran.data / "illuminate") == before


def oracle_id(district: District) -> str:
    return district.ids_with_results(SchoolYear(2023))[1]
