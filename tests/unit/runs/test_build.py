"""What a build knows of its tasks: the requests of those that failed, and its scheduler."""

from types import SimpleNamespace
from typing import Any

import luigi
import pytest

from pipeline.runs.build import Build, Step, unreachable


def task(name: str, partition: str = "23-24") -> Any:
    return SimpleNamespace(name=name, partition=partition)


class Requested(Step):
    partition = luigi.Parameter()


def test_requests_are_those_of_the_task_that_failed_and_of_its_year() -> None:
    build = Build()
    for name, partition in (("Fetch", "22-23"), ("Fetch", "23-24"), ("Fetch", "23-24")):
        build.counts.add("requests")
        build.keep_counts(task(name, partition))
    build.keep_counts(task("Build"))
    build.counts.add("tokens")
    assert build.failed_requests("22-23")["Fetch"]["requests"] == 1
    assert build.failed_requests("23-24") == {"Fetch": {"requests": 2, "retries": 0, "tokens": 0}}
    assert build.failed_requests("24-25") == {}
    assert build.counts.snapshot()["tokens"] == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:canary@luigi.example.org:8082", "http://luigi.example.org:8082"),
        ("http://user:can/ary@luigi.example.org:8082", "its address"),
    ],
)
def test_the_address_of_a_scheduler_is_shown_without_its_password(url: str, shown: str) -> None:
    worker: Any = SimpleNamespace(_scheduler=SimpleNamespace(_url=url))
    said = unreachable(worker, Build()).reason
    assert f"central scheduler at {shown} cannot be reached" in said
    assert "can" not in said.replace("cannot", "")


def test_an_unreachable_scheduler_is_noted_where_a_task_waits() -> None:
    build, first, second = Build(), Requested(partition="22-23"), Requested(partition="23-24")
    for each in (first, second):
        build.see(each)
    assert unreachable(None, build).partition == "22-23"
    build.complete(first)
    assert unreachable(None, build).partition == "23-24"
