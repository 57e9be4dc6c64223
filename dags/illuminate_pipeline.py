"""The nightly load of assessment results, in a container: for Airflow 3 with Docker.

Its settings are the pipeline's own variables, in the environment of the Airflow worker; files and
folders that they name are mounted into the container under the same paths. Also:

    PIPELINE_IMAGE      the image; default illuminate-pipeline:latest
    PIPELINE_RETRIES    retries after a failure; default 2

and those of illuminate_common.py, which is copied with it.

Other DAGs can follow: `schedule=Asset("illuminate_23-24")` runs one whenever that school year has
something new, published and verified, and `schedule=AssetAlias("illuminate")` whenever any has.
While another run uses the same data folder, by hand for example, a task waits and uses up no retry.

Parsing this file reads nothing from Airflow's database and writes no secret into it.
"""

import os
from datetime import timedelta
from pathlib import Path

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, AssetAlias
from docker.types import Mount
from illuminate_common import NOTHING_NEW, TZ, YEAR, PipelineMixin, nightly

PUBLISHED = AssetAlias("illuminate")

FOLDERS = {
    "PIPELINE_DATA_DIR": os.environ.get("PIPELINE_DATA_DIR", "/srv/illuminate"),
    "SAVE_PATH": os.environ.get("SAVE_PATH", ""),
    "VIEW_PATH": os.environ.get("VIEW_PATH", ""),
}
SECRETS = (
    "ILLUMINATE_CLIENT_ID",
    "ILLUMINATE_CLIENT_SECRET",
    "ILLUMINATE_CONSUMER_KEY",
    "ILLUMINATE_CONSUMER_SECRET",
    "ILLUMINATE_ACCESS_TOKEN",
    "ILLUMINATE_ACCESS_TOKEN_SECRET",
    "PIPELINE_WEBHOOK_URL",
)
FILES = {
    name: os.environ.get(name, "")
    for name in (
        "STUDENT_ROSTERS",
        "TITLE_RULES",
        "MANUAL_CHANGES",
        "SQL_VIEWS",
        "LUIGI_CONFIG_PATH",
        *(f"{secret}_FILE" for secret in SECRETS),
    )
}


def mounts() -> list[Mount]:
    """Return a mount for each path in the settings; for one with `{year}`, its parent folder."""
    found = {}
    for paths, read_only in ((FILES, True), (FOLDERS, False)):  # so that a writable mount wins
        for path in filter(None, paths.values()):
            above = (Path(path), *Path(path).parents)
            source = next(str(each) for each in above if "{" not in str(each))
            found[source] = Mount(target=source, source=source, type="bind", read_only=read_only)
    return list(found.values())


class PipelineOperator(PipelineMixin, DockerOperator):
    """A command of the pipeline."""


def in_container(task_id: str, command: str, **options: object) -> PipelineOperator:
    """Return a task that runs a command in the image, as the worker's user."""
    others = {"ILLUMINATE_BASE_URL": os.environ.get("ILLUMINATE_BASE_URL", ""), "TZ": TZ}
    named = {name: text for name, text in (FOLDERS | FILES | others).items() if text}
    return PipelineOperator(
        task_id=task_id,
        image=os.environ.get("PIPELINE_IMAGE", "illuminate-pipeline:latest"),
        command=command,
        environment=named,
        private_environment={name: os.environ[name] for name in SECRETS if os.environ.get(name)},
        mounts=mounts(),
        mount_tmp_dir=False,
        user=f"{os.getuid()}:{os.getgid()}",
        auto_remove="force",
        **options,
    )


with DAG(
    "illuminate_pipeline",
    description="Illuminate assessment results as clean tables",
    doc_md=__doc__,
    **nightly(),
    dagrun_timeout=timedelta(hours=12),
    default_args={
        "retries": int(os.environ.get("PIPELINE_RETRIES", "2")),
        "retry_delay": timedelta(minutes=10),
    },
):
    # Green: published. Skipped, with everything downstream: nothing is new. Red: it failed.
    run_all = in_container(
        "run_all",
        f"python -m pipeline run RunAll --year {YEAR}",
        skip_on_exit_code=NOTHING_NEW,
        execution_timeout=timedelta(hours=6),
    )
    verify = in_container(
        "verify",
        f"python -m pipeline verify --year {YEAR}",
        outlets=[PUBLISHED],
        execution_timeout=timedelta(hours=1),
    )
    run_all >> verify
