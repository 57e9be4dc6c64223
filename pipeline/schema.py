"""Every column of every table, described once: the files, the checks and the dictionary follow.

Nothing here computes anything. `text` is kept as the API sent it; `number` and `date` columns
hold the digits that the API sent in the CSV, and true numbers and dates in the Parquet twin.
"""

from dataclasses import dataclass
from typing import Literal

SMALLEST_GROUP = 5
"""Students in the smallest group that a report may show, whatever the settings say."""

Kind = Literal["text", "integer", "number", "date"]


@dataclass(frozen=True)
class Column:
    """A column: its name, the kind of its values, what they mean, and where they come from."""

    name: str
    kind: Kind
    meaning: str
    source: str
    personal: bool = False


@dataclass(frozen=True)
class Table:
    """A published table.

    `stem` is its file name without the year's suffix; `key` is the order of its rows. A table
    that is open takes unknown fields of the API behind its own columns.
    """

    stem: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    folder: Literal["illuminate", "views"] = "illuminate"
    is_open: bool = False
    is_large: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(column.name for column in self.columns)

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """The names of its columns of one kind, in order."""
        return tuple(column.name for column in self.columns if column.kind == kind)


_ROW = "the row of the API"
_TITLE_RULES = "title rules and overrides"

_YEAR = Column("year", "text", "School year, like 23-24", "the run")
_ASSESSMENT_ID = Column("assessment_id", "text", "Illuminate's id of the assessment", _ROW)
_TITLE = Column("title", "text", "Title of the assessment, as sent", _ROW)
_CLEAN_TITLE = Column(
    "title",
    "text",
    "Title with runs of white space made one and trimmed, or the override's",
    "the row of the API; overrides",
)
_STUDENT = (
    Column("local_student_id", "text", "The district's own number of the student", _ROW, True),
    Column("first_name", "text", "First name", _ROW, True),
    Column("last_name", "text", "Last name", _ROW, True),
    Column("middle_name", "text", "Middle name", _ROW, True),
)
_DATE_TAKEN = Column("date_taken", "date", "Day on which the assessment was taken", _ROW)
_POINTS = (
    Column("points", "number", "Points reached", _ROW),
    Column("points_possible", "number", "Points that could be reached; may be 0", _ROW),
)
_PERCENT = Column("percent_correct", "number", "Points reached of those possible, 0 to 100", _ROW)
_BAND = (
    Column("performance_band_level", "text", "Level within the assessment's own band set", _ROW),
    Column("performance_band_label", "text", "Name of that level", _ROW),
)
_MASTERED = Column("mastered", "text", "Whether the level counts as mastery: t or f", _ROW)
_SCORE = (*_POINTS, _PERCENT, *_BAND, _MASTERED)
_LABELS = (
    Column("test_type", "text", "Kind of test, like checkpoint or exit ticket", _TITLE_RULES),
    Column("curriculum", "text", "Curriculum or subject", _TITLE_RULES),
    Column("unit", "text", "Unit, module, interim or lesson", _TITLE_RULES),
    Column("unit_labels", "text", "The unit in a form that sorts", _TITLE_RULES),
)

COMBINED = Table(
    "assessment_results_combined",
    "one row per result overall and per standard",
    (
        _YEAR,
        Column("response_type", "text", "overall or standard", "the endpoint"),
        _ASSESSMENT_ID,
        _TITLE,
        Column("standard_code", "text", "Code of the standard; percent in overall rows", _ROW),
        Column("standard_description", "text", "Wording of the standard", _ROW),
        Column("academic_benchmark_guid", "text", "Academic Benchmarks' id of it", _ROW),
        Column("version", "text", "Version of the assessment; overall only", _ROW),
        Column("version_label", "text", "Name of that version; overall only", _ROW),
        *_STUDENT,
        _DATE_TAKEN,
        *_SCORE,
    ),
    (
        "response_type",
        "assessment_id",
        "standard_code",
        "version",
        "local_student_id",
        "date_taken",
    ),
    is_open=True,
    is_large=True,
)

GROUP = Table(
    "assessment_results_group",
    "one row per result by reporting group",
    (
        _YEAR,
        Column("response_type", "text", "Always group", "the endpoint"),
        _ASSESSMENT_ID,
        _TITLE,
        Column("reporting_group_id", "text", "Illuminate's id of the reporting group", _ROW),
        Column("reporting_group", "text", "Name of the reporting group", _ROW),
        *_STUDENT,
        _DATE_TAKEN,
        *_SCORE,
    ),
    ("assessment_id", "reporting_group_id", "local_student_id", "date_taken"),
    is_open=True,
    is_large=True,
)

VIEW = Table(
    "illuminate_assessment_results",
    "one row per row of the combined table",
    (
        Column("data_source", "text", "Always illuminate", "the run"),
        _ASSESSMENT_ID,
        _YEAR,
        _DATE_TAKEN,
        Column("grade", "integer", "Grade of the student, K = 0; null: not on it", "the roster"),
        _STUDENT[0],
        *_LABELS,
        _CLEAN_TITLE,
        Column("standard_code", "text", "Code of the standard; percent in overall rows", _ROW),
        Column("score", "integer", "percent_correct to the nearest whole, halves up", _ROW),
        *_BAND,
        Column("proficiency", "text", "Level, a space, label; null where either is", _ROW),
        _MASTERED,
        Column("response_type", "text", "overall or standard", "the endpoint"),
        *_POINTS,
    ),
    tuple(name for name in COMBINED.key if name != "version"),
    folder="views",
    is_large=True,
)

LATEST = Table(
    "illuminate_latest_results",
    "one row per student, assessment and standard of the view: the latest attempt, which is the "
    "last by `date_taken` (null is the earliest) and, of several on one day, the one that stands "
    "last in the view; a row without a student or a standard is an attempt of its own",
    (
        *VIEW.columns,
        Column("attempt", "integer", "Which attempt it is, counted from 1", "the view"),
        Column("attempts", "integer", "How many attempts the view has", "the view"),
    ),
    tuple(name for name in VIEW.key if name != "date_taken"),
    folder="views",
    is_large=True,
)

LABELS = Table(
    "assessment_labels",
    "one row per assessment with results",
    (
        _ASSESSMENT_ID,
        _CLEAN_TITLE,
        *_LABELS,
        Column(
            "matched_by", "text", "What gave each value: a rule's line, or an override", "rules"
        ),
    ),
    ("assessment_id",),
)

UNMAPPED = Table(
    "unmapped_titles",
    "one row per assessment with results but without a curriculum or a unit",
    (
        _ASSESSMENT_ID,
        _CLEAN_TITLE,
        *_LABELS[:3],
        Column("rows", "integer", "Rows it has in the combined table", "the combined table"),
    ),
    ("rows", "assessment_id"),
)

CATALOGUE = Table(
    "assessments_metadata",
    "one row per assessment of the catalogue, with results or not",
    (
        _ASSESSMENT_ID,
        Column("local_assessment_id", "text", "The district's own id", _ROW),
        _TITLE,
        Column("description", "text", "Description", _ROW),
        Column("author_id", "text", "Illuminate's id of the author", _ROW),
        Column("district_author_id", "text", "The district's id of the author", _ROW),
        Column("author_first", "text", "First name of the author, a member of staff", _ROW),
        Column("author_last", "text", "Last name of the author, a member of staff", _ROW),
        Column("created_at", "text", "When it was made, no time zone", _ROW),
        Column("updated_at", "text", "When it was last changed, no time zone", _ROW),
        Column("scope_id", "text", "Illuminate's id of the scope", _ROW),
        Column("scope", "text", "Scope; often null", _ROW),
        Column("subject_id", "text", "Illuminate's id of the subject", _ROW),
        Column("subject", "text", "Subject; often null", _ROW),
        Column("grade_levels", "text", "Grades it is meant for; often null", _ROW),
    ),
    ("assessment_id",),
    is_open=True,
)

TABLES = (COMBINED, GROUP, VIEW, LATEST, LABELS, UNMAPPED, CATALOGUE)
"""Every published table, in the order of the dictionary."""

ROSTER = Table(
    "roster",
    "one row per student of the roster",
    (_STUDENT[0], Column("grade", "integer", "Grade of the student, K = 0", "the roster")),
    ("local_student_id",),
)
"""The roster as it was read; it is not published."""


def own_view(name: str) -> Table:
    """The table that an SQL file of this name makes; only its SQL knows the columns."""
    grain = f"what {name}.sql selects"
    return Table(name, grain, (), (), folder="views", is_large=True)


SHARD_ORDER = {
    "overall": COMBINED.key[1:],
    "standard": COMBINED.key[1:],
    "group": GROUP.key,
}
"""By which columns the rows of a shard are ordered, so that tables need no sort."""

ENDPOINTS = tuple(SHARD_ORDER)
"""The kinds of results, each asked of an endpoint of its own: overall, standard, group."""
