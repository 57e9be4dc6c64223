"""Charts of the findings in Vega-Lite, each in a wide form and in a narrow one for phones.

Values are plotted as they are shown, rounded; a chart contains nothing that its table does not say.
Orange is below mastery, or falling; blue is mastered, or rising.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pipeline.report.disclosure import Share
from pipeline.report.findings import Cell, Row
from pipeline.report.groups import BANDS
from pipeline.report.movement import signed

INK, QUIET, GRID, START = "#1d2733", "#5a6675", "#e3e7ec", "#9aa5b1"
ORANGE, BLUE = "#b9560f", "#1f5f9c"
BAND_COLOURS = ("#a6490b", "#dd8434", "#f5c795", "#b4d0e7", "#5b97c9", "#164f86")
"""Distinguishable with every kind of colour vision."""

_DARK_COLOURS = {BAND_COLOURS[0], BAND_COLOURS[4], BAND_COLOURS[5]}
_SCALE = (ORANGE, "#eda763", "#f6ead9", "#9cc1e0", BLUE)
_PALE = (15, 85)
"""Between these percentages the colours of a heat map are light enough for dark text."""

_ABOVE = {"baseline": "bottom", "dy": -15}
_ROOM_FOR_CHANGE = 45
_ROOM_FOR_NOTES = 210

Spec = dict[str, Any]
Values = Sequence[Mapping[str, object]]
Chart = Any
"""A chart of altair's, which has no type for what layers and single charts share."""


@dataclass(frozen=True)
class Form:
    """The measures of a chart; without a margin, the names of its rows are above them."""

    width: int
    margin: int
    label_from: int
    """The smallest percentage whose part of a bar has room for a number."""


FORMS = (Form(760, margin=270, label_from=6), Form(340, margin=0, label_from=9))


@dataclass(frozen=True)
class Movement:
    """A share before and after, and a note on when that was."""

    name: str
    before: Share
    after: Share
    note: str = ""

    @property
    def points(self) -> int:
        """Return the change in percentage points."""
        return round(self.after.value) - round(self.before.value)


def bands(rows: Sequence[Row]) -> list[Spec]:
    """Return a bar of 100 percent for each row, divided into its bands."""

    def draw(form: Form) -> Spec:
        values = [value for row in rows for value in _band_values(row, form)]
        base = _rows(values)
        bars = base.mark_bar(height=24).encode(
            x=_percents("start", form),
            x2="end:Q",
            color=alt.Color("colour:N", scale=None),
            description="description:N",
        )
        numbers = base.mark_text(fontSize=12).encode(
            x="middle:Q", text="label:N", color=alt.Color("ink:N", scale=None)
        )
        shares = _rows([{"row": row.name, "share": row.total.mastered.short} for row in rows])
        place = {"baseline": "middle"} if form.margin else _ABOVE
        share = shares.mark_text(align="right", fontSize=13, fontWeight=600, color=INK, **place)
        x = alt.value(form.margin - 12 if form.margin else form.width)
        chart = bars + numbers.transform_filter("datum.label != ''")
        return _spec(chart + share.encode(x=x, text="share:N"), form, values, 34)

    return list(map(draw, FORMS))


def _band_values(row: Row, form: Form) -> Iterable[dict[str, object]]:
    end = 0.0
    for band, percent, colour in zip(BANDS, row.total.bands, BAND_COLOURS, strict=True):
        start, end = end, end + percent
        yield {
            "row": row.name,
            "start": start,
            "end": end,
            "middle": (start + end) / 2,
            "colour": colour,
            "label": f"{percent:.0f}" if percent >= form.label_from else "",
            "ink": "white" if colour in _DARK_COLOURS else INK,
            "description": f"{row.name}, {band}: {percent:.0f} %",
        }


def cells(cells: Sequence[Cell], curricula: Sequence[str]) -> list[Spec]:
    """Return a heat map of mastery by curriculum, in this order, and grade."""
    grades = list(dict.fromkeys(cell.grade for cell in cells))
    in_order = sorted(cells, key=lambda cell: curricula.index(cell.curriculum))
    values = [
        {"row": cell.curriculum, "grade": cell.grade, **_tile(cell.total.mastered)}
        | {"description": f"{cell.curriculum}, grade {cell.grade}: {cell.total.mastered.text}"}
        for cell in in_order
    ]

    def draw(form: Form) -> Spec:
        offset = 0 if form.margin else 8  # above the name of the first row
        axis = alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False, offset=offset)
        scale = alt.Scale(range=[form.margin, form.width])
        x = alt.X("grade:N", sort=grades, title=None, axis=axis, scale=scale)
        base = _rows(values).encode(x=x)
        colours = alt.Scale(domain=[0, 25, 50, 75, 100], range=list(_SCALE), interpolate="rgb")
        tiles = base.mark_rect(stroke="white", strokeWidth=2, height=28).encode(
            color=alt.Color("share:Q", scale=colours, legend=None), description="description:N"
        )
        numbers = base.mark_text(fontSize=12).encode(
            text="label:N", color=alt.Color("ink:N", scale=None)
        )
        return _spec((tiles + numbers).resolve_scale(color="independent"), form, values, 30)

    return list(map(draw, FORMS))


def _tile(share: Share) -> dict[str, object]:
    ink = INK if _PALE[0] <= share.value <= _PALE[1] else "white"
    return {"share": share.value, "label": share.short, "ink": ink}


def movements(rows: Sequence[Movement]) -> list[Spec]:
    """Return a line from one share to another for each row, and the change with its sign."""
    has_notes = any(row.note for row in rows)

    def draw(form: Form) -> Spec:
        values = [_movement_values(row, form) for row in rows]
        colour = alt.Color("colour:N", scale=None)
        base = _rows(values).encode(color=colour, description="description:N")
        room = _ROOM_FOR_NOTES if form.margin and has_notes else _ROOM_FOR_CHANGE
        x = _percents("before", form, "results mastered (%)", room)
        line = base.mark_rule(strokeWidth=3).encode(x=x, x2="after:Q")
        start = base.mark_point(filled=True, size=50).encode(x="before:Q", color=alt.value(START))
        end = base.mark_point(filled=True, size=120, opacity=1).encode(x="after:Q")
        change = base.mark_text(align="left", dx=10, fontWeight=600)
        chart = line + start + end + change.encode(x="right:Q", text="label:N")
        if room == _ROOM_FOR_NOTES:
            note = base.mark_text(align="left", limit=room - _ROOM_FOR_CHANGE)
            place = alt.value(form.width - room + _ROOM_FOR_CHANGE)
            chart += note.encode(x=place, text="note:N", color=alt.value(QUIET))
        return _spec(chart, form, values, 28)

    return list(map(draw, FORMS))


def _movement_values(row: Movement, form: Form) -> dict[str, object]:
    before, after = round(row.before.value), round(row.after.value)
    change = signed(row.points)
    colour = BLUE if row.points > 0 else ORANGE if row.points < 0 else QUIET
    return {
        "row": row.name if form.margin or not row.note else f"{row.name}: {row.note}",
        "note": row.note,
        "before": before,
        "after": after,
        "right": max(before, after),
        "label": change,
        "colour": colour,
        "description": f"{row.name}, {row.note or 'since the year before'}: "
        f"from {before} % to {after} %, {change}",
    }


def _rows(values: Values) -> Chart:
    y = alt.Y("row:N", sort=None, axis=None)
    return alt.Chart(alt.InlineData(values=values)).encode(y=y)


def _percents(field: str, form: Form, title: str | None = None, room: int = 0) -> alt.X:
    """Return the axis of percentages, with some room behind it."""
    axis = alt.Axis(values=[0, 25, 50, 75, 100], format="d", tickCount=5) if title else None
    scale = alt.Scale(domain=[0, 100], range=[form.margin, form.width - room])
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def _spec(chart: Chart, form: Form, values: Values, row_height: int) -> Spec:
    """Return a chart with the names of its rows, as Vega-Lite."""
    rows = dict.fromkeys(value["row"] for value in values)
    place = {"baseline": "middle"} if form.margin else _ABOVE
    names = _rows([{"row": row} for row in rows]).mark_text(
        align="left", fontSize=13, color=INK, limit=(form.margin or form.width) - 60, **place
    )
    if not form.margin:
        row_height += 22
    chart += names.encode(x=alt.value(0), text="row:N")
    spec: Spec = chart.properties(width=form.width, height=len(rows) * row_height).to_dict()
    labels = {"labelColor": QUIET, "titleColor": QUIET, "labelFontSize": 12, "titleFontSize": 12}
    spec["config"] = {
        "background": "transparent",
        "padding": 0,
        "view": {"stroke": None},
        "axis": {**labels, "titleFontWeight": "normal", "gridColor": GRID, "ticks": False},
    }
    return spec


def finish(svg: str, name: str) -> str:
    """Return a drawn chart with ids of its own, tooltips, and the typeface of the page."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg).replace("url(#", f"url(#{name}-")
    svg = re.sub(r' font-family="[^"]*"', "", svg)
    marks = r'<path ([^>]*?)aria-label="([^"]*)"([^>]*?)(?:/>|></path>)'
    return re.sub(marks, r"<path \1\3><title>\2</title></path>", svg)
