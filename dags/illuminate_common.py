"""What the DAGs for Illuminate have in common; copy this file beside them.

A DAG runs every night, one run at a time, for the school year of its parameter or else the one
that contains the day on which the run begins. Its variables:

    PIPELINE_SCHEDULE   when, in cron's notation; default 5 o'clock every morning
    TZ                  time zone of the schedule and of the school's day; default UTC, where the
                        day ends at 17:00 in Los Angeles (16:00 in winter)
"""

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pendulum
from airflow.sdk import Asset, Context, Param
from airflow.sdk.exceptions import AirflowException, AirflowRescheduleException

NOTHING_NEW = 99
WAIT = timedelta(minutes=10)
TZ = os.environ.get("TZ") or "UTC"
# Empty is as good as unset; Airflow's own must not reach the pipeline's Python.
ENVIRONMENT = {"TZ": TZ, "PYTHONPATH": "", "PYTHONHOME": ""}
YEAR = "{{ school_year(params, dag_run.start_date) }}"

# What DockerOperator and BashOperator say where another run is at work in the same folder.
_IN_USE = re.compile(r"'StatusCode': 10\b|exit code 10\.$")


def school_year(params: Mapping[str, Any], begun: datetime | None) -> str:
    """Return the school year to run, like 23-24, from when the DAG's run began.

    So all its tasks run one school year, if midnight of 30 June comes between them too.
    """
    day = pendulum.instance(begun).in_timezone(TZ) if begun else pendulum.now(TZ)
    start = day.year - (day.month < 7)
    return str(params["year"] or f"{start % 100:02}-{(start + 1) % 100:02}")


class PipelineMixin:
    """Lets an operator wait for another run, and say which year is published.

    Its outlet is an alias; the asset of a school year is called like that and the year.
    """

    def execute(self, context: Context) -> object:
        """Run the command; exit code 10 is another run at work, which uses up no retry."""
        try:
            result = super().execute(context)
        except AirflowException as failure:
            if _IN_USE.search(str(failure)):
                raise AirflowRescheduleException(pendulum.now() + WAIT) from failure
            raise
        for alias in self.outlets:
            year = school_year(context["params"], context["dag_run"].start_date)
            context["outlet_events"][alias].add(Asset(f"{alias.name}_{year}"))
        return result


def nightly() -> dict[str, Any]:
    """Return the options of a DAG; each has parameters of its own."""
    year = Param(
        None,
        type=["null", "string"],
        pattern=r"^\d{2}-\d{2}$",
        description="school year, like 23-24; empty: the one that contains today",
    )
    return {
        "schedule": os.environ.get("PIPELINE_SCHEDULE", "0 5 * * *"),
        "start_date": pendulum.datetime(2024, 7, 1, tz=TZ),
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["illuminate"],
        "params": {"year": year},
        "user_defined_macros": {"school_year": school_year},
    }
