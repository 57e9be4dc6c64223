"""The sections of luigi.cfg as luigi.Config classes, and the environment variables above them.

Classes are named like their sections, in lower case, as Luigi's own are, so that
`--illuminate-threads 16` works on any command line. What the pipeline makes of them is in
`pipeline.config`.
"""

import luigi

from pipeline.config.parameters import IdsParameter, Settings

ENVIRONMENT = {
    "ILLUMINATE_BASE_URL": ("illuminate", "base_url"),
    "PIPELINE_DATA_DIR": ("paths", "data_dir"),
    "SAVE_PATH": ("paths", "save_path"),
    "VIEW_PATH": ("paths", "view_path"),
    "STUDENT_ROSTERS": ("paths", "rosters"),
    "PIPELINE_COPY_TO": ("paths", "copy_to"),
    "TITLE_RULES": ("paths", "title_rules"),
    "MANUAL_CHANGES": ("paths", "manual_changes"),
    "SQL_VIEWS": ("paths", "sql_views"),
}
"""Environment variables, and the section and name of the setting that each stands for."""


class illuminate(Settings):  # noqa: N801  named like its section
    """How the API is asked."""

    base_url = luigi.Parameter(
        default="", description="https://<district>.illuminateed.com/live; empty: the demo"
    )
    threads = luigi.IntParameter(default=10, description="requests at the same time, 1 to 64")
    page_limit = luigi.IntParameter(default=1000, description="rows asked for per page")
    connect_timeout = luigi.FloatParameter(default=10.0, description="seconds to connect")
    read_timeout = luigi.FloatParameter(default=60.0, description="seconds of silence")
    deadline = luigi.FloatParameter(default=180.0, description="seconds for one whole request")
    tries = luigi.IntParameter(default=5, description="attempts per request")
    longest_wait = luigi.FloatParameter(default=30.0, description="seconds between attempts")
    longest_pause = luigi.FloatParameter(
        default=300.0, description="seconds of Retry-After that are obeyed; more ends the run"
    )
    most_bytes = luigi.IntParameter(default=64 << 20, description="bytes of one reply, decoded")
    max_requests_per_second = luigi.FloatParameter(default=0.0, description="0: no limit")
    ask_all = luigi.BoolParameter(
        default=False, description="ask by standard and group where overall had nothing, too"
    )
    sample = luigi.FloatParameter(
        default=0.02, description="part of those asked all the same, as a check, 0 to 1"
    )
    include_ids = IdsParameter(
        default=(), description="ids to fetch that the catalogue lacks: 114845,114846"
    )
    exclude_ids = IdsParameter(
        default=(), description="ids to leave out, named in the run record: 115538"
    )
    reporting_group_id_field = luigi.Parameter(
        default="reporting_group_id", description="the API's name of the reporting group's id"
    )
    reporting_group_field = luigi.Parameter(
        default="reporting_group", description="the API's name of the reporting group's label"
    )


class paths(Settings):  # noqa: N801
    """Where files are read and written."""

    data_dir = luigi.Parameter(default="data", description="everything the pipeline keeps")
    save_path = luigi.Parameter(default="", description="another place for illuminate/")
    view_path = luigi.Parameter(default="", description="another place for views/")
    rosters = luigi.Parameter(default="", description="student roster; {year} is filled in")
    title_rules = luigi.Parameter(default="", description="title rules; empty: those shipped")
    manual_changes = luigi.Parameter(default="", description="overrides; empty: none")
    prior_years = luigi.Parameter(
        default="", description="folder or pattern of tables from before the pipeline; empty: none"
    )
    sql_views = luigi.Parameter(
        default="", description="folder of SQL files that make views of your own; empty: none"
    )
    copy_to = luigi.Parameter(
        default="", description="where make copy puts the published files: s3://bucket/folder"
    )
    group_readable = luigi.BoolParameter(
        default=False, description="let the group of the owner read what is written"
    )


class years(Settings):  # noqa: N801
    """Which school years are history."""

    current = luigi.Parameter(default="24-25", description="the first year that is not historical")


class checks(Settings):  # noqa: N801
    """What stops a run before it publishes."""

    shrink_tolerance = luigi.FloatParameter(
        default=0.0, description="part of the published rows that may be gone, 0 to 1"
    )
    roster_floor = luigi.FloatParameter(
        default=0.5, description="least part of the students that must be on the roster"
    )
    roster_drop = luigi.FloatParameter(
        default=0.1, description="by how much that part may be less than last time"
    )


class report(Settings):  # noqa: N801
    """The page about a school year."""

    enabled = luigi.BoolParameter(
        default=True,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="true or false: make the report at the end of a run",
    )
    smallest_group = luigi.IntParameter(
        default=10, description="students in the smallest group that the report shows; 5 or more"
    )


class publish(Settings):  # noqa: N801
    """What is let pass once; only on the command line."""

    allow_shrink = luigi.Parameter(
        default="", description="rows that may be gone this once: combined=120,group=3"
    )


class build(Settings):  # noqa: N801
    """How tables are built."""

    threads = luigi.IntParameter(default=0, description="processor threads; 0: all cores")


SECTIONS: tuple[type[Settings], ...] = (illuminate, paths, years, checks, build, report)
"""All that may stand in luigi.cfg."""
