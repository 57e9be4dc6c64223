"""Which assessments an endpoint is asked for, and which of them first.

Nearly all assessments of a catalogue have no results in a given year. Who has none overall is
taken to have none by standard or group either; that is a belief about the API, so a sample of
them is asked for all the same.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

LEAST_SAMPLE = 20
"""How many assessments without overall results are asked for at least."""


def worth_asking(
    assessment_ids: Collection[str], with_results: Collection[str], share: float, salt: str
) -> list[str]:
    """The assessments to ask for by standard or group, in the order given.

    Args:
        assessment_ids: all that could be asked for.
        with_results: those with overall results.
        share: which part of the others is asked for as a sample, 0 to 1.
        salt: what the sample follows from, so that it is the same for the same salt only.
    """
    asked = set(with_results)
    empty = [assessment for assessment in assessment_ids if assessment not in asked]
    asked.update(_sample(empty, share, salt))
    return [assessment for assessment in assessment_ids if assessment in asked]


def largest_first(assessment_ids: Iterable[str], rows: Mapping[str, int]) -> list[str]:
    """In order of size as far as it is known, so that no long one is left alone at the end."""
    return sorted(assessment_ids, key=lambda assessment: -rows.get(assessment, 0))


def _sample(assessment_ids: Collection[str], share: float, salt: str) -> list[str]:
    count = max(LEAST_SAMPLE, math.ceil(share * len(assessment_ids)))
    return sorted(assessment_ids, key=lambda assessment: _rank(salt, assessment))[:count]


def _rank(salt: str, assessment_id: str) -> bytes:
    return hashlib.sha256(f"{salt} {assessment_id}".encode()).digest()
