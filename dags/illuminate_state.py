"""The nightly load of many districts, on the workers of Airflow 3: see docs/state-hosts.md.

A task for each line of districts.csv, as it is when the run begins, and a last one that publishes
all of them together. A district that fails is red and keeps no other from being published; the
last task is then red too, and names it. It is skipped if nothing is new. All workers share the
state folder and the clone of the pipeline (`make state`, and `make s3` for s3://). Its settings
are the pipeline's own variables, in the environment of the workers. Also:

    PIPELINE_HOME       the clone; default: the one that contains this file
    PIPELINE_DISTRICTS  districts.csv; default: [state] districts of luigi.cfg
    PIPELINE_AT_ONCE    how many districts are run at once; default 4
    PIPELINE_RETRIES    retries of a district that failed; default 2

and those of illuminate_common.py, which is copied with it. TZ decides the schedule and the school
year of all districts, and the day of those to which districts.csv gives no time zone.

Other DAGs can follow: `schedule=Asset("illuminate_state_23-24")` runs one whenever the tables of
all districts have something new of that school year, and `schedule=AssetAlias("illuminate_state")`
whenever they have of any. While another state run uses the same folder, a task waits and uses up
no retry.

Parsing this file reads nothing from Airflow's database and writes no secret into it.
"""

import json
import os
import shlex
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, AssetAlias
from illuminate_common import ENVIRONMENT, NOTHING_NEW, YEAR, PipelineMixin, nightly

PUBLISHED = AssetAlias("illuminate_state")
HOME = os.environ.get("PIPELINE_HOME") or str(Path(__file__).resolve().parents[1])
PYTHON = shlex.quote(f"{HOME}/.venv/bin/python")
DISTRICTS = shlex.quote(os.environ.get("PIPELINE_DISTRICTS", ""))
# A run that is cleared, in order to run it again, is another state run.
RUN_ID = "'{{ run_id }}-{{ dag_run.clear_number }}'"
ALL = f"--districts {DISTRICTS} --run-id {RUN_ID}"
ON_WORKER = {"cwd": HOME, "env": ENVIRONMENT, "append_env": True}


class PipelineOperator(PipelineMixin, BashOperator):
    """A command of the pipeline."""


with DAG(
    "illuminate_state",
    description="Illuminate assessment results of many districts as clean tables",
    doc_md=__doc__,
    **nightly(),
    dagrun_timeout=timedelta(hours=18),
    default_args={"retry_delay": timedelta(minutes=10)},
):
    listed = BashOperator(
        task_id="list_districts",
        bash_command=f"exec {PYTHON} -m pipeline state districts --json --districts {DISTRICTS}",
        output_processor=lambda text: [
            {**ENVIRONMENT, "DISTRICT": name} for name in json.loads(text)
        ],
        execution_timeout=timedelta(minutes=10),
        **ON_WORKER,
    )
    district = PipelineOperator.partial(
        task_id="run_district",
        # In place of the shell, so that it gets signals.
        bash_command=f'exec {PYTHON} -m luigi --module pipeline RunDistrict --district "$DISTRICT" '
        f"--year {YEAR} {ALL}",
        map_index_template="{{ task.env['DISTRICT'] }}",
        retries=int(os.environ.get("PIPELINE_RETRIES", "2")),
        max_active_tis_per_dag=int(os.environ.get("PIPELINE_AT_ONCE", "4")),
        execution_timeout=timedelta(hours=6),
        cwd=HOME,
        append_env=True,
    ).expand(env=listed.output)
    publish = PipelineOperator(
        task_id="publish",
        bash_command=f"exec {PYTHON} -m pipeline state run --year {YEAR} {ALL}",
        trigger_rule="all_done",
        skip_on_exit_code=NOTHING_NEW,
        outlets=[PUBLISHED],
        execution_timeout=timedelta(hours=6),
        **ON_WORKER,
    )
    district >> publish
