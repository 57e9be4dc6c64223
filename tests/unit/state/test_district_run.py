"""What a district's own process gets of the environment, and what is said of how it ended."""

import dataclasses
import errno
import threading
from pathlib import Path

import pytest

from pipeline.errors import StateError, StorageError
from pipeline.state import district_run
from pipeline.state.district_run import DistrictJob, FileGone, environment, run_district
from pipeline.state.districts import District
from pipeline.state.on_cluster import run_where_wanted
from pipeline.state.outcomes import Outcome
from pipeline.state.paths import StateFolders
from pipeline.storage import files


@pytest.fixture
def north(tmp_path: Path) -> District:
    (tmp_path / "ILLUMINATE_CLIENT_ID").write_text("me", encoding="utf-8")
    (tmp_path / "ILLUMINATE_CLIENT_SECRET").write_text("mine", encoding="utf-8")
    (tmp_path / "README").write_text("how to renew them", encoding="utf-8")
    return District(
        district="north",
        base_url="https://north.example/live",
        rosters="/exports/north_{year}.txt",
        title_rules="",
        manual_changes="",
        secrets_folder=str(tmp_path),
        time_zone="America/Denver",
    )


def test_it_is_that_of_the_district_and_of_no_other(north: District, tmp_path: Path) -> None:
    parent = {
        "PATH": "/bin",
        "PYTHONPATH": "/code",
        "LUIGI_CONFIG_PATH": "/etc/luigi.cfg",
        "TZ": "UTC",
        "ILLUMINATE_BASE_URL": "https://other.example/live",
        "ILLUMINATE_CLIENT_SECRET": "another's",
        "PIPELINE_DATA_DIR": "/data",
        "SAVE_PATH": "/tables",
        "STUDENT_ROSTERS": "/other.txt",
        "TITLE_RULES": "/rules.csv",
        "PIPELINE_WEBHOOK_URL": "https://hooks.example",
        "AWS_SECRET_ACCESS_KEY": "the state's",
    }
    assert environment(north, Path("/state/districts/north"), parent) == {
        "PATH": "/bin",
        "PYTHONPATH": "/code",
        "LUIGI_CONFIG_PATH": "/etc/luigi.cfg",
        "TZ": "America/Denver",
        "PIPELINE_DATA_DIR": "/state/districts/north",
        "ILLUMINATE_BASE_URL": "https://north.example/live",
        "STUDENT_ROSTERS": "/exports/north_{year}.txt",
        "ILLUMINATE_CLIENT_ID_FILE": f"{tmp_path}/ILLUMINATE_CLIENT_ID",
        "ILLUMINATE_CLIENT_SECRET_FILE": f"{tmp_path}/ILLUMINATE_CLIENT_SECRET",
    }


@pytest.fixture
def ended(monkeypatch, tmp_path: Path, north: District):
    """Return the outcome of a district whose process, 42, ended with a code, or could not begin."""
    folders = StateFolders(tmp_path / "state")

    stop = threading.Event()

    def outcome_of(
        code: int | Exception,
        latest: dict[str, object] | None = None,
        *,
        is_stopped: bool = False,
    ) -> Outcome:
        def ends(*_: object) -> tuple[int, int]:
            if isinstance(code, Exception):
                raise code
            if is_stopped:
                stop.set()
            return code, 42

        stop.clear()
        monkeypatch.setattr(district_run, "_run_once", ends)
        if latest:
            files.write_json(folders.folders("north").latest, latest)
        outcome = run_district(DistrictJob(north, "23-24", folders, "r", 0), stop)
        assert Outcome.read(folders.outcome("north", "23-24")) == outcome
        return outcome

    return outcome_of


@pytest.mark.parametrize(("code", "ending"), [(0, "published"), (99, "up to date")])
def test_a_district_is_published_by_these_codes_only(ended, code: int, ending: str) -> None:
    outcome = ended(code)
    assert (outcome.outcome, outcome.is_published, outcome.reason) == (ending, True, "")
    for other in (1, 10, 20, 25, 30, 35, 40, -9, -15):
        assert not ended(other).is_published


def test_the_reason_is_that_of_its_own_run(ended) -> None:
    failure = {"label": "23-24", "step": "FetchMetadata", "reason": "The server refused it."}
    assert ended(30, {"run": "20240101T000000.0Z-42", "failures": [failure]}).reason == (
        "The server refused it."
    )
    earlier = ended(-9, {"run": "20240101T000000.0Z-41", "failures": [failure]})
    assert earlier.reason.startswith("Signal 9 ended its run; its output is in ")
    assert ended(40).reason.startswith("Its run ended with exit code 40; its output is in ")


def test_one_that_was_asked_to_stop_says_so_and_one_that_was_done_is_published(ended) -> None:
    stopped = ended(-15, is_stopped=True)
    assert (stopped.outcome, stopped.reason) == ("stopped", "It was asked to stop.")
    done = ended(0, is_stopped=True)
    assert (done.outcome, done.reason) == ("published", "")


def test_none_is_begun_once_it_is_to_stop(monkeypatch, north: District, tmp_path: Path) -> None:
    """A worker may be given a district after the state run was asked to stop."""
    monkeypatch.setattr(district_run, "_run_once", lambda *_: pytest.fail("it was begun"))
    folders, wanted = StateFolders(tmp_path / "state"), tmp_path / "wanted"
    files.write_text(folders.lock, "")
    job = DistrictJob(north, "23-24", folders, "r", 0)
    (outcome,) = run_where_wanted([job], wanted)
    assert (outcome.outcome, outcome.reason) == ("stopped", "It was asked to stop.")
    assert Outcome.read(folders.outcome("north", "23-24")) is None, "that of before stays"
    files.write_text(wanted, "")
    monkeypatch.setattr(district_run, "_run_once", lambda *_: (0, 42))
    (outcome,) = run_where_wanted([job], wanted)
    assert outcome.is_published


def test_one_that_waits_for_its_folder_is_not_begun_once_it_is_to_stop(
    monkeypatch, north: District, tmp_path: Path
) -> None:
    stop = threading.Event()

    def find_in_use(*_: object) -> tuple[int, int]:
        assert not stop.is_set(), "it was begun again"
        stop.set()
        return 10, 42

    monkeypatch.setattr(district_run, "_run_once", find_in_use)
    job = DistrictJob(north, "23-24", StateFolders(tmp_path / "state"), "r", 60)
    outcome = run_district(job, stop)
    assert (outcome.outcome, outcome.reason) == ("stopped", "It was asked to stop.")


def test_a_worker_without_the_state_folder_runs_nothing(north: District, tmp_path: Path) -> None:
    files.write_text(tmp_path / "wanted", "")
    job = DistrictJob(north, "23-24", StateFolders(tmp_path / "elsewhere"), "r", 0)
    with pytest.raises(StateError, match=r"does not see .*elsewhere"):
        run_where_wanted([job], tmp_path / "wanted")
    assert not (tmp_path / "elsewhere").exists()


def test_a_server_that_does_not_answer_says_nothing_of_a_file(monkeypatch, tmp_path: Path) -> None:
    def fails(_: Path) -> None:
        raise OSError(errno.ESTALE, "stale")

    monkeypatch.setattr(Path, "stat", fails)
    assert not FileGone(tmp_path / "wanted").is_set()


def test_a_folder_that_cannot_be_looked_at_is_the_districts_failure(ended) -> None:
    outcome = ended(OSError(errno.EIO, "input/output error"))
    assert outcome.outcome == "failed"
    assert "cannot be written: " in outcome.reason


def test_credentials_that_this_host_lacks_are_named(north: District, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(north, secrets_folder="/elsewhere")
    job = DistrictJob(elsewhere, "23-24", StateFolders(tmp_path / "state"), "r", 0)
    outcome = run_district(job, threading.Event())
    assert outcome.outcome == "failed"
    assert outcome.reason.startswith("There is no folder /elsewhere on ")


def test_a_folder_that_cannot_be_written_is_the_districts_failure(ended) -> None:
    outcome = ended(StorageError("It cannot be written."))
    assert (outcome.outcome, outcome.reason) == ("failed", "It cannot be written.")
