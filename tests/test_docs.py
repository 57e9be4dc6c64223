"""The documentation and the metadata describe the project as it is."""

import configparser
import functools
import os
import pkgutil
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

import pipeline
from pipeline.commands.dictionary import dictionary
from pipeline.commands.run import NOTHING_NEW
from pipeline.config import sections
from pipeline.runs import memory, process
from tests.crash.launch import without_root_file_access

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [*REPOSITORY.glob("*.md"), *sorted((REPOSITORY / "docs").glob("*.md"))]
LOCKS = {"requirements.txt", *(f"requirements/{p.name}" for p in REPOSITORY.glob("requirements/*"))}


def test_the_data_dictionary_is_current() -> None:
    """`make dictionary` would change nothing."""
    page = REPOSITORY / "docs" / "data-dictionary.md"
    assert page.read_text(encoding="utf-8") == dictionary()


def rows(page: str) -> list[list[str]]:
    """The cells of every row of every table of a page, without headings and back-ticks."""
    lines = (REPOSITORY / "docs" / page).read_text(encoding="utf-8").splitlines()
    tables = [line[1:-1].split("|") for line in lines if line.startswith("| ")]
    return [[cell.strip(" `") for cell in cells] for cells in tables]


def test_every_setting_is_documented_with_its_variable() -> None:
    """Each in a row of its own; one that is renamed, in a row that gives its new name."""
    documented = {cells[0]: cells[1] for cells in rows("settings.md")}
    variables = {place: variable for variable, place in sections.ENVIRONMENT.items()}
    for section in sections.SECTIONS:
        for name, _ in section.current_params():
            variable = variables.get((section.__name__, name), "")
            assert variable in documented[f"[{section.__name__}] {name}"], name


def test_every_secret_is_documented() -> None:
    documented = " ".join(cells[0] for cells in rows("settings.md"))
    source = "".join(path.read_text("utf-8") for path in (REPOSITORY / "pipeline").rglob("*.py"))
    secrets = set(re.findall(r'"((?:ILLUMINATE|PIPELINE)_[A-Z_]+)"', source))
    assert {"ILLUMINATE_CLIENT_SECRET", "PIPELINE_WEBHOOK_URL"} <= secrets
    for secret in secrets - sections.ENVIRONMENT.keys():
        assert secret in documented, secret


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:`|^\s*|  )make ([a-z0-9-]+)(?=[ `\n])", text, re.MULTILINE))
        assert named <= targets, (page.name, named - targets)


def test_the_readme_is_short() -> None:
    """The first screen ends where the links begin; at most 80 lines follow."""
    first, links, rest = README.partition("\n## Read on\n")
    assert links
    assert len(first.splitlines()) <= 40
    assert len(rest.splitlines()) <= 80


def test_the_picture_of_the_report_is_small() -> None:
    picture = REPOSITORY / "docs" / "report.png"
    assert "](docs/report.png)" in README
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 150_000


def test_the_table_of_exit_codes_is_complete() -> None:
    documented = {code: (name, meaning) for code, name, meaning in rows("exit-codes.md")[1:]}
    config = configparser.ConfigParser(interpolation=None)
    config.read(REPOSITORY / "luigi.cfg")
    luigi = {code: name for name, code in config["retcode"].items()}
    assert {code: name for code, (name, _) in documented.items() if name} == luigi
    own = {"0", str(NOTHING_NEW), "130, 143"}
    assert documented.keys() - luigi.keys() == own
    assert "python -m pipeline run" in documented[str(NOTHING_NEW)][1]
    text = (REPOSITORY / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert "Make exits with 2 whenever" in text


def test_architecture_names_what_exists() -> None:
    """`module.function` below pipeline/, and the tasks by their own names."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([A-Za-z]\w*(?:\.\w+)*)`", text)
    dotted = {name for name in named if "." in name and not name.endswith((".cfg", ".json"))}
    tasks = {name for name in named if re.fullmatch(r"([A-Z][a-z]+){2,}|Publish|Report", name)}
    assert len(dotted) > 10
    assert len(tasks) > 8
    assert tasks <= set(pipeline.__all__)
    for name in dotted:
        assert pkgutil.resolve_name(f"pipeline.{name}"), name


def test_architecture_lists_every_folder() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (REPOSITORY / "pipeline").glob("*/__init__.py")}
    assert {
        line.split("/")[0].strip() for line in re.findall(r"^      \w+/ ", text, re.MULTILINE)
    } == folders


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/airflow.md"])
def test_the_modules_that_a_page_names_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)`", text)
    assert named
    for name in named:
        folder = REPOSITORY if "/" in name else REPOSITORY / "pipeline" / "simulator" / "faults"
        assert (folder / name).exists(), name


def test_every_make_target_is_explained() -> None:
    """`make help` lists the targets' help texts, and none is missing."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_the_readme_says_how_to_get_it_and_what_its_tests_need() -> None:
    assert re.search(r"^    git clone .* illuminate-pipeline$", README, re.MULTILINE)
    assert "the tests of the report need Debian's `chromium`" in README
    assert "those of PostgreSQL `postgresql`" in README


def test_the_changelog_says_what_must_be_fetched_again() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    upgrading = text.partition("### Upgrading from 0.1.0\n")[2].partition("\n### ")[0]
    assert "**Everything is fetched again once.**" in upgrading


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in README
    commands = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake test\n" in commands
    both = '\nmake test-bigquery &\nothers=$!\nmake test-airflow\nwait "$others"\n'
    assert both in commands


def test_locks_have_hashes_and_no_address() -> None:
    assert len(LOCKS) == 13
    for lock in LOCKS:
        text = (REPOSITORY / lock).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--find-links" not in text
        pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
        assert all("==" in pin and pin.endswith("\\") for pin in pins)


def test_every_lock_is_installed_as_it_is_and_then_checked() -> None:
    """Nothing is resolved: a newer release in the registry cannot break an installation."""
    environments = [".venv/.test", ".venv-audit/.tools", ".venv-airflow/.ready"]
    environments += [".venv-bench/.ready", ".venv-dlt/.ready", ".venv-frictionless/.ready"]
    environments += [".venv-bigquery/.ready"]
    made = subprocess.run(
        [
            "make",
            "--dry-run",
            "--always-make",
            *environments,
            "s3",
            "gs",
            "azure",
            "bigquery",
            "state",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    pages = [REPOSITORY / "Dockerfile", REPOSITORY / ".ci" / "run", *PAGES]
    text = "\n".join([made, *(page.read_text(encoding="utf-8") for page in pages)])
    installs = [line for line in text.splitlines() if "-r requirements" in line]
    assert {lock for line in installs for lock in LOCKS if f"-r {lock}" in line} == LOCKS
    for line in installs:
        assert re.search(r"install (?:\S+ )*--no-deps (?:\S+ )*-r requirements", line), line
        assert "--require-hashes" in line, line
        assert re.search(r"&&.*\bpip check", line), line


def test_every_page_and_section_that_a_file_names_exists() -> None:
    """Dockerfile, compose files, luigi.cfg and code send their readers to pages of docs/."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    named = set()
    for name in tracked:
        if not name.startswith("tests/") and not name.endswith(".md"):
            text = (REPOSITORY / name).read_text(encoding="utf-8", errors="replace")
            named |= set(re.findall(r'(docs/[\w-]+\.md|README\.md)(?:, "([^"]+)")?', text))
    assert ("docs/state-hosts.md", "On Kubernetes") in named
    for page, section in named:
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        assert not section or re.search(rf"^#+ {section}$", text, re.MULTILINE), (page, section)


def test_the_units_of_systemd_allow_a_run_what_it_needs() -> None:
    page = (REPOSITORY / "docs" / "scheduling.md").read_text(encoding="utf-8")
    service, timer = (
        configparser.ConfigParser(interpolation=None)
        for _ in re.findall(r"^```ini$", page, re.MULTILINE)
    )
    for unit, text in zip(
        (service, timer),
        re.findall(r"^```ini\n(.*?)^```$", page, re.MULTILINE | re.DOTALL),
        strict=True,
    ):
        unit.read_string(text)
    script = Path(service["Service"]["ExecStart"]).relative_to("/srv/illuminate-pipeline")
    assert os.access(REPOSITORY / script, os.X_OK)
    assert service["Service"]["MemoryMax"] == "2G"
    assert service["Service"]["OOMPolicy"] == "continue", "else a chart could end the run"
    assert service["Service"].getboolean("MemoryDenyWriteExecute")
    assert timer["Timer"]["OnCalendar"]
    assert timer["Timer"].getboolean("Persistent")


def test_git_ignores_what_the_docs_let_people_create(tmp_path: Path) -> None:
    """At the top only: pipeline/illuminate and examples/views are code."""
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True)
    run(["git", "init", "--quiet"], check=True)
    created = [
        "copies/demo/x.csv",
        "environment",
        "deploy/own.sh",
        ".env",
        "my_rules.csv",
        "my_overrides.csv",
    ]
    created += ["broken_rules.csv", "illuminate/23-24/x.csv", "views/23-24/x.csv", "data/x.csv"]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "pipeline/illuminate/client.py" in tracked
    text = "\n".join([*created, *tracked])
    assert run(["git", "check-ignore", "--stdin"], input=text).stdout.splitlines() == created


SCHEDULING = (REPOSITORY / "docs" / "scheduling.md").read_text(encoding="utf-8")
NIGHTLY = REPOSITORY / "deploy" / "nightly.sh"


def test_the_page_shows_the_nightly_script_and_schedules_it() -> None:
    """With cron, the log keeps what is printed, and mail has one line."""
    assert f"```shell\n{NIGHTLY.read_text(encoding='utf-8')}```" in SCHEDULING
    (line,) = re.findall(r"^[0-9*]+ [0-9*]+ \S+ \S+ \S+ +(\S.*)$", SCHEDULING, re.MULTILINE)
    command, log, otherwise = line.partition(' >> "$HOME/illuminate.log" 2>&1 || echo ')
    assert log
    assert otherwise
    for path in (command, *re.findall(r"^ExecStart=(.*)$", SCHEDULING, re.MULTILINE)):
        assert path == "/srv/illuminate-pipeline/deploy/nightly.sh"
    assert "/illuminate.log {\n" in SCHEDULING


def test_the_page_says_what_a_run_needs_as_the_code_checks_it() -> None:
    usual, demo = memory.NEEDED // memory.MEGABYTE, memory.NEEDED_BY_DEMO // memory.MEGABYTE
    assert re.search(rf"\| {usual} MB for a million .*, {demo} MB for the demo \|", SCHEDULING)
    for option, (_, needed, _) in process._ADDRESS_SPACE.items():
        assert re.search(rf"\(`ulimit -{option}`\) \| {needed >> 30} GB", SCHEDULING), option


@pytest.mark.parametrize(
    ("day", "years"),
    [
        ("2026-06-30", [""]),
        ("2026-07-01", ["", "25-26"]),
        ("2030-09-30", ["", "29-30"]),
        ("2030-10-01", [""]),
    ],
)
@pytest.mark.parametrize("failing", ["none", "", "ended"])
def test_a_night_runs_the_year_of_today_and_the_one_that_has_just_ended(
    tmp_path: Path, day: str, years: list[str], failing: str
) -> None:
    """One after the other, whether or not the first fails; and the script fails if either does."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(NIGHTLY, tmp_path / "deploy")
    (tmp_path / "environment").write_text("export TZ=UTC\n")
    stubs = {
        "date": f'exec /bin/date -d {day} "$@"',
        "make": 'echo "$TZ $*"; [ "${2:+ended}" != "$FAILING" ]',
    }
    for name, command in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [tmp_path / "deploy" / "nightly.sh"],
        check=False,
        cwd="/",
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "FAILING": failing,
        },
        capture_output=True,
        text=True,
    )
    ran = ["UTC run" + (f" YEAR={year}" if year else "") for year in years]
    assert (done.stdout.splitlines(), done.stderr) == (ran, "")
    fails = failing == "" or (failing == "ended" and len(years) > 1)
    assert done.returncode == int(fails)


@pytest.mark.parametrize(
    ("day", "years"),
    [
        ("2026-06-30", "22-23 23-24 24-25 25-26 "),
        ("2026-07-01", "22-23 23-24 24-25 25-26 26-27 "),
    ],
)
def test_a_night_of_all_years_ends_with_that_of_today(day: str, years: str) -> None:
    (snippet,) = re.findall(r"^```shell\n(end=.*?)^```$", SCHEDULING, re.MULTILINE | re.DOTALL)
    stubs = f'date() {{ /bin/date -d {day} "$@"; }}\nmake() {{ printf %s "$*"; }}\n'
    done = subprocess.run(["sh", "-eu", "-c", stubs + snippet], check=True, stdout=subprocess.PIPE)
    assert done.stdout.decode() == f"years YEARS={years}"


@pytest.mark.parametrize("exists", [False, True])
def test_a_night_without_an_environment_that_can_be_read_says_what_to_do(
    tmp_path: Path, exists: bool
) -> None:
    """And runs nothing: the demo would be published."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(NIGHTLY, tmp_path / "deploy")
    if exists:
        (tmp_path / "environment").touch(mode=0)
    done = subprocess.run(
        [*without_root_file_access(), tmp_path / "deploy" / "nightly.sh"],
        check=False,
        cwd="/",
        capture_output=True,
        text=True,
    )
    who = f"{tmp_path}/environment cannot be read by user {os.geteuid()}"
    said = f"{who}: write it as docs/scheduling.md says.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_the_memory_of_ten_million_rows_is_one_figure() -> None:
    """In the README, the table of what a run needs and `doctor`: the measured one, rounded."""
    doctor = REPOSITORY / "pipeline" / "commands" / "doctor" / "machine.py"
    performance = REPOSITORY / "docs" / "performance.md"
    measured = re.search(r"memory of 10 million rows .* (\d+) MB", performance.read_text("utf-8"))
    assert measured
    figure = f"{round(int(measured[1]), -1)} MB"
    assert f"10 million {figure}" in README
    assert f"{figure} for ten million" in SCHEDULING
    assert f"ten million {figure}" in doctor.read_text(encoding="utf-8")


# The package's metadata, and CI.

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_changelog_begins_with_the_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d\S+)$", text, re.MULTILINE)[0] == PROJECT["version"]


def test_the_licence_is_named_and_included() -> None:
    assert PROJECT["license"] == "MIT"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert (REPOSITORY / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


def test_the_package_says_that_it_is_typed() -> None:
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert (REPOSITORY / "pipeline" / "py.typed").is_file()


def test_the_console_script_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    value = PROJECT["scripts"]["illuminate-pipeline"]
    main = EntryPoint("illuminate-pipeline", value, "console_scripts").load()
    assert main(["dictionary"]) == 0
    assert capsys.readouterr().out == dictionary()
    with pytest.raises(SystemExit) as ended:
        main(["no such command"])
    assert ended.value.code == 2


def test_ci_runs_the_same_command_with_every_supported_python() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["jobs"]["test"]
    versions = job["strategy"]["matrix"]["python"]
    classifiers = PROJECT["classifiers"]
    assert [c.rpartition(" ")[2] for c in classifiers if ":: Python :: 3." in c] == versions
    assert PROJECT["requires-python"] == f">={versions[0]},<3.{int(versions[-1][2:]) + 1}"
    assert job["env"]["PYTHON"] == "python${{ matrix.python }}"
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
