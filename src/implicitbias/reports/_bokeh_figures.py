"""Bokeh figures of charts. Their colours are roles, which the script of the page sets for the light and dark style."""

import re
from functools import singledispatch
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import (
    CrosshairTool,
    CustomJSHover,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    Range1d,
)
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure
from numpy import ndarray

from implicitbias.plotting import Area, Axis, Chart, Dots, Line, Panel, Rule, Stripe

_HEIGHTS = {1: 360, 2: 280}
_LEAST_HEIGHT, _MAIN_HEIGHT = 220, 380
# The values of BokehJS's tips have four digits, as all numbers of the reports.
_TIP = "return String(Number(value.toPrecision(4))).replace('-', '−')"
_TICK = (
    "const text = Math.abs(tick) >= 1e5 || (tick !== 0 && Math.abs(tick) < 1e-3) ? "
    "Number(tick.toPrecision(6)).toExponential().replace('e+', 'e') : String(Number(tick.toPrecision(6)));"
    "return text.replace(/-/g, '−')"
)
_BUNDLE = "quiet lines"
_TOOLS = "pan,box_zoom,wheel_zoom,reset,save"


def figures_of_chart(chart: Chart, keyed: bool = False) -> list[Any]:
    """Return one Bokeh figure for each panel; panels of one column share the range of x where they have the same axis.

    Args:
        chart: the chart.
        keyed: whether the panels share a vertical line, which a slider moves.
    """
    lowest = _HEIGHTS.get(len(chart.rows), _LEAST_HEIGHT)
    shared: dict[tuple[float, float, bool], Any] = {}
    pointer = Span(dimension="height", line_width=1, tags=["line_color=soft"])
    cursor = Span(dimension="height", location=np.nan, line_width=2, tags=["line_color=mark"], name="cursor")
    figures: list[Any] = []
    for panel in chart.panels:
        drawn = _figure(panel, _MAIN_HEIGHT if keyed and not figures else lowest, shared)
        if len(chart.rows) > 1 and len(chart.panels) == len(chart.rows):
            drawn.add_tools(CrosshairTool(overlay=pointer))
        if keyed:
            drawn.add_layout(cursor)
        figures.append(drawn)
    return figures


def _figure(panel: Panel, height: int, shared: dict[tuple[float, float, bool], Any]) -> Any:
    ends = (panel.x.low, panel.x.high, panel.x.log)
    x_range = shared.setdefault(ends, Range1d(start=panel.x.low, end=panel.x.high))
    drawn = figure(
        height=height, sizing_mode="stretch_width", tools=_TOOLS, toolbar_location="right",
        active_drag="box_zoom",
        x_axis_type="log" if panel.x.log else "linear", y_axis_type="log" if panel.y.log else "linear",
        x_range=x_range, y_range=Range1d(start=panel.y.low, end=panel.y.high), match_aspect=panel.square,
        tags=["background_fill_color=paper", "border_fill_color=paper"],
        outline_line_color=None, min_border_left=64, min_border_top=8, output_backend="canvas", min_width=0,
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = True
    for side, axis in ((drawn.xaxis[0], panel.x), (drawn.yaxis[0], panel.y)):
        _style_axis(side, axis)
    drawn.xgrid[0].grid_line_color = None
    drawn.ygrid[0].tags = ["grid_line_color=line"]
    quiet: list[Any] = [mark for mark in panel.marks if mark.is_quiet]
    glyphs = [_draw_bundle(quiet, drawn)] if quiet else []
    glyphs += [draw(mark, drawn) for mark in panel.marks if not mark.is_quiet]
    _add_tips(drawn, [glyph for glyph in glyphs if glyph is not None], panel)
    return drawn


def _style_axis(side: Any, axis: Axis) -> None:
    side.axis_label = axis.label
    side.axis_label_text_font = side.major_label_text_font = "system-ui, sans-serif"
    side.axis_label_text_font_style = "normal"
    side.axis_label_text_font_size, side.major_label_text_font_size = "13px", "12px"
    side.tags = [
        "axis_label_text_color=ink", "major_label_text_color=soft", "axis_line_color=quiet",
        "major_tick_line_color=quiet", "minor_tick_line_color=null",
    ]  # fmt: skip
    if axis.ticks:
        side.ticker = FixedTicker(ticks=[place for place, _ in axis.ticks])
        side.major_label_overrides = dict(axis.ticks)
    elif not axis.log:
        side.formatter = CustomJSTickFormatter(code=_TICK)


def _add_tips(drawn: Any, tipped: list[Any], panel: Panel) -> None:
    """Show the name of a line or of points, and the values at the pointer."""
    number = CustomJSHover(code=_TIP)
    for bundled in (False, True):
        named = [glyph for glyph in tipped if (glyph.name == _BUNDLE) == bundled]
        if not named:
            continue
        name, x, y = ("@name", "$snap_x", "$snap_y") if bundled else ("$name", "@x", "@y")
        tips = [
            ("", name),
            (panel.x.label or "x", f"{x}{{custom}}"),
            (panel.y.label or "y", f"{y}{{custom}}"),
        ]
        drawn.add_tools(
            HoverTool(
                renderers=named, tooltips=tips, formatters={x: number, y: number}, line_policy="nearest",
                visible=False,
            )
        )  # fmt: skip


@singledispatch
def draw(mark: Any, drawn: Any) -> Any:
    """Draw a mark into a Bokeh figure, and return what shows a tip under the pointer, or None."""
    raise TypeError(f"a chart holds a {type(mark).__name__}, which has no drawing")


@draw.register
def _(mark: Line, drawn: Any) -> Any:
    x, y = _points(mark)
    glyph = drawn.line(
        "x", "y", source={"x": packed(x), "y": packed(y)}, line_width=mark.width, line_dash=mark.dash,
        name=mark.name,
    )  # fmt: skip
    glyph.glyph.tags = [f"line_color={mark.colour}"]
    glyph.tags = [mark.key] if mark.key else []
    return glyph if mark.name else None


def _draw_bundle(lines: list[Line], drawn: Any) -> Any:
    """Draw quiet lines together, because the description of each drawing takes a kilobyte of the page."""
    points = [_points(line) for line in lines]
    columns: dict[str, Any] = {
        "xs": [packed(x) for x, _ in points],
        "ys": [packed(y) for _, y in points],
        "name": [line.name for line in lines],
    }
    glyph = drawn.multi_line("xs", "ys", source=columns, line_width=lines[0].width, name=_BUNDLE)
    glyph.glyph.tags = ["line_color=quiet"]
    return glyph if any(line.name for line in lines) else None


@draw.register
def _(mark: Dots, drawn: Any) -> Any:
    columns = {"x": packed(mark.x), "y": packed(mark.y)}
    glyph = drawn.scatter("x", "y", source=columns, size=max(mark.size, 3.0) + 1.0, name=mark.name)
    if mark.filled:
        glyph.glyph.line_color = None
        glyph.glyph.tags = [f"fill_color={mark.colour}"]
    else:
        glyph.glyph.fill_color = None
        glyph.glyph.tags = [f"line_color={mark.colour}"]
    return glyph


@draw.register
def _(mark: Area, drawn: Any) -> Any:
    columns = {
        "xs": [packed(part) for part in mark.x],
        "ys": [packed(part) for part in mark.y],
    }
    glyph = drawn.patches(
        "xs", "ys", source=columns, fill_alpha=mark.opacity, line_color=None, name=mark.name
    )
    glyph.glyph.tags = [f"fill_color={mark.colour}"]
    return None


@draw.register
def _(mark: Rule, drawn: Any) -> Any:
    drawn.add_layout(
        Span(
            location=mark.value, dimension="height" if mark.vertical else "width", line_dash=mark.dash,
            line_width=mark.width, tags=[f"line_color={mark.colour}"],
        )
    )  # fmt: skip
    return None


@draw.register
def _(mark: Stripe, drawn: Any) -> Any:
    drawn.add_layout(
        BoxAnnotation(
            left=mark.low,
            right=mark.high,
            fill_alpha=mark.opacity,
            line_color=None,
            tags=[f"fill_color={mark.colour}"],
        )
    )
    return None


def _points(line: Line) -> tuple[ndarray, ndarray]:
    """Return the points of a line; for steps the corners, as each value holds until the next point."""
    if not line.steps:
        return line.x, line.y
    return np.repeat(line.x, 2)[1:], np.repeat(line.y, 2)[:-1]


def packed(values: ndarray) -> ndarray:
    """Return numbers in single precision, which is enough to draw them, where it can represent their sizes."""
    size = np.abs(values[np.isfinite(values) & (values != 0.0)])
    fits = size.size == 0 or (size.min() > 1e-30 and size.max() < 1e30)
    return values.astype(np.float32) if fits else values


def document_of(figures: list[Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the document of the figures as values for JSON, and the identifiers of the figures in it.

    Bokeh counts identifiers through a whole process. They are counted anew here, so that equal results give
    equal pages.
    """
    document = Document()
    # Else Bokeh would search all figures for their parts again after each one that is added.
    with document.models.freeze():
        for drawn in figures:
            document.add_root(drawn)
    content: Any = document.to_json(deferred=False)
    names: dict[str, str] = {}
    content = _renamed(content, names)
    return content, [names[drawn.id] for drawn in figures]


def _renamed(content: Any, names: dict[str, str]) -> Any:
    if isinstance(content, dict):
        return {
            key: names.setdefault(item, f"m{len(names)}")
            if key == "id" and isinstance(item, str) and re.fullmatch(r"p\d+", item)
            else _renamed(item, names)
            for key, item in content.items()
        }
    return [_renamed(item, names) for item in content] if isinstance(content, list | tuple) else content
