"""The rules in examples/: curriculum as publisher, which are shipped, and curriculum as subject."""

from pathlib import Path

import pytest

from pipeline.config.settings import DEFAULT_RULES
from pipeline.inputs.rules import read_rules
from pipeline.simulator import DEMO, District
from tests.unit.transform.test_labels import CURRICULA, KINDS, SPELLINGS, UNITS, label

EXAMPLES = Path(__file__).parents[3] / "examples" / "rules"
PUBLISHER, SUBJECT = (read_rules(EXAMPLES / f"{name}.csv") for name in ("publisher", "subject"))
SUBJECTS = {
    "Math": """
        Math, Eureka Math, Illustrative Math, Zearn, enVision, Bridges, Desmos Math, Go Math,
        Everyday Math, Into Math, Reveal Math, Big Ideas Math, Math in Focus, CPM, Pre-Algebra,
        Algebra, Algebra I, Algebra II, Integrated Math I, Integrated Math II, Integrated Math III,
        Geometry, Pre-Calculus, Calculus, Statistics""",
    "ELA": """
        ELA, EL Education, CKLA, Amplify ELA, Wit & Wisdom, Into Reading, Into Literature,
        StudySync, Fundations, UFLI, myPerspectives, Benchmark Advance, Units of Study, Wonders""",
    "Science": """
        Science, Amplify Science, OpenSciEd, FOSS, STEMscopes, Mystery Science, Biology, Chemistry,
        Physics, Environmental Science, Earth Science""",
    "Social Studies": """
        Social Studies, US History, World History, Government, Economics, Geography""",
    "Computer Science": "Computer Science",
    "ELD": "ELD",
    "Spanish": "Spanish",
}
OF_SEVERAL = {"i-Ready", "SpringBoard", "Fishtank", "Open Up"}
"""Publishers with curricula in several subjects."""
SUBJECT_OF = {
    publisher: subject
    for subject, publishers in SUBJECTS.items()
    for publisher in (" ".join(each.split()) for each in publishers.split(","))
}
DISTRICT = District.make(1, DEMO)
DELIVERED = {str(row["title"]) for row in DISTRICT.catalogue if row["title"]}
TITLES = sorted({*CURRICULA, *KINDS, *UNITS, *SPELLINGS, *DELIVERED})


def test_the_publishers_are_the_rules_that_are_shipped():
    assert (EXAMPLES / "publisher.csv").read_bytes() == DEFAULT_RULES.read_bytes()


def test_the_subjects_are_all_that_a_curriculum_can_be():
    values = {rule.value for rule in SUBJECT.by_column["curriculum"]}
    assert values == SUBJECTS.keys()
    known = {rule.value for rule in PUBLISHER.by_column["curriculum"]}
    assert known == SUBJECT_OF.keys() | OF_SEVERAL


def test_only_the_curriculum_differs():
    for column in ("test_type", "unit", "unit_labels"):
        both = (
            [(rule.pattern, rule.value) for rule in rules.by_column[column]]
            for rules in (PUBLISHER, SUBJECT)
        )
        first, second = both
        assert first == second


def test_every_title_of_a_publisher_has_its_subject():
    """Those in the tests of the rules, and those of the demo."""
    found = {}
    for title in TITLES:
        publisher, subject = (label(title, rules)["curriculum"] for rules in (PUBLISHER, SUBJECT))
        if publisher not in OF_SEVERAL:
            assert subject == SUBJECT_OF.get(publisher), title
        found.setdefault(subject, set()).add(publisher)
    assert found.keys() == {None, *SUBJECTS}
    assert len(found["Math"]) > 10


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("i-Ready Math Diagnostic 1", "Math"),
        ("i-Ready Reading Diagnostic 1", "ELA"),
        ("iReady Diagnostic 2", None),
        ("SpringBoard ELA Unit 1", "ELA"),
        ("SpringBoard Math Course 2 Unit 1", "Math"),
        ("Fishtank Gr 6 Math Unit 2", "Math"),
        ("Fishtank ELA Grade 6 Unit 2", "ELA"),
        ("Open Up Math Gr 6 Unit 1", "Math"),
    ],
)
def test_a_publisher_of_several_subjects_is_told_by_the_other_words(title, subject):
    assert label(title, SUBJECT)["curriculum"] == subject
