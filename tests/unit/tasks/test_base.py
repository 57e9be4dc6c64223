"""A task is complete only while it is what would be built now; checking it changes nothing."""

import datetime as dt

import luigi
import pytest

from pipeline.config import settings
from pipeline.runs import context
from pipeline.storage import files
from pipeline.storage.receipts import BuildKey
from pipeline.tasks.base import IncrementalTask, YearTask, incremental
from pipeline.tasks.inputs import ReadTitleRules, digests
from pipeline.tasks.report import RunAll
from pipeline.tasks.targets import FilesTarget
from pipeline.years import SchoolYear

DAY = dt.date(2024, 6, 30)


class Copies(YearTask, IncrementalTask):
    """Copies a file that somebody edits in the middle."""

    task_namespace = "tests"

    @property
    def source(self):
        return self.paths.folders.data / "source.txt"

    def output(self):
        return self.target(self.paths.results / "copy.txt")

    def source_files(self):
        return {"source": self.source.read_text()}

    @incremental
    def run(self):
        with self.output().build():
            files.write_text(self.output().paths[0], self.source.read_text())
            self.source.write_text("edited meanwhile")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder without settings, and a run that ends with the test."""
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    luigi.task_register.Register.clear_instance_cache()
    yield tmp_path
    if (run := context.under_way()) is not None:
        run.end()


@pytest.fixture
def step(folder):
    task = Copies(year=SchoolYear(2023), as_of=DAY)
    files.make_folder(task.source.parent)
    task.source.write_text("as it was")
    return task


def test_an_edit_during_a_step_is_noticed_by_the_next_run(step):
    step.run()
    assert step.output().paths[0].read_text() == "as it was"
    assert not step.output().exists()
    step.run()
    assert step.output().paths[0].read_text() == "edited meanwhile"


def test_a_receipt_has_the_key_from_before_the_step(step):
    step.run()
    assert step.receipt.key == BuildKey("tests.Copies", 1, {}, {"source": "as it was"})
    assert isinstance(step.output(), FilesTarget)


def test_shipped_rules_are_an_input_like_a_districts_own(folder):
    """So that an upgrade that ships other rules labels the titles again."""
    step = ReadTitleRules(year=SchoolYear(2023), as_of=DAY)
    rules = settings.DEFAULT_RULES
    assert step.source_files() == digests(**{"title rules": rules})
    assert step.source_files() == {"title rules": files.sha256(rules)}


def test_checking_whether_a_task_is_complete_begins_no_run(folder):
    assert not RunAll(year="23-24").complete()
    assert context.under_way() is None
    assert list(folder.iterdir()) == []


def test_the_day_is_read_once_when_the_requested_task_is_made(folder, monkeypatch):
    root = RunAll(year="25-26", as_of=dt.date(2026, 6, 30), today=dt.date(2026, 6, 30))
    before = root.paths
    # A clock past midnight changes nothing for the tasks that are made from this one.
    report = root.deps()[0]
    assert (report.as_of, report.today) == (root.as_of, root.today)
    assert report.paths == before
    assert before.fetched_on == dt.date(2026, 6, 30)


def test_the_district_is_part_of_task_ids(folder, monkeypatch):
    mine = RunAll(year="23-24", as_of=DAY)
    monkeypatch.setattr(settings, "source_name", lambda: "https://other.example.org/live")
    other = RunAll(year="23-24", as_of=DAY)
    assert mine.district == settings.DEMO_SOURCE
    assert mine.task_id != other.task_id


def test_every_target_of_the_graph_has_a_path(folder):
    found = []

    def visit(task):
        found.extend(luigi.task.flatten(task.output()))
        for dep in task.deps():
            visit(dep)

    visit(RunAll(year="23-24", as_of=DAY))
    assert found
    assert all(str(target.path) for target in found)
