"""The sections of luigi.cfg as luigi.Config classes, and the environment variables above them.

Classes are named like their sections, in lower case, as Luigi's own are, so that
`--illuminate-threads 16` works on any command line. What the pipeline makes of them is in
`pipeline.config`.
"""

from collections.abc import Sequence
from configparser import InterpolationError
from typing import Any

import luigi

from pipeline.config.parameters import (
    AtLeastParameter,
    ChoiceParameter,
    IdsParameter,
    RenamedParameter,
    ShareParameter,
    in_plain_words,
)
from pipeline.errors import SettingsError

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
    "PIPELINE_STATE_DIR": ("state", "dir"),
    "PIPELINE_LAKEHOUSE": ("state", "lakehouse"),
    "PIPELINE_SCHEDULER": ("state", "scheduler"),
    "PIPELINE_TLS_FOLDER": ("state", "tls_folder"),
}
"""Environment variables, and the section and name of the setting that each one sets."""


class Settings(luigi.Config):
    """A section of settings; one that cannot be read is named in a plain sentence."""

    @classmethod
    def get_param_values(
        cls, params: Sequence[tuple[str, luigi.Parameter[Any]]], args: object, kwargs: object
    ) -> list[tuple[str, Any]]:
        """Return the values of all settings of the section.

        Raises:
            SettingsError: one of them is not of its kind.
        """
        try:
            values: list[tuple[str, Any]] = super().get_param_values(params, args, kwargs)
        except (ValueError, InterpolationError):
            for name, parameter in params:
                try:
                    parameter.has_task_value(cls.__name__, name)
                except (ValueError, InterpolationError) as error:
                    raise SettingsError.refused(
                        f"[{cls.__name__}] {name} cannot be read ({in_plain_words(error)}); it "
                        f"means: {parameter.description}"
                    ) from None
            raise
        return values

    @classmethod
    def current_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """Return the settings of the section, without the old names of renamed ones."""
        return [each for each in cls.get_params() if not isinstance(each[1], RenamedParameter)]


class illuminate(Settings):  # noqa: N801  named like its section
    """How the API is called."""

    base_url = luigi.Parameter(
        default="", description="https://<district>.illuminateed.com/live; empty: the demo"
    )
    threads = luigi.IntParameter(default=10, description="concurrent requests, 1 to 64")
    page_limit = luigi.IntParameter(default=1000, description="rows requested per page")
    connect_timeout = luigi.FloatParameter(default=10.0, description="seconds to connect")
    read_timeout = luigi.FloatParameter(default=60.0, description="seconds of silence")
    deadline = luigi.FloatParameter(default=180.0, description="seconds for one whole request")
    tries = luigi.IntParameter(default=5, description="attempts per request")
    max_backoff = luigi.FloatParameter(default=30.0, description="seconds between attempts")
    max_retry_after = luigi.FloatParameter(
        default=300.0, description="seconds of Retry-After that are obeyed; more ends the run"
    )
    max_response_bytes = luigi.IntParameter(
        default=64 << 20, description="bytes of one reply, decoded"
    )
    max_requests_per_second = luigi.FloatParameter(default=0.0, description="0: no limit")
    strategy = ChoiceParameter(
        choices=("auto", "by_page", "by_assessment"),
        default="auto",
        description="auto: all results by_page if the server can do that, else by_assessment",
    )
    reread_days = AtLeastParameter(
        0,
        default=0,
        description="by page: days that are read again every night, of older ones a part; 0: all",
    )
    fetch_all = luigi.BoolParameter(
        default=False, description="fetch standard and group even where overall has no rows"
    )
    sample = ShareParameter(
        default=0.01, description="part of those fetched all the same, as a check, 0 to 1"
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
    longest_wait = RenamedParameter("illuminate", "longest_wait", "max_backoff")
    longest_pause = RenamedParameter("illuminate", "longest_pause", "max_retry_after")
    most_bytes = RenamedParameter("illuminate", "most_bytes", "max_response_bytes")
    ask_all = RenamedParameter("illuminate", "ask_all", "fetch_all")


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


class roster(Settings):  # noqa: N801
    """What is read of the student roster; empty: by the headings of a known export."""

    id = luigi.Parameter(default="", description="heading of the student number")
    grade = luigi.Parameter(default="", description="heading of the grade")
    current = luigi.Parameter(
        default="",
        description="heading of the enrolment status, and what current lines have: Enroll_Status=0",
    )
    year = luigi.Parameter(
        default="", description="heading of the school year, in a file of several years"
    )
    columns = luigi.Parameter(
        default="",
        description="columns to add to the views, and their headings: school=STUDENTS.School_Name",
    )


class years(Settings):  # noqa: N801
    """How years are named, and when one that is over is final."""

    historical_before = luigi.Parameter(
        default="24-25", description="tables of earlier years are named _historical"
    )
    settles = luigi.Parameter(
        default="09-30", description="until this day after its end a year is fetched again daily"
    )
    recheck_days = luigi.IntParameter(
        default=30, description="days until the counts of a settled year are checked; 0: never"
    )
    keep_snapshots = AtLeastParameter(
        1, default=3, description="snapshots kept of a year, with the one that is published"
    )
    current = RenamedParameter("years", "current", "historical_before")


class runs(Settings):  # noqa: N801
    """What runs leave about themselves."""

    keep = AtLeastParameter(1, default=400, description="run records kept of each year")


class state(Settings):  # noqa: N801
    """Many districts: which they are, and where a state run keeps everything."""

    dir = luigi.Parameter(default="data/state", description="what a state run keeps")
    districts = luigi.Parameter(default="districts.csv", description="the file that lists them")
    scheduler = luigi.Parameter(default="", description="Dask's, like tls://head:8786, if any")
    tls_folder = luigi.Parameter(default="", description="has ca.pem, cert.pem and key.pem")
    longest_wait = luigi.FloatParameter(
        default=3600.0, description="seconds to wait for another run of a district"
    )
    lakehouse = luigi.Parameter(
        default="", description="folder or URL of the tables of all districts; default `dir`"
    )
    with_names = luigi.BoolParameter(
        default=False,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="publish the tables with names of students too",
    )
    keep_versions = AtLeastParameter(
        1, default=2, description="published versions of the tables that stay readable"
    )
    batch_rows = AtLeastParameter(
        1, default=200_000, description="rows that a rebuild builds together"
    )


class checks(Settings):  # noqa: N801
    """What stops a run before it publishes."""

    shrink_tolerance = ShareParameter(
        default=0.0, description="part of the published rows that may be gone, 0 to 1"
    )
    readable_drop = ShareParameter(
        default=0.02,
        description="by how much the readable part of a column may be less than last time",
    )
    allow_empty = luigi.BoolParameter(
        default=False, description="publish a finished year, or one to come, without results"
    )
    roster_floor = ShareParameter(
        default=0.5, description="least part of the students that must be on the roster"
    )
    roster_drop = ShareParameter(
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
    """What is allowed once; only on the command line."""

    allow_shrink = luigi.Parameter(
        default="",
        description="rows or values that may be gone this once: combined=120,group.points=3",
    )
    replace_source = luigi.Parameter(
        default="", description="the source whose published tables this run may replace"
    )


class build(Settings):  # noqa: N801
    """How tables are built."""

    threads = luigi.IntParameter(default=0, description="processor threads; 0: all cores")
    view_time_limit = luigi.FloatParameter(
        default=600.0, description="seconds that a view of your own may take; 0: no limit"
    )


OAUTH2 = ("ILLUMINATE_CLIENT_ID", "ILLUMINATE_CLIENT_SECRET")
OAUTH1 = (
    "ILLUMINATE_CONSUMER_KEY",
    "ILLUMINATE_CONSUMER_SECRET",
    "ILLUMINATE_ACCESS_TOKEN",
    "ILLUMINATE_ACCESS_TOKEN_SECRET",
)
"""The variables of either scheme's credentials, each also with _FILE; they are no settings."""

SECTIONS: tuple[type[Settings], ...] = (
    illuminate,
    paths,
    roster,
    years,
    runs,
    checks,
    build,
    report,
    state,
)
"""All sections that luigi.cfg may have."""

ALL_SECTIONS: tuple[type[Settings], ...] = (*SECTIONS, publish)
"""With the one that only the command line may have."""
