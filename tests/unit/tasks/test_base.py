"""A step is signed for what it was made of, not for what its inputs have become since."""

import datetime as dt

import pytest

from pipeline.storage import files
from pipeline.storage.paths import DEFAULT_RULES
from pipeline.tasks.base import PipelineTask
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.run import Run
from pipeline.tasks.targets import BuiltTarget, Recipe
from pipeline.years import SchoolYear


class Copies(PipelineTask):
    """Copies a file that somebody edits in the middle."""

    task_namespace = "tests"

    def paths(self):
        return [self.snapshot.results / "copy.txt"]

    def inputs(self):
        return {"source": (self.snapshot.folders.data / "source.txt").read_text()}

    def make(self):
        source = self.snapshot.folders.data / "source.txt"
        self.paths()[0].parent.mkdir(parents=True, exist_ok=True)
        self.paths()[0].write_text(source.read_text())
        source.write_text("edited meanwhile")
        return {}


@pytest.fixture
def step(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    task = Copies(year=SchoolYear(2023), as_of=dt.date(2024, 6, 30))
    folder = task.snapshot.folders.data
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.txt").write_text("as it was")
    return task


class SomeRun:
    id = "a run"


def test_an_edit_during_a_step_is_met_by_the_next_run(step):
    step.bring_up_to_date(SomeRun())
    assert step.paths()[0].read_text() == "as it was"
    assert not step.output().exists()
    step.bring_up_to_date(SomeRun())
    assert step.paths()[0].read_text() == "edited meanwhile"


def test_a_receipt_names_the_recipe_of_before_the_step(step):
    step.bring_up_to_date(SomeRun())
    receipt = step.output().receipt
    assert receipt.recipe == Recipe("tests.Copies", 1, {}, {"source": "as it was"})
    assert isinstance(step.output(), BuiltTarget)
    assert Run.current is None


def test_shipped_rules_are_an_input_like_rules_of_ones_own(monkeypatch, tmp_path):
    """So that an upgrade that ships other rules labels the titles anew."""
    monkeypatch.chdir(tmp_path)
    step = ReadInputs(year=SchoolYear(2023), as_of=dt.date(2024, 6, 30))
    assert step.inputs() == {"title rules": files.sha256(DEFAULT_RULES)}
