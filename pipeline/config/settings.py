"""The settings, as the pipeline takes them: read once a run, and refused where they make no sense.

Command line > environment > luigi.cfg > default. `pipeline.sections` names them all. Secrets are no
settings, see `pipeline.credentials`.

Luigi reads a section anew each time that its class is called, which is dear; a run reads it once.
"""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from luigi.configuration import get_config

from pipeline.config.memory import Memory
from pipeline.config.sections import (
    ENVIRONMENT,
    SECTIONS,
    illuminate,
    paths,
    publish,
    report,
    years,
)
from pipeline.errors import SettingsError, YearError
from pipeline.illuminate.address import Address
from pipeline.illuminate.limits import Limits
from pipeline.schema import SMALLEST_GROUP
from pipeline.storage.paths import DEFAULT_RULES, AllYears, Folders, InputFiles, Snapshot
from pipeline.years import SchoolYear

DEMO_SOURCE = "demo district 1"
"""The name of the demo district as a source; changes when its data change."""

_LUIGI = {
    ("core", "autoload_range"): "false",
    ("core", "local_scheduler"): "true",
    ("core", "log_level"): "WARNING",
    ("core", "no_lock"): "true",
    ("worker", "check_complete_on_run"): "true",
    ("retcode", "already_running"): "10",
    ("retcode", "missing_data"): "20",
    ("retcode", "not_run"): "25",
    ("retcode", "task_failed"): "30",
    ("retcode", "scheduling_error"): "35",
    ("retcode", "unhandled_exception"): "40",
}


def apply_luigi_defaults() -> None:
    """Give Luigi the settings of our luigi.cfg where the one it found, if any, is silent.

    Without them a failed task exits 0, and a run without a scheduler waits a minute for one.
    """
    for (section, name), value in _LUIGI.items():
        if not get_config().has_option(section, name):
            get_config().set(section, name, value)


def apply_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Put the variables of ENVIRONMENT that are set above luigi.cfg."""
    for variable, (section, name) in ENVIRONMENT.items():
        if environ.get(variable):
            # Luigi puts the variable's value in when it reads the setting, and leaves it as it is.
            get_config().set(section, name, f"${{{variable}}}")


of_the_run = Memory()
"""The sections as they were when a run began, while it lasts."""

_read = of_the_run.get


def is_demo() -> bool:
    """Whether the run talks to the made-up district, because no address is set."""
    return not _read(illuminate).base_url


def address() -> Address:
    """The address of the district's API.

    Raises:
        SettingsError: it cannot be used.
    """
    return Address.parse(_read(illuminate).base_url)


def source_name() -> str:
    """Return the name of the source: the base URL, or the demo district's own.

    Raises:
        SettingsError: the address cannot be used.
    """
    return DEMO_SOURCE if is_demo() else address().base


def folders() -> Folders:
    """The folders of the data, the tables and the views."""
    chosen = _read(paths)
    return Folders.choose(chosen.data_dir, chosen.save_path, chosen.view_path, demo=is_demo())


def is_group_readable() -> bool:
    """Whether the group of the owner may read what is written."""
    return bool(_read(paths).group_readable)


def current_year() -> SchoolYear:
    """The first year that is not historical."""
    return SchoolYear.parse(_read(years).current)


def snapshot(year: SchoolYear, as_of: dt.date, today: dt.date | None = None) -> Snapshot:
    """The files of a school year as of a day.

    Raises:
        YearError: the day is still to come, so that its results cannot be known.
    """
    today = today or dt.date.today()  # noqa: DTZ011  the school's own day
    window = year.window(as_of)
    if window.end > today:
        raise YearError(f"--as-of {as_of} is still to come; today is {today}.")
    provisional = window.end == year.last_day and today <= year.last_day
    return Snapshot(folders(), year, window, year.suffix(current_year()), provisional)


def all_years(years: tuple[SchoolYear, ...]) -> AllYears:
    """The files of these school years together."""
    return AllYears(folders(), years)


def input_files(year: SchoolYear) -> InputFiles:
    """The roster, title rules and overrides that are configured.

    `{year}` in the roster's path is filled in. The demo district brings its own, and title rules
    are shipped.
    """
    chosen, inputs = _read(paths), folders().inputs

    def find(configured: str, of_demo: str) -> Path | None:
        if configured:
            return Path(configured)
        own = inputs / of_demo
        return own if is_demo() and own.exists() else None

    return InputFiles(
        find(chosen.rosters.replace("{year}", str(year)), f"Student_Rosters_{year}.txt"),
        find(chosen.title_rules, "title_rules.csv") or DEFAULT_RULES,
        find(chosen.manual_changes, "overrides.csv"),
    )


def sql_views() -> dict[str, Path]:
    """The SQL files that make views of one's own, by the names of the views, in their order.

    They are looked for once a run, so that all its steps know the same ones.
    """
    return _read(_sql_files)


def _sql_files() -> dict[str, Path]:
    folder = _read(paths).sql_views
    found = sorted(Path(folder).glob("*.sql")) if folder else []
    return {path.stem: path for path in found if not path.name.startswith(".")}


def threads() -> int:
    """How many requests run at the same time.

    Raises:
        SettingsError: the number makes no sense.
    """
    count: int = _read(illuminate).threads
    if not 1 <= count <= 64:
        raise SettingsError(f"[illuminate] threads is {count}; it must be 1 to 64.")
    return count


def reporting_group_fields() -> tuple[str, str]:
    """The API's names of a reporting group's id and label."""
    chosen = _read(illuminate)
    return chosen.reporting_group_id_field, chosen.reporting_group_field


def asks_all() -> bool:
    """Whether standard and group are asked for also where overall has no rows."""
    return bool(_read(illuminate).ask_all)


def sample() -> float:
    """Which part of the assessments without overall results is asked for all the same.

    Raises:
        SettingsError: it is no part.
    """
    share: float = _read(illuminate).sample
    if not 0 <= share <= 1:
        raise SettingsError(f"[illuminate] sample is {share}; it must be 0 to 1.")
    return share


def smallest_group() -> int:
    """How many students the smallest group has that the report shows.

    Raises:
        SettingsError: it would give single students away.
    """
    students: int = _read(report).smallest_group
    if students < SMALLEST_GROUP:
        raise SettingsError(
            f"[report] smallest_group is {students}; it must be {SMALLEST_GROUP} or more, because "
            "smaller groups give single students away. Nothing was asked and nothing was changed."
        )
    return students


def ids_to_include() -> list[str]:
    """The assessments to fetch that the catalogue lacks."""
    return list(_read(illuminate).include_ids)


def ids_to_exclude() -> list[str]:
    """The assessments to leave out."""
    return list(_read(illuminate).exclude_ids)


def allowed_shrink() -> str:
    """What `--publish-allow-shrink` says.

    Raises:
        SettingsError: it was made a standing setting.
    """
    if get_config().has_option("publish", "allow_shrink"):
        raise SettingsError(
            "[publish] allow_shrink stands in luigi.cfg; it lets a loss pass once, so give it on "
            "the command line of that one run."
        )
    return str(_read(publish).allow_shrink)


def describe(environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, str, object, str]]:
    """Every setting: its section, name, value, and where the value is from."""
    variables = {place: variable for variable, place in ENVIRONMENT.items()}
    for section in SECTIONS:
        for name, _ in section.get_params():
            place = (section.__name__, name)
            origin = "luigi.cfg" if get_config().has_option(*place) else "default"
            if environ.get(variables.get(place, "")):
                origin = variables[place]
            yield (*place, getattr(section(), name), origin)


def limits() -> Limits:
    """How the API is asked."""
    chosen = _read(illuminate)
    return Limits(**{field.name: getattr(chosen, field.name) for field in fields(Limits)})
