"""Settings: which one wins, what is refused and how, and that no secret is ever shown."""

import configparser
import datetime as dt
import os
import re
import subprocess
import sys
import zoneinfo
from pathlib import Path

import luigi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import LuigiConfigParser, get_config

from pipeline import RunAll
from pipeline.config import sections, settings
from pipeline.config.sections import IdsParameter
from pipeline.config.settings import DEFAULT_RULES
from pipeline.errors import SettingsError
from pipeline.illuminate.limits import Limits
from pipeline.years import SchoolYear

ROOT = Path(__file__).parents[3]
SECTIONS = sections.SECTIONS
TODAY = dt.date(2026, 1, 15)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Each test begins with the defaults alone, whatever luigi.cfg is near."""
    monkeypatch.setattr(LuigiConfigParser, "_instance", LuigiConfigParser())


@pytest.fixture
def environment(monkeypatch):
    """Set variables, and let them take effect as at the start of a run."""
    for variable in sections.ENVIRONMENT:
        monkeypatch.delenv(variable, raising=False)

    def apply(variables: dict[str, str]) -> None:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        settings.apply_environment()

    return apply


def put(section: str, name: str, value: object) -> None:
    get_config().set(section, name, str(value))


# Precedence.

PROBE = """
import sys
import zoneinfo
import pipeline
from luigi.cmdline_parser import CmdlineParser
with CmdlineParser.global_instance(["RunAll", *sys.argv[1:]]):
    print(pipeline.config.sections.paths().data_dir)
"""


@pytest.mark.parametrize(
    ("levels", "winner"),
    [
        ({"command line", "environment", "luigi.cfg"}, "command line"),
        ({"environment", "luigi.cfg"}, "environment"),
        ({"luigi.cfg"}, "luigi.cfg"),
        (set(), "data"),
    ],
)
def test_the_command_line_wins_over_environment_luigi_cfg_and_default(tmp_path, levels, winner):
    cfg = tmp_path / "settings.cfg"
    cfg.write_text("[paths]\ndata_dir=luigi.cfg\n" if "luigi.cfg" in levels else "")
    environ = {n: v for n, v in os.environ.items() if n not in sections.ENVIRONMENT}
    environ |= {"LUIGI_CONFIG_PATH": str(cfg)}
    environ |= {"PIPELINE_DATA_DIR": "environment"} if "environment" in levels else {}
    arguments = ["--paths-data-dir", "command line"] if "command line" in levels else []
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == winner


@pytest.mark.parametrize(("variable", "place"), sections.ENVIRONMENT.items())
def test_each_variable_wins_over_its_setting(variable, place, environment):
    section, name = place
    put(section, name, "from luigi.cfg")
    environment({variable: "from the environment"})
    assert getattr(getattr(sections, section)(), name) == "from the environment"


@pytest.mark.parametrize(("variable", "place"), sections.ENVIRONMENT.items())
def test_an_empty_variable_counts_as_not_set(variable, place, environment):
    section, name = place
    put(section, name, "from luigi.cfg")
    environment({variable: ""})
    assert getattr(getattr(sections, section)(), name) == "from luigi.cfg"


@pytest.mark.parametrize("value", ["/a%20b/100%", "%", "%%", "%(x)s", "/data/{year}/%Y", "a=b;#c"])
def test_a_value_of_the_environment_is_taken_as_it_is(value, environment):
    environment({"SAVE_PATH": value})
    assert sections.paths().save_path == value


def test_a_dollar_in_a_value_of_the_environment_is_taken_as_it_is(environment):
    environment({"SAVE_PATH": "/exports/${NOT_A_VARIABLE_OF_ANYONE}"})
    assert sections.paths().save_path == "/exports/${NOT_A_VARIABLE_OF_ANYONE}"


# Our luigi.cfg.


def shipped() -> dict[tuple[str, str], str]:
    parser = configparser.RawConfigParser()
    parser.read_string((ROOT / "luigi.cfg").read_text(encoding="utf-8"))
    return {(section, name): text for section in parser for name, text in parser.items(section)}


def test_the_luigi_cfg_shipped_says_what_the_defaults_say():
    written = {}
    for section in SECTIONS:
        for name, parameter in section.current_params():
            if (section.__name__, name) in shipped():
                text = shipped()[section.__name__, name]
                written[section.__name__, name] = parameter.normalize(parameter.parse(text))
                assert written[section.__name__, name] == getattr(section(), name), name
    ours = {section.__name__ for section in SECTIONS}
    assert written.keys() == {place for place in shipped() if place[0] in ours}


def test_every_section_of_ours_is_in_the_luigi_cfg_shipped():
    assert {section.__name__ for section in SECTIONS} <= {place[0] for place in shipped()}


def test_luigi_gets_the_settings_of_our_luigi_cfg_also_without_it():
    settings.apply_luigi_defaults()
    applied = {
        (section, name): get_config().get(section, name)
        for section in get_config().sections()
        for name in get_config().options(section)
    }
    ours = {section.__name__ for section in SECTIONS}
    named = {place: text for place, text in shipped().items() if place[0] not in ours}
    assert applied == named | {("core", "local_scheduler"): "true"}


@pytest.mark.parametrize(
    ("host", "arguments"),
    [
        ("luigi.example.org", []),
        ("", ["--scheduler-host", "x"]),
        ("", ["--scheduler-port=9"]),
        ("", ["--scheduler-host=x"]),
    ],
)
def test_one_setting_or_one_flag_selects_the_central_scheduler(host, arguments):
    if host:
        put("core", "default_scheduler_host", host)
    settings.apply_luigi_defaults(["luigi", *arguments])
    assert get_config().get("core", "local_scheduler") == "false"
    assert float(get_config().get("core", "rpc_retry_wait")) < 5


def test_what_a_luigi_cfg_says_of_luigi_is_left_as_it_is():
    put("core", "local_scheduler", "false")
    settings.apply_luigi_defaults()
    assert get_config().get("core", "local_scheduler") == "false"
    assert float(get_config().get("core", "rpc_retry_wait")) < 5
    assert get_config().get("retcode", "task_failed") == "30"


def test_every_setting_is_described():
    for section in SECTIONS:
        assert all(parameter.description for _, parameter in section.current_params())


def test_a_section_of_a_task_sets_its_parameters():
    put("RunAll", "year", "22-23")
    assert RunAll().year == SchoolYear(2022)


# The source, and how it is fetched.


def test_without_an_address_the_demo_district_is_used():
    assert settings.is_demo()
    assert "demo" in settings.folders().data.parts


def test_with_an_address_the_district_is_used_and_nothing_is_called_demo(environment):
    environment({"ILLUMINATE_BASE_URL": "https://example.illuminateed.com/live"})
    assert not settings.is_demo()
    assert settings.folders().data == Path("data")
    assert settings.address().base.startswith("https://example.illuminateed.com/live")


def test_the_folders_are_the_ones_configured(environment):
    environment(
        {
            "ILLUMINATE_BASE_URL": "https://example.illuminateed.com/live",
            "PIPELINE_DATA_DIR": "/d",
            "SAVE_PATH": "/s/{year}",
            "VIEW_PATH": "/v",
        }
    )
    snapshot = settings.snapshot(SchoolYear(2023), SchoolYear(2023).last_day, TODAY)
    assert snapshot.work.is_relative_to("/d/work/23-24")
    assert snapshot.published_folder("illuminate") == Path("/s/23-24")
    assert snapshot.published_folder("views") == Path("/v/23-24")


@pytest.mark.parametrize(
    ("as_of", "today", "is_whole"),
    [
        ((2024, 6, 30), (2024, 7, 1), True),
        ((2026, 11, 28), (2026, 11, 28), True),
        ((2024, 6, 30), (2024, 6, 30), False),
        ((2024, 6, 29), (2024, 7, 1), False),
    ],
)
def test_a_snapshot_is_of_a_whole_year_when_its_last_day_is_over(as_of, today, is_whole):
    snapshot = settings.snapshot(SchoolYear(2023), dt.date(*as_of), dt.date(*today))
    assert snapshot.is_of_whole_year is is_whole


@pytest.mark.parametrize(("before", "suffix"), [("24-25", "_historical"), ("2023-2024", "")])
def test_tables_of_earlier_years_are_historical(before, suffix):
    put("years", "historical_before", before)
    assert settings.snapshot(SchoolYear(2023), SchoolYear(2023).last_day, TODAY).suffix == suffix


def test_the_client_keeps_the_limits_configured():
    assert settings.limits() == Limits()
    put("illuminate", "page_limit", 50)
    put("illuminate", "tries", 2)
    put("illuminate", "max_requests_per_second", 2.5)
    assert settings.limits() == Limits(page_limit=50, tries=2, max_requests_per_second=2.5)


@pytest.mark.parametrize("count", [1, 10, 64])
def test_1_to_64_threads_are_used_as_configured(count):
    put("illuminate", "threads", count)
    assert settings.threads() == count


@pytest.mark.parametrize("count", [0, -1, 65, 1000])
def test_other_numbers_of_threads_are_refused(count):
    put("illuminate", "threads", count)
    with pytest.raises(SettingsError) as error:
        settings.threads()
    assert str(error.value) == (
        f"[illuminate] threads is {count}; it must be 1 to 64. Nothing was requested and nothing "
        "was changed. Correct it, then run the same command again."
    )


def test_a_year_of_history_that_is_none_is_refused():
    put("years", "historical_before", "2024")
    with pytest.raises(SettingsError, match="2024 could mean"):
        settings.historical_before()


@pytest.mark.parametrize(
    "written", ['["114845", "7"]', '[114845, "7"]', "114845,7", " 114845 , 7,", "[114845,7]"]
)
def test_ids_are_text_however_they_are_written(written):
    arguments = ["RunAll", "--illuminate-include-ids", written]
    with CmdlineParser.global_instance(arguments):
        assert settings.read(sections.illuminate).include_ids == ("114845", "7")


@pytest.mark.parametrize("written", ["", " ", "[]", ","])
def test_no_ids_are_no_ids(written):
    put("illuminate", "exclude_ids", written)
    assert settings.read(sections.illuminate).exclude_ids == ()


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool)))
def test_ids_can_be_written_down_and_read_again(ids):
    parameter = IdsParameter()
    assert parameter.parse(parameter.serialize(tuple(ids))) == tuple(ids)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("illuminate", "threads", "ten"),
        ("illuminate", "deadline", "3 min"),
        ("illuminate", "exclude_ids", '["1"'),
        ("checks", "roster_floor", "half"),
        ("checks", "readable_drop", "2"),
        ("checks", "shrink_tolerance", "-0.1"),
        ("checks", "roster_drop", "nan"),
        ("paths", "group_readable", "perhaps"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_reported_by_name_and_meaning(section, name, value):
    put(section, name, value)
    with pytest.raises(SettingsError) as error:
        getattr(sections, section)()
    assert f"[{section}] {name} cannot be read" in str(error.value)
    assert dict(getattr(sections, section).get_params())[name].description in str(error.value)


def test_settings_can_be_given_on_any_command_line():
    arguments = ["RunAll", "--illuminate-threads", "16", "--years-historical-before", "25-26"]
    with CmdlineParser.global_instance(arguments):
        assert settings.threads() == 16
        assert settings.historical_before() == SchoolYear(2025)


def test_every_setting_is_described_with_its_value_and_where_it_is_from(environment):
    put("illuminate", "threads", 16)
    environment({"SAVE_PATH": "/exports"})
    described = {(section, name): found for section, name, *found in settings.describe()}
    assert described["illuminate", "threads"] == [16, "luigi.cfg"]
    assert described["paths", "save_path"] == ["/exports", "SAVE_PATH"]
    assert described["years", "historical_before"] == ["24-25", "default"]
    assert len(described) == sum(len(section.current_params()) for section in SECTIONS)


# The time zone.


@pytest.mark.parametrize(
    "zone",
    [
        *("", "UTC", "America/Los_Angeles", ":America/Los_Angeles"),
        *("/usr/share/zoneinfo/Asia/Tokyo", "PST8PDT", "PST8PDT,M3.2.0,M11.1.0", "<-03>3", "UTC-5"),
    ],
)
def test_a_time_zone_that_the_machine_knows_is_taken(zone):
    settings.check_time_zone({"TZ": zone})


@pytest.mark.parametrize("zone", ["America/Los_Angelos", "PST", "America", "8", "Mars/Olympus+1"])
def test_a_time_zone_that_would_mean_utc_is_refused(zone):
    with pytest.raises(SettingsError, match=f"^TZ is {re.escape(zone)}, which is no time zone"):
        settings.check_time_zone({"TZ": zone})


def test_without_tzdata_a_time_zone_is_refused(monkeypatch):
    monkeypatch.setattr(zoneinfo, "TZPATH", ("/nonexistent",))
    settings.check_time_zone({"TZ": "UTC"})
    with pytest.raises(SettingsError, match="install tzdata"):
        settings.check_time_zone({"TZ": "America/Los_Angeles"})


# Input files.


def real() -> None:
    put("illuminate", "base_url", "https://example.illuminateed.com/live")


def test_without_input_files_there_are_the_shipped_rules_only():
    real()
    found = settings.input_files(SchoolYear(2023))
    assert found == (None, DEFAULT_RULES, None)


def test_input_files_are_the_ones_configured_and_the_roster_is_the_years_own(environment):
    real()
    environment(
        {"STUDENT_ROSTERS": "/r/{year}.txt", "TITLE_RULES": "/t.csv", "MANUAL_CHANGES": "/o.csv"}
    )
    assert settings.input_files(SchoolYear(2022)) == (
        Path("/r/22-23.txt"),
        Path("/t.csv"),
        Path("/o.csv"),
    )


def test_the_demo_brings_its_own_input_files_where_none_are_configured(tmp_path):
    put("paths", "data_dir", tmp_path)
    inputs = settings.folders().inputs
    inputs.mkdir(parents=True)
    for name in ("Student_Rosters_23-24.txt", "title_rules.csv", "overrides.csv"):
        (inputs / name).touch()
    put("paths", "title_rules", "/mine.csv")
    assert settings.input_files(SchoolYear(2023)) == (
        inputs / "Student_Rosters_23-24.txt",
        Path("/mine.csv"),
        inputs / "overrides.csv",
    )


def test_no_secret_is_a_setting():
    names = {name for section in SECTIONS for name, _ in section.current_params()}
    assert not [n for n in names if any(word in n for word in ("secret", "client", "consumer"))]
    assert issubclass(sections.illuminate, luigi.Config)


# Settings that were renamed.

RENAMED = {
    "longest_wait": "max_backoff",
    "longest_pause": "max_retry_after",
    "most_bytes": "max_response_bytes",
    "ask_all": "fetch_all",
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_in_the_file_is_refused_with_the_new_one(old, new):
    put("illuminate", old, "1")
    with pytest.raises(SettingsError, match=rf"{old} was renamed to {new}.*run the same command"):
        settings.limits()


def test_the_year_of_history_has_a_new_name():
    """The old one also was the default of `--year`."""
    put("years", "current", "24-25")
    with pytest.raises(SettingsError, match=r"\[years\] current was renamed to historical_before"):
        settings.snapshot(SchoolYear(2023), SchoolYear(2023).last_day, TODAY)


@pytest.mark.parametrize("value", [["7"], []], ids=["with a value", "as a switch"])
@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_on_the_command_line_is_refused_with_the_new_one(old, new, value):
    option = f"--illuminate-{old.replace('_', '-')}"
    with (
        CmdlineParser.global_instance(["RunAll", option, *value]),
        pytest.raises(SettingsError, match=f"{old} was renamed to {new}"),
    ):
        settings.limits()
