"""What cannot be read is refused with one sentence and the documented exit code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import sections
from pipeline.publish.database import postgresql
from pipeline.runs import notify
from tests.functional.conftest import LUIGI, REPOSITORY, Workplace
from tests.helpers import clean_environment

LUIGI_RUN = (str(LUIGI), "--module", "pipeline")
OUR_RUN = (sys.executable, "-m", "pipeline", "run")
CORRECT_IT = (
    "Nothing was requested and nothing was changed. Correct it, then run the same command again."
)


@pytest.fixture
def bare(tmp_path: Path) -> Workplace:
    """A folder without any setting; what is refused there starts no demo."""
    return Workplace(tmp_path)


def refused(place: Workplace, *command: str, **variables: str) -> tuple[int, list[str]]:
    """Return the exit code of a command and what it said, without the usage of an option."""
    done = place.finish(place.start(*command, **variables))
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("usage: ")]
    return done.returncode, lines


@pytest.mark.parametrize("run", [LUIGI_RUN, OUR_RUN], ids=["luigi", "our own"])
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("RunAl",), 2, "there is no task 'RunAl'; did you mean RunAll?"),
        (("illuminate",), 2, "there is no task 'illuminate'"),
        (("RunAll", "--yaer", "23-24"), 2, "unrecognized arguments: --yaer 23-24"),
        (("RunAll", "--workers", "x"), 2, "--workers: 'x' is not a whole number"),
        (
            ("FetchScores", "--endpoint", "overal"),
            2,
            "--endpoint: 'overal' is none of overall, standard, group",
        ),
        (("RunAll", "--year", "abc"), 40, "'abc' is not a school year: write it like 23-24."),
        (("RunAll", "--as-of", "x"), 40, "'x' is not a day: write it like 2024-01-31."),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_what_luigi_cannot_read_is_one_sentence(
    bare: Workplace, run: tuple[str, ...], arguments: tuple[str, ...], code: int, says: str
) -> None:
    found, lines = refused(bare, *run, *arguments)
    assert (found, len(lines)) == (code, 1)
    assert says in lines[0]
    assert not bare.data.exists()


_NO_YEAR = "--year: 'abc' is not a school year: write it like 23-24."
_OF_A_YEAR = ("refresh", "status", "verify", "report", "load", "copy", "forget", "doctor")
_WITH_A_WRONG_YEAR = [
    *((name, "--year", "abc") for name in (*_OF_A_YEAR, "clean-snapshots")),
    *(("state", name, "--year", "abc") for name in ("run", "rebuild", "status", "demo")),
]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("statsu",), 2, "invalid choice: 'statsu'"),
        (("status", "--yaer", "23-24"), 2, "unrecognized arguments: --yaer"),
        (("status", "--as-of", "x"), 2, "'x' is not a day; write it like 2024-01-31"),
        (("refresh", "--as-of", "x"), 2, "'x' is not a day; write it like 2024-01-31"),
        *((command, 2, _NO_YEAR) for command in _WITH_A_WRONG_YEAR),
        (("report", "--year", "all"), 2, "'all' is not a school year: write it like 23-24."),
        (("simulate", "--port", "99999"), 2, "'99999' must be a port, 0 to 65535"),
        (("state", "rum"), 2, "invalid choice: 'rum'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_our_own_commands_cannot_read_is_a_sentence(
    bare: Workplace, arguments: tuple[str, ...], code: int, says: str
) -> None:
    found, lines = refused(bare, sys.executable, "-m", "pipeline", *arguments)
    assert found == code
    assert says in lines[-1]


BAD_SETTINGS = {
    "[report]\nenabled = maybe": "[report] enabled cannot be read ('maybe' is neither true nor",
    "[illuminate]\nthreads = ten": "[illuminate] threads cannot be read ('ten' is not a whole num",
    "[illuminate]\nstrategy = all": "'all' is none of auto, by_page, by_assessment",
    "[checks]\nroster_floor = half": "[checks] roster_floor cannot be read ('half' is not a number",
    "[years]\nhistorical_before = abc": "[years] historical_before: 'abc' is not a school year",
    "[paths]\ndata_dir = 100%": "[paths] data_dir cannot be read (% is written %% in luigi.cfg)",
}


@pytest.mark.parametrize(("text", "says"), BAD_SETTINGS.items(), ids=BAD_SETTINGS.values())
def test_a_setting_that_cannot_be_read_is_said_once(bare: Workplace, text: str, says: str) -> None:
    """Once, not for each task or year that it concerns, and before any request."""
    (bare.folder / "luigi.cfg").write_text(text, encoding="utf-8")
    code, lines = refused(bare, *LUIGI_RUN, "RunYears", "--years", "22-23,23-24")
    assert (code, len(lines)) == (30, 1)
    assert says in lines[0]
    assert lines[0].endswith("then run the same command again.")
    assert not (bare.data / "demo" / "inputs").exists()


def test_an_address_that_cannot_be_used_is_said_once(bare: Workplace) -> None:
    address = {"ILLUMINATE_BASE_URL": "http://district.example.org/live"}
    command = (*LUIGI_RUN, "RunYears", "--years", "22-23,23-24")
    says = "ILLUMINATE_BASE_URL must begin with https: student results are never sent unencrypted."
    code, lines = refused(bare, *command, **address)
    assert (code, [line.partition(" ERROR ")[2] for line in lines]) == (
        30,
        [f"{says} {CORRECT_IT}"],
    )


def test_a_setting_is_refused_without_luigis_warnings(bare: Workplace) -> None:
    """Of its own defaults for e-mail."""
    text = "[illuminate]\nthreads = 0\n[email]\nreceiver = somebody@example.org\n[smtp]\nport = 1\n"
    (bare.folder / "luigi.cfg").write_text(text, encoding="utf-8")
    code, lines = refused(bare, *LUIGI_RUN, "RunAll", "--year", "23-24")
    assert (code, [line for line in lines if "Warning" in line]) == (30, [])


def test_a_refused_setting_has_the_code_of_a_run_in_every_run(bare: Workplace) -> None:
    (bare.folder / "luigi.cfg").write_text("[illuminate]\nthreads = ten", encoding="utf-8")
    codes = {
        command: refused(bare, sys.executable, "-m", "pipeline", command)[0]
        for command in ("run", "load", "copy", "refresh", "status")
    }
    assert codes == {"run": 30, "load": 30, "copy": 30, "refresh": 30, "status": 1}


CHECK_IT = CORRECT_IT.replace("Correct it", "Check its path and permissions")

# Commands that read luigi.cfg, and their exit codes where it is refused.
REFUSING = {
    "luigi": ((*LUIGI_RUN, "RunAll"), 30),
    "luigi RunState": ((*LUIGI_RUN, "RunState", "--years", "23-24"), 30),
    **{
        " ".join(command): ((sys.executable, "-m", "pipeline", *command), code)
        for command, code in {
            ("run",): 30,
            ("load",): 30,
            ("copy",): 30,
            ("refresh",): 30,
            ("state", "run"): 30,
            ("state", "rebuild"): 30,
            ("state", "demo"): 30,
            ("state", "status"): 1,
            ("status",): 1,
            ("verify",): 1,
            ("doctor",): 1,
        }.items()
    },
}


def commands(*names: str) -> pytest.MarkDecorator:
    """Run a test for these commands, with the exit code of each."""
    chosen = [REFUSING[name] for name in names]
    return pytest.mark.parametrize(("command", "code"), chosen, ids=names)


def refusal(place: Workplace, *command: str, **variables: str) -> tuple[int, str]:
    """Return the exit code of a command and the one line that it said, without a log's stamp."""
    code, lines = refused(place, *command, **variables)
    assert len(lines) == 1, lines
    assert not place.data.exists()
    return code, lines[0].rpartition(" ERROR ")[2]


@commands(*REFUSING)
def test_a_misspelled_section_is_refused(
    bare: Workplace, command: tuple[str, ...], code: int
) -> None:
    """Luigi reads what it is asked for, and the rest is nobody's."""
    (bare.folder / "luigi.cfg").write_text("[path]\ndata_dir = elsewhere", encoding="utf-8")
    says = "luigi.cfg has a section [path], which nothing reads (did you mean [paths]?)."
    assert refusal(bare, *command) == (code, f"{says} {CORRECT_IT}")


@commands("luigi", "run", "verify", "doctor", "state run")
def test_a_misspelled_setting_is_refused(
    bare: Workplace, command: tuple[str, ...], code: int
) -> None:
    """Luigi only warns, which is not printed as well."""
    (bare.folder / "luigi.cfg").write_text("[illuminate]\nthreds = 4", encoding="utf-8")
    says = "luigi.cfg has threds in [illuminate], where nothing reads it (did you mean threads?)."
    assert refusal(bare, *command) == (code, f"{says} {CORRECT_IT}")


@commands("run", "status", "verify", "doctor", "state run")
def test_a_file_that_cannot_be_parsed_is_refused(
    bare: Workplace, command: tuple[str, ...], code: int
) -> None:
    """Whatever the command is, because Luigi cannot even be imported; the line is not shown."""
    (bare.folder / "luigi.cfg").write_text("[illuminate]\nhush hush\n", encoding="utf-8")
    says = f"luigi.cfg, line 2 is no name=value in a [section]. {CORRECT_IT}"
    assert refusal(bare, *command) == (30, says)


def test_our_program_refuses_a_file_that_cannot_be_parsed(bare: Workplace) -> None:
    (bare.folder / "luigi.cfg").write_text("[core]\n[core]\n", encoding="utf-8")
    found = refusal(bare, str(LUIGI.with_name("illuminate-pipeline")), "run")
    assert found == (30, f"luigi.cfg, line 2 is there twice. {CORRECT_IT}")


def test_another_program_gets_an_error_for_a_file_that_cannot_be_parsed(bare: Workplace) -> None:
    (bare.folder / "luigi.cfg").write_text("hush hush\n", encoding="utf-8")
    done = bare.finish(bare.start(sys.executable, "-c", "import pipeline"))
    assert "pipeline.errors.SettingsError: luigi.cfg, line 1 is no name=value" in done.stderr
    assert "hush" not in done.stderr


@commands("luigi", "luigi RunState", "run", "status", "verify", "doctor", "state run")
def test_a_settings_file_that_is_missing_is_refused(
    bare: Workplace, command: tuple[str, ...], code: int
) -> None:
    """Luigi only warns, and the demo would run in place of a district."""
    found, lines = refused(bare, *command, LUIGI_CONFIG_PATH="/nowhere/luigi.cfg")
    assert found == code
    sentence = lines[-1].rpartition(" ERROR ")[2]  # a command that is no run has no log
    assert sentence.startswith("LUIGI_CONFIG_PATH names /nowhere/luigi.cfg, which is not a file")
    assert not bare.data.exists()


@commands("luigi", "luigi RunState", "run", "status", "verify", "doctor", "state run")
def test_a_file_that_cannot_be_opened_is_refused(
    bare: Workplace, command: tuple[str, ...], code: int
) -> None:
    """Luigi goes on without it. (A folder: root may open any file.)"""
    (bare.folder / "luigi.cfg").mkdir()
    assert refusal(bare, *command) == (
        code,
        f"luigi.cfg cannot be read (Is a directory), so its settings are missing. {CHECK_IT}",
    )


def test_of_a_misspelled_setting_of_its_own_luigi_warns(bare: Workplace) -> None:
    (bare.folder / "luigi.cfg").write_text("[core]\nlog_levl = INFO", encoding="utf-8")
    done = bare.finish(bare.start(*LUIGI_RUN, "RunAll", "--illuminate-threads", "0"))
    assert done.returncode == 30
    assert "the parameter 'log_levl'" in done.stderr


@pytest.mark.parametrize("command", [("--help",), ("run", "--help")], ids=["--help", "run --help"])
def test_the_help_lists_every_setting_by_section(bare: Workplace, command: tuple[str, ...]) -> None:
    done = bare.look(*command)
    assert done.returncode == 0
    parts = done.stdout.split("\n[")
    texts = {name: text for name, _, text in (part.partition("]") for part in parts)}
    for section in (*sections.SECTIONS, sections.publish):
        listed = [
            line.split()[0] for line in texts[section.__name__].splitlines() if line[2:3] > " "
        ]
        assert {name for name, _ in section.current_params()} <= {*listed}
    assert "concurrent requests, 1 to 64 (default 10)" in texts["illuminate"]
    assert "SAVE_PATH" in texts["paths"]
    secrets = done.stdout.partition("\nsecrets, ")[2]
    for name in (*sections.OAUTH2, *sections.OAUTH1, notify.WEBHOOK, postgresql.VARIABLE):
        assert re.search(rf"\b{name}\b", secrets), name
    assert "_FILE behind its name" in secrets


def test_a_reader_who_goes_away_is_no_error(place: Workplace) -> None:
    """A run ends as it would have: `| head` closes what it prints to after the first line."""

    def head(*command: str, errors: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=clean_environment() | place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdout
        process.stdout.close()
        return process

    for command, code in (
        ((*OUR_RUN[:3], "status"), 1),
        ((*OUR_RUN[:3], "--help"), 0),
        ((*OUR_RUN[:3], "dictionary"), 0),
        ((*LUIGI_RUN, "RunAll", "--year", "23-24", "--report-enabled", "false"), 0),
    ):
        process = head(*command)
        _, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        assert b"BrokenPipe" not in err
        assert b"Traceback" not in err
    assert json.loads((place.data / "runs" / "latest.json").read_bytes())["outcome"] == "published"
    # Make adds nothing: neither its own broken pipe, nor that the command failed.
    make = ("make", "--no-print-directory", "-C", str(REPOSITORY), "-o", ".venv/.run")
    settings = (f"BIN={LUIGI.parent}", f"PIPELINE_DATA_DIR={place.data}")
    process = head(*make, *settings, "status", "YEAR=23-24")
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 0
    # Lines of a run, which are errors here, go where nobody reads either: `2>&1 | head`.
    refused = head(*LUIGI_RUN, "RunAll", "--illuminate-threads", "0", errors=subprocess.STDOUT)
    assert refused.wait(120) == 30
