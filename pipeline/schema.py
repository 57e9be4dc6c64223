"""Describe each column of each table once, for the files, the checks and the data dictionary.

Nothing here computes anything. `text` is kept as the API sent it; `number` and `date` columns hold
the digits that the API sent in the CSV file, and true numbers and dates in the Parquet file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

SMALLEST_GROUP = 5
"""Students in the smallest group that a report may show; settings cannot lower it."""

Kind = Literal["text", "integer", "number", "date"]

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]00:00(:00(\.0+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
"""The text of a date: a day, or the midnight at which it begins, as timestamps have it."""


@dataclass(frozen=True)
class Column:
    """A column: its name, meaning, kind of values and source.

    An `expected` text has a value in most rows, as numbers and dates have.
    """

    name: str
    meaning: str
    kind: Kind = "text"
    source: str = "the row of the API"
    personal: bool = False
    expected: bool = False


@dataclass(frozen=True)
class Table:
    """A published table.

    `stem` is its file name without the year's suffix; `key` is the order of its rows. An open
    table has unknown fields of the API after its own columns. The CSV file of a table that people
    open in spreadsheets is escaped: text that would be run as a formula has an apostrophe in front.
    """

    stem: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    folder: Literal["illuminate", "views"] = "illuminate"
    is_open: bool = False
    is_large: bool = False
    is_escaped: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its columns, in order."""
        return tuple(column.name for column in self.columns)

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """Return the names of its columns of one kind, in order."""
        return tuple(column.name for column in self.columns if column.kind == kind)

    @property
    def expected(self) -> tuple[str, ...]:
        """Return the names of the columns whose values must not be lost: numbers, dates, others."""
        others = tuple(column.name for column in self.columns if column.expected)
        return self.of_kind("number") + self.of_kind("date") + others

    @property
    def has_student_names(self) -> bool:
        """Return True if it has a column with names of students."""
        return any(column in _STUDENT_NAMES for column in self.columns)

    @property
    def foreign_text(self) -> tuple[str, ...]:
        """Return the names of its columns with text from outside, which may be a formula."""
        texts = (column for column in self.columns if column.kind == "text")
        return tuple(column.name for column in texts if column.source not in _OWN_SOURCES)


UNKNOWN_FIELD = "Field of the API, as sent; the data dictionary does not know it"
"""The meaning of a column that an open table has after its own."""

_OWN_SOURCES = ("the run", "the endpoint", "rules")
_TITLE_RULES = "title rules and overrides"

_YEAR = Column("year", "School year, like 23-24", source="the run")
_RESPONSE_TYPE = Column("response_type", "overall or standard", source="the endpoint")
_ASSESSMENT_ID = Column("assessment_id", "Illuminate's id of the assessment, trimmed")
_TITLE = Column("title", "Title of the assessment, as sent")
_CLEAN_TITLE = Column(
    "title",
    "Title with white space normalised, or the override's",
    source="the row of the API; overrides",
)
_STANDARD_CODE = Column("standard_code", "Code of the standard; percent in overall rows")
_GUID = Column("academic_benchmark_guid", "Academic Benchmarks' id of the standard")
_STUDENT_ID = Column(
    "local_student_id", "The district's student number, trimmed", personal=True, expected=True
)
_STUDENT_NAMES = (
    Column("first_name", "First name", personal=True),
    Column("last_name", "Last name", personal=True),
    Column("middle_name", "Middle name", personal=True),
)
_STUDENT = (_STUDENT_ID, *_STUDENT_NAMES)
_DATE_TAKEN = Column("date_taken", "Day the assessment was taken", "date")
_POINTS = (
    Column("points", "Points earned", "number"),
    Column("points_possible", "Points possible; may be 0", "number"),
)
_PERCENT = Column(
    "percent_correct", "Points earned as a percentage of those possible, 0 to 100", "number"
)
_BAND = (
    Column("performance_band_level", "Level within the assessment's own band set", expected=True),
    Column("performance_band_label", "Name of that level", expected=True),
)
_MASTERED = Column("mastered", "Whether the level counts as mastery: t or f", expected=True)
_RESULT = (*_STUDENT, _DATE_TAKEN, *_POINTS, _PERCENT, *_BAND, _MASTERED)
_STUDENT_AND_DAY = ("local_student_id", "date_taken")
_LABELS = (
    Column("test_type", "Kind of test, like checkpoint or exit ticket", source=_TITLE_RULES),
    Column("curriculum", "Curriculum or subject", source=_TITLE_RULES),
    Column("unit", "Unit, module, interim or lesson", source=_TITLE_RULES),
    Column(
        "unit_labels",
        "The unit as text that sorts in the order of teaching: 01 Module, 01 Unit, 01-02 Units, "
        "12 Unit, Interim 01, Z Final",
        source=_TITLE_RULES,
    ),
)

COMBINED = Table(
    "assessment_results_combined",
    "one row per result overall and per standard",
    (
        _YEAR,
        _RESPONSE_TYPE,
        _ASSESSMENT_ID,
        _TITLE,
        _STANDARD_CODE,
        Column("standard_description", "Wording of the standard"),
        _GUID,
        Column("version", "Version of the assessment; overall only"),
        Column("version_label", "Name of that version; overall only"),
        *_RESULT,
    ),
    ("response_type", "assessment_id", "standard_code", "version", *_STUDENT_AND_DAY),
    is_open=True,
    is_large=True,
    is_escaped=False,
)

GROUP = Table(
    "assessment_results_group",
    "one row per result by reporting group",
    (
        _YEAR,
        Column("response_type", "Always group", source="the endpoint"),
        _ASSESSMENT_ID,
        _TITLE,
        Column("reporting_group_id", "Illuminate's id of the reporting group"),
        Column("reporting_group", "Name of the reporting group"),
        *_RESULT,
    ),
    ("assessment_id", "reporting_group_id", *_STUDENT_AND_DAY),
    is_open=True,
    is_large=True,
    is_escaped=False,
)

VIEW = Table(
    "illuminate_assessment_results",
    "one row per row of the combined table",
    (
        Column("data_source", "Always illuminate", source="the run"),
        _ASSESSMENT_ID,
        _YEAR,
        _DATE_TAKEN,
        Column(
            "grade",
            "Grade of the student, K = 0; null if the student is not on the roster, or has a code "
            "there that is no grade",
            "integer",
            "the roster",
        ),
        _STUDENT_ID,
        *_LABELS,
        _CLEAN_TITLE,
        _STANDARD_CODE,
        Column("score", "percent_correct rounded to a whole number, halves up", "integer"),
        *_BAND,
        Column("proficiency", "Level, a space and label; null if either is null"),
        _MASTERED,
        _RESPONSE_TYPE,
        *_POINTS,
        _GUID,
    ),
    tuple(name for name in COMBINED.key if name != "version"),
    folder="views",
    is_large=True,
)

LATEST = Table(
    "illuminate_latest_results",
    "one row per student, assessment, standard code and guid of the view: the latest attempt, "
    "which is the last by `date_taken` (null is the earliest) and, of several on one day, the one "
    "with the highest percentage, then points, then version; a row with no student or no standard "
    "cannot be matched to other attempts, so it is kept",
    (
        *VIEW.columns,
        Column(
            "attempt",
            "Number of its day among the days of all attempts, counted from 1",
            "integer",
            "the view",
        ),
        Column("attempts", "Number of attempts in the view", "integer", "the view"),
        Column(
            "attempts_that_day",
            "Number of attempts on the day of this one, or without a date like this one",
            "integer",
            "the view",
        ),
    ),
    (*(name for name in VIEW.key if name != "date_taken"), _GUID.name),
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
        Column("matched_by", "Origin of each value: a rule's line, or an override", source="rules"),
        Column("in_catalogue", "Whether the catalogue lists it: t or f", source="the run"),
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
        Column("rows", "Its rows in the combined table", "integer", "the combined table"),
    ),
    ("rows", "assessment_id"),
)

STANDARDS = Table(
    "standards",
    "one row per spelling of a standard in the results by standard",
    (
        Column("standard_code", "Code of the standard, as sent"),
        _GUID,
        Column("standard_description", "Its wording; of several, the first in the alphabet"),
        Column(
            "normalised_code",
            "One code for all spellings of a standard: those with one guid; without a guid, those "
            "with one code, whatever its case, punctuation and prefix (CCSS, NGSS)",
            source="codes and guids",
        ),
        Column("rows", "Its rows in the combined table", "integer", "the combined table"),
    ),
    ("normalised_code", "standard_code", "academic_benchmark_guid"),
)

CATALOGUE = Table(
    "assessments_metadata",
    "one row per assessment of the catalogue, with results or not",
    (
        _ASSESSMENT_ID,
        Column("local_assessment_id", "The district's own id"),
        _TITLE,
        Column("description", "Description"),
        Column("author_id", "Illuminate's id of the author"),
        Column("district_author_id", "The district's id of the author"),
        Column("author_first", "First name of the author, a member of staff"),
        Column("author_last", "Last name of the author, a member of staff"),
        Column("created_at", "When it was created, without time zone"),
        Column("updated_at", "When it was last changed, without time zone"),
        Column("scope_id", "Illuminate's id of the scope"),
        Column("scope", "Scope; often null"),
        Column("subject_id", "Illuminate's id of the subject"),
        Column("subject", "Subject; often null"),
        Column("grade_levels", "Grades it is intended for; often null"),
    ),
    ("assessment_id",),
    is_open=True,
)

TABLES = (COMBINED, GROUP, VIEW, LATEST, LABELS, UNMAPPED, STANDARDS, CATALOGUE)
"""Every published table, in the order of the data dictionary."""

ROSTER = Table(
    "roster",
    "one row per student of the roster",
    (
        replace(_STUDENT_ID, source="the roster"),
        Column("grade", "Grade of the student, K = 0; null for a code", "integer", "the roster"),
    ),
    ("local_student_id",),
    is_escaped=False,
)
"""The roster as read; it is not published."""

STUDENTS = replace(ROSTER, stem="students", folder="views", is_escaped=True)
"""The roster as published, where `[roster] columns` names columns of it."""

WITH_ROSTER_COLUMNS = (VIEW, LATEST, ROSTER, STUDENTS)
"""The tables that have the columns of the roster which a district names, after their own."""


def roster_column(name: str) -> Column:
    """Return a column that a district carries along from its roster."""
    meaning = "As on the roster; null if the student is not on it, or has several values there"
    return Column(name, meaning, source="the roster", personal=True)


def with_roster_columns(table: Table, names: Iterable[str]) -> Table:
    """Return a table with these columns of the roster after its own, if it is one that has them."""
    if table not in WITH_ROSTER_COLUMNS:
        return table
    return replace(table, columns=(*table.columns, *map(roster_column, names)))


def custom_view(name: str) -> Table:
    """Return the table that an SQL file of this name defines; only its SQL knows the columns."""
    return Table(name, f"what {name}.sql selects", (), (), folder="views", is_large=True)


SHARD_ORDER = {"overall": COMBINED.key[1:], "standard": COMBINED.key[1:], "group": GROUP.key}
"""The columns that order the rows of a shard, so that tables need no sort."""

ENDPOINTS = tuple(SHARD_ORDER)
"""The kinds of results, one per endpoint of the API: overall, standard, group."""
