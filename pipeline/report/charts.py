"""Findings as charts: Vega-Lite by altair, drawn to SVG without a browser.

Values are drawn as they are shown, rounded; the SVG holds nothing that the page does not say.
"""

import re
from collections.abc import Sequence
from typing import Any

from pipeline.report.aggregates import BANDS
from pipeline.report.findings import Cell, Point, Row, Spread, Standard
from pipeline.report.load import Load

INK, QUIET, GRID, HIDDEN = "#1d2733", "#5a6675", "#e3e7ec", "#eceff2"
ORANGE, BLUE = "#c8641b", "#1f5f9c"
BAND_COLOURS = ("#a6490b", "#dd8434", "#f5c795", "#b4d0e7", "#5b97c9", "#164f86")
"""Orange below the bar, blue above it: told apart by all kinds of colour vision."""

_ON_DARK = {BAND_COLOURS[0], BAND_COLOURS[4], BAND_COLOURS[5]}
_SCALE = ("#b9560f", "#eda763", "#f6ead9", "#9cc1e0", "#1f5f9c")
_FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
_WIDTH = 900
_LABELLED_FROM = 10
_PALE = (15, 85)
"""Between these the colours of a heat map are light enough for dark text."""


def loads(loads: Sequence[Load]) -> str:
    """Rows of the combined table after each run."""
    alt = _altair()
    values = [
        {
            "run": f"{load.finished} #{number}",
            "rows": load.rows or 0,
            "told": load.rows_told,
            "state": "complete" if load.is_entire else "not complete",
        }
        for number, load in enumerate(loads, 1)
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("run:O", sort=None, title="run, ended at (UTC)", axis=_without_number()),
        x=alt.X("rows:Q", title="rows in the combined table", axis=alt.Axis(tickCount=5)),
    )
    bars = base.mark_bar(height=14, cornerRadiusEnd=2).encode(
        color=alt.Color(
            "state:N",
            scale=alt.Scale(domain=["complete", "not complete"], range=[BLUE, ORANGE]),
            legend=alt.Legend(title=None, orient="top"),
        )
    )
    text = base.mark_text(align="left", dx=6, color=INK).encode(text="told:N")
    return _svg(bars + text, "loads", 25 * len(values))


def bands(rows: Sequence[Row], name: str, unit: str) -> str:
    """Bands of each row as a bar of 100 per cent."""
    alt = _altair()
    values, labels = [], [_with_size(row) for row in rows]
    for row, label in zip(rows, labels, strict=True):
        end = 0.0
        for band, share, colour in zip(BANDS, row.shares, BAND_COLOURS, strict=True):
            start, end = end, end + share.drawn
            values.append(
                {
                    "row": label,
                    "band": band,
                    "start": start,
                    "end": end,
                    "middle": (start + end) / 2,
                    "label": share.text.replace(" ", "") if share.drawn >= _LABELLED_FROM else "",
                    "ink": "white" if colour in _ON_DARK else INK,
                }
            )
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("row:N", sort=labels, title=None, axis=alt.Axis(labelLimit=260))
    )
    bars = base.mark_bar(height=20).encode(
        x=alt.X("start:Q", title=unit, scale=alt.Scale(domain=[0, 100]), axis=_per_cent()),
        x2="end:Q",
        color=alt.Color(
            "band:N",
            sort=list(BANDS),
            scale=alt.Scale(domain=list(BANDS), range=list(BAND_COLOURS)),
            legend=alt.Legend(title=None, orient="top", columns=6, labelLimit=200, symbolSize=130),
        ),
    )
    text = (
        base.mark_text(fontSize=11)
        .encode(x="middle:Q", text="label:N", color=alt.Color("ink:N", scale=None))
        .transform_filter("datum.label != ''")
    )
    return _svg(bars + text, name, 27 * len(rows))


def cells(cells: Sequence[Cell], smallest: int) -> str:
    """Who met the bar, by curriculum and grade."""
    alt = _altair()
    values = [
        {
            "grade": cell.grade,
            "curriculum": cell.curriculum,
            "share": cell.met.drawn if cell.met else None,
            "label": _short(cell.met.text) if cell.met else f"n<{smallest}",
            "ink": _ink(cell.met.drawn) if cell.met else QUIET,
        }
        for cell in cells
    ]
    grades = list(dict.fromkeys(cell.grade for cell in cells))
    curricula = sorted({cell.curriculum for cell in cells})
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("grade:N", sort=grades, title="grade", axis=_upright()),
        y=alt.Y("curriculum:N", sort=curricula, title=None, axis=alt.Axis(labelLimit=200)),
    )
    return _svg(_heat(base, "students who met the bar (%)"), "cells", 30 * len(curricula))


def standards(standards: Sequence[Standard]) -> str:
    """The standards of each grade that the fewest students mastered."""
    alt = _altair()
    values = [
        {
            "grade": each.grade,
            "rank": "lowest" if each.rank == 1 else f"{each.rank}.",
            "share": each.mastered.drawn,
            "label": f"{_short(each.mastered.text)}  {short_code(each.code)}",
            "ink": _ink(each.mastered.drawn),
        }
        for each in standards
    ]
    grades = list(dict.fromkeys(each.grade for each in standards))
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("rank:N", sort=None, title="standards of the grade, lowest first", axis=_upright()),
        y=alt.Y("grade:N", sort=grades, title="grade"),
    )
    return _svg(_heat(base, "students who mastered it (%)"), "standards", 32 * len(grades))


def years(points: Sequence[Point]) -> str:
    """Who met the bar in each curriculum, a dot for each school year."""
    alt = _altair()
    values = [
        {"curriculum": point.curriculum, "year": point.year, "share": point.met.drawn}
        for point in points
    ]
    known = sorted({point.year for point in points})
    curricula = list(dict.fromkeys(point.curriculum for point in points))
    tones = ["#c3c9d1", "#9fb9d2", "#7fa8d0", "#e6a467", ORANGE, BLUE][-len(known) :]
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("curriculum:N", sort=sorted(curricula), title=None, axis=alt.Axis(labelLimit=200))
    )
    share = alt.X(
        "share:Q",
        title="latest results that met the bar (%)",
        scale=alt.Scale(domain=[0, 100]),
        axis=_per_cent(),
    )
    line = base.mark_line(color="#c3c9d1", strokeWidth=3).encode(
        x=share, detail="curriculum:N", order="year:O"
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        x=share,
        color=alt.Color(
            "year:N",
            scale=alt.Scale(domain=known, range=tones),
            legend=alt.Legend(title=None, orient="top"),
        ),
        shape=alt.Shape(
            "year:N",
            scale=alt.Scale(
                domain=known,
                range=["cross", "triangle-up", "square", "triangle-down", "diamond", "circle"][
                    -len(known) :
                ],
            ),
            legend=alt.Legend(title=None, orient="top"),
        ),
    )
    return _svg(line + dots, "years", 26 * len(curricula))


def coverage(rows: Sequence[Row]) -> str:
    """Which share of the students of the roster has a result, by grade."""
    alt = _altair()
    labels = [_with_size(row) for row in rows]
    values = [
        {"row": label, "share": row.shares[0].drawn, "label": row.shares[0].text}
        for row, label in zip(rows, labels, strict=True)
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("row:N", sort=labels, title="grade (students on the roster)"),
        x=alt.X(
            "share:Q",
            title="students on the roster with a result that is shown (%)",
            scale=alt.Scale(domain=[0, 100]),
            axis=_per_cent(),
        ),
    )
    bars = base.mark_bar(height=16, color=BLUE, cornerRadiusEnd=2)
    text = base.mark_text(align="left", dx=6, color=INK).encode(text="label:N")
    return _svg(bars + text, "coverage", 25 * len(rows))


def spread(rows: Sequence[Spread]) -> str:
    """The tenth, the quarter, the half and so on of the scores of each grade."""
    alt = _altair()
    names = ("p10", "p25", "p50", "p75", "p90")
    values = [
        {"row": f"{row.grade} (n≈{row.students:,})", **dict(zip(names, row.at, strict=True))}
        for row in rows
        if row.at[2] is not None
    ]
    axis = alt.X(
        "p10:Q", title="score (% correct)", scale=alt.Scale(domain=[0, 100]), axis=_per_cent()
    )
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("row:N", sort=[each["row"] for each in values], title="grade (students)")
    )
    outer = base.transform_filter("isValid(datum.p10)").mark_rule(color=QUIET, strokeWidth=2)
    inner = base.transform_filter("isValid(datum.p25)").mark_bar(height=14, color="#9cc1e0")
    half = base.mark_tick(color=INK, thickness=3, size=18).encode(x="p50:Q")
    text = base.mark_text(dy=-14, fontSize=10, color=INK).encode(x="p50:Q", text="p50:Q")
    layers = outer.encode(x=axis, x2="p90:Q") + inner.encode(x="p25:Q", x2="p75:Q") + half + text
    return _svg(layers, "spread", 34 * len(values))


def short_code(code: str) -> str:
    """A standard's code without what all of its kind begin with."""
    return re.sub(r"^CCSS\.(Math\.Content|ELA-Literacy)\.", "", code)


def _heat(base: Any, title: str) -> Any:  # noqa: ANN401  altair's
    alt = _altair()
    known = base.transform_filter("isValid(datum.share)").mark_rect(stroke="white", strokeWidth=2)
    hidden = base.transform_filter("!isValid(datum.share)").mark_rect(
        stroke="white", strokeWidth=2, color=HIDDEN
    )
    colour = alt.Color(
        "share:Q",
        title=title,
        scale=alt.Scale(domain=[0, 25, 50, 75, 100], range=list(_SCALE), interpolate="rgb"),
        legend=alt.Legend(orient="top", gradientLength=260, gradientThickness=10, titleLimit=300),
    )
    text = base.mark_text(fontSize=11).encode(text="label:N", color=alt.Color("ink:N", scale=None))
    return (hidden + known.encode(color=colour) + text).resolve_scale(color="independent")


def _with_size(row: Row) -> str:
    return f"{row.name} (n≈{row.students:,})"


def _short(text: str) -> str:
    return text.replace("under ", "<").replace("over ", ">").replace(" or more", "+")


def _ink(share: float) -> str:
    return INK if _PALE[0] <= share <= _PALE[1] else "white"


def _per_cent() -> Any:  # noqa: ANN401  altair's
    return _altair().Axis(values=[0, 20, 40, 60, 80, 100], format="d")


def _upright() -> Any:  # noqa: ANN401  altair's
    return _altair().Axis(labelAngle=0, domain=False)


def _without_number() -> Any:  # noqa: ANN401  altair's
    return _altair().Axis(labelExpr="split(datum.label, ' #')[0]")


def _altair() -> Any:  # noqa: ANN401  a heavy library, loaded when a page is made
    import altair

    return altair


def _svg(chart: Any, name: str, height: int) -> str:  # noqa: ANN401  altair's
    """Draw a chart; `name` keeps its ids apart from those of other charts on the page."""
    import vl_convert

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
