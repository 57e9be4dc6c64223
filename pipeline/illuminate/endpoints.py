"""The endpoints of the API that the pipeline uses, in the API's own names.

What is known about them, and from where, is in docs/architecture.md. All take GET requests, reply
in pages, and send every scalar as text or null.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.errors import SettingsError
from pipeline.years import Window

_STUDENT = ("local_student_id", "first_name", "last_name", "middle_name", "date_taken")
_SCORE = (
    "points",
    "points_possible",
    "percent_correct",
    "performance_band_level",
    "performance_band_label",
    "mastered",
)
_STANDARD = ("academic_benchmark_guid", "standard_code", "standard_description")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the API: its method, and the fields of its rows.

    `renames` maps the API's names of fields to the names used everywhere else.
    """

    name: str
    method: str
    fields: tuple[str, ...]
    required: frozenset[str]
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)


CATALOGUE = Endpoint(
    "catalogue", "Assessments", ("assessment_id", "title"), frozenset({"assessment_id", "title"})
)


def _results(name: str, method: str, between: tuple[str, ...], optional: set[str]) -> Endpoint:
    fields = ("assessment_id", "title", *between, *_STUDENT, *_SCORE)
    return Endpoint(name, method, fields, frozenset(fields) - optional - {"middle_name"})


OVERALL = _results(
    "overall",
    "AssessmentAggregateStudentResponses",
    ("version", "version_label"),
    {"version", "version_label"},
)
STANDARD = _results(
    "standard",
    "AssessmentAggregateStudentResponsesStandard",
    _STANDARD,
    {"academic_benchmark_guid", "standard_description"},
)


def group(id_field: str = "reporting_group_id", label_field: str = "reporting_group") -> Endpoint:
    """Return the endpoint of results by reporting group.

    No public source shows the names of its two own fields, so they are settings.

    Raises:
        SettingsError: a name is that of another field.
    """
    if id_field == label_field or {id_field, label_field} & set(OVERALL.fields):
        raise SettingsError(
            f"reporting_group_id_field {id_field!r} and reporting_group_field {label_field!r} "
            "must name two fields of their own. Nothing was published. Correct them, then run the "
            "same command again."
        )
    endpoint = _results(
        "group", "AssessmentAggregateStudentResponsesGroup", (id_field, label_field), set()
    )
    renames = {id_field: "reporting_group_id", label_field: "reporting_group"}
    return replace(endpoint, renames=renames)


def results_parameters(assessment_id: str, window: Window) -> dict[str, str]:
    """Return the query parameters of a results endpoint besides page and limit.

    The dates are always given: without them the server chooses its own range.
    """
    return {"assessment_id": assessment_id, **date_parameters(window)}


def date_parameters(window: Window) -> dict[str, str]:
    """Return the query parameters of the first and last `date_taken`."""
    return {
        "date_taken_start": window.start.isoformat(),
        "date_taken_end": window.end.isoformat(),
    }
