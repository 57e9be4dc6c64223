"""Labels: rules and overrides are read strictly, and every title is labelled as they say."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.settings import DEFAULT_RULES
from pipeline.errors import InputFileError
from pipeline.inputs.grades import GRADES
from pipeline.inputs.rules import (
    TitleRules,
    empty_overrides,
    normalise_title,
    read_overrides,
    read_rules,
)
from pipeline.transform.labels import (
    escape,
    label_assessments,
    label_by_grade,
    list_unmapped,
    list_unmatched,
    mark_listed,
)

RULES = read_rules(DEFAULT_RULES)
COLUMNS = ["assessment_id", "title", "test_type", "curriculum", "unit", "unit_labels", "matched_by"]
OVERRIDE_HEADER = "assessment_id,grade,test_type,curriculum,unit,title,reason"
WHITE_SPACE = " \t\n\r\v\f\x1c\x85\xa0\u1680\u2003\u2028\u202f\u3000"


@pytest.fixture
def rules_file(tmp_path: Path):
    def write(*lines: str, header: str = "column,pattern,value") -> Path:
        path = tmp_path / "title_rules.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def overrides_file(tmp_path: Path):
    def write(*lines: str, header: str = OVERRIDE_HEADER) -> Path:
        path = tmp_path / "manual_changes.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


def frame(*titles: str | None) -> pd.DataFrame:
    ids = [str(100 + number) for number in range(len(titles))]
    return pd.DataFrame({"assessment_id": ids, "title": pd.array(titles, dtype="string")})


def plain(frame: pd.DataFrame) -> list[dict]:
    """The rows as dictionaries, each null as None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def label(title: str | None, rules: TitleRules = RULES, overrides: pd.DataFrame | None = None):
    changes = empty_overrides() if overrides is None else overrides
    return plain(label_assessments(frame(title), rules, changes))[0]


# The rules that ship with the package.

KINDS = {
    "Unit 2 Exit Ticket": "exit ticket",
    "Exit-Ticket Quiz 3": "exit ticket",
    "M2 L3 ET": "exit ticket",
    "Algebra Checkpoint 4": "checkpoint",
    "Check Point: Fractions": "checkpoint",
    "Checkpoint Assessment": "checkpoint",
    "AP Biology Progress Check": "checkpoint",
    "Check for Understanding: Cells": "checkpoint",
    "3rd Grade - Unit 2 - End of Unit Assessment ": "assessment",
    "Mid-Module 3": "assessment",
    "EOM 4": "assessment",
    "SBAC IAB Fractions": "assessment",
    "Reading Interim": "assessment",
    "Fall Final": "assessment",
    "Mid-Term Geometry": "assessment",
    "Post-Test Unit 1": "assessment",
    "Benchmark 2": "assessment",
    "Unit 4 Performance Task": "assessment",
    "Chapter 3 Assesment": "assessment",
    "Vocabulary quizzes": "assessment",
    "Essay: final draft": None,
    "Contested Elections": None,
    "The Latest News": None,
    "ET phones home? et al.": "exit ticket",
    "Smith et al.": None,
    "The boy in the garden": None,
    "Benchmark Advance Week 2": None,
}

CURRICULA = {
    "Grade 4 Eureka Math Module 2": "Eureka Math",
    "Eureka Math Squared G5 M1": "Eureka Math",
    "Illustrative Mathematics Unit 3": "Illustrative Math",
    "IM Grade 7 Unit 3": "Illustrative Math",
    "IM Unit 2 Geometry": "Illustrative Math",
    "Im Westen Unit 2": None,
    "Zearn Math G3M2": "Zearn",
    "enVision Topic 4": "enVision",
    "Envision your future": None,
    "Desmos 6.3": "Desmos Math",
    "Go Math Chapter 2": "Go Math",
    "Everyday Mathematics Unit 3": "Everyday Math",
    "INTO MATH Module 7": "Into Math",
    "Reveal Math Unit 4": "Reveal Math",
    "Big Ideas Math Chapter 1": "Big Ideas Math",
    "Math in Focus Chapter 9": "Math in Focus",
    "Open Up Grade 7": "Open Up",
    "CPM Chapter 3": "CPM",
    "Bridges Grade 3 Unit 2": "Bridges",
    "Building Bridges Unit 2": None,
    "iReady Diagnostic 2 Math": "i-Ready",
    "i-Ready Reading": "i-Ready",
    "Am I ready for Grade 4?": None,
    "EL Education Module 1": "EL Education",
    "EL Grade 4 M2 U1": "EL Education",
    "Notes for EL students": None,
    "CKLA Unit 7": "CKLA",
    "Amplify ELA 6B": "Amplify ELA",
    "Wit & Wisdom Module 3": "Wit & Wisdom",
    "WIT AND WISDOM M3": "Wit & Wisdom",
    "HMH Into Reading Module 5": "Into Reading",
    "Into Literature Unit 1": "Into Literature",
    "UFLI Lesson 40": "UFLI",
    "myPerspectives Unit 3": "myPerspectives",
    "Benchmark Advance Unit 3": "Benchmark Advance",
    "Units of Study: Narrative": "Units of Study",
    "Fishtank Unit 2": "Fishtank",
    "StudySync Unit 1": "StudySync",
    "SpringBoard ELA": "SpringBoard",
    "Amplify Science: Light Waves": "Amplify Science",
    "OpenSciEd 7.3": "OpenSciEd",
    "FOSS Landforms": "FOSS",
    "STEMscopes 4.2": "STEMscopes",
    "Mystery Science Unit 1": "Mystery Science",
    "Fundations Level 2": "Fundations",
    "Wonders Unit 3 Week 2": "Wonders",
    "Wonders of nature": None,
    "Algebra I Unit 3": "Algebra I",
    "Algebra 1B Final": "Algebra I",
    "Algebra II Unit 3": "Algebra II",
    "ALGEBRA 2 Interim": "Algebra II",
    "Alg. 2 Quiz": "Algebra II",
    "Algebra III": "Algebra",
    "Algebra 10 Questions": "Algebra",
    "Pre-Algebra Quiz": "Pre-Algebra",
    "Integrated Math II Unit 1": "Integrated Math II",
    "Integrated Math 1": "Integrated Math I",
    "Integrated Math III Final": "Integrated Math III",
    "Geometry Midterm": "Geometry",
    "Grade 3 Math Unit 7: Geometry": "Math",
    "6th Grade Math Statistics Test": "Math",
    "Pre-Calculus Unit 2": "Pre-Calculus",
    "Precalc Test": "Pre-Calculus",
    "AP Calculus AB": "Calculus",
    "Calculator practice": None,
    "AP Stats Chapter 2": "Statistics",
    "Biology EOC": "Biology",
    "Biography Unit": None,
    "Chemistry Final": "Chemistry",
    "Biochemistry": None,
    "Physics Q2": "Physics",
    "Computer Science A": "Computer Science",
    "AP Environmental Science": "Environmental Science",
    "Earth Science Interim 2": "Earth Science",
    "Physical Science Final": "Science",
    "US History Unit 4": "US History",
    "U.S. History DBQ": "US History",
    "World History Interim 1": "World History",
    "AP Gov Test": "Government",
    "AP Microeconomics": "Economics",
    "Human Geography": "Geography",
    "Spanish II Final": "Spanish",
    "Spanish Unit 2": "Spanish",
    "Spanish-American War": None,
    "Grade 3 Math Interim (Spanish)": "Math",
    "ELA Interim 2": "ELA",
    "Grade 7 ELA: Science Fiction": "ELA",
    "Science Fiction Unit": None,
    "English 10 Midterm": "ELA",
    "ELD Level 3": "ELD",
    "Grade 5 Math (English)": "Math",
    "Reading Benchmark": "ELA",
    "Reading graphs": None,
    "Opinion Writing": "ELA",
    "Unit 6: Writing Equations": None,
    "Math Interim": "Math",
    "MATHEMATICS Q1": "Math",
    "Aftermath of the War": None,
    "Relationships Unit 2": None,
    "Delay and Gratification": None,
    "Grade 5 Science": "Science",
    "Sciences Po": None,
    "Conscience": None,
    "Social Science Unit 1": "Social Studies",
    "Grade 4 Social Studies": "Social Studies",
    "Prehistory": None,
}

UNITS = {
    "Unit 2": ("Unit 2", "02 Unit"),
    "UNIT 02 Test": ("Unit 2", "02 Unit"),
    "Unit #11": ("Unit 11", "11 Unit"),
    "Unit No. 4": ("Unit 4", "04 Unit"),
    "Unit Number 4": ("Unit 4", "04 Unit"),
    "Unit Notes 4": (None, None),
    "Math U2 Quiz": ("Unit 2", "02 Unit"),
    "U2L3": ("Unit 2", "02 Unit"),
    "U2 L3": ("Unit 2", "02 Unit"),
    "Unit 2A": ("Unit 2", "02 Unit"),
    "Units 1-3 Test": ("Units 1-3", "01-03 Units"),
    "Units 1 & 3": ("Units 1-3", "01-03 Units"),
    "Unit 1-2": ("Units 1-2", "01-02 Units"),
    "Unit 9 and 10": ("Units 9-10", "09-10 Units"),
    "Unit 2 - 3 Digit Addition": ("Unit 2", "02 Unit"),
    "Unit 2-3.NF.1": ("Unit 2", "02 Unit"),
    "Unit 3-23-24": ("Unit 3", "03 Unit"),
    "Unit 0 Diagnostic": ("Unit 0", "00 Unit"),
    "Unit 2024": (None, None),
    "End of Unit - 3rd Grade": (None, None),
    "End of Unit - 3.NF.1": (None, None),
    "Module 3": ("Module 3", "03 Module"),
    "Modules 3 to 4": ("Modules 3-4", "03-04 Modules"),
    "Module 3-4": ("Modules 3-4", "03-04 Modules"),
    "G4M3 Exit Ticket": ("Module 3", "03 Module"),
    "Mod 3": ("Module 3", "03 Module"),
    "M1L5": ("Module 1", "01 Module"),
    "M1 L5": ("Module 1", "01 Module"),
    "M2 U1": ("Module 2 Unit 1", "02 Module 01 Unit"),
    "4M2U1": ("Module 2 Unit 1", "02 Module 01 Unit"),
    "M2U1L4": ("Module 2 Unit 1", "02 Module 01 Unit"),
    "Module 12, End of Unit 3": ("Module 12 Unit 3", "12 Module 03 Unit"),
    "Module 1 Unit 10": ("Module 1 Unit 10", "01 Module 10 Unit"),
    "Module 3 Lesson 12": ("Module 3", "03 Module"),
    "Interim 1": ("Interim 1", "Interim 01"),
    "Interim No. 2": ("Interim 2", "Interim 02"),
    "Interim Assessment #2 (Units 3-4)": ("Interim 2", "Interim 02"),
    "IA 2 Math": ("Interim 2", "Interim 02"),
    "Interim 23-24": (None, None),
    "Benchmark 2": ("Benchmark 2", "Benchmark 02"),
    "Lesson 2.3": ("Lesson 2.3", "02.03 Lesson"),
    "Lesson 14": ("Lesson 14", "14 Lesson"),
    "Unit 3 Final": ("Unit 3", "03 Unit"),
    "Final Exam 2024": ("Final", "Z Final"),
    "Semester 2": ("Semester 2", "Semester 02"),
    "Trimester 3 Math": ("Trimester 3", "Trimester 03"),
    "Diagnostic 3": ("Diagnostic 3", "Diagnostic 03"),
    "Semester 1 Final": ("Semester 1 Final", "Semester 01 Final"),
    "Final draft": (None, None),
    "Finally": (None, None),
    "Mid-Term": ("Midterm", "Midterm"),
    "Topic 4": ("Topic 4", "04 Topic"),
    "Chapter 5": ("Chapter 5", "05 Chapter"),
    "Ch. 5 Test": ("Chapter 5", "05 Chapter"),
    "The molecule CH4": (None, None),
    "Quarter 1": ("Quarter 1", "Quarter 01"),
    "Q1 Reading": ("Quarter 1", "Quarter 01"),
    "2nd Quarter": ("Quarter 2", "Quarter 02"),
    "Q9": (None, None),
    "Week 6": ("Week 6", "06 Week"),
    "US 2 History": (None, None),
    "The UN 5 powers": (None, None),
    "I'm 3 years old": (None, None),
    "U3O8 is an oxide": (None, None),
    "Area of 2 m²": (None, None),
    "RL.3.1 and MS-LS1-4": (None, None),
}

SPELLINGS = {
    "Unit 2": [
        "UNIT 02",
        "Unit\u00a02",
        "\uff35\uff4e\uff49\uff54\u3000\uff12",
        "Unit \u0662",
        "Unit\u200b2",
        "Unit No.\u202f2",
        "Unit no. 2",
    ],
    "Unit 3": ["Unit\u20113", "Unit \u2014 3", "U3L1", "U3 L1", "U3\u2011L1", "U\uff13Q1"],
    "Units 1-2": [
        "Unit 1-2",
        "Unit 1\u20112",
        "Units 1\u20142",
        "Units 1 \u2212 2",
        "Units \uff11\uff0d\uff12",
        "Unit 1 & 2",
        "Units 01 to 02",
    ],
    "Module 1": [
        "M1L5",
        "M1 L5",
        "M1\u2011L5",
        "Mod. 1",
        "Module No. 1",
        "\uff2d\uff11\uff2c\uff15",
    ],
}


@pytest.mark.parametrize(("title", "kind"), KINDS.items())
def test_default_rules_know_the_kind_of_test(title, kind):
    assert label(title)["test_type"] == kind


@pytest.mark.parametrize(("title", "curriculum"), CURRICULA.items())
def test_default_rules_know_the_curriculum(title, curriculum):
    assert label(title)["curriculum"] == curriculum


@pytest.mark.parametrize(("title", "units"), UNITS.items())
def test_default_rules_know_the_unit_and_how_it_sorts(title, units):
    found = label(title)
    assert (found["unit"], found["unit_labels"]) == units


def test_every_default_rule_is_the_first_match_of_some_title():
    titles = frame(*KINDS, *CURRICULA, *UNITS)
    matched_by = label_assessments(titles, RULES, empty_overrides())["matched_by"].dropna()
    used = {int(line) for line in re.findall(r"line (\d+)", " ".join(matched_by))}
    assert used == {rule.line for rules in RULES.by_column.values() for rule in rules}


@pytest.mark.parametrize(
    ("unit", "title"), [(unit, title) for unit, titles in SPELLINGS.items() for title in titles]
)
def test_all_spellings_of_a_unit_get_one_label(unit, title):
    found, expected = label(title), label(unit)
    assert (found["unit"], found["unit_labels"]) == (unit, expected["unit_labels"])
    assert found["title"] == normalise_title(title)


def test_unit_labels_sort_in_the_order_of_teaching():
    """Units and modules of one number side by side, a range behind its first unit."""
    numbered = [f"{word} {number}" for number in range(1, 13) for word in ("Module", "Unit")]
    numbered.insert(2, "Units 1-2")
    assert numbered[:5] == ["Module 1", "Unit 1", "Units 1-2", "Module 2", "Unit 2"]
    in_order = [*numbered, *("Interim 1", "Interim 2", "Interim 10", "Midterm")]
    in_order += ["Quarter 2", "Semester 1 Final", "Semester 2 Final", "Final"]
    labels = label_assessments(frame(*in_order), RULES, empty_overrides())["unit_labels"].tolist()
    assert labels == sorted(set(labels))
    assert labels[1].startswith("01")
    assert labels[len(numbered) - 1].startswith("12")


@pytest.mark.parametrize("word", ["Unit", "Module", "Topic", "Chapter", "Interim", "Lesson"])
def test_unit_labels_sort_as_the_numbers_of_their_units_do(word):
    titles = frame(*(f"{word} {number}" for number in range(1, 100)))
    assert label_assessments(titles, RULES, empty_overrides())[
        "unit_labels"
    ].is_monotonic_increasing


@given(st.integers(1, 99), st.integers(1, 99))
def test_module_and_unit_are_read_together_whatever_their_numbers(module, unit):
    assert (
        label(f"Grade 4 M{module} U{unit}")["unit_labels"] == f"{module:02} Module {unit:02} Unit"
    )


@given(st.integers(1900, 2100), st.sampled_from(["Unit", "Module", "Interim", "Topic", "U", "M"]))
def test_a_year_is_never_the_number_of_a_unit(year, word):
    assert label(f"Math {word} {year}")["unit"] is None


# Titles and frames.


@given(st.text(st.characters() | st.sampled_from(WHITE_SPACE)))
def test_normal_titles_have_single_spaces_and_none_at_their_ends(text):
    assert re.fullmatch(r"(\S+( \S+)*)?", normalise_title(text))


@given(st.lists(st.text("abc-é1", min_size=1)), st.text(WHITE_SPACE, min_size=1))
def test_normalising_changes_nothing_but_white_space(words, gap):
    assert normalise_title(gap + gap.join(words) + gap) == " ".join(words)


@given(st.lists(st.none() | st.text(), max_size=5))
def test_any_titles_give_one_row_each_in_their_order(titles):
    given_ = frame(*titles)
    labels = label_assessments(given_, RULES, empty_overrides())
    assert list(labels.columns) == COLUMNS
    assert (labels.dtypes == "string").all()
    assert labels["assessment_id"].tolist() == given_["assessment_id"].tolist()
    expected = [normalise_title(title or "") or None for title in titles]
    assert [row["title"] for row in plain(labels)] == expected


@given(st.text(WHITE_SPACE, min_size=1))
def test_white_space_in_a_title_does_not_change_its_labels(gap):
    title = "Grade 4 Eureka Math Module 2 End of Module Assessment"
    assert label(title.replace(" ", gap)) == label(title)


@pytest.mark.parametrize("title", [None, "", " \xa0 "])
def test_a_title_without_text_has_no_labels_even_where_a_rule_takes_anything(rules_file, title):
    found = label(title, read_rules(rules_file("unit,.*,Unit 1")))
    assert {found[column] for column in COLUMNS[1:]} == {None}


def test_matched_by_names_the_line_of_every_label(rules_file):
    rules = read_rules(
        rules_file(
            "# Kinds", "test_type,quiz,assessment", "", r"unit,u(\d),Unit \1", "unit_labels,.+,Z"
        )
    )
    assert (
        label("Quiz U2", rules)["matched_by"]
        == "test_type: line 3; unit: line 5; unit_labels: line 6"
    )


def test_matched_by_is_null_where_nothing_matched():
    assert label("Something else")["matched_by"] is None


# Rules.


@given(st.permutations(["first", "second", "third"]))
def test_the_first_match_in_file_order_wins(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("rules") / "rules.csv"
    path.write_text("column,pattern,value\n" + "".join(f"unit,a,{value}\n" for value in order))
    assert label("a", read_rules(path))["unit"] == order[0]


CELL = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(
    st.lists(st.tuples(st.sampled_from(["test_type", "curriculum", "unit", "unit_labels"]), CELL))
)
def test_rules_are_read_as_they_were_written(tmp_path_factory, written):
    """Each finds the text that it was written for, dashes and full-width characters included."""
    path = tmp_path_factory.mktemp("rules") / "rules.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(column, re.escape(text), "value") for column, text in written]
        csv.writer(file).writerows([("column", "pattern", "value"), *rows])
    rules = [rule for rules in read_rules(path).by_column.values() for rule in rules]
    read = sorted((rule.line, rule.column) for rule in rules)
    assert read == [(line, column) for line, (column, _) in enumerate(written, start=2)]
    for rule in rules:
        column, text = written[rule.line - 2]
        found = TitleRules({column: (rule,)}).find(column, text)
        assert found == ("value", f"line {rule.line}")


@pytest.mark.parametrize(
    "pattern",
    ["Units? 1[\u2013\u2014]2", "1\\\u20132", "1\u20142", "\uff11-\uff12", "Unit\u00a01-2"],
)
def test_a_pattern_may_be_copied_from_a_title(rules_file, pattern):
    rules = read_rules(rules_file(f"unit,{pattern},Both"))
    assert [label(t, rules)["unit"] for t in ("Unit 1\u20132", "Unit 1-2")] == ["Both", "Both"]


@pytest.mark.parametrize("pattern", ["'=Unit 4", "^'=Unit 4", "^=Unit 4"])
def test_a_pattern_may_be_copied_with_the_apostrophe_of_a_csv(rules_file, pattern):
    assert label("=Unit 4 Quiz", read_rules(rules_file(f"unit,{pattern},Four")))["unit"] == "Four"


def test_labels_are_escaped_for_people_and_nulls_stay():
    labels = label_assessments(frame("=Unit 4", None, "a"), RULES, empty_overrides())
    assert [row["title"] for row in plain(escape(labels))] == ["'=Unit 4", None, "a"]


def test_a_single_digit_of_a_unit_label_gets_a_zero(rules_file):
    rules = read_rules(rules_file(r"unit,u(\d+)(-\d)?,\1\2", r"unit_labels,(.+),U\1"))
    labels = [label(title, rules)["unit_labels"] for title in ("u2", "u12", "u2-3", "u123")]
    assert labels == ["U02", "U12", "U02-03", "U123"]


def test_a_pattern_is_searched_anywhere_in_a_title_and_ignores_case(rules_file):
    assert label("The QUIZ of today", read_rules(rules_file("unit,quiz,Q")))["unit"] == "Q"


def test_a_pattern_for_unit_labels_must_match_the_whole_unit(rules_file):
    rules = read_rules(
        rules_file("unit,.+,Unit 12", "unit_labels,UNIT 1,no", "unit_labels,UNIT 12,yes")
    )
    assert label("any", rules)["unit_labels"] == "yes"


def test_a_value_may_use_numbered_and_named_groups(rules_file):
    rules = read_rules(rules_file(r"unit,u(\d)l(?P<lesson>\d),Unit \1 Lesson \g<lesson>"))
    assert label("U2L3", rules)["unit"] == "Unit 2 Lesson 3"


def test_an_optional_group_that_matched_nothing_is_left_out(rules_file):
    assert label("u2", read_rules(rules_file(r"unit,u(\d)(l\d)?,Unit \1 \2")))["unit"] == "Unit 2"


def test_a_rule_with_a_blank_result_leaves_the_title_to_the_next_rule(rules_file):
    rules = read_rules(rules_file(r"unit,a(b)?,\1", "unit,a,Second"))
    assert label("a", rules)["unit"] == "Second"


def test_rules_may_begin_with_a_byte_order_mark_and_end_lines_as_windows_does(tmp_path):
    path = tmp_path / "rules.csv"
    path.write_bytes(b"\xef\xbb\xbfcolumn,pattern,value\r\nunit,a,B\r\n")
    assert label("a", read_rules(path))["unit"] == "B"


def test_blank_lines_and_comments_of_a_spreadsheet_are_no_rules(rules_file):
    rules = read_rules(rules_file(",,", '"# one, two",,', '# an "open comment', "   ", "unit,a,B"))
    assert sum(map(len, rules.by_column.values())) == 1


BAD_RULES = {
    "units,a,b": '"units" is not a column that rules can fill',
    "unit,(,b": '"(" is not a regular expression (missing ), unterminated subpattern)',
    '"unit","a{99999999999999999999}",b': "is not a regular expression",
    r"unit,a,\1": r'the value "\1" does not fit its pattern (invalid group reference 1',
    r"unit,(?P<a>b),\g<c>": "does not fit its pattern (unknown group name 'c')",
    "unit,a,b\\": "does not fit its pattern",
    "unit,,b": "the pattern is empty",
    "unit,a, ": "the value is empty",
    "unit,a": "it has 2 cells where the header has 3",
    "unit,a{1,2},b": "it has 4 cells where the header has 3",
    'unit,"a,b': "it is not valid CSV",
}


@pytest.mark.parametrize(("line", "fault"), BAD_RULES.items())
def test_a_bad_rule_is_refused_with_its_line_and_fault(rules_file, line, fault):
    path = rules_file("# comment", "unit,good,one", "", line, "unit,good,two")
    with pytest.raises(
        InputFileError, match=r"^title_rules\.csv, line 5: .* the same command again\.$"
    ) as refusal:
        read_rules(path)
    assert fault in str(refusal.value)


def test_the_sentence_about_a_bad_rule_is_plain(rules_file):
    with pytest.raises(InputFileError) as refusal:
        read_rules(rules_file("unit,(,b"))
    assert str(refusal.value) == (
        'title_rules.csv, line 2: "(" is not a regular expression (missing ), unterminated '
        "subpattern). What was published before is unchanged. Fix the line, then run the same "
        "command again."
    )


@pytest.mark.parametrize(
    "header", ["column,pattern", "pattern,column,value", "a,b,c", "", "# only"]
)
def test_rules_without_their_header_are_refused(rules_file, header):
    with pytest.raises(InputFileError, match='the header must read "column,pattern,value"'):
        read_rules(rules_file(header=header))


READERS = pytest.mark.parametrize("read", [read_rules, read_overrides])


@READERS
def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path, read):
    path = tmp_path / "latin.csv"
    path.write_bytes(b"column,pattern,value\nunit,a,b\nunit,caf\xe9,b\n")
    with pytest.raises(InputFileError, match=r"latin\.csv, line 3: it is not UTF-8"):
        read(path)


@READERS
def test_a_file_that_is_not_there_is_refused(tmp_path, read):
    with pytest.raises(InputFileError, match=r"absent\.csv: it cannot be read \(No such file"):
        read(tmp_path / "absent.csv")


@READERS
def test_an_empty_file_is_refused(tmp_path, read):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputFileError, match=r"empty\.csv, line 1: the header must read"):
        read(tmp_path / "empty.csv")


# Overrides.


def test_overrides_are_text_but_for_the_grade_and_empty_cells_are_null(overrides_file):
    overrides = read_overrides(
        overrides_file("007,k,,Math,,,a typo", "007,,quiz,,,,", "8,-2,,,U,,")
    )
    assert list(overrides.columns) == OVERRIDE_HEADER.split(",")
    assert overrides.dtypes.astype(str).tolist() == ["string", "Int64", *["string"] * 5]
    assert [list(row.values()) for row in plain(overrides)] == [
        ["007", 0, None, "Math", None, None, "a typo"],
        ["007", None, "quiz", None, None, None, None],
        ["8", -2, None, None, "U", None, None],
    ]


@pytest.mark.parametrize(("spelling", "grade"), GRADES.items())
def test_an_override_knows_the_grades_of_the_roster(overrides_file, spelling, grade):
    overrides = read_overrides(overrides_file(f"1,{spelling.lower()},,Math,,,"))
    assert overrides["grade"].to_list() == [grade]


def test_empty_overrides_have_the_shape_of_a_file_without_lines(overrides_file):
    pd.testing.assert_frame_equal(empty_overrides(), read_overrides(overrides_file()))


BAD_OVERRIDES = {
    " ,,,Math,,,": "the assessment_id is empty",
    "2,13th,,Math,,,": '"13th" is not a grade',
    "2,15,,Math,,,": '"15" is not a grade',
    "2,-4,,Math,,,": '"-4" is not a grade (K, KG, PK, TK, or a whole number from -3 to 14)',
    "2,3.5,,Math,,,": '"3.5" is not a grade',
    "2,UG,,Math,,,": '"UG" is not a grade',
    "2,3,,,,,only a reason": "it changes nothing",
    "1,,,Science,,,": "it repeats the assessment and grade of line 2",
    "1,09,,Science,,,": "it repeats the assessment and grade of line 3",
    "2,3,,Math": "it has 4 cells where the header has 7",
    '2,3,,"Math,,,': "it is not valid CSV",
}


@pytest.mark.parametrize(("line", "fault"), BAD_OVERRIDES.items())
def test_a_bad_override_is_refused_with_its_line_and_fault(overrides_file, line, fault):
    path = overrides_file("1,,,Math,,,", "1,9,,Math,,,", line)
    with pytest.raises(
        InputFileError, match=r"^manual_changes\.csv, line 4: .* the same command again\.$"
    ) as refusal:
        read_overrides(path)
    assert fault in str(refusal.value)


@pytest.mark.parametrize(
    "header", [OVERRIDE_HEADER.removesuffix(",reason"), OVERRIDE_HEADER.replace("unit", "units")]
)
def test_overrides_with_a_missing_or_unknown_column_are_refused(overrides_file, header):
    with pytest.raises(InputFileError, match=rf'line 1: the header must read "{OVERRIDE_HEADER}"'):
        read_overrides(overrides_file(header=header))


def test_an_apostrophe_that_was_copied_from_a_csv_is_no_part_of_a_cell(overrides_file):
    overrides = read_overrides(overrides_file("'=1,,,'- a,'+b,'=Unit 4,", "2,,,'quoted',,,"))
    changed = [list(row.values()) for row in plain(overrides)]
    assert changed[0][:6] == ["=1", None, None, "- a", "+b", "=Unit 4"]
    assert changed[1][3] == "'quoted'"


def test_the_header_of_a_wrong_file_is_not_repeated(overrides_file):
    with pytest.raises(InputFileError) as refusal:
        read_overrides(overrides_file(header="900417,Ada,Example"))
    assert "Ada" not in str(refusal.value)


def overrides_of(*changes: dict) -> pd.DataFrame:
    return pd.DataFrame(list(changes), columns=OVERRIDE_HEADER.split(",")).astype(
        empty_overrides().dtypes
    )


FILLED = st.none() | st.sampled_from(["Other", "Unit 7", "Interim 3"])


@given(
    st.sampled_from([*CURRICULA, *UNITS]),
    st.fixed_dictionaries(dict.fromkeys(["test_type", "curriculum", "unit", "title"], FILLED)),
)
def test_a_filled_cell_wins_and_an_empty_one_leaves_what_was_derived(title, change):
    derived = label(title)
    labels = label(title, overrides=overrides_of({"assessment_id": "100", **change}))
    assert {name: labels[name] for name in change} == {
        name: value or derived[name] for name, value in change.items()
    }


def test_the_unit_label_follows_the_unit_of_an_override():
    overrides = overrides_of({"assessment_id": "100", "unit": "Module 4"})
    assert label("Unit 2", overrides=overrides)["unit_labels"] == "04 Module"


def test_labels_are_derived_from_the_title_as_sent_and_not_from_its_override():
    overrides = overrides_of({"assessment_id": "100", "title": "Unit 9"})
    found = label("Math Unit 2", overrides=overrides)
    assert (found["title"], found["unit"]) == ("Unit 9", "Unit 2")


def test_matched_by_names_overrides(rules_file):
    rules = read_rules(rules_file("test_type,quiz,assessment", "unit_labels,(.+),Z"))
    overrides = overrides_of(
        {"assessment_id": "100", "curriculum": "Math", "unit": "A", "title": "T"}
    )
    assert label("Quiz", rules, overrides)["matched_by"] == (
        "title: override; test_type: line 2; curriculum: override; unit: override; "
        "unit_labels: line 3"
    )


def test_an_override_touches_no_other_assessment():
    titles = frame("Math Unit 1", "Math Unit 1")
    labels = label_assessments(
        titles, RULES, overrides_of({"assessment_id": "101", "unit": "Final"})
    )
    assert labels["unit"].tolist() == ["Unit 1", "Final"]


def test_an_override_for_a_grade_leaves_the_labels_for_all_grades_alone():
    overrides = overrides_of({"assessment_id": "100", "grade": 3, "unit": "Unit 9"})
    assert label("Math Unit 2", overrides=overrides) == label("Math Unit 2")


def test_labels_by_grade_are_whole_rows_over_the_labels_for_all_grades():
    overrides = overrides_of(
        {"assessment_id": "100", "curriculum": "Zearn"},
        {"assessment_id": "100", "grade": 0, "unit": "Unit 9"},
        {"assessment_id": "100", "grade": 3, "title": "For three", "test_type": "checkpoint"},
        {"assessment_id": "999", "grade": 3, "unit": "Unit 1"},
    )
    labels = label_assessments(frame("Math  Unit 2 Quiz"), RULES, overrides)
    by_grade = label_by_grade(labels, RULES, overrides)
    assert [list(row.values()) for row in plain(by_grade)] == [
        ["100", 0, "Math Unit 2 Quiz", "assessment", "Zearn", "Unit 9", "09 Unit"],
        ["100", 3, "For three", "checkpoint", "Zearn", "Unit 2", "02 Unit"],
    ]


def test_labels_by_grade_keep_their_columns_when_there_are_none():
    labels = label_assessments(frame("Math"), RULES, empty_overrides())
    by_grade = label_by_grade(labels, RULES, empty_overrides())
    assert by_grade.dtypes.astype(str).to_dict() == {
        "assessment_id": "string", "grade": "Int64", "title": "string", "test_type": "string",
        "curriculum": "string", "unit": "string", "unit_labels": "string",
    }  # fmt: skip


# What is left to map.


def test_overrides_of_assessments_without_results_are_listed(rules_file):
    titles = pd.DataFrame([("1", "T")], columns=["assessment_id", "title"], dtype="string")
    overrides = overrides_of(
        {"assessment_id": "1", "unit": "U"},
        {"assessment_id": "1.0", "unit": "U"},
        {"assessment_id": "2", "grade": 0, "unit": "U"},
    )
    labels = label_assessments(titles, read_rules(rules_file()), overrides)
    assert list_unmatched(overrides, labels, {"1", "2", "3"}) == [
        {"assessment_id": "1.0", "grade": None, "is_listed": False},
        {"assessment_id": "2", "grade": 0, "is_listed": True},
    ]


def test_unmapped_are_those_without_curriculum_or_unit_by_descending_rows_then_id():
    titles = frame("Math Unit 1", "Math", "Unit 1", "Nothing", "Science")
    labels = label_assessments(titles, RULES, empty_overrides())
    left = list_unmapped(labels.iloc[::-1], {"100": 9, "101": 4, "103": 7, "104": 4})
    assert list(left.columns) == [
        "assessment_id",
        "title",
        "test_type",
        "curriculum",
        "unit",
        "rows",
    ]
    assert list(zip(left["assessment_id"], left["rows"], strict=True)) == [
        ("103", 7), ("101", 4), ("104", 4), ("102", 0)
    ]  # fmt: skip
    assert str(left["rows"].dtype) == "Int64"


def test_nothing_is_unmapped_where_there_is_nothing():
    labels = label_assessments(frame(), RULES, empty_overrides())
    assert list_unmapped(labels, {}).empty


def test_what_the_catalogue_does_not_list_is_marked():
    labels = pd.DataFrame({"assessment_id": ["7", "8"]}, dtype="string")
    assert mark_listed(labels, {"8": "Quiz"})["in_catalogue"].to_list() == ["f", "t"]
    assert mark_listed(labels[:0], {})["in_catalogue"].dtype == "string"
