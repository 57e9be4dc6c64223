"""Charts of the findings: Vega-Lite by altair, rendered to SVG without a browser.

Values are plotted as they are shown, rounded; the SVG contains nothing that the page does not say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from pipeline.report.aggregates import BANDS
from pipeline.report.disclosure import Share
from pipeline.report.findings import Cell, Point, Row, ScoreQuantiles, Standard
from pipeline.report.run_history import PastRun

INK, QUIET, GRID, SUPPRESSED = "#1d2733", "#5a6675", "#e3e7ec", "#eceff2"
ORANGE, BLUE, LIGHT_BLUE, GREY = "#c8641b", "#1f5f9c", "#9cc1e0", "#c3c9d1"
BAND_COLOURS = ("#a6490b", "#dd8434", "#f5c795", "#b4d0e7", "#5b97c9", "#164f86")
"""Orange below mastery, blue above: distinguishable with every kind of colour vision."""

_DARK_COLOURS = {BAND_COLOURS[0], BAND_COLOURS[4], BAND_COLOURS[5]}
_SCALE = ("#b9560f", "#eda763", "#f6ead9", LIGHT_BLUE, BLUE)
_YEAR_COLOURS = (GREY, "#9fb9d2", "#7fa8d0", "#e6a467", ORANGE, BLUE)
_YEAR_SHAPES = ("cross", "triangle-up", "square", "triangle-down", "diamond", "circle")
_FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
_WIDTH = 900
_LABELLED_FROM = 10
_LEGEND = alt.Legend(title=None, orient="top", columns=6, labelLimit=200, symbolSize=130)
_UPRIGHT = alt.Axis(labelAngle=0, domain=False)
_PALE = (15, 85)
"""Between these percentages the colours of a heat map are light enough for dark text."""


def runs(runs: Sequence[PastRun]) -> str:
    """Return a bar of the combined table's rows for each run."""
    values = [
        {
            "run": f"{run.finished} #{number}",
            "rows": run.rows or 0,
            "text": run.rows_text,
            "state": "complete" if run.is_complete else "not complete",
        }
        for number, run in enumerate(runs, 1)
    ]
    without_number = alt.Axis(labelExpr="split(datum.label, ' #')[0]")
    base = _chart(values).encode(
        y=alt.Y("run:O", sort=None, title="run ended (UTC)", axis=without_number),
        x=alt.X("rows:Q", title="rows in the combined table", axis=alt.Axis(tickCount=5)),
    )
    bars = base.mark_bar(height=14, cornerRadiusEnd=2).encode(
        color=_colours("state", ["complete", "not complete"], [BLUE, ORANGE])
    )
    return _svg(bars + _text_after_bar(base), "runs", 25 * len(values))


def bands(rows: Sequence[Row], name: str, unit: str) -> str:
    """Return a bar of 100 percent for each row, divided into its bands."""
    values = [value for row in rows for value in _band_values(row)]
    base = _chart(values).encode(y=_names("row", map(_with_size, rows), None))
    bars = base.mark_bar(height=20).encode(
        x=_percents("start", unit),
        x2="end:Q",
        color=_colours("band", BANDS, BAND_COLOURS),
    )
    text = (
        base.mark_text(fontSize=11)
        .encode(x="middle:Q", text="label:N", color=alt.Color("ink:N", scale=None))
        .transform_filter("datum.label != ''")
    )
    return _svg(bars + text, name, 27 * len(rows))


def _band_values(row: Row) -> Iterable[dict[str, object]]:
    end = 0.0
    for band, share, colour in zip(BANDS, row.shares, BAND_COLOURS, strict=True):
        start, end = end, end + share.plot_value
        yield {
            "row": _with_size(row),
            "band": band,
            "start": start,
            "end": end,
            "middle": (start + end) / 2,
            "label": share.text.replace(" ", "") if share.plot_value >= _LABELLED_FROM else "",
            "ink": "white" if colour in _DARK_COLOURS else INK,
        }


def cells(cells: Sequence[Cell], smallest: int) -> str:
    """Return a heat map of mastery by curriculum and grade."""
    values = [
        {"grade": cell.grade, "curriculum": cell.curriculum}
        | (_tile(cell.mastered) if cell.mastered else _grey_tile(smallest))
        for cell in cells
    ]
    grades = list(dict.fromkeys(cell.grade for cell in cells))
    curricula = sorted({cell.curriculum for cell in cells})
    x = alt.X("grade:N", sort=grades, title="grade", axis=_UPRIGHT)
    base = _chart(values).encode(x=x, y=_names("curriculum", curricula, None))
    return _svg(_heat_map(base, "students who mastered (%)"), "cells", 30 * len(curricula))


def standards(standards: Sequence[Standard]) -> str:
    """Return a heat map of the standards that the fewest students of each grade mastered."""
    values = [
        {"grade": each.grade, "rank": "lowest" if each.rank == 1 else f"{each.rank}."}
        | _tile(each.mastered, _short_code(each.code))
        for each in standards
    ]
    grades = list(dict.fromkeys(each.grade for each in standards))
    x = alt.X("rank:N", sort=None, title="standards of the grade, lowest first", axis=_UPRIGHT)
    base = _chart(values).encode(x=x, y=_names("grade", grades, "grade"))
    return _svg(_heat_map(base, "students who mastered it (%)"), "standards", 32 * len(grades))


def years(points: Sequence[Point]) -> str:
    """Return a dot of mastery for each school year of a curriculum."""
    values = [
        {"curriculum": point.curriculum, "year": point.year, "share": point.mastered.plot_value}
        for point in points
    ]
    known = sorted({point.year for point in points})
    curricula = sorted({point.curriculum for point in points})
    shapes = alt.Scale(domain=known, range=_YEAR_SHAPES[-len(known) :])
    base = _chart(values).encode(
        x=_percents("share", "latest results that were mastered (%)"),
        y=_names("curriculum", curricula, None),
    )
    line = base.mark_line(color=GREY, strokeWidth=3).encode(detail="curriculum:N", order="year:O")
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        color=_colours("year", known, _YEAR_COLOURS[-len(known) :]),
        shape=alt.Shape("year:N", sort=known, scale=shapes, legend=_LEGEND),
    )
    return _svg(line + dots, "years", 26 * len(curricula))


def coverage(rows: Sequence[Row]) -> str:
    """Return a bar for each grade: the share of rostered students with a result."""
    values = [
        {"row": _with_size(row), "share": row.shares[0].plot_value, "text": row.shares[0].text}
        for row in rows
    ]
    base = _chart(values).encode(
        y=_names("row", map(_with_size, rows), "grade (students on the roster)"),
        x=_percents("share", "students on the roster with a result that is shown (%)"),
    )
    bars = base.mark_bar(height=16, color=BLUE, cornerRadiusEnd=2)
    return _svg(bars + _text_after_bar(base), "coverage", 25 * len(rows))


def scores(rows: Sequence[ScoreQuantiles]) -> str:
    """Return a box plot of each grade's score quantiles."""
    names = ("p10", "p25", "p50", "p75", "p90")
    values = [
        {"row": _with_size(row), **dict(zip(names, row.percents, strict=True))} for row in rows
    ]
    base = _chart(values).encode(y=_names("row", map(_with_size, rows), "grade (students)"))
    outer = base.transform_filter("isValid(datum.p10)").mark_rule(color=QUIET, strokeWidth=2)
    inner = base.transform_filter("isValid(datum.p25)").mark_bar(height=14, color=LIGHT_BLUE)
    median = base.encode(x="p50:Q")
    layers = (
        outer.encode(x=_percents("p10", "score (% correct)"), x2="p90:Q")
        + inner.encode(x="p25:Q", x2="p75:Q")
        + median.mark_tick(color=INK, thickness=3, size=18)
        + median.mark_text(dy=-14, fontSize=10, color=INK).encode(text="p50:Q")
    )
    return _svg(layers, "scores", 34 * len(values))


def _short_code(code: str) -> str:
    """Return a standard's code without the prefix that all of its kind share."""
    return re.sub(r"^CCSS\.(Math\.Content|ELA-Literacy)\.", "", code)


def _chart(values: Sequence[Mapping[str, object]]) -> Any:  # noqa: ANN401  altair's
    return alt.Chart(alt.InlineData(values=values))


def _percents(field: str, title: str) -> alt.X:
    axis = alt.Axis(values=[0, 20, 40, 60, 80, 100], format="d")
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 100]), axis=axis)


def _names(field: str, order: Iterable[str], title: str | None) -> alt.Y:
    return alt.Y(f"{field}:N", sort=list(order), title=title, axis=alt.Axis(labelLimit=260))


def _colours(field: str, names: Sequence[str], colours: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=colours)
    return alt.Color(f"{field}:N", sort=list(names), scale=scale, legend=_LEGEND)


def _text_after_bar(base: Any) -> Any:  # noqa: ANN401  altair's
    return base.mark_text(align="left", dx=6, color=INK).encode(text="text:N")


def _heat_map(base: Any, title: str) -> Any:  # noqa: ANN401  altair's
    rect = base.mark_rect(stroke="white", strokeWidth=2)
    suppressed = base.mark_rect(stroke="white", strokeWidth=2, color=SUPPRESSED)
    colour = alt.Color(
        "share:Q",
        title=title,
        scale=alt.Scale(domain=[0, 25, 50, 75, 100], range=list(_SCALE), interpolate="rgb"),
        legend=alt.Legend(orient="top", gradientLength=260, gradientThickness=10, titleLimit=300),
    )
    layers = (
        suppressed.transform_filter("!isValid(datum.share)")
        + rect.transform_filter("isValid(datum.share)").encode(color=colour)
        + base.mark_text(fontSize=11).encode(text="label:N", color=alt.Color("ink:N", scale=None))
    )
    return layers.resolve_scale(color="independent")


def _with_size(row: Row | ScoreQuantiles) -> str:
    return f"{row.name} (n≈{row.students:,})"


def _tile(share: Share, name: str = "") -> dict[str, object]:
    """Return the values of a heat map's tile: its colour, its label and the label's colour."""
    text = share.text.replace("under ", "<").replace("over ", ">").replace(" or more", "+")
    ink = INK if _PALE[0] <= share.plot_value <= _PALE[1] else "white"
    return {"share": share.plot_value, "label": f"{text}  {name}" if name else text, "ink": ink}


def _grey_tile(smallest: int) -> dict[str, object]:
    return {"share": None, "label": f"n<{smallest}", "ink": QUIET}


def _svg(chart: Any, name: str, height: int) -> str:  # noqa: ANN401  altair's
    """Return a chart as SVG; `name` keeps its ids apart from those of the page's other charts."""
    labels = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": INK, "titleColor": QUIET}
    fonts = {**labels, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    spec = chart.properties(width=_WIDTH, height=max(height, 40)).to_dict()
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec["config"] = {
        "background": "transparent",
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {**fonts, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID},
        "axisY": {"grid": False, "ticks": False, "domain": False, "labelPadding": 8},
        "legend": {**fonts, "symbolType": "square"},
        "text": {"font": _FONT, "fontSize": 12},
    }
    svg = str(vl_convert.vegalite_to_svg(spec))
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return svg.replace("url(#", f"url(#{name}-")
