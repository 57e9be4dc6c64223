"""Run the pipeline for one district, in a process and a data folder of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import StorageError
from pipeline.runs import lock
from pipeline.state import die_with_parent
from pipeline.state.districts import District
from pipeline.state.hosts import this_host
from pipeline.state.outcomes import Ending, Outcome, now
from pipeline.state.paths import StateFolders
from pipeline.storage import files

_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "LUIGI_CONFIG_PATH"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"),
    *("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_SUCCESSES: Mapping[int, Ending] = {0: "published", 99: "up to date"}
_FOLDER_IN_USE, _STOPPED = 10, 130
FAILED = 30
"""The exit code of a district's run that failed."""
_ASKED_TO_STOP = "It was asked to stop."
_POLL_SECONDS = 0.2


class Stop(Protocol):
    """Whether the district's run is to stop, like a `threading.Event`."""

    def is_set(self) -> bool:
        """Return True once it is to stop."""
        ...

    def wait(self, timeout: float) -> bool:
        """Return True once it is to stop, False after so many seconds."""
        ...


class FileGone:
    """Set once a file is gone, which also reaches a run on another host, over the shared folder.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_set(self) -> bool:
        """Return True once the file is gone; a server that does not answer says nothing of it."""
        try:
            self._path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def wait(self, timeout: float) -> bool:
        """Return True once the file is gone, False after so many seconds."""
        time.sleep(timeout)
        return self.is_set()


@dataclass(frozen=True)
class DistrictJob:
    """What is to be run: a school year of a district.

    Attributes:
        district: which one.
        year: the school year, like 23-24.
        folders: where the state run keeps everything.
        run: the id of the state run.
        longest_wait: seconds to wait for another run that is at work in the district's folder.
    """

    district: District
    year: str
    folders: StateFolders
    run: str
    longest_wait: float

    @property
    def name(self) -> str:
        """The district and the school year."""
        return f"{self.district.district} {self.year}"

    @property
    def data_dir(self) -> Path:
        """The district's own folder."""
        return self.folders.district(self.district.district)

    @property
    def log(self) -> Path:
        """Where the output of the district's run is."""
        return self.folders.log(self.district.district, self.year)

    def outcome(self, ending: Ending, code: int, reason: str, seconds: float) -> Outcome:
        """Return how it ended."""
        return Outcome(
            run=self.run,
            district=self.district.district,
            year=self.year,
            outcome=ending,
            exit_code=code,
            seconds=round(seconds, 1),
            finished_at=now(),
            reason=reason,
            log=str(self.log),
        )

    def end(self, ending: Ending, code: int, reason: str, seconds: float) -> Outcome:
        """Write down how it ended, and return that.

        Raises:
            StorageError: it cannot be written.
        """
        outcome = self.outcome(ending, code, reason, seconds)
        files.write_json(self.folders.outcome(self.district.district, self.year), outcome)
        return outcome


def run_district(job: DistrictJob, stop: Stop) -> Outcome:
    """Fetch and publish a school year of a district, and write down how that ended.

    Whatever goes wrong in the district's own process is its outcome, and never an error here. One
    that is not begun, because it is to stop already, leaves no outcome behind.

    Args:
        job: the district and year.
        stop: once it is set, the district's run is asked to stop, and waited for.

    Raises:
        StorageError: the outcome cannot be written.
    """
    if stop.is_set():
        return job.outcome("stopped", _STOPPED, _ASKED_TO_STOP, 0.0)
    started = time.monotonic()
    try:
        with files.wrap_os_errors(job.data_dir):
            code, reason = _run_when_free(job, stop)
    except StorageError as error:
        code, reason = FAILED, str(error)
    ending = _SUCCESSES.get(code, "failed")
    if stop.is_set() and code not in _SUCCESSES:
        ending, reason = "stopped", _ASKED_TO_STOP
    return job.end(ending, code, reason, time.monotonic() - started)


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


def _run_when_free(job: DistrictJob, stop: Stop) -> tuple[int, str]:
    """Return the exit code of a district's run that had its folder, and why it failed, if so."""
    if not Path(job.district.secrets_folder).is_dir():
        return FAILED, f"There is no folder {job.district.secrets_folder} on {this_host().name}."
    own = job.folders.folders(job.district.district)
    end = time.monotonic() + job.longest_wait
    while not stop.is_set():
        code, pid = _run_once(job, stop)
        if code != _FOLDER_IN_USE:
            return code, "" if code in _SUCCESSES else _reason(code, pid, own.latest, job.log)
        while lock.is_held(own.lock) and time.monotonic() < end and not stop.wait(_POLL_SECONDS):
            pass
        if time.monotonic() >= end:
            return code, f"Another run was at work in {own.data}, and was not over in time."
    return _STOPPED, ""


def _run_once(job: DistrictJob, stop: Stop) -> tuple[int, int]:
    """Return the exit code of the district's process, and its id."""
    command = [sys.executable, "-m", "pipeline", "run", "RunAll", "--year", job.year]
    tied = [sys.executable, "-I", die_with_parent.__file__, str(os.getpid()), *command]
    files.make_folder(job.log.parent)
    with files.wrap_os_errors(job.log), job.log.open("wb") as output:
        files.restrict_mode(output.fileno())
        process = subprocess.Popen(  # noqa: S603  our own module; the year was parsed
            tied,
            env=environment(job.district, job.data_dir),
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


def _wait(process: "subprocess.Popen[bytes]", stop: Stop) -> int:
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
