"""The settings as typed values, refused where they make no sense.

Command line > environment > luigi.cfg > default. `pipeline.config.sections` lists them all; those
that need no check are read from there, by `read`. Secrets are not settings; see
`pipeline.config.credentials`.
"""

import contextlib
import datetime as dt
import os
import re
import sys
import warnings
import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from luigi.configuration import get_config

from pipeline.config.sections import (
    ENVIRONMENT,
    OAUTH1,
    OAUTH2,
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
from pipeline.storage.paths import Folders, Snapshot
from pipeline.years import SchoolYear

DEMO_SOURCE = "demo district 1"
"""The name of the demo district as a source; changes when its data change."""
DEFAULT_RULES = Path(__file__).parents[1] / "inputs" / "title_rules.csv"
"""The title rules that are shipped, for districts without their own."""

_NEEDS_NO_TZDATA = re.compile(r"$|UTC$|([A-Za-z]{3,}|<[\w+-]{3,}>)[+-]?\d")
"""Values of TZ that mean what they say without a file: none, UTC, or one with its offset."""

T = TypeVar("T")

_LUIGI = {
    ("core", "autoload_range"): "false",
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


class InputFiles(NamedTuple):
    """The files that people maintain; None for those that are not configured."""

    roster: Path | None
    title_rules: Path
    overrides: Path | None


def apply_luigi_defaults(arguments: Sequence[str] = tuple(sys.argv)) -> None:
    """Give Luigi the settings of our luigi.cfg where the one it found, if any, is silent.

    Without them a failed task exits 0, and an unreachable scheduler costs a minute. The scheduler
    is local unless luigi.cfg or the command line names a central one.
    """
    config = get_config()
    for (section, name), value in _LUIGI.items():
        if not config.has_option(section, name):
            config.set(section, name, value)
    is_named = any(config.has_option("core", name) for name in _SCHEDULER)
    options = ("--scheduler-host", "--scheduler-port", "--scheduler-url")
    is_named |= any(word.startswith(options) for word in arguments)
    is_named |= config.get("core", "local_scheduler", "true").lower() == "false"
    for name, value in _CENTRAL.items() if is_named else ():
        if not config.has_option("core", name):
            config.set("core", name, value)
            # Luigi reads these three, and still takes them for misspelled.
            warnings.filterwarnings("ignore", f".*'{name}' with value")
    if not config.has_option("core", "local_scheduler"):
        config.set("core", "local_scheduler", "false" if is_named else "true")


def apply_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Let the variables of ENVIRONMENT that are set override luigi.cfg."""
    for variable, (section, name) in ENVIRONMENT.items():
        if environ.get(variable):
            # Luigi inserts the variable's value when it reads the setting, unchanged.
            get_config().set(section, name, f"${{{variable}}}")


_CENTRAL = {"rpc_connect_timeout": "5", "rpc_retry_attempts": "3", "rpc_retry_wait": "1"}
"""How soon Luigi gives up on a central scheduler; by default after a minute."""

_SCHEDULER = ("default_scheduler_host", "scheduler_host", "default_scheduler_url", "scheduler_url")

_frozen: ContextVar[dict[Callable[[], Any], Any] | None] = ContextVar("frozen", default=None)


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """Read each section only once in the block: Luigi reads it again, slowly, at each call.

    Blocks may be nested; they share what the outermost has read.
    """
    token = _frozen.set({}) if _frozen.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _frozen.reset(token)


def read(section: Callable[[], T]) -> T:
    """Return a section of settings as it is now, or as it was when settings were frozen."""
    known = _frozen.get()
    if known is None:
        return section()
    if section not in known:
        known[section] = section()
    value: T = known[section]
    return value


def is_demo() -> bool:
    """Return True if the run uses the made-up district, because no address is set."""
    return not read(illuminate).base_url


def check_address(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse credentials of a district whose address is not set, or the demo would be published.

    Raises:
        SettingsError: there are some.
    """
    names = [name for name in (*OAUTH2, *OAUTH1) for name in (name, f"{name}_FILE")]
    if is_demo() and (given := [name for name in names if environ.get(name)]):
        raise SettingsError.refused(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set and "
            "ILLUMINATE_BASE_URL is not",
            "Set it to your district's address, or unset the credentials to work with the demo",
        )


def check_time_zone(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a time zone that the machine would silently take for UTC: a misspelled one, or PST.

    Raises:
        SettingsError: TZ is one.
    """
    name = environ.get("TZ", "").removeprefix(":")
    is_known = any(Path(folder, name).is_file() for folder in zoneinfo.TZPATH)
    if not is_known and not _NEEDS_NO_TZDATA.match(name):
        raise SettingsError.refused(
            f"TZ is {name}, which is no time zone that this machine knows; it would mean UTC",
            "Write it like America/Los_Angeles, or install tzdata if it is missing",
        )


def address() -> Address:
    """Return the address of the district's API.

    Raises:
        SettingsError: it is not valid.
    """
    try:
        return Address.parse(read(illuminate).base_url)
    except SettingsError as error:
        raise SettingsError.refused(str(error)) from None


def source_name() -> str:
    """Return the name of the source: the base URL in one spelling, or the demo district's own.

    Raises:
        SettingsError: the address is not valid.
    """
    return DEMO_SOURCE if is_demo() else address().source


def folders() -> Folders:
    """Return the folders of the data, the tables and the views."""
    chosen = read(paths)
    return Folders.from_settings(
        chosen.data_dir, chosen.save_path, chosen.view_path, demo=is_demo()
    )


def historical_before() -> SchoolYear:
    """Return the first year whose tables are not named historical."""
    try:
        return SchoolYear.parse(read(years).historical_before)
    except YearError as error:
        raise SettingsError.refused(f"[years] historical_before: {error}") from None


def snapshot(year: SchoolYear, as_of: dt.date, today: dt.date) -> Snapshot:
    """Return the paths of a school year as of a day.

    Raises:
        YearError: the day is in the future, so its results cannot be known.
        SettingsError: `[years] settles` is no day.
    """
    window = year.window(as_of)
    if window.end > today:
        raise YearError(
            f"--as-of {as_of} is still to come; today is {today}. Give a day until today, or "
            "leave it out for today."
        )
    is_final = window.end < year.last_day or today > _settles_on(year)
    fetched_on = None if is_final else today
    return Snapshot(folders(), year, window, year.suffix(historical_before()), fetched_on)


def _settles_on(year: SchoolYear) -> dt.date:
    day: str = read(years).settles
    try:
        return year.settles_on(day)
    except ValueError:
        fault = f"[years] settles is {day!r}; it must be a month and a day, like 09-30"
        raise SettingsError.refused(fault) from None


def demo_roster(year: SchoolYear) -> Path:
    """Return where the demo district's roster of a school year is."""
    return folders().inputs / f"Student_Rosters_{year}.txt"


def input_files(year: SchoolYear) -> InputFiles:
    """Return the roster, title rules and overrides that are configured.

    `{year}` in the roster's path is filled in. The demo district has its own, and title rules are
    shipped.
    """
    chosen, inputs = read(paths), folders().inputs

    def find(configured: str, own: Path) -> Path | None:
        if configured:
            return Path(configured)
        return own if is_demo() and own.exists() else None

    return InputFiles(
        find(chosen.rosters.replace("{year}", str(year)), demo_roster(year)),
        find(chosen.title_rules, inputs / "title_rules.csv") or DEFAULT_RULES,
        find(chosen.manual_changes, inputs / "overrides.csv"),
    )


def sql_views() -> dict[str, Path]:
    """Return the SQL files of custom views by the names of the views, in their order.

    While settings are frozen they are looked for once, so that all steps know the same ones.
    """
    return read(_sql_files)


def sql_view(name: str) -> Path:
    """Return the SQL file of one custom view.

    Raises:
        SettingsError: there is none.
    """
    try:
        return sql_views()[name]
    except KeyError:
        raise SettingsError(f"There is no {name}.sql in [paths] sql_views.") from None


def _sql_files() -> dict[str, Path]:
    folder = read(paths).sql_views
    found = sorted(Path(folder).glob("*.sql")) if folder else []
    return {path.stem: path for path in found if not path.name.startswith(".")}


def threads() -> int:
    """Return how many requests run at the same time.

    Raises:
        SettingsError: the number is out of range.
    """
    count: int = read(illuminate).threads
    if not 1 <= count <= 64:
        raise SettingsError.refused(f"[illuminate] threads is {count}; it must be 1 to 64")
    return count


def sample() -> float:
    """Return the share of the assessments without overall results that is fetched as a check."""
    share: float = read(illuminate).sample
    return share


def smallest_group() -> int:
    """Return how many students the smallest group has that the report shows.

    Raises:
        SettingsError: it would reveal single students.
    """
    students: int = read(report).smallest_group
    if students < SMALLEST_GROUP:
        raise SettingsError.refused(
            f"[report] smallest_group is {students}; it must be {SMALLEST_GROUP} or more, because "
            "smaller groups reveal single students"
        )
    return students


def allowed_once(name: str) -> str:
    """Return what the command line allows this one run: `allow_shrink` or `replace_source`.

    Raises:
        SettingsError: it is in luigi.cfg.
    """
    if get_config().has_option("publish", name):
        raise SettingsError(
            f"[publish] {name} is in luigi.cfg, but it allows something once: remove it there, "
            "and give it on the command line of that one run."
        )
    return str(getattr(read(publish), name))


def describe(environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, str, object, str]]:
    """Return every setting: its section, name, value, and where the value is from."""
    variables = {place: variable for variable, place in ENVIRONMENT.items()}
    for section in SECTIONS:
        for name, _ in section.current_params():
            place = (section.__name__, name)
            origin = "luigi.cfg" if get_config().has_option(*place) else "default"
            if environ.get(variables.get(place, "")):
                origin = variables[place]
            yield (*place, getattr(section(), name), origin)


def limits() -> Limits:
    """Return the limits of requests to the API."""
    chosen = read(illuminate)
    return Limits(**{field.name: getattr(chosen, field.name) for field in fields(Limits)})
