"""Illuminate assessment results as clean tables.

    catalogue ──► score shards ──► combined tables ──► views ──► checks ──► publish ──► report

`luigi --module pipeline RunAll --year 23-24` does all of it, and again only what is missing;
`RunYears --years 22-23,23-24` does it for several years and concatenates them. Importing this
package gives Luigi defaults, a stricter command line and log filters, and does nothing else. It
refuses a luigi.cfg that cannot be parsed, before it imports Luigi.
"""

from pipeline.config.config_file import refuse_unparseable

refuse_unparseable()

from pipeline.config.command_line import adapt_luigi
from pipeline.config.settings import apply_environment, apply_luigi_defaults
from pipeline.runs.messages import quiet_luigi
from pipeline.tasks.check_tables import CheckTables
from pipeline.tasks.count import CountResults
from pipeline.tasks.deliver import CopyYear, LoadYear, PublishedYear
from pipeline.tasks.describe import DescribeYear
from pipeline.tasks.extract import FetchAllScores, FetchMetadata, FetchScores
from pipeline.tasks.figures import DiscloseFigures
from pipeline.tasks.inputs import (
    CheckInputs,
    ReadOverrides,
    ReadRoster,
    ReadSqlViews,
    ReadTitleRules,
)
from pipeline.tasks.publish import Publish
from pipeline.tasks.publish_state import PublishState
from pipeline.tasks.rebuild_state import RebuildState
from pipeline.tasks.report import Report, RunAll
from pipeline.tasks.state import RunDistrict, RunState
from pipeline.tasks.transform import (
    CombineGroup,
    CombineResults,
    LabelAssessments,
    ListAssessments,
    ListStandards,
)
from pipeline.tasks.views import BuildViews, ListStudents, SqlView
from pipeline.tasks.years import (
    ConcatGroup,
    ConcatResults,
    ConcatView,
    DescribeYears,
    PublishYears,
    ReadPriorYears,
    RunYears,
)

__all__ = [
    "BuildViews",
    "CheckInputs",
    "CheckTables",
    "CombineGroup",
    "CombineResults",
    "ConcatGroup",
    "ConcatResults",
    "ConcatView",
    "CopyYear",
    "CountResults",
    "DescribeYear",
    "DescribeYears",
    "DiscloseFigures",
    "FetchAllScores",
    "FetchMetadata",
    "FetchScores",
    "LabelAssessments",
    "ListAssessments",
    "ListStandards",
    "ListStudents",
    "LoadYear",
    "Publish",
    "PublishState",
    "PublishYears",
    "PublishedYear",
    "ReadOverrides",
    "ReadPriorYears",
    "ReadRoster",
    "ReadSqlViews",
    "ReadTitleRules",
    "RebuildState",
    "Report",
    "RunAll",
    "RunDistrict",
    "RunState",
    "RunYears",
    "SqlView",
]

quiet_luigi(__all__)
apply_luigi_defaults()
apply_environment()
adapt_luigi(__all__)
