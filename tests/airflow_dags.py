"""Load dags/ into Airflow and run those without Docker: `make test-airflow`.

Airflow has its own environment, .venv-airflow, because its requirements conflict with the
pipeline's; this runs in it. The pipeline runs in .venv, against the made-up district.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

REPOSITORY = Path(__file__).parents[1]
PYTHON = REPOSITORY / ".venv" / "bin" / "python"
AIRFLOW = Path(sys.executable).with_name("airflow")
DOCKER, BASH = "illuminate_pipeline", "illuminate_pipeline_bash"
STATE = "illuminate_state"
YEAR = "23-24"
ZONE = "America/Los_Angeles"
BEGUN = {
    datetime(2024, 7, 1, 6, 59, tzinfo=UTC): "23-24",
    datetime(2024, 7, 1, 7, 0, tzinfo=UTC): "24-25",
    datetime(2000, 1, 1, 12, 0, tzinfo=UTC): "99-00",
}
"""School years by when a DAG's run begins: in that zone, the first is still on 30 June."""
WRONG = "made-up-canary-4711"

# Settings with which DAGs are loaded but not run.
ONLY_TO_LOAD = {
    "SAVE_PATH": "/exports/{year}/tables",
    "STUDENT_ROSTERS": "/rosters/Student_Rosters.txt",
    "PIPELINE_WEBHOOK_URL_FILE": "/run/secrets/webhook",
    "TZ": ZONE,
}

# Variables of this machine that must not reach the trial.
_OURS = ("ILLUMINATE_", "PIPELINE_", "AIRFLOW", "LUIGI_", "VIEW_PATH", "TITLE_", "MANUAL_")


class WrongError(Exception):
    """A DAG does not do what its documentation says."""


def main() -> int:
    """Run every trial, print one line each, and return 0 if all pass."""
    with tempfile.TemporaryDirectory(prefix="airflow-") as name:
        home = Path(name)
        os.environ.update(settings(home))
        try:
            print(f"ok      {loads_without_errors(home)}", flush=True)
            airflow("db", "migrate")
            with district() as reached:
                for trial in (publishes, skips_when_nothing_changed, is_red_when_it_fails):
                    print(f"ok      {trial(home, reached)}", flush=True)
            with state(home) as listed:
                print(f"ok      {publishes_a_state(home, listed)}", flush=True)
        except WrongError as error:
            print(f"FAILED  {error}", flush=True)
            return 1
    return 0


def settings(home: Path) -> dict[str, str]:
    """Return Airflow's own settings, in a temporary folder."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "ILLUMINATE_CLIENT_SECRET": WRONG,
        "PIPELINE_DATA_DIR": str(home / "data"),
        **ONLY_TO_LOAD,
    }


# What Airflow reads.


def loads_without_errors(home: Path) -> str:
    """Load both DAGs: without errors, database or secrets, and with the same shape."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization

    dags = REPOSITORY / "dags"
    bag = BundleDagBag(dags, bundle_path=dags, bundle_name="dags-folder")
    see(bag.import_errors == {}, f"the DAGs do not load: {bag.import_errors}")
    see(set(bag.dags) == {DOCKER, BASH, STATE}, f"{set(bag.dags)} were found")
    shapes = {name: shape(bag.dags[name]) for name in (DOCKER, BASH)}
    see(shapes[DOCKER] == shapes[BASH], f"the DAGs differ: {shapes}")
    see(shapes[BASH]["after"] == {"run_all": {"verify"}, "verify": set()}, f"{shapes[BASH]}")
    for dag in bag.dags.values():
        see(dag.max_active_runs == 1 and not dag.catchup, f"{dag.dag_id} runs twice at once")
        see(
            dag.timetable.expression == "0 5 * * *",
            f"{dag.dag_id} runs at {dag.timetable.expression}",
        )
        last = dag.get_task("publish" if dag.dag_id == STATE else "run_all")
        see(last.skip_on_exit_code == [99], f"{dag.dag_id} never skips")
        retries = {task.task_id: task.retries for task in dag.tasks}
        wanted = {"list_districts": 0, "run_district": 2, "publish": 0}
        wanted = wanted if dag.dag_id == STATE else dict.fromkeys(retries, 2)
        see(retries == wanted, f"{dag.dag_id} tries {retries} times")
        see(dag.timezone.name == ZONE, f"{dag.dag_id} runs in the time zone {dag.timezone.name}")
        see(dag.params["year"] is None, f"{dag.dag_id} runs {dag.params['year']} for ever")
        see(takes(dag, None) and takes(dag, YEAR), f"{dag.dag_id} refuses a school year")
        see(not takes(dag, f"{YEAR}; id"), f"{dag.dag_id} takes a command for a school year")
        see(all(task.execution_timeout for task in dag.tasks), f"{dag.dag_id} may hang")
        written = json.dumps(DagSerialization.to_dict(dag), default=str)
        see(WRONG not in written, f"{dag.dag_id} writes a secret into Airflow's database")
    check_state(bag.dags[STATE])
    check_container(bag.dags[DOCKER].get_task("run_all"), home)
    on_worker = bag.dags[BASH].get_task("run_all").env
    wanted_there = {"TZ": ZONE, "PYTHONPATH": "", "PYTHONHOME": ""}
    see(on_worker == wanted_there, f"the run gets {on_worker} on the worker")
    for dag in bag.dags.values():
        check_followers(dag)
    see(not (home / "airflow.db").exists(), "Airflow's database was used while DAGs were parsed")
    return "the DAGs load with no error, no database and no secret; two have the same shape"


def check_followers(dag: Any) -> None:
    """Check who says that a year is published, which year it is, and that a run in use waits."""
    saying = [task.task_id for task in dag.tasks if [asset.name for asset in task.outlets]]
    see(saying == ["publish" if dag.dag_id == STATE else "verify"], f"{saying} say it is published")
    (task,) = (each for each in dag.tasks if each.task_id == saying[0])
    for name in {"run_all", "verify", "run_district", "publish"} & {*dag.task_ids}:
        for begun, year in BEGUN.items():
            run = year_that_is_run(dag, name, None, begun)
            see(run == year, f"{dag.dag_id} runs {run} if it begins at {begun}")
            run = year_that_is_run(dag, name, YEAR, begun)
            see(run == YEAR, f"{dag.dag_id} runs {run} where it is to run {YEAR}")
    for code, wanted in ((10, "AirflowRescheduleException"), (30, "failed"), (101, "failed")):
        ended = ending(task, code)
        see(wanted in ended, f"{dag.dag_id} ends with {ended} where the exit code is {code}")


def year_that_is_run(dag: Any, name: str, year: str | None, begun: datetime) -> str:
    """Return the school year in the command of a task."""
    task = dag.get_task(name)
    command = (task.partial_kwargs if task.is_mapped else vars(task)).get("bash_command")
    context = {
        "params": {"year": year},
        "dag_run": SimpleNamespace(start_date=begun, clear_number=0),
        "run_id": "1",
    }
    rendered = dag.get_template_env().from_string(command or task.command).render(context)
    return re.search(r" --year (\S*)", rendered)[1]


def ending(task: Any, code: int) -> str:
    """Return the name or text of what a task of this kind raises for an exit code."""
    from airflow.exceptions import AirflowException
    from airflow.providers.docker.exceptions import DockerContainerFailedException
    from airflow.providers.docker.operators.docker import DockerOperator

    kind = type(task)
    try:
        if issubclass(kind, DockerOperator):
            result = {"StatusCode": code}
            failure = DockerContainerFailedException(f"Docker container failed: {result!r}")
            with mock.patch.object(DockerOperator, "execute", side_effect=failure):
                kind(task_id="ends", image="none").execute({})
        else:
            kind(task_id="ends", bash_command=f"exit {code}").execute({})
    except AirflowException as raised:
        return f"{type(raised).__name__} {raised}"
    return "nothing"


def takes(dag: Any, year: str | None) -> bool:
    """Return whether a DAG accepts a text as its school year."""
    from airflow.sdk.exceptions import ParamValidationError

    try:
        dag.params["year"] = year
        dag.params.validate()
    except ParamValidationError:
        return False
    return True


def shape(dag: Any) -> dict[str, Any]:
    """Return what must be the same with and without Docker."""
    return {
        "after": {task.task_id: task.downstream_task_ids for task in dag.tasks},
        "params": dag.params.dump(),
        "says": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks},
        "timeouts": {task.task_id: task.execution_timeout for task in dag.tasks},
        "retries": {task.task_id: (task.retries, task.retry_delay) for task in dag.tasks},
    }


def check_state(dag: Any) -> None:
    """Check that districts are mapped, with a limit, and published whatever failed."""
    after = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    wanted = {"list_districts": {"run_district"}, "run_district": {"publish"}, "publish": set()}
    see(after == wanted, f"the tasks of many districts are {after}")
    district = dag.get_task("run_district")
    see(district.is_mapped, "districts are not mapped")
    see(district.max_active_tis_per_dag == 4, "districts are run without a limit")
    see(dag.get_task("publish").trigger_rule == "all_done", "a failed district stops the others")


def check_container(task: Any, home: Path) -> None:
    """Check the mounts, variables and user of a container."""
    mounted = {each["Target"]: (each["Source"], each["ReadOnly"]) for each in task.mounts}
    wanted = {
        str(home / "data"): (str(home / "data"), False),
        "/exports": ("/exports", False),
        "/rosters/Student_Rosters.txt": ("/rosters/Student_Rosters.txt", True),
        "/run/secrets/webhook": ("/run/secrets/webhook", True),
    }
    see(mounted == wanted, f"the container mounts {mounted}")
    see(task.environment["TZ"] == ZONE, "the day ends elsewhere in the container")
    see(WRONG not in str(task.environment), "a secret is visible among the container's variables")
    private = task._private_environment
    see(private == {"ILLUMINATE_CLIENT_SECRET": WRONG}, f"{sorted(private)} are passed as secrets")
    see(task.user == f"{os.getuid()}:{os.getgid()}", "the container runs as another user")


# What Airflow does.


def publishes(home: Path, reached: dict[str, str]) -> str:
    """Run once: it publishes, the result is verified, and other DAGs hear of the year.

    Airflow's Python has a module path of its own, on which nothing of ours would start.
    """
    foreign = home / "foreign"
    foreign.mkdir()
    (foreign / "luigi.py").write_text("raise RuntimeError('not this one')\n", encoding="utf-8")
    variables = reached | {"PYTHONPATH": str(foreign)}
    states = dag_test(variables, home / "data", fails=False)
    see(states == {"run_all": "success", "verify": "success"}, f"the first run ended as {states}")
    view = home / "data" / "views" / YEAR / "illuminate_assessment_results_historical.csv"
    see(view.exists(), "the first run is green, and the view is not there")
    rows = sum(1 for _ in view.open(encoding="utf-8")) - 1
    see(rows > 0, "the view has no rows")
    see(announced() == [f"illuminate_{YEAR}"], f"{announced()} are announced as published")
    return f"a first run is green, with {rows:,} lines in the view, and other DAGs hear of it"


def announced() -> list[str]:
    """Return the asset of each event so far."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        events = select(AssetModel.name).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        return list(session.scalars(events.order_by(AssetEvent.id)))


def skips_when_nothing_changed(home: Path, reached: dict[str, str]) -> str:
    """Run again: nothing is new, and Airflow skips."""
    before = {path: path.stat().st_mtime_ns for path in (home / "data" / "views").rglob("*")}
    states = dag_test(reached, home / "data", fails=False)
    see(states == {"run_all": "skipped", "verify": "skipped"}, f"the second run ended as {states}")
    after = {path: path.stat().st_mtime_ns for path in (home / "data" / "views").rglob("*")}
    see(after == before, "the second run is skipped, and changed files")
    see(len(announced()) == 1, "the second run is skipped, and announced a year")
    return "a second run, with nothing to do, is skipped with everything downstream"


def is_red_when_it_fails(home: Path, reached: dict[str, str]) -> str:
    """Run with wrong credentials: it is red."""
    wrong = reached | {"ILLUMINATE_CLIENT_SECRET": WRONG}
    states = dag_test(wrong, home / "other", fails=True)
    wanted = {"run_all": "failed", "verify": "upstream_failed"}
    see(states == wanted, f"a run with wrong credentials ended as {states}")
    latest = json.loads((home / "other" / "runs" / "latest.json").read_text(encoding="utf-8"))
    reasons = [failure["reason"] for failure in latest["failures"]]
    see("rejected the credentials" in str(reasons), f"it failed of something else: {reasons}")
    return "a run whose credentials are refused is red"


def publishes_a_state(home: Path, listed: Path) -> str:
    """Run a state of which one district fails: the other is published; then nothing is new."""
    lines = listed.read_text(encoding="utf-8").splitlines()[:3]
    listed.write_text("\n".join([*lines, ""]), encoding="utf-8")
    secret = listed.parent / "secrets" / lines[1].split(",")[0] / "ILLUMINATE_CLIENT_SECRET"
    right = secret.read_text(encoding="utf-8")
    secret.write_text(WRONG, encoding="utf-8")
    reached = {"PIPELINE_STATE_DIR": str(home / "state"), "PIPELINE_DISTRICTS": str(listed)}
    states = dag_test(reached, home / "unused", fails=True, dag=STATE)
    wanted = {"list_districts": "success", "run_district 0": "failed", "run_district 1": "success"}
    see(states == wanted | {"publish": "failed"}, f"a failed district ended as {states}")
    published = json.loads((home / "state" / "published.json").read_text(encoding="utf-8"))
    see(len(published["years"][YEAR]) == 1, "the other district is not published")
    secret.write_text(right, encoding="utf-8")
    for end in ("success", "skipped"):
        states = dag_test(reached, home / "unused", fails=False, dag=STATE)
        wanted |= {"run_district 0": "success", "publish": end}
        see(states == wanted, f"a state ended as {states}")
    see(announced()[1:] == [f"illuminate_state_{YEAR}"], f"{announced()} are announced")
    see(not (home / "unused").exists(), "a district was run outside of the state folder")
    return "of two mapped districts one failed, and the other is published; then both; then skipped"


def dag_test(
    reached: dict[str, str], data: Path, *, fails: bool, dag: str = BASH
) -> dict[str, str]:
    """Test a DAG without Docker, and return the final state of each task."""
    variables = {**reached, "PIPELINE_DATA_DIR": str(data), "PIPELINE_RETRIES": "0"}
    options = ("--conf", json.dumps({"year": YEAR}))
    done = airflow("dags", "test", dag, *options, fails=fails, **variables)
    see(WRONG not in done, "Airflow's log shows a secret")

    from airflow.models import DagRun, TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        last = session.scalars(select(DagRun.run_id).order_by(DagRun.id.desc())).first()
        tasks = session.scalars(select(TaskInstance).where(TaskInstance.run_id == last))
        return {
            f"{task.task_id} {task.map_index}" if task.map_index >= 0 else task.task_id: str(
                task.state
            )
            for task in tasks
        }


def airflow(*arguments: str, fails: bool = False, **variables: str) -> str:
    """Run Airflow's command and return what it prints."""
    inherited = {name: text for name, text in os.environ.items() if name not in ONLY_TO_LOAD}
    done = subprocess.run(
        [AIRFLOW, *arguments],
        env=inherited | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    if (done.returncode != 0) is not fails:
        print(done.stdout)
        raise WrongError(f"airflow {arguments[0]} {arguments[1]} exits {done.returncode}")
    return done.stdout


@contextmanager
def district() -> Iterator[dict[str, str]]:
    """Serve the made-up district; yield the variables that point to it."""
    process = subprocess.Popen(
        [PYTHON, "-m", "pipeline", "simulate", "--port", "0", "--for-parent"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        started = json.loads(process.stdout.readline() if process.stdout else "")
        yield {f"ILLUMINATE_{name.upper()}": value for name, value in started.items()}
    finally:
        process.communicate()  # closes its standard input, which ends it


@contextmanager
def state(home: Path) -> Iterator[Path]:
    """Serve the made-up districts of a state; yield the file that lists them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [PYTHON, "-m", "pipeline", "state", "demo", "--port", str(port)],
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        see(bool(process.stdout and process.stdout.readline()), "the districts are not served")
        yield home / "data" / "state-demo" / "districts.csv"
    finally:
        process.terminate()
        process.wait()


def see(is_true: bool, otherwise: str) -> None:
    """Raise WrongError unless something is true."""
    if not is_true:
        raise WrongError(otherwise)


if __name__ == "__main__":
    sys.exit(main())
