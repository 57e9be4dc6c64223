"""Run the pipeline for one district, in a process and a data folder of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError
from pipeline.runs import lock
from pipeline.state import die_with_parent
from pipeline.state.districts import District
from pipeline.state.outcomes import Ending, Outcome, now
from pipeline.state.paths import StateFolders
from pipeline.storage import files

_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LUIGI_CONFIG_PATH"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
)
_SUCCESSES: Mapping[int, Ending] = {0: "published", 99: "up to date"}
_FOLDER_IN_USE, _FAILED = 10, 30
_POLL_SECONDS = 0.2


def run_district(
    district: District,
    year: str,
    folders: StateFolders,
    *,
    run: str,
    stop: threading.Event,
    longest_wait: float,
) -> Outcome:
    """Fetch and publish a school year of a district, and write down how that ended.

    Whatever goes wrong in the district's own process is its outcome, and never an error here.

    Args:
        district: which one.
        year: the school year, like 23-24.
        folders: where the state run keeps everything.
        run: the id of the state run.
        stop: once it is set, the district's run is asked to stop, and waited for.
        longest_wait: seconds to wait for another run that is at work in the district's folder.

    Raises:
        StorageError: the outcome cannot be written.
    """
    started = time.monotonic()
    try:
        code, reason = _run_when_free(district, year, folders, stop, longest_wait)
    except StorageError as error:
        code, reason = _FAILED, str(error)
    failure: Ending = "failed"
    if stop.is_set() and code not in _SUCCESSES:
        failure, reason = "stopped", "It was asked to stop."
    outcome = Outcome(
        run=run,
        district=district.district,
        year=year,
        outcome=_SUCCESSES.get(code, failure),
        exit_code=code,
        seconds=round(time.monotonic() - started, 1),
        finished_at=now(),
        reason=reason,
        log=str(folders.log(district.district, year)),
    )
    files.write_json(folders.outcome(district.district, year), outcome)
    return outcome


def environment(
    district: District, data_dir: Path, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment of a district's run: what is needed, and no other district's.

    Secrets are in it as the names of files.
    """
    inherited = {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith("PYTHON")
    }
    own = {
        "TZ": district.time_zone,
        "PIPELINE_DATA_DIR": str(data_dir.absolute()),
        "ILLUMINATE_BASE_URL": district.base_url,
        "STUDENT_ROSTERS": district.rosters,
        "TITLE_RULES": district.title_rules,
        "MANUAL_CHANGES": district.manual_changes,
    }
    secrets = {
        f"{path.name}_FILE": str(path)
        for path in Path(district.secrets_folder).glob("ILLUMINATE_*")
        if path.is_file()
    }
    return inherited | {name: value for name, value in own.items() if value} | secrets


def _run_when_free(
    district: District,
    year: str,
    folders: StateFolders,
    stop: threading.Event,
    longest_wait: float,
) -> tuple[int, str]:
    """Return the exit code of a district's run that had its folder, and why it failed, if so."""
    own, log = folders.folders(district.district), folders.log(district.district, year)
    end = time.monotonic() + longest_wait
    while True:
        code, pid = _run_once(district, year, folders.district(district.district), log, stop)
        if code != _FOLDER_IN_USE:
            return code, "" if code in _SUCCESSES else _reason(code, pid, own.latest, log)
        while lock.is_held(own.lock) and time.monotonic() < end and not stop.wait(_POLL_SECONDS):
            pass
        if stop.is_set() or time.monotonic() >= end:
            return code, f"Another run was at work in {own.data}, and was not over in time."


def _run_once(
    district: District, year: str, data_dir: Path, log: Path, stop: threading.Event
) -> tuple[int, int]:
    """Return the exit code of the district's process, and its id."""
    command = [sys.executable, "-m", "pipeline", "run", "RunAll", "--year", year]
    tied = [sys.executable, "-I", die_with_parent.__file__, str(os.getpid()), *command]
    files.make_folder(log.parent)
    with files.wrap_os_errors(log), log.open("wb") as output:
        files.restrict_mode(output.fileno())
        process = subprocess.Popen(  # noqa: S603  our own module; the year was parsed
            tied,
            env=environment(district, data_dir),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process only, which then asks it to stop
        )
    try:
        return _wait(process, stop), process.pid
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", stop: threading.Event) -> int:
    was_asked = False
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop.is_set() and not was_asked:
                process.terminate()
                was_asked = True


def _reason(code: int, pid: int, latest: Path, log: Path) -> str:
    """Return why a district's run failed: in its own words, where it had some."""
    result: dict[str, Any] = files.read_json(latest, dict) or {}
    # The result may be an earlier run's; the id of a run ends with that of its process.
    if str(result.get("run", "")).endswith(f"-{pid}") and result.get("failures"):
        return str(result["failures"][0]["reason"])
    how = f"Signal {-code} ended its run" if code < 0 else f"Its run ended with exit code {code}"
    return f"{how}; its output is in {log}."
