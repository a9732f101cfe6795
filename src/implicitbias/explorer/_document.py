"""The Bokeh document of an exploration: figures, the settings that the page sends, and the answer."""

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import CategoricalColorMapper, ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import QUIET, Axes, Curve, Picture, Role
from implicitbias.explorer._ranges import axis_ranges
from implicitbias.explorer._session import Session
from implicitbias.explorer._worker import Worker
from implicitbias.reports import base_style

_PLACES = [str(place) for place in range(QUIET + 1)]
_LINES: dict[Role, dict[str, Any]] = {
    Role.FLOW: {"line_width": 6, "line_alpha": 0.4},
    Role.PREDICTION: {"line_width": 1.8},
}
_MARKERS = {Role.ONE_CLASS: "circle", Role.OTHER_CLASS: "triangle"}
_HEIGHT, _SQUARE = 340, 460


class Figures:
    """The figures of a page. It draws pictures, and writes numbers and messages for the page to show."""

    def __init__(self, axes: Sequence[Axes]) -> None:
        # The page replaces the colours when the reader prefers a dark page.
        self.mapper = CategoricalColorMapper(
            factors=_PLACES, palette=["#000000"] * len(_PLACES), name="colours"
        )
        self.asked = ColumnDataSource({"number": []}, name="asked")
        self.answer = ColumnDataSource({"text": []}, name="answer")
        self.axes = tuple(axes)
        self.sources = [{role: ColumnDataSource(_columns(role, ())) for role in Role} for _ in axes]
        self.figures = [self._figure(one, sources) for one, sources in zip(axes, self.sources, strict=True)]
        # A page finds models by name if a root refers to them.
        self.figures[0].tags = [self.mapper, self.asked, self.answer]

    def draw(self, version: int, picture: Picture) -> None:
        """Show a picture and its numbers."""
        for plot, axes, curves in zip(self.figures, self.axes, picture.panels, strict=True):
            ranges = axis_ranges(axes, curves)
            for shown, (first, last) in zip((plot.x_range, plot.y_range), ranges, strict=True):
                shown.update(start=first, end=last, reset_start=first, reset_end=last)
        for sources, curves in zip(self.sources, picture.panels, strict=True):
            for role, source in sources.items():
                source.data = _columns(role, [curve for curve in curves if curve.role is role])
        legends = [_legend(curves) for curves in picture.panels]
        self._answer(version, kind="note", text=picture.note, facts=picture.facts, legends=legends)

    def say(self, version: int, kind: str, text: str) -> None:
        """Show a message, and leave the picture as it is."""
        self._answer(version, kind=kind, text=text)

    def _answer(
        self, version: int, kind: str, text: str, facts: object = None, legends: object = None
    ) -> None:
        record = {"version": version, "kind": kind, "text": text, "facts": facts, "legends": legends}
        self.answer.data = {"text": [json.dumps(record)]}

    def _figure(self, axes: Axes, sources: dict[Role, ColumnDataSource]) -> Any:
        x_range, y_range = (Range1d(start=low, end=high) for low, high in axis_ranges(axes, ()))
        shape: dict[str, Any] = (
            {"aspect_ratio": 1, "max_width": _SQUARE} if axes.equal else {"height": _HEIGHT}
        )
        plot: Any = figure(
            **shape, sizing_mode="stretch_width", min_width=200, x_range=x_range, y_range=y_range,
            x_axis_label=axes.x, y_axis_label=axes.y,
            x_axis_type="log" if axes.x_log else "linear", y_axis_type="log" if axes.y_log else "linear",
            tools="pan,box_zoom,wheel_zoom,reset,save", active_drag=None, active_scroll=None,
            background_fill_color=None, border_fill_color=None, outline_line_color=None,
        )  # fmt: skip
        plot.toolbar.logo = None
        plot.toolbar.autohide = True
        plot.xgrid.visible = axes.equal
        colour: dict[str, Any] = {"field": "place", "transform": self.mapper}
        for role, look in _LINES.items():
            lines = plot.multi_line(
                "x", "y", source=sources[role], line_color=colour, line_join="round", **look
            )
            place = [("", "@name"), (role.value, "$y{0.0000}"), (axes.x, "$x{0.0000}")]
            plot.add_tools(HoverTool(renderers=[lines], tooltips=place, visible=False))
        for role, marker in _MARKERS.items():
            plot.scatter(
                "x", "y", source=sources[role], marker=marker, size=9, fill_color=colour, line_color=None
            )
        return plot


def _columns(role: Role, curves: Sequence[Curve]) -> dict[str, Any]:
    """Return the columns of the lines, or of the points of a class."""
    if role in _LINES:
        return {
            "x": [curve.x for curve in curves],
            "y": [curve.y for curve in curves],
            "name": [curve.name for curve in curves],
            "place": [str(curve.colour) for curve in curves],
        }
    x = np.concatenate([curve.x for curve in curves]) if curves else np.zeros(0)
    y = np.concatenate([curve.y for curve in curves]) if curves else np.zeros(0)
    return {"x": x, "y": y, "place": [str(curve.colour) for curve in curves for _ in curve.x]}


def _legend(curves: Sequence[Curve]) -> list[tuple[str, int, str]]:
    """Return the name, the colour and the look of each entry; a coefficient that has a colour has one entry."""
    entries: dict[tuple[str, int], str] = {}
    for curve in curves:
        if curve.colour < QUIET:
            key = (curve.name, curve.colour)
            entries[key] = "both" if key in entries else curve.role.name.lower()
    return [(name, colour, look) for (name, colour), look in entries.items()]


def add_exploration(
    document: Document, exploration: Exploration, worker: Worker, names: Sequence[str]
) -> None:
    """Fill a document with the page of an exploration."""
    shown = Figures(exploration.axes)
    session = Session(exploration, worker, shown, document.add_next_tick_callback)

    def asked(attribute: str, old: Any, new: Any) -> None:
        numbers = new.get("number") if isinstance(new, dict) else None
        if isinstance(numbers, list) and numbers and isinstance(numbers[-1], int | float):
            session.ask(int(numbers[-1]), numbers[:-1])

    shown.asked.on_change("data", asked)
    for plot in shown.figures:
        document.add_root(plot)
    folder = files("implicitbias.explorer")
    document.title = f"{exploration.title} · implicitbias"
    template: Any = folder.joinpath("_page.html").read_text(encoding="utf-8")
    document.template = template
    document.template_variables.update(
        exploration=exploration,
        names=names,
        style=base_style() + folder.joinpath("_page.css").read_text(encoding="utf-8"),
        program=folder.joinpath("_page.js").read_text(encoding="utf-8"),
    )
