"""Illuminate assessment results as clean tables.

    catalogue ──► score shards ──► combined tables ──► views ──► checks ──► publish ──► report

`luigi --module pipeline RunAll --year 23-24` does all of it, and again only what is missing;
`RunYears --years 22-23,23-24` does it for several years and puts them together.
`pipeline.tasks` wires the steps; `python -m pipeline` looks at what they left.
"""

from pipeline.config.settings import apply_environment, apply_luigi_defaults
from pipeline.runs.messages import quiet_luigi
from pipeline.tasks.building import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    ListAssessments,
)
from pipeline.tasks.fetching import FetchMetadata, FetchScores
from pipeline.tasks.inputs import ReadInputs
from pipeline.tasks.publishing import CheckTables, Publish
from pipeline.tasks.record import compose, finish
from pipeline.tasks.reporting import Report, RunAll
from pipeline.tasks.run import Run
from pipeline.tasks.uniting import (
    PublishYears,
    ReadPriorYears,
    RunYears,
    UniteGroup,
    UniteResults,
    UniteView,
)
from pipeline.tasks.views import BuildViews, SqlView

__all__ = [
    "BuildViews",
    "CheckTables",
    "CombineGroup",
    "CombineResults",
    "FetchMetadata",
    "FetchScores",
    "LabelAssessments",
    "ListAssessments",
    "Publish",
    "PublishYears",
    "ReadInputs",
    "ReadPriorYears",
    "Report",
    "RunAll",
    "RunYears",
    "SqlView",
    "UniteGroup",
    "UniteResults",
    "UniteView",
]

Run.at_end, Run.compose = finish, compose
quiet_luigi()
apply_luigi_defaults()
apply_environment()
