"""The pages: findings, run history and charts in HTML files that load nothing."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2

from pipeline.report import charts, drawing, sections
from pipeline.report.findings import Findings, Sources, find
from pipeline.report.run_history import RunHistory
from pipeline.report.sections import Section

_HERE = Path(__file__).parent
_NAMED = 10


@dataclass(frozen=True)
class About:
    """Which tables a page is about, and whose results: a school's, or if empty all."""

    year: str
    as_of: str
    fetched_on: str
    run: str
    made_at: str
    is_made_up: bool
    school: str = ""


@dataclass(frozen=True)
class Page:
    """A page before its charts are drawn; `history` only where it says something of the data."""

    about: About
    findings: Findings
    sections: Sequence[Section]
    history: RunHistory | None = None


def all_pages(
    about: About, sources: Sources, history: RunHistory, hrefs: Mapping[str, str]
) -> list[Page]:
    """Return the page of a school year, then that of each school, by name.

    `hrefs` has the addresses of the schools' pages, as seen from the year's.
    """
    pages = [year_page(about, find(sources), history, hrefs)]
    for school in sources.schools:
        found = find(sources.of_school(school))
        pages.append(Page(replace(about, school=school), found, sections.of_school(found)))
    return pages


def year_page(
    about: About, findings: Findings, history: RunHistory, hrefs: Mapping[str, str]
) -> Page:
    """Return the page of a school year."""
    return Page(about, findings, sections.of_year(findings, hrefs), history)


def render(pages: Sequence[Page]) -> tuple[list[str], int]:
    """Return the HTML of each page, and how many charts are lost: tables are in their place."""
    drawn = [section for page in pages for section in page.sections if section.specs]
    svgs = iter(drawing.draw([spec for section in drawn for spec in section.specs]))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template, lost, html = environment.get_template("page.html.j2"), 0, []
    for page in pages:
        shown = {section.name: _chart(section, svgs) for section in page.sections if section.specs}
        lost += sum(not forms for forms in shown.values())
        html.append(template.render(_context(page), charts=shown))
    return html, lost


def _chart(section: Section, svgs: Iterator[str | None]) -> list[str]:
    """Return the forms of a section's chart; none if one of them is lost."""
    forms = list(islice(svgs, len(section.specs)))
    return [
        charts.finish(svg, f"{section.name}-{number}")
        for number, svg in enumerate(forms)
        if svg and all(forms)
    ]


def _context(page: Page) -> dict[str, Any]:
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "about": page.about,
        "facts": sections.facts(page.findings),
        "findings": page.findings,
        "history": page.history,
        "sections": page.sections,
        "unmapped": [[title] for title in page.findings.unmapped],
        "unlisted": _first(page.findings.unlisted),
        "script": script,
        "script_digest": digest,
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
    }


def _first(names: Sequence[str]) -> list[list[str]]:
    """Return a row of each of some names, and how many there are beside them."""
    more = [[f"and {len(names) - _NAMED:,} more"]] if len(names) > _NAMED else []
    return [*([name] for name in names[:_NAMED]), *more]
