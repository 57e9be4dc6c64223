"""What becomes of a district that a worker runs, whatever the worker returns."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError, StateError, UnexpectedError
from pipeline.state.cluster import LostSchedulerError, LostWorkersError
from pipeline.state.district_run import DistrictJob
from pipeline.state.districts import District
from pipeline.state.on_cluster import OnCluster
from pipeline.state.outcomes import Outcome
from pipeline.state.paths import StateFolders


class Workers:
    """A cluster whose only work ends as the test wants."""

    def __init__(self, end: Callable[[list[DistrictJob]], list[Outcome]]) -> None:
        self.end, self.keys = end, list[str]()

    def start(self, _: object, jobs: list[DistrictJob], *, name: str, key: str) -> Any:
        assert name
        self.keys.append(key)
        work = type("Work", (), {})()
        work.result = lambda: self.end(jobs)
        return work

    def wait(self, *_: object) -> bool:
        return True


@pytest.fixture
def jobs(tmp_path: Path) -> list[DistrictJob]:
    district = District("north", "https://north.example/live", "", "", "", str(tmp_path), "")
    folders = StateFolders(tmp_path / "state")
    return [DistrictJob(district, year, folders, "r", 0) for year in ("22-23", "23-24")]


def outcome_of(
    job: DistrictJob, tmp_path: Path, result: PipelineError | UnexpectedError | str
) -> Outcome:
    def end(of: list[DistrictJob]) -> list[Outcome]:
        if not isinstance(result, str):
            raise result
        return [each.outcome(result, 0, "", 1.0) for each in of]

    districts = OnCluster(Workers(end), tmp_path / "wanted", threading.Event())  # type: ignore[arg-type]
    districts.begin([job])
    return districts.outcome(job)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (StateError("The worker differs."), "The worker differs."),
        (LostWorkersError("It was given up."), "It was given up."),
        (UnexpectedError("KeyError"), "An unexpected error on its worker: KeyError."),
        ("stopped", "Its worker no longer saw "),
    ],
)
def test_whatever_a_worker_raises_is_the_failure_of_its_district_only(
    jobs: list[DistrictJob], tmp_path: Path, result: Any, reason: str
) -> None:
    outcome = outcome_of(jobs[0], tmp_path, result)
    assert outcome.outcome == "failed"
    assert outcome.reason.startswith(reason)
    assert Outcome.read(jobs[0].folders.outcome("north", "22-23")) == outcome


def test_a_lost_scheduler_ends_the_run(jobs: list[DistrictJob], tmp_path: Path) -> None:
    with pytest.raises(LostSchedulerError):
        outcome_of(jobs[0], tmp_path, LostSchedulerError("It is lost."))


def test_the_school_years_of_a_district_are_run_one_after_the_other(
    jobs: list[DistrictJob], tmp_path: Path
) -> None:
    """They share its folder: on two workers, one would wait for the other."""
    workers = Workers(lambda of: [each.outcome("published", 0, "", 1.0) for each in of])
    districts = OnCluster(workers, tmp_path / "wanted", threading.Event())  # type: ignore[arg-type]
    districts.begin(jobs)
    assert len(workers.keys) == 1
    assert [districts.outcome(job).year for job in jobs] == ["22-23", "23-24"]
    assert not districts.has(jobs[0])
    districts.begin(jobs)
    assert len({*workers.keys}) == 2, "a later try is another one for Dask"
