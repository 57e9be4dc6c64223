"""What is written about the project is true of it."""

import functools
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

from pipeline.commands.dictionary import dictionary
from pipeline.config import sections

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
LOCKS = {"requirements.txt", *(f"requirements/{p.name}" for p in REPOSITORY.glob("requirements/*"))}


def test_the_data_dictionary_is_current() -> None:
    """`make dictionary` would write what is there."""
    page = REPOSITORY / "docs" / "data-dictionary.md"
    assert page.read_text(encoding="utf-8") == dictionary()


def test_every_setting_is_in_the_readme() -> None:
    for section in sections.SECTIONS:
        for name, _ in section.get_params():
            assert f"`{name}`" in README or f"[{section.__name__}] {name}" in README, name


def test_every_environment_variable_is_in_the_readme() -> None:
    for variable in sections.ENVIRONMENT:
        assert f"`{variable}`" in README, variable


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z0-9]+)(?: YEAR|`|  )", README))
    assert named
    assert named <= targets


def test_every_make_target_is_explained() -> None:
    """`make help` is drawn from the targets, and none is left out."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in README
    commands = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake test\n" in commands
    assert "\nmake test-airflow\n" in commands


def test_locks_have_hashes_and_no_address() -> None:
    assert len(LOCKS) == 8
    for lock in LOCKS:
        text = (REPOSITORY / lock).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--find-links" not in text
        pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
        assert all("==" in pin and pin.endswith("\\") for pin in pins)


def test_every_lock_is_installed_as_it_is_and_then_checked() -> None:
    """Nothing is resolved: what a registry has besides the lock cannot fail an installation."""
    environments = [".venv/.test", ".venv-audit/.tools", ".venv-airflow/.ready"]
    environments += [".venv-bench/.ready", ".venv-dlt/.ready"]
    made = subprocess.run(
        ["make", "--dry-run", "--always-make", *environments, "s3", "gs"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    pages = [REPOSITORY / "Dockerfile", REPOSITORY / ".ci" / "run"]
    pages += [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    text = "\n".join([made, *(page.read_text(encoding="utf-8") for page in pages)])
    installs = [line for line in text.splitlines() if "-r requirements" in line]
    assert {lock for line in installs for lock in LOCKS if f"-r {lock}" in line} == LOCKS
    for line in installs:
        assert re.search(r"install (?:\S+ )*--no-deps (?:\S+ )*-r requirements", line), line
        assert "--require-hashes" in line, line
        assert re.search(r"&&.*\bpip check", line), line


def test_git_ignores_what_the_docs_ask_people_to_create(tmp_path: Path) -> None:
    """At the top only: pipeline/illuminate and examples/views are code."""
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True)
    run(["git", "init", "--quiet"], check=True)
    created = ["copies/demo/x.csv", "environment", "my_rules.csv", "my_overrides.csv"]
    created += ["broken_rules.csv", "illuminate/23-24/x.csv", "views/23-24/x.csv", "data/x.csv"]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "pipeline/illuminate/client.py" in tracked
    text = "\n".join([*created, *tracked])
    assert run(["git", "check-ignore", "--stdin"], input=text).stdout.splitlines() == created


# The package's metadata, and CI.

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
