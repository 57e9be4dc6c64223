"""Run the pipeline for one district, in a process and a data folder of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
_ENDINGS: Mapping[int, Ending] = {
    0: "published",
    99: "up to date",
    -2: "stopped",
    -15: "stopped",
}
_FOLDER_IN_USE = 10
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
        StorageError: the district's folder cannot be written.
    """
    started = time.monotonic()
    log = folders.log(district.district, year)
    while True:
        code, pid = _run_once(district, year, folders, log, stop)
        waited = time.monotonic() - started
        if code != _FOLDER_IN_USE or waited > longest_wait or stop.is_set():
            break
        _wait_for(folders.folders(district.district).lock, longest_wait - waited, stop)
    ending: Ending = _ENDINGS.get(code, "failed")
    outcome = Outcome(
        run=run,
        district=district.district,
        year=year,
        outcome=ending,
        exit_code=code,
        seconds=round(time.monotonic() - started, 1),
        finished_at=now(),
        reason=_reason(ending, code, pid, folders.folders(district.district).latest, log),
        log=str(log),
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


def _run_once(
    district: District, year: str, folders: StateFolders, log: Path, stop: threading.Event
) -> tuple[int, int]:
    """Return the exit code of the district's process, and its id."""
    command = [sys.executable, "-m", "pipeline", "run", "RunAll", "--year", year]
    tied = [sys.executable, "-I", die_with_parent.__file__, str(os.getpid()), *command]
    files.make_folder(log.parent)
    with files.wrap_os_errors(log), log.open("wb") as output:
        files.restrict_mode(output.fileno())
        process = subprocess.Popen(  # noqa: S603  our own module; the year was parsed
            tied,
            env=environment(district, folders.district(district.district)),
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


def _wait_for(held: Path, seconds: float, stop: threading.Event) -> None:
    """Wait until nobody holds a data folder, or so many seconds, or until the run is to stop."""
    end = time.monotonic() + seconds
    while lock.is_held(held) and time.monotonic() < end and not stop.wait(_POLL_SECONDS):
        pass


def _reason(ending: Ending, code: int, pid: int, latest: Path, log: Path) -> str:
    """Return why a district is not published: in its own run's words, where it had some."""
    if ending in {"published", "up to date"}:
        return ""
    if code == _FOLDER_IN_USE:
        return f"Another run was at work in {latest.parent.parent} all the time."
    result: dict[str, Any] = files.read_json(latest, dict) or {}
    # The result may be an earlier run's; an id of a run ends with that of its process.
    if str(result.get("run", "")).endswith(f"-{pid}") and result.get("failures"):
        return str(result["failures"][0]["reason"])
    how = f"signal {-code} ended it" if code < 0 else f"its run ended with exit code {code}"
    return f"{how[0].upper()}{how[1:]}; its output is in {log}."
