"""The pages of a year and of its schools: what is on them, in which order, and without charts."""

import re
from pathlib import Path

import pytest

from pipeline.report import drawing, page
from pipeline.report.charts import Movement
from pipeline.report.disclosure import Share
from pipeline.report.findings import Sources
from pipeline.report.movement import signed
from tests.unit.report.test_suppression import ABOUT, NO_RUNS, results, sources_of, view

ORDER = ["curricula", "grades", "cells", "years", "assessments", "units", "standards", "schools"]


def units(levels: list[int], unit: int) -> list[dict[str, object]]:
    """Return results of a unit at two schools: all levels at one, and half of them at the other."""
    return [
        {
            **row,
            "assessment_id": f"{unit}",
            "unit": f"Unit {unit}",
            "unit_labels": f"0{unit} Unit",
            "title": f"Math Unit {unit}",
            "school": "Lincoln" if number % 3 else "St. Mary's <Élémentaire>",
        }
        for row in results({"Math": levels})
        for number in [int(str(row["local_student_id"]).split()[0].removeprefix("Math"))]
    ]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    rows = [*units([1] * 36, 1), *units([1, 4, 5] * 12, 2)]
    return sources_of(view(tmp_path_factory.mktemp("views"), "view", rows))


def html_of(sources: Sources) -> list[str]:
    hrefs = {"Lincoln": "23-24/lincoln.html"}
    html, _ = page.render(page.all_pages(ABOUT, sources, NO_RUNS, hrefs))
    return html


def test_a_chart_that_is_lost_is_replaced_by_its_table(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "draw", lambda specs: [None] * len(specs))
    pages = page.all_pages(ABOUT, sources, NO_RUNS, {})
    html, lost = page.render(pages)
    charts = [section for each in pages for section in each.sections if section.specs]
    assert lost == len(charts) > 10
    for text in html:
        assert "<svg" not in text
        assert "<details>" not in text
    assert sum(text.count("The chart could not be drawn") for text in html) == lost


def test_if_one_form_of_a_chart_is_lost_so_is_the_other(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "draw", lambda specs: ["<svg/>"] * (len(specs) - 1) + [None])
    html, lost = page.render(page.all_pages(ABOUT, sources, NO_RUNS, {}))
    assert lost == 1
    assert html[-1].count("<svg/>") % 2 == 0


@pytest.fixture(scope="module")
def pages(sources: Sources) -> list[str]:
    return html_of(sources)


def test_the_year_comes_first_and_the_data_last(pages: list[str]) -> None:
    assert re.findall(r'<section id="(\w+)">', pages[0]) == [*ORDER, "data"]
    assert pages[0].index('class="facts"') < pages[0].index("<section")


def test_each_school_has_a_page_with_its_own_results(pages: list[str]) -> None:
    year, lincoln, mary = pages
    assert '<a href="23-24/lincoln.html">Lincoln</a>' in year
    for text, name in ((lincoln, "Lincoln"), (mary, "St. Mary&#39;s &lt;Élémentaire&gt;")):
        assert f"<h1>{name}</h1>" in text
        assert '<a href="../23-24.html">All schools</a>' in text
        assert re.findall(r'<section id="(\w+)">', text) == ORDER[:-1]
    assert "about 40 results" in lincoln
    assert "about 20 results" in mary
    assert "about 60 results" in year


def test_each_chart_has_two_forms_and_tooltips(pages: list[str]) -> None:
    for text in pages:
        charts = re.findall(r'<figure class="chart".*?</figure>', text, re.DOTALL)
        assert charts
        for chart in charts:
            assert [chart.count(f'<div class="{form}"><svg') for form in ("wide", "narrow")] == [
                1,
                1,
            ]
            assert "<title>" in chart
            assert "font-family" not in chart
    ids = re.findall(r'\bid="([^"]+)"', pages[0])
    assert len(ids) == len(set(ids))


def test_changes_have_a_sign(pages: list[str]) -> None:
    assert [signed(points) for points in (3, -3, 0)] == ["+3", "\N{MINUS SIGN}3", "±0"]
    assert Movement("a", Share("40 %", 40.0), Share("55 %", 55.4)).points == 15
    assert re.search(r"<dt>\+\d+</dt><dd>percentage points from the unit before", pages[0])


def test_a_page_loads_nothing_and_runs_no_script_but_its_own(pages: list[str]) -> None:
    script = Path(page.__file__).with_name("page.js").read_text(encoding="utf-8")
    for text in pages:
        assert "default-src 'none'" in text
        assert text.count("<script") == 1
        assert script in text
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
