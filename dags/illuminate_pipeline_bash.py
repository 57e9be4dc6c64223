"""The nightly load of assessment results, on the worker itself: for Airflow 3 without Docker.

The same as illuminate_pipeline.py, from a clone of the pipeline with its own environment
(`make .venv/.run`): Airflow and the pipeline cannot share one, their requirements conflict. Its
settings are the pipeline's own variables, in the environment of the Airflow worker. Also:

    PIPELINE_HOME       the clone; default: the one that contains this file
    PIPELINE_SCHEDULE   when, in cron's notation; default 5 o'clock every morning
    PIPELINE_RETRIES    retries after a failure; default 2
    TZ                  time zone of the schedule and of the school's day; default UTC, where the
                        day ends at 17:00 in Los Angeles (16:00 in winter)

Parsing this file reads nothing from Airflow's database and writes no secret into it.
"""

import os
import shlex
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

NOTHING_NEW = 99
TZ = os.environ.get("TZ") or "UTC"

HOME = os.environ.get("PIPELINE_HOME") or str(Path(__file__).resolve().parents[1])


def on_worker(task_id: str, command: str, **options: object) -> BashOperator:
    """Return a task that runs a pipeline command in place of the shell, so that it gets signals."""
    python = shlex.quote(f"{HOME}/.venv/bin/python")
    return BashOperator(
        task_id=task_id,
        bash_command=f"exec {python} {command}",
        cwd=HOME,
        env={"TZ": TZ},
        append_env=True,
        **options,
    )


YEAR = "{% if params.year %} --year {{ params.year }}{% endif %}"

with DAG(
    "illuminate_pipeline_bash",
    description="Illuminate assessment results as clean tables",
    doc_md=__doc__,
    schedule=os.environ.get("PIPELINE_SCHEDULE", "0 5 * * *"),
    start_date=pendulum.datetime(2024, 7, 1, tz=TZ),
    catchup=False,
    max_active_runs=1,
    tags=["illuminate"],
    params={
        "year": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{2}-\d{2}$",
            description="school year, like 23-24; empty: the one that contains today",
        )
    },
    default_args={
        "retries": int(os.environ.get("PIPELINE_RETRIES", "2")),
        "retry_delay": timedelta(minutes=10),
    },
):
    # Green: published. Skipped, with everything downstream: nothing is new. Red: it failed.
    run_all = on_worker(
        "run_all",
        f"-m pipeline run RunAll{YEAR}",
        skip_on_exit_code=NOTHING_NEW,
        execution_timeout=timedelta(hours=6),
    )
    verify = on_worker("verify", f"-m pipeline verify{YEAR}", execution_timeout=timedelta(hours=1))
    run_all >> verify
