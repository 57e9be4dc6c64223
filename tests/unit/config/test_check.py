"""luigi.cfg: what in it is refused, and what of Luigi's and of other programs' may be there."""

import configparser
import os
from pathlib import Path

import pytest
from luigi.configuration import LuigiConfigParser

import pipeline  # noqa: F401  with its tasks, whose names may be sections
from pipeline.config.check import check_config_file
from pipeline.config.config_file import parse
from pipeline.errors import SettingsError

OF_LUIGI = """azureblob batch_notifier batch-notifier bigquery core cors datadog elasticsearch
    email execution_summary formatter_simple formatters hadoop handler_console handlers hdfs hive
    kubernetes logger_root loggers logging metrics mysql pig postgres prometheus redis redshift
    resources retcode s3 scalding scheduler sendgrid smtp sns spark task_history webhdfs worker"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder without luigi.cfg."""
    monkeypatch.delenv("LUIGI_CONFIG_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(text: str) -> str:
    Path("luigi.cfg").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        check_config_file()
    assert str(error.value).endswith("then run the same command again.")
    return str(error.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    {
        "path": "paths",
        "check": "checks",
        "Illuminate": "illuminate",
        "PATHS": "paths",
        "iluminate": "illuminate",
        "yaers": "years",
        "rosters": "roster",
        "reports": "report",
        "run": "runs",
        "states": "state",
        "biuld": "build",
    }.items(),
)
def test_a_section_that_looks_like_ours_is_refused_with_its_name(written, meant):
    said = refusal(f"[{written}]\nany = thing\n")
    assert said.startswith(f"luigi.cfg has a section [{written}], which nothing reads")
    assert f"did you mean [{meant}]?" in said


@pytest.mark.parametrize(
    ("section", "name", "meant"),
    [
        ("illuminate", "threds", "threads"),
        ("illuminate", "max-backof", "max_backoff"),
        ("checks", "smallest_group", "[report] smallest_group"),
        ("publish", "allow_shrinks", "allow_shrink"),
        ("RunAll", "yaer", "year"),
        ("Report", "enabled", "[report] enabled"),
    ],
)
def test_a_name_that_nothing_reads_is_refused_with_the_one_that_was_meant(section, name, meant):
    said = refusal(f"[{section}]\n{name} = 1\n")
    assert said.startswith(f"luigi.cfg has {name} in [{section}], where nothing reads it")
    assert f"did you mean {meant}?" in said


def test_a_name_that_is_like_no_other_is_refused_too():
    assert "did you mean" not in refusal("[runs]\ncolour = blue\n")


@pytest.mark.parametrize(
    "text",
    [
        "[illuminate]\npage-limit = 10\n",
        "[illuminate]\nlongest_wait = 10\n",
        "[DEFAULT]\nroot = /srv\n[paths]\ndata_dir = %(root)s/data\n",
        "[RunAll]\nyear = 23-24\n",
        "[core]\nno_setting = 1\n",
    ],
    ids=["dashes", "a renamed one", "defaults", "a task", "Luigi's"],
)
def test_what_is_read_or_is_not_ours_may_be_there(text):
    """A renamed setting is refused where it is read, with its new name."""
    Path("luigi.cfg").write_text(text, encoding="utf-8")
    check_config_file()


@pytest.mark.parametrize("section", [*OF_LUIGI.split(), "DEFAULT", "MyOwnTask", "district.Export"])
def test_sections_of_luigi_and_of_other_programs_may_be_there(section):
    Path("luigi.cfg").write_text(f"[{section}]\nany = thing\n", encoding="utf-8")
    check_config_file()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\nthreads = 4\n", "line 2 is no name=value in a [section]"),
        ("[illuminate]\n# good\nthreads\n", "line 3 is no name=value in a [section]"),
        ("[illuminate]\nthreads = 4\n[illuminate]\n", "line 3 is there twice"),
        ("[illuminate]\nthreads = 4\nthreads = 5\n", "line 3 is there twice"),
    ],
)
def test_a_line_that_luigi_cannot_parse_is_named(text, says):
    said = refusal(text)
    assert said.startswith(f"luigi.cfg, {says}. Nothing was requested")
    with pytest.raises(configparser.Error):
        LuigiConfigParser().read("luigi.cfg")


def test_a_file_that_is_no_text_is_refused():
    Path("luigi.cfg").write_bytes(b"[paths]\ndata_dir = \xff\n")
    with pytest.raises(SettingsError, match=r"^luigi\.cfg is not text in utf-8\."):
        check_config_file()


def test_a_file_that_luigi_can_parse_is_taken():
    text = "[illuminate]\nthreads: 4\nThreads = 5\n; none\nstrategy =\n  auto\n"
    Path("luigi.cfg").write_text(text, encoding="utf-8")
    assert LuigiConfigParser().read("luigi.cfg")
    written = parse(Path("luigi.cfg"))
    assert dict(written["illuminate"]) == {"threads": "4", "Threads": "5", "strategy": "\nauto"}


def test_each_file_that_luigi_reads_is_checked(tmp_path):
    """Luigi reads the file that the variable names besides the one in the current folder."""
    named = tmp_path / "other.cfg"
    named.write_text("[illuminate]\nthreads = 4\n", encoding="utf-8")
    environ = os.environ | {"LUIGI_CONFIG_PATH": str(named)}
    check_config_file(environ)
    Path("luigi.cfg").write_text("[path]\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^luigi\.cfg has a section \[path\]"):
        check_config_file(environ)
    named.write_text("[check]\n", encoding="utf-8")
    Path("luigi.cfg").unlink()
    with pytest.raises(SettingsError, match=rf"^{named} has a section \[check\]"):
        check_config_file(environ)
