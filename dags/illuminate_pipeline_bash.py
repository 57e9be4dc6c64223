"""The nightly load of assessment results, on the worker itself: for Airflow 3 without Docker.

The same as illuminate_pipeline.py, from a clone of the pipeline with its own environment
(`make .venv/.run`): Airflow and the pipeline cannot share one, their requirements conflict. Its
settings are the pipeline's own variables, in the environment of the Airflow worker. Also:

    PIPELINE_HOME       the clone; default: the one that contains this file
    PIPELINE_SCHEDULE   when, in cron's notation; default 5 o'clock every morning
    PIPELINE_RETRIES    retries after a failure; default 2
    TZ                  time zone of the schedule and of the school's day; default UTC, where the
                        day ends at 17:00 in Los Angeles (16:00 in winter)

Other DAGs can follow: `schedule=Asset("illuminate_23-24")` runs one whenever that school year has
something new, published and verified, and `schedule=AssetAlias("illuminate")` whenever any has.
While another run uses the same data folder, by hand for example, a task waits and uses up no retry.

Parsing this file reads nothing from Airflow's database and writes no secret into it.
"""

import os
import shlex
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, AssetAlias, Context, Param
from airflow.sdk.exceptions import AirflowException, AirflowRescheduleException

NOTHING_NEW = 99
IN_USE = "exit code 10."
WAIT = timedelta(minutes=10)
PUBLISHED = AssetAlias("illuminate")
TZ = os.environ.get("TZ") or "UTC"

HOME = os.environ.get("PIPELINE_HOME") or str(Path(__file__).resolve().parents[1])


class PipelineOperator(BashOperator):
    """A command of the pipeline: waits for another run, and says which year is published."""

    def execute(self, context: Context) -> object:
        """Run it; exit code 10 is another run at work."""
        try:
            result = super().execute(context)
        except AirflowException as failure:
            if str(failure).endswith(IN_USE):
                raise AirflowRescheduleException(pendulum.now() + WAIT) from failure
            raise
        if PUBLISHED in self.outlets:
            year = context["params"]["year"] or year_of(pendulum.now(TZ))
            context["outlet_events"][PUBLISHED].add(Asset(f"illuminate_{year}"))
        return result


def year_of(day: pendulum.DateTime) -> str:
    """Return the school year of a day, like 23-24."""
    start = day.year - (day.month < 7)
    return f"{start % 100:02}-{(start + 1) % 100:02}"


def on_worker(task_id: str, command: str, **options: object) -> PipelineOperator:
    """Return a task that runs a pipeline command in place of the shell, so that it gets signals."""
    python = shlex.quote(f"{HOME}/.venv/bin/python")
    return PipelineOperator(
        task_id=task_id,
        bash_command=f"exec {python} {command}",
        cwd=HOME,
        # Empty is as good as unset; Airflow's own must not reach the pipeline's Python.
        env={"TZ": TZ, "PYTHONPATH": "", "PYTHONHOME": ""},
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
    dagrun_timeout=timedelta(hours=12),
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
    verify = on_worker(
        "verify",
        f"-m pipeline verify{YEAR}",
        outlets=[PUBLISHED],
        execution_timeout=timedelta(hours=1),
    )
    run_all >> verify
