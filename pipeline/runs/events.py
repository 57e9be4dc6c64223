"""Luigi's events, by which a run follows its build."""

import luigi
from luigi.rpc import RPCError

from pipeline.runs.build import Step
from pipeline.runs.context import current


@Step.event_handler(luigi.Event.DEPENDENCY_DISCOVERED)
def _require(task: Step, requirement: Step) -> None:
    current().build.require(task, requirement)


@Step.event_handler(luigi.Event.DEPENDENCY_PRESENT)
@Step.event_handler(luigi.Event.SUCCESS)
def _complete(task: Step) -> None:
    current().build.complete(task)


@Step.event_handler(luigi.Event.BROKEN_TASK)
@Step.event_handler(luigi.Event.FAILURE)
def _fail(task: Step, error: BaseException) -> None:
    if not isinstance(error, RPCError):  # which ends the build, and is described then
        current().build.fail(task, error)
