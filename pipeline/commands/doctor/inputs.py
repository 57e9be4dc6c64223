"""Reads the settings, and every file that people maintain, as a run of the year would."""

from pathlib import Path

from pipeline.commands.doctor.note import Note
from pipeline.config import rosters, sections, settings
from pipeline.inputs import prior_years, roster, rules
from pipeline.simulator.demo import ensure_inputs
from pipeline.storage.paths import Snapshot
from pipeline.tasks.inputs import existing, headings
from pipeline.transform import sql_views
from pipeline.words import counted
from pipeline.years import today


def check_settings(paths: Snapshot) -> str:
    """Return that no setting is out of its range."""
    settings.snapshot(paths.year, today(), today())
    for value in (settings.threads, settings.sample, settings.smallest_group):
        value()
    return "all can be read, and none is out of its range"


def write_demo(_: Snapshot) -> str:
    """Return that the files are there that the demo district's people would maintain."""
    if not settings.is_demo():
        return "not used: ILLUMINATE_BASE_URL is set"
    folder = settings.folders().inputs
    ensure_inputs(folder, today())
    return f"its roster, title rules and overrides are in {folder}"


def read_roster(paths: Snapshot) -> str | Note:
    """Return how many students the roster of the year has."""
    path = settings.input_files(paths.year).roster
    if path is None:
        return Note("none is configured, so grades will be empty; set STUDENT_ROSTERS")
    path = path if path.is_dir() else existing("roster", path)
    read = roster.read_roster(path, headings(), paths.year)
    columns = rosters.columns()
    return (
        f"{path} has {counted(len(read.students), 'student')} ({paths.year}), "
        f"{read.without_grade:,} of them with a code that is no grade, "
        f"{counted(read.repeated, 'repeated line')}"
        + (f"; the views get {', '.join(columns)}" if columns else "")
    )


def read_rules(paths: Snapshot) -> str:
    """Return how many title rules there are."""
    path = existing("title rules", settings.input_files(paths.year).title_rules)
    read = rules.read_rules(path)
    return f"{path} has {counted(sum(map(len, read.by_column.values())), 'rule')}"


def read_overrides(paths: Snapshot) -> str:
    """Return how many overrides of labels there are."""
    path = settings.input_files(paths.year).overrides
    if path is None:
        return "none are configured"
    return (
        f"{path} has {counted(len(rules.read_overrides(existing('overrides', path))), 'override')}"
    )


def find_prior_years(_: Snapshot) -> str:
    """Return how many files of tables from before the pipeline there are."""
    place = settings.read(sections.paths).prior_years
    if not place:
        return "none are configured"
    found = prior_years.find_files(place)
    return f"{place} has {counted(len(found), 'file')} from before the pipeline"


def check_sql_views(_: Snapshot) -> str:
    """Return how many views of the district's own there are."""
    folder = settings.read(sections.paths).sql_views
    if not folder:
        return "none are configured"
    views = settings.sql_views()
    sql_views.check(Path(folder), views.values(), tuple(rosters.columns()))
    return f"{folder} has {counted(len(views), 'SQL file')}"
