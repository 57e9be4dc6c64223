"""Select the assessments to fetch from an endpoint, and their order.

Nearly all assessments of a catalogue have no results in a given year. Those without overall
results are assumed to have none by standard or group either. That is an assumption about the API,
so a sample of them is fetched as a check.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

LEAST_SAMPLE = 20
"""The smallest sample of assessments without overall results."""
LEAST_COMPARED = 10
"""The smallest sample of assessments whose results are compared with those fetched by page."""
_OF_EACH_KIND = 3
_LARGEST = 1  # it takes as many requests as all others together


def select_assessments(
    assessment_ids: Collection[str], with_results: Collection[str], sample_rate: float, seed: str
) -> list[str]:
    """Return the assessments to fetch by standard or group, in the order given.

    Args:
        assessment_ids: all that could be fetched.
        with_results: those with overall results.
        sample_rate: the part of the others that is fetched as a sample, 0 to 1.
        seed: determines the sample.
    """
    selected = set(with_results)
    empty = [assessment for assessment in assessment_ids if assessment not in selected]
    selected.update(_sample(empty, sample_rate, seed))
    return [assessment for assessment in assessment_ids if assessment in selected]


def select_compared(
    rows: Mapping[str, int],
    special: Iterable[Collection[str]],
    likely: Mapping[str, int],
    sample_rate: float,
    seed: str,
) -> list[str]:
    """Return the assessments whose results by page are compared with those by assessment.

    They are the largest one, some of middle size, some of each special kind, some without results
    that most likely have some, and a sample of the others.

    Args:
        rows: the rows by page of every assessment.
        special: kinds of assessments for which a server may give other results.
        likely: rows of assessments at another time or endpoint.
        sample_rate: the part of the others that is compared, 0 to 1.
        seed: determines the sample.
    """
    every = sorted(rows, key=lambda assessment: _rank(seed, assessment))
    full = [each for each in largest_first(every, rows) if rows[each]]
    empty = largest_first([each for each in every if not rows[each]], likely)
    middle = max(0, (len(full) - _OF_EACH_KIND) // 2)
    others = ([each for each in every if each in kind] for kind in special)
    kinds = (full[:_LARGEST], full[middle:], empty, *others)
    chosen = dict.fromkeys(each for kind in kinds for each in kind[:_OF_EACH_KIND])
    rest = [each for each in every if each not in chosen]
    more = max(LEAST_COMPARED - len(chosen), math.ceil(sample_rate * len(rest)))
    return largest_first([*chosen, *rest[:more]], rows)


def select_early(
    assessment_ids: Collection[str], special: int, sample_rate: float, seed: str
) -> list[str]:
    """Return assessments that `select_compared` selects of these, however many rows they have.

    Args:
        assessment_ids: all that have an entry in its `rows`.
        special: how many special kinds it is given.
        sample_rate: as given to it.
        seed: as given to it.
    """
    most_chosen = _LARGEST + _OF_EACH_KIND * (2 + special)
    sample = math.ceil(sample_rate * max(0, len(assessment_ids) - most_chosen))
    return sorted(assessment_ids, key=lambda assessment: _rank(seed, assessment))[:sample]


def largest_first(assessment_ids: Iterable[str], rows: Mapping[str, int]) -> list[str]:
    """Order assessments by size as far as it is known, so that no large one is fetched last."""
    return sorted(assessment_ids, key=lambda assessment: -rows.get(assessment, 0))


def _sample(assessment_ids: Collection[str], sample_rate: float, seed: str) -> list[str]:
    count = max(LEAST_SAMPLE, math.ceil(sample_rate * len(assessment_ids)))
    return sorted(assessment_ids, key=lambda assessment: _rank(seed, assessment))[:count]


def _rank(seed: str, assessment_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {assessment_id}".encode()).digest()
