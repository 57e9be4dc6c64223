"""What Luigi builds: the requested tasks, how each task ended, and the moment the build ends."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NamedTuple, Protocol
from urllib.parse import urlsplit

import luigi
from luigi.scheduler import Scheduler
from luigi.worker import Worker

from pipeline.errors import PipelineError, StoppedError, UnexpectedError
from pipeline.illuminate.counts import Counts
from pipeline.network import host_of
from pipeline.storage.paths import TableSetPaths

ONE_WORKER = (
    "--workers must be 1, and Luigi's [worker] settings timeout and force_multiprocessing unset: "
    "otherwise each step is a process, and processes cannot share one limit of requests. Use "
    "--illuminate-threads and --build-threads for more at the same time, then run the same command "
    "again. Nothing was requested and nothing was changed."
)
"""Why a build whose worker forks is refused."""


class StepReceipt(Protocol):
    """What a step left about its last run."""

    @property
    def run(self) -> str:
        """The id of the run."""

    @property
    def stats(self) -> dict[str, Any]:
        """What it counted, by name."""


class PublishedSet(Protocol):
    """A published table set."""

    @property
    def run(self) -> str:
        """The id of the run that published it."""

    @property
    def withdrawn(self) -> list[str]:
        """The views of SQL files that its run removed."""

    def content_digest(self) -> str:
        """Return a digest of the names and contents of its files."""

    def matches(self, folder: Path) -> bool:
        """Return True if all files are as they were published; `folder` is its manifest's."""


class Step(luigi.Task):
    """A task as a run sees it: what it works on, and what it left."""

    publishes: ClassVar[bool] = False
    """Whether it makes a table set visible."""

    delivers: ClassVar[bool] = False
    """Whether it only brings what is published to a destination."""

    @property
    def name(self) -> str:
        """The step's name in receipts and messages."""
        return str(self.get_task_family())

    @property
    def partition(self) -> str:
        """The school year that it is about, like `23-24`, or `all`; empty: it has no record."""
        raise NotImplementedError

    @property
    def paths(self) -> TableSetPaths:
        """Where the files of its table set are.

        Raises:
            SettingsError: the settings or the day do not say.
        """
        raise NotImplementedError

    @property
    def receipt(self) -> StepReceipt | None:
        """What its last run left about itself; None if nothing."""
        return None

    def publication(self) -> PublishedSet | None:
        """Return what is published of its table set; only where it publishes."""
        return None

    def summary(self) -> str:
        """Return what to print when it is done, in place of the usual summary; empty: nothing."""
        return ""

    def on_failure(self, exception: BaseException) -> str:
        """Return the reason of a failure for the scheduler's page, without any data."""
        return failure_text(exception)


class Failure(NamedTuple):
    """A step that failed, its reason in plain words, and its partition (empty: none known)."""

    partition: str
    step: str
    reason: str


class Build:
    """Follows one Luigi build by its events. What Luigi retries successfully has not failed."""

    def __init__(self) -> None:
        self._seen: dict[str, Step] = {}
        self._required: set[str] = set()
        self._done: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._failed_requests: dict[tuple[str, str], Counter[str]] = {}
        self._seconds: dict[str, float] = {}
        self.blocked: Failure | None = None
        """Why the scheduler did not let the build go on, if it did not."""
        self.counts = Counts()
        """Requests that no step has taken into its receipt yet."""

    def see(self, task: Step) -> None:
        """Note a task that Luigi works on."""
        self._seen.setdefault(task.task_id, task)

    def require(self, task: Step, requirement: Step) -> None:
        """Note that one task requires another."""
        self.see(task)
        self._required.add(requirement.task_id)

    def spend(self, task: Step, seconds: float) -> None:
        """Note how long a task ran."""
        self._seconds[task.partition] = self.seconds(task.partition) + seconds

    def seconds(self, partition: str) -> float:
        """Return how long the tasks of a partition ran."""
        return self._seconds.get(partition, 0.0)

    def complete(self, task: Step) -> None:
        """Note a task that is complete, whether it was before or has just run."""
        self.see(task)
        self._done.add(task.task_id)
        self._failed.pop(task.task_id, None)

    def fail(self, task: Step, error: BaseException) -> None:
        """Note a task that failed; one that stopped because the run did has not failed."""
        self.see(task)
        if isinstance(error, StoppedError):
            return
        self._failed[task.task_id] = Failure(
            task.partition, task.get_task_family(), describe(error)
        )

    def keep_counts(self, task: Step) -> None:
        """Keep the requests of a task that failed, and so leaves no receipt that has them."""
        if any((counted := self.counts.take()).values()):
            key = (task.partition, task.name)
            self._failed_requests.setdefault(key, Counter()).update(counted)

    def failed_requests(self, partition: str) -> dict[str, dict[str, int]]:
        """Return the requests of tasks of a partition that failed, by the tasks' names."""
        found = self._failed_requests.items()
        return {name: dict(counted) for (of, name), counted in found if of == partition}

    @property
    def failures(self) -> list[Failure]:
        """The steps whose last attempt failed, in the order of their first failure."""
        blocked = [self.blocked] if self.blocked else []
        return [*self._failed.values(), *blocked]

    @property
    def requested(self) -> list[Step]:
        """The tasks that nothing else in the build requires."""
        return [task for key, task in self._seen.items() if key not in self._required]

    @property
    def waiting(self) -> list[Step]:
        """The requested tasks that are not complete."""
        done = self.done()
        return [task for task in self.requested if task.task_id not in done]

    def steps(self) -> list[Step]:
        """Return every task that was requested or required, what is required first."""
        return steps_of(self.requested)

    def done(self) -> set[str]:
        """Return the ids of the tasks that are complete, with all that these require."""
        done = set(self._done)
        for task in reversed(self.steps()):
            if task.task_id in done:  # Luigi asks nothing about what a complete task requires
                done.update(requirement.task_id for requirement in requirements(task))
        return done


def steps_of(requested: Iterable[Step]) -> list[Step]:
    """Return these tasks and all that they require, what is required first."""
    found: dict[str, Step] = {}

    def visit(task: Step) -> None:
        if task.task_id not in found:
            for requirement in requirements(task):
                visit(requirement)
            found[task.task_id] = task

    for task in requested:
        visit(task)
    return list(found.values())


def requirements(task: Step) -> "list[Step]":
    """Return what a task requires; nothing where that cannot be known."""
    try:
        return [each for each in task.deps() if isinstance(each, Step)]
    except PipelineError:
        return []


def describe(error: BaseException) -> str:
    """Return the reason of a failure in plain words, without any data."""
    # The text of an unexpected error may hold anything; its type is safe to keep.
    safe = isinstance(error, PipelineError | UnexpectedError)
    return str(error) if safe else type(error).__name__


def failure_text(error: BaseException) -> str:
    """Return the reason of a failure for the scheduler's page, without any data."""
    if isinstance(error, PipelineError):
        return str(error)
    plain = UnexpectedError(type(error).__name__)
    return "".join(traceback.format_exception(plain.with_traceback(error.__traceback__)))


def unreachable(worker: Worker | None, build: Build) -> Failure:
    """Say that Luigi's central scheduler could not be reached, at the first task that waits."""
    url = getattr(getattr(worker, "_scheduler", None), "_url", "")
    waiting = build.waiting
    place = f"{urlsplit(url).scheme}://{host}" if (host := host_of(url)) else "its address"
    return Failure(
        next((task.partition for task in waiting), ""),
        "Schedule",
        f"Luigi's central scheduler at {place} cannot be reached, so no further step was begun. "
        "Start luigid there, or leave out --scheduler-host, then run the same command again.",
    )


def forks(worker: Worker) -> bool:
    """Return True if a Luigi worker runs each task in a process of its own."""
    config = worker._config  # noqa: SLF001  Luigi does the same where it decides
    return worker.worker_processes > 1 or bool(config.force_multiprocessing or config.timeout)


def held_elsewhere(worker: Worker, build: Build) -> Failure | None:
    """Say which requested task did not run because of another worker; None if all did."""
    waiting = build.waiting
    last = worker._get_work_response_history[-1:]  # noqa: SLF001  nothing else tells
    if not waiting or not last or isinstance(worker._scheduler, Scheduler):  # noqa: SLF001
        return None
    running = [each["worker"] for each in last[0]["running_tasks"]]
    reason = (
        f"another worker ({running[0]}) is running it or a step that it needs"
        if running
        else "the scheduler did not hand it out: another worker finished or failed it just now"
    )
    return Failure(
        waiting[0].partition,
        waiting[0].get_task_family(),
        f"It was not run: {reason}. Nothing was changed. Wait until that has ended, then run the "
        "same command again.",
    )


def current_worker() -> Worker | None:
    """Return the Luigi worker that called this code; None if there is none."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  Luigi hands its worker to no task and no event
    while frame is not None:
        if isinstance(found := frame.f_locals.get("self"), Worker):
            return found
        frame = frame.f_back
    return None


def when_build_ends(worker: Worker, end: Callable[[], None]) -> None:
    """Call `end` when the build of this worker ends, however it ends."""
    # Luigi has no event for it. The first thing a worker does then is to stop this thread.
    thread = worker._keep_alive_thread  # noqa: SLF001
    stop = thread.stop

    def end_and_stop() -> None:
        try:
            end()
        finally:
            stop()

    thread.stop = end_and_stop  # type: ignore[method-assign]
