"""The districts of a state run on the workers of a cluster: begun together, awaited one by one."""

import secrets
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError, StateError, UnexpectedError
from pipeline.state.cluster import Cluster, LostSchedulerError, Work
from pipeline.state.district_run import FAILED, DistrictJob, FileGone, run_district
from pipeline.state.hosts import this_host
from pipeline.state.outcomes import Outcome

_POLL_SECONDS = 0.2


class OnCluster:
    """Districts that workers run, as long as a file is there.

    Args:
        cluster: the workers.
        wanted: the file; workers ask their districts to stop once it is gone.
        stop: once it is set, the file is removed.
    """

    def __init__(self, cluster: Cluster, wanted: Path, stop: threading.Event) -> None:
        self._cluster, self._wanted, self._stop = cluster, wanted, stop
        self._work: dict[str, Work[list[Outcome]]] = {}

    def begin(self, jobs: Iterable[DistrictJob]) -> None:
        """Have workers begin all of these, the school years of a district one after the other."""
        by_district: dict[str, list[DistrictJob]] = {}
        for job in jobs:
            by_district.setdefault(job.district.district, []).append(job)
        for name, of in by_district.items():
            key = f"{name}-{of[0].run}-{secrets.token_hex(4)}"  # an earlier try may still be there
            call = partial(run_where_wanted, wanted=self._wanted)
            work = self._cluster.start(call, of, name=name, key=key)
            self._work |= {job.name: work for job in of}

    def has(self, job: DistrictJob) -> bool:
        """Return True if it has been begun, and not awaited."""
        return job.name in self._work

    def outcome(self, job: DistrictJob) -> Outcome:
        """Return how a district's run ended, once it has; whatever a worker raised is a failure.

        Raises:
            LostSchedulerError: nobody knows.
            StorageError: the outcome cannot be written.
        """
        work = self._work[job.name]
        while not self._cluster.wait(work, _POLL_SECONDS):
            if self._stop.is_set():
                self._wanted.unlink(missing_ok=True)
        del self._work[job.name]
        try:
            outcome = next(each for each in work.result() if each.year == job.year)
        except LostSchedulerError:
            raise
        except PipelineError as error:
            return job.end("failed", FAILED, str(error), 0.0)
        except UnexpectedError as error:
            return job.end("failed", FAILED, f"An unexpected error on its worker: {error}.", 0.0)
        if outcome.outcome == "stopped" and not self._stop.is_set():
            reason = f"Its worker no longer saw {self._wanted}; look at the shared folder there."
            return job.end("failed", FAILED, reason, 0.0)
        return outcome

    def end(self) -> None:
        """Have workers stop what nobody has awaited, and wait for that, as long as there are any.

        How it ended is in the districts' own outcomes.
        """
        if self._work:
            self._wanted.unlink(missing_ok=True)
        for work in {id(each): each for each in self._work.values()}.values():
            try:
                while not self._cluster.wait(work, _POLL_SECONDS):
                    pass
            except LostSchedulerError:
                return  # that is why the run ends, and was said


def run_where_wanted(jobs: list[DistrictJob], wanted: Path) -> list[Outcome]:
    """Run the school years of a district on a worker, as long as a file is there.

    Raises:
        StateError: this worker does not see the state folder.
        StorageError: an outcome cannot be written.
    """
    folders, stop = jobs[0].folders, FileGone(wanted)
    if not folders.lock.exists():
        raise StateError(f"The worker on {this_host().name} does not see {folders.root}.")
    return [run_district(job, stop) for job in jobs]
