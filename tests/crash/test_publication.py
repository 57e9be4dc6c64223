"""A publication that is killed or fails half-way: the next command of any kind puts it right."""

import errno
import re
import subprocess
import sys

import pytest

from pipeline.publish.commit import Publication
from tests.crash.helpers import EARLIER, YEAR
from tests.crash.launch import tool
from tests.crash.test_disk import everything_published
from tests.functional.conftest import LUIGI, Workplace

# Runs a command with another os.replace: where a published file is to be renamed for the nth time,
# and ever after if that is wanted, it ends the process or fails.
_BROKEN = """
import os, sys
nth, ever, number = int(sys.argv[1]), sys.argv[2] == "ever", int(sys.argv[3])
real, count = os.replace, 0
def replace(source, target, **options):
    global count
    name = os.path.basename(target)
    if "/data/work/" not in str(os.path.abspath(target)) and name.endswith((".csv", ".parquet")):
        count += 1
        if count == nth or (ever and count > nth):
            if not number:
                os._exit(9)
            raise OSError(number, os.strerror(number))
    return real(source, target, **options)
os.replace = replace
from luigi.cmdline import luigi_run
luigi_run(sys.argv[4:])
"""


def run_broken(
    place: Workplace, nth: int, *, number: int = 0, ever: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run everything; at the nth rename of a published file it is killed, or fails."""
    how = ("ever" if ever else "once", str(number))
    arguments = ("--module", "pipeline", "RunAll", "--year", str(YEAR))
    quick = ("--report-enabled", "false")
    return place.finish(
        place.start(sys.executable, "-c", _BROKEN, str(nth), *how, *arguments, *quick)
    )


def visible(place: Workplace) -> dict[str, bytes]:
    """Return what readers see of the year."""
    found = everything_published(place)
    prefix = f"{YEAR}/"
    return {n: data for n, data in found.items() if n.startswith(prefix) and "/." not in n}


def hidden(place: Workplace) -> set[str]:
    """Return what is left beside it; the next run removes temporary files by their names."""
    names = {name for name in everything_published(place) if "/." in name}
    return {name for name in names if not name.endswith(".partial")}


@pytest.fixture
def before(place: Workplace) -> dict[str, bytes]:
    """Return what was published for an earlier day."""
    assert place.run(*EARLIER).returncode == 0
    return visible(place)


PIPELINE = (sys.executable, "-m", "pipeline")
COMMANDS = {
    "status": (*PIPELINE, "status", "--year", str(YEAR)),
    "verify": (*PIPELINE, "verify", "--year", str(YEAR)),
    "report": (*PIPELINE, "report", "--year", str(YEAR)),
    "load": (*PIPELINE, "load", "--year", str(YEAR)),
    "copy": (*PIPELINE, "copy", "--year", str(YEAR)),
    "doctor": (*PIPELINE, "doctor"),
    "clean-snapshots": (*PIPELINE, "clean-snapshots"),
    "forget": (*PIPELINE, "forget", "--year", str(YEAR)),
    "Luigi's LoadYear": (str(LUIGI), "--module", "pipeline", "LoadYear", "--year", str(YEAR)),
    "a run of another year": (str(LUIGI), "--module", "pipeline", "RunAll", "--year", "22-23"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_next_command_of_any_kind_restores_what_was_published(
    place: Workplace, before: dict[str, bytes], command: str
) -> None:
    """Whatever it does apart from that; and it says so."""
    assert run_broken(place, 3).returncode == 9
    assert visible(place) != before
    place.environment["PIPELINE_COPY_TO"] = str(place.folder / "copies")
    done = place.finish(place.start(*COMMANDS[command]))
    assert visible(place) == before
    assert hidden(place) == set()
    assert "the tables from before are restored" in done.stderr
    if command in {"report", "load", "copy", "Luigi's LoadYear"}:
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_next_run_publishes(
    place: Workplace, before: dict[str, bytes], undisturbed: dict[str, bytes]
) -> None:
    assert run_broken(place, 5).returncode == 9
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert place.published() == undisturbed
    assert hidden(place) == set()


def test_a_command_leaves_a_publication_alone_that_is_under_way(
    place: Workplace, before: dict[str, bytes]
) -> None:
    """Here another process holds the data folder."""
    assert run_broken(place, 3).returncode == 9
    half = everything_published(place)
    holder = place.start(
        sys.executable,
        "-c",
        "import signal; from pipeline.config import settings; from pipeline.runs.lock import Lock\n"
        "lock = Lock(settings.folders().lock); print('held', flush=True); signal.pause()",
    )
    assert holder.stdout.readline() == "held\n"
    place.finish(place.start(*COMMANDS["status"]))
    assert everything_published(place) == half
    holder.kill()
    place.finish(holder)
    place.finish(place.start(*COMMANDS["status"]))
    assert visible(place) == before


@pytest.mark.parametrize("number", [errno.EIO, errno.EBUSY])
def test_a_failed_publication_is_undone(
    place: Workplace, before: dict[str, bytes], undisturbed: dict[str, bytes], number: int
) -> None:
    done = run_broken(place, 5, number=number)
    assert done.returncode == 30, done.stdout + done.stderr
    assert "FAILED; what was published before is unchanged." in done.stdout
    assert (visible(place), hidden(place)) == (before, set())
    assert place.run().returncode == 0
    assert place.published() == undisturbed


def test_what_cannot_be_undone_is_named_and_undone_by_the_next_command(
    place: Workplace, before: dict[str, bytes]
) -> None:
    done = run_broken(place, 5, number=errno.EIO, ever=True)
    assert done.returncode == 30
    assert "FAILED; some published files are new and others old." in done.stdout
    listed = re.search(r"These are new or gone[^:]*: (.*)\. Fix this", done.stdout)[1]
    named = {path.partition("/data/")[2].split("/", 1)[1] for path in listed.split(", ")}
    changed = {name for name, content in visible(place).items() if before.get(name) != content}
    assert named == changed
    assert len(changed) == 4
    done = place.finish(place.start(*COMMANDS["status"]))
    assert "the tables from before are restored" in done.stderr
    assert (visible(place), hidden(place)) == (before, set())


def test_a_published_file_that_is_a_mount_point_is_refused(
    place: Workplace, before: dict[str, bytes]
) -> None:
    """A real one, as a container may have it."""
    path = place.data / "views" / str(YEAR) / "illuminate_assessment_results_historical.csv"
    mount = 'mount --bind "$0" "$0" && exec "$@"'
    run = (str(LUIGI), "--module", "pipeline", "RunAll", "--year", str(YEAR))
    done = place.finish(place.start(tool("unshare"), "-m", "sh", "-c", mount, str(path), *run))
    if "permission denied" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this machine does not allow mounting")
    assert done.returncode == 30, done.stdout + done.stderr
    assert f"{path.name} is a mount point" in done.stdout
    assert "FAILED; what was published before is unchanged." in done.stdout
    assert (visible(place), hidden(place)) == (before, set())


def test_a_manifest_that_is_a_folder_is_refused(place: Workplace) -> None:
    manifest = place.data / "illuminate" / str(YEAR) / "published.json"
    manifest.mkdir(parents=True)
    done = place.run()
    assert done.returncode == 30, done.stdout + done.stderr
    assert f"{manifest.name} is a folder, where a file is to be published" in done.stdout
    assert visible(place) == {}
    assert Publication.read(manifest) is None
