"""The nightly load of assessment results, on the worker itself: for Airflow 3 without Docker.

The same as illuminate_pipeline.py, from a clone of the pipeline with its own environment
(`make .venv/.run`): Airflow and the pipeline cannot share one, their requirements conflict. Its
settings are the pipeline's own variables, in the environment of the Airflow worker. Also:

    PIPELINE_HOME       the clone; default: the one that contains this file
    PIPELINE_RETRIES    retries after a failure; default 2

and those of illuminate_common.py, which is copied with it.

Other DAGs can follow: `schedule=Asset("illuminate_23-24")` runs one whenever that school year has
something new, published and verified, and `schedule=AssetAlias("illuminate")` whenever any has.
While another run uses the same data folder, by hand for example, a task waits and uses up no retry.

Parsing this file reads nothing from Airflow's database and writes no secret into it.
"""

import os
import shlex
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, AssetAlias
from illuminate_common import ENVIRONMENT, NOTHING_NEW, YEAR, PipelineMixin, nightly

PUBLISHED = AssetAlias("illuminate")

HOME = os.environ.get("PIPELINE_HOME") or str(Path(__file__).resolve().parents[1])


class PipelineOperator(PipelineMixin, BashOperator):
    """A command of the pipeline."""


def on_worker(task_id: str, command: str, **options: object) -> PipelineOperator:
    """Return a task that runs a pipeline command in place of the shell, so that it gets signals."""
    python = shlex.quote(f"{HOME}/.venv/bin/python")
    return PipelineOperator(
        task_id=task_id,
        bash_command=f"exec {python} {command}",
        cwd=HOME,
        env=ENVIRONMENT,
        append_env=True,
        **options,
    )


with DAG(
    "illuminate_pipeline_bash",
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
    run_all = on_worker(
        "run_all",
        f"-m pipeline run RunAll --year {YEAR}",
        skip_on_exit_code=NOTHING_NEW,
        execution_timeout=timedelta(hours=6),
    )
    verify = on_worker(
        "verify",
        f"-m pipeline verify --year {YEAR}",
        outlets=[PUBLISHED],
        execution_timeout=timedelta(hours=1),
    )
    run_all >> verify
