"""Drawings of a saddle path as SVG: coefficients, R^2 and held-out error against slow time.

The browser stretches the horizontal unit to the width of the page, and the vertical unit is one pixel. All texts are
HTML elements beside the drawing, so that lines keep their width and labels keep their size on every screen.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.plotting._path_report import PathReport
from implicitbias.plotting._svg_axes import WIDTH, TimeAxis, ValueAxis, spread
from implicitbias.plotting._text import middle, short

HEIGHT, LOW_HEIGHT = 360, 190
# Numbers of features that are named and in colour, and that are drawn. The table of coefficients names every feature
# that is active at some saddle.
_COLOURED, _DRAWN = 8, 400
# Up to this number of changes of coefficients, all are drawn. Otherwise those below a quarter of a pixel are omitted.
_EXACT, _QUARTER = 40_000, 0.25
_LABEL_GAP, _LABEL_LETTERS = 17.0, 19


@dataclass(frozen=True, eq=False)
class Line:
    """The coefficient of one feature. From row `rows[j]` of the path on, it is `values[j]`."""

    feature: int
    rows: Int64[ndarray, " m"]
    values: Float64[ndarray, " m"]
    colour: int | None


@dataclass(frozen=True, eq=False)
class Drawing:
    """The lines of a report on common axes."""

    report: PathReport
    times: TimeAxis
    values: ValueAxis
    lines: tuple[Line, ...]


def draw(report: PathReport) -> Drawing:
    """Return the features to draw, with their colours and the axes."""
    path = report.path
    shown = path.times if report.validation is None else np.append(path.times, report.validation.chosen)
    times = TimeAxis.of(np.sort(shown), path.valid_until)
    table = path.coefficients_sparse.tocsc()[:, report.used]
    low, high = (bound(table, axis=0) for bound in (_least, _most))
    size = np.maximum(-low, high)
    largest = np.argsort(-size, kind="stable")[:_DRAWN]
    values = ValueAxis.of(np.concatenate([[0.0], low, high]), HEIGHT)
    columns = [table[:, [j]].toarray().ravel() for j in largest]
    changes = sum(int(np.count_nonzero(np.diff(column))) for column in columns)
    least = 0.0 if changes <= _EXACT else _QUARTER * (values.high - values.low) / HEIGHT
    lines = []
    for rank, (j, column) in enumerate(zip(largest, columns, strict=True)):
        rows = _changes(column, least)
        lines.append(Line(int(report.used[j]), rows, column[rows], rank if rank < _COLOURED else None))
    return Drawing(report, times, values, tuple(lines))


def _least(table: Any, axis: int) -> ndarray:
    return np.minimum(table.min(axis=axis).toarray().ravel(), 0.0) if table.shape[1] else np.zeros(0)


def _most(table: Any, axis: int) -> ndarray:
    return np.maximum(table.max(axis=axis).toarray().ravel(), 0.0) if table.shape[1] else np.zeros(0)


def _changes(column: ndarray, least: float) -> Int64[ndarray, " m"]:
    """Return the rows at which the coefficient changes by more than `least`, or becomes 0, or stops being 0."""
    rows = np.flatnonzero(np.diff(column)) + 1
    if least == 0.0:
        return rows
    kept, last = [], 0.0
    for row in rows:
        value = column[row]
        if abs(value - last) > least or (value == 0.0) != (last == 0.0):
            kept.append(row)
            last = value
    return np.array(kept, dtype=np.int64)


def coefficient_chart(drawing: Drawing) -> str:
    """Return the chart of the coefficients, which are step functions. The largest are named at their right end."""
    report, axis = drawing.report, drawing.values
    zero = f'<line class="zero" x1="0" x2="{WIDTH:g}" y1="{axis.place(0.0):.1f}" y2="{axis.place(0.0):.1f}"/>'
    body = zero + "".join(_step_line(drawing, line) for line in reversed(drawing.lines))
    unit = "standard deviation" if report.standardized else "unit"
    caption = f"Change of {report.target} per {unit} of a feature"
    coloured = [line for line in drawing.lines if line.colour is not None]
    return _frame(
        drawing.times, axis, caption, body, _Extras(report, "coefficients", _labels(drawing, coloured))
    )


def _step_line(drawing: Drawing, line: Line) -> str:
    """Return the SVG path of a coefficient: horizontal between jumps, vertical at jumps, and no line where it is 0."""
    x = drawing.times.place(drawing.report.path.times[line.rows])
    y = drawing.values.place(line.values)
    zero = f"{float(drawing.values.place(0.0)):.1f}"
    steps, resting = [], True
    for at, to, value in zip(x, y, line.values, strict=True):
        steps.append(f"M{at:.1f} {zero}" if resting else f"H{at:.1f}")
        steps.append(f"V{to:.1f}")
        resting = value == 0.0
    if not resting:
        steps.append(f"H{WIDTH:g}")
    colour = "quiet" if line.colour is None else f"c{line.colour}"
    name = escape(drawing.report.names[line.feature])
    return f'<path class="{colour}" data-i="{line.feature}" d="{"".join(steps)}"><title>{name}</title></path>'


def _labels(drawing: Drawing, lines: list[Line]) -> str:
    """Return the names beside the right ends of coloured lines, moved apart so that they do not overlap."""
    ends = np.array([line.values[-1] if len(line.values) else 0.0 for line in lines])
    places = spread(drawing.values.place(ends), _LABEL_GAP, 8.0, HEIGHT - 8.0)
    items = []
    for line, place in sorted(zip(lines, places, strict=True), key=lambda pair: pair[1]):
        name = escape(drawing.report.names[line.feature])
        items.append(
            f'<li class="c{line.colour}" data-i="{line.feature}" style="top:{place:.0f}px" title="{name}">'
            f"<span>{escape(middle(drawing.report.names[line.feature], _LABEL_LETTERS))}</span></li>"
        )
    return f'<ul class="names">{"".join(items)}</ul>'


def r2_chart(drawing: Drawing) -> str:
    """Return the chart of R^2 on the rows of the fit."""
    report = drawing.report
    axis = ValueAxis(0.0, 1.04, LOW_HEIGHT)
    body = f'<path class="ink" d="{_steps(drawing.times, axis, report.path.times, report.r2)}"/>'
    caption = "R² on the rows of the fit, the relative decrease of the loss since the start"
    return _frame(drawing.times, axis, caption, body, _Extras(report, "fit"))


def validation_chart(drawing: Drawing) -> str:
    """Return the chart of the mean held-out error with a band of one standard error; "" without cross-validation."""
    report = drawing.report
    validation = report.validation
    if validation is None:
        return ""
    curve, chosen = validation
    folds = len(curve.weights)
    # A single fold has no standard error, and the band has no width.
    error = np.zeros(len(curve.times)) if folds == 1 else curve.standard_error
    seen = curve.times <= drawing.times.high
    times, low, high = curve.times[seen], (curve.mean - error)[seen], (curve.mean + error)[seen]
    row = curve.row(chosen)
    middle, error_ = float(curve.mean[row]), float(error[row])
    top = validation.top
    above = float(curve.mean[0]) if curve.mean[0] > top else None
    axis = ValueAxis.of(np.minimum(np.concatenate([low, high]), top), LOW_HEIGHT, zero=False)
    forth = _steps(drawing.times, axis, times, high)
    back = _steps(drawing.times, axis, times, low, backwards=True)
    body = (
        f'<path class="band" d="{forth}L{back[1:]}Z"/>'
        f'<path class="ink" d="{_steps(drawing.times, axis, times, curve.mean[seen])}"/>'
    )
    x = float(drawing.times.place(chosen))
    upper, lower = (float(axis.place(middle + sign * error_)) for sign in (1, -1))
    body += f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{upper:.1f}" y2="{lower:.1f}"/>'
    caption = f"Mean squared error of held-out rows, {folds} folds, with one standard error over the folds"
    if above is not None:
        caption += f"; {short(above)} without features"
    return _frame(drawing.times, axis, caption, body, _Extras(report, "validation"))


def _steps(times: TimeAxis, axis: ValueAxis, at: ndarray, values: ndarray, backwards: bool = False) -> str:
    """Return the SVG path of a right-continuous step function. Steps at the same tenth of a unit are drawn once."""
    rows = np.flatnonzero(np.append(np.diff(np.round(times.place(at), 1)) > 0.0, True))
    x = np.round(times.place(at[rows]), 1)
    x[0] = 0.0
    y = np.round(axis.place(values[rows]), 1)
    right = np.append(x[1:], WIDTH)
    if backwards:
        return f"M{WIDTH:g} {y[-1]:g}" + "".join(
            f"V{b:g}H{a:g}" for a, b in zip(x[::-1], y[::-1], strict=True)
        )
    return f"M0 {y[0]:g}" + "".join(f"V{b:g}H{c:g}" for b, c in zip(y, right, strict=True))


@dataclass(frozen=True)
class _Extras:
    """The elements around one drawing: its kind, and the names of lines."""

    report: PathReport
    kind: str
    names: str = ""


def _frame(times: TimeAxis, axis: ValueAxis, caption: str, body: str, extras: _Extras) -> str:
    """Return the whole figure: axes, grid and texts around the lines of a drawing."""
    grid, marks = [], []
    for tick in axis.ticks():
        y = float(axis.place(tick))
        grid.append(f'<line class="grid" x1="0" x2="{WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<span style="top:{y:.0f}px">{short(tick)}</span>')
    below = "".join(
        f'<span style="left:{float(times.place(tick)) / WIDTH:.2%}">{short(tick)}</span>'
        for tick in times.ticks()
    )
    chosen = mark = ""
    if extras.report.validation is not None:
        x = float(times.place(extras.report.validation.chosen))
        chosen = f'<line class="chosen" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{axis.pixels}"/>'
        side = "left" if x < WIDTH / 2 else "right"
        mark = f'<span class="mark {side}" style="left:{x / WIDTH:.2%}">chosen</span>' if extras.names else ""
    many = " many" if len(times.ticks()) > 5 else ""
    scale = "logarithmic" if times.log else "linear"
    return (
        f'<figure class="chart" data-kind="{extras.kind}" data-low="{axis.low!r}" data-high="{axis.high!r}">'
        f"<figcaption>{escape(caption)}</figcaption>"
        f'<div class="frame" style="--height:{axis.pixels}px"><div class="y">{"".join(marks)}</div>'
        f'<div class="plot"><svg viewBox="0 0 {WIDTH:g} {axis.pixels}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(caption)}, against slow time">{"".join(grid)}{body}{chosen}</svg>{mark}'
        f'<div class="rule"></div></div>{extras.names}'
        f'<div class="x{many}">{below}<em>slow time ({scale})</em></div></div></figure>'
    )


def hover_data(drawing: Drawing) -> dict[str, Any]:
    """Return the numbers and names that the script of the page shows for the position of the pointer."""
    report = drawing.report
    original = report.coefficients.tocsc()
    lines = []
    for line in drawing.lines:
        column = original[:, [line.feature]].toarray().ravel()
        lines.append(
            {
                "i": line.feature,
                "name": report.names[line.feature],
                "rows": line.rows.tolist(),
                "values": _digits(line.values),
                "original": _digits(column[line.rows]) if report.standardized else None,
            }
        )
    validation = report.validation
    return {
        "axis": {"low": drawing.times.low, "high": drawing.times.high, "log": drawing.times.log},
        "times": _digits(report.path.times, 9),
        "r2": _digits(report.r2),
        "active": np.diff(report.path.coefficients_sparse.indptr).tolist(),
        "target": report.target,
        "lines": lines,
        "validation": None
        if validation is None
        else {
            "times": _digits(validation.curve.times, 9),
            "mean": _digits(validation.curve.mean),
            "error": None if len(validation.curve.weights) == 1 else _digits(validation.curve.standard_error),
        },
    }


def _digits(values: ndarray, count: int = 5) -> list[float]:
    return [float(f"{value:.{count}g}") for value in values]
