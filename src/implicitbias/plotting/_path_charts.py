"""The chart of a saddle path: coefficients, R^2 and held-out error against slow time."""

from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from implicitbias.plotting._chart import Area, Axis, Chart, Line, Mark, Panel, Rule
from implicitbias.plotting._path_report import PathReport
from implicitbias.plotting._text import short

# Numbers of features that are named and in colour, and that are drawn. The table of coefficients names every feature
# that is active at some saddle.
_COLOURED, _DRAWN = 8, 400
# Up to this number of changes of coefficients, all are drawn. Otherwise those below a share of the height are omitted.
_EXACT, _SHARE = 40_000, 1.0 / 1440.0
# The time axis is logarithmic if jump times differ by more than this ratio, as they often do for real data.
_WIDE = 50.0


def path_chart(report: PathReport) -> Chart:
    """Return the chart of a path, with the held-out errors if it was cross-validated."""
    axis = time_axis(report)
    panels = [_coefficients(report, axis), _fit(report, axis)]
    panels += [] if report.validation is None else [_held_out(report, axis)]
    return Chart(tuple((panel,) for panel in panels))


def time_axis(report: PathReport) -> Axis:
    """Return the axis of slow time that shows all jumps and the choice, but no time at which the path is unknown."""
    path = report.path
    shown = path.times if report.validation is None else np.append(path.times, report.validation.chosen)
    return axis_of_times(shown, float(path.valid_until))


def axis_of_times(shown: ndarray, valid: float) -> Axis:
    """Return the axis of slow time that shows these times, but none after `valid`; a wide one is logarithmic."""
    later = np.sort(shown[shown > 0.0])
    if len(later) == 0:
        return Axis("slow time", False, 0.0, min(1.0, valid))
    first, last = float(later[0]), float(later[-1])
    if last > _WIDE * first:
        return Axis("slow time (logarithmic)", True, first / 2, min(last * 1.5, max(valid, last)))
    return Axis("slow time", False, 0.0, min(last * 1.12, max(valid, last)))


def _coefficients(report: PathReport, times: Axis) -> Panel:
    table = report.path.coefficients_sparse.tocsc()[:, report.used]
    low, high = (_extreme(table, name) for name in ("min", "max"))
    largest = np.argsort(-np.maximum(-low, high), kind="stable")[:_DRAWN]
    unit = "standard deviation" if report.standardized else "unit"
    axis = _value_axis("coefficient", float(min(low.min(initial=0.0), 0.0)), float(high.max(initial=0.0)))
    columns = [table[:, [j]].toarray().ravel() for j in largest]
    changes = sum(int(np.count_nonzero(np.diff(column))) for column in columns)
    least = 0.0 if changes <= _EXACT else _SHARE * (axis.high - axis.low)
    lines: list[Mark] = [Rule(0.0, False, "quiet")]
    for rank, (j, column) in reversed(list(enumerate(zip(largest, columns, strict=True)))):
        feature = int(report.used[j])
        x, y = _steps(report.path.times, column, least, times)
        colour = f"c{rank}" if rank < _COLOURED else "quiet"
        dash = "solid" if rank % 2 == 0 or rank >= _COLOURED else "dashed"
        width = 1.8 if rank < _COLOURED else 0.9
        lines.append(Line(report.names[feature], x, y, colour, dash, width, True, str(feature)))
    return Panel(
        f"Change of {report.target} per {unit} of a feature", times, axis, (*lines, *_choice(report))
    )


def _extreme(table: Any, name: str) -> ndarray:
    """Return the least or the largest coefficient of each feature, and 0 if it lies on the other side of 0."""
    if table.shape[1] == 0:
        return np.zeros(0)
    values = getattr(table, name)(axis=0).toarray().ravel()
    return np.minimum(values, 0.0) if name == "min" else np.maximum(values, 0.0)


def _value_axis(label: str, low: float, high: float) -> Axis:
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(label, False, low - room if low else low, high + room)


def _steps(at: ndarray, column: ndarray, least: float, times: Axis) -> tuple[ndarray, ndarray]:
    """Return the times at which a coefficient changes and its values, within the axis; nan where it rests at 0."""
    rows = _changes(column, least)
    values = column[rows]
    # The level line of 0 is drawn once. A line begins at 0 when its feature enters, and ends at 0 when it leaves.
    x, y = [], []
    resting = True
    for row, value in zip(rows, values, strict=True):
        if resting and value != 0.0:
            x += [at[row], at[row]]
            y += [0.0, value]
        elif value == 0.0:
            x += [at[row], at[row]]
            y += [0.0, np.nan]
        else:
            x.append(at[row])
            y.append(value)
        resting = value == 0.0
    if not resting:
        x.append(times.high)
        y.append(y[-1])
    return np.maximum(np.array(x, dtype=np.float64), times.low), np.array(y, dtype=np.float64)


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


def _fit(report: PathReport, times: Axis) -> Panel:
    x, y = _extended(report.path.times, report.r2, times)
    title = "R² on the rows of the fit, the relative decrease of the loss since the start"
    line = Line("R²", x, y, "ink", "solid", 1.8, True)
    return Panel(title, times, Axis("R²", False, 0.0, 1.04), (line, *_choice(report)))


def _held_out(report: PathReport, times: Axis) -> Panel:
    """Return the panel of the mean held-out error with a band of one standard error."""
    assert report.validation is not None
    curve, chosen = report.validation
    folds = len(curve.weights)
    # A single fold has no standard error, and the band has no width.
    error = np.zeros(len(curve.times)) if folds == 1 else curve.standard_error
    x, mean = _extended(curve.times, curve.mean, times)
    _, spread = _extended(curve.times, error, times)
    top = report.validation.top
    values = np.minimum(np.concatenate([mean - spread, mean + spread]), top)
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    title = f"Mean squared error of held-out rows, {folds} folds, with one standard error over the folds"
    if curve.mean[0] > top:
        title += f"; {short(float(curve.mean[0]))} without features"
    corners = np.repeat(x, 2)[1:]
    low_side, high_side = (np.repeat(side, 2)[:-1] for side in (mean - spread, mean + spread))
    outline = np.concatenate([corners, corners[::-1]]), np.concatenate([high_side, low_side[::-1]])
    row = curve.row(chosen)
    middle, half = float(curve.mean[row]), float(error[row])
    bar = Line("", np.array([chosen, chosen]), np.array([middle - half, middle + half]), "mark", "solid", 4.0)
    marks: tuple[Mark, ...] = (
        Area("", (outline[0],), (outline[1],), "c0", 0.16),
        Line("held-out error", x, mean, "ink", "solid", 1.8, True),
        bar,
    )
    return Panel(
        title, times, Axis("held-out error", False, low - room, high + room), (*marks, *_choice(report))
    )


def _extended(at: ndarray, values: ndarray, times: Axis) -> tuple[ndarray, ndarray]:
    """Return a step function on the whole axis."""
    last = int(np.searchsorted(at, times.high, side="right"))
    first = max(int(np.searchsorted(at, times.low, side="right")) - 1, 0)
    x = np.append(np.maximum(at[first:last], times.low), times.high)
    return x, np.append(values[first:last], values[last - 1])


def _choice(report: PathReport) -> tuple[Rule, ...]:
    if report.validation is None:
        return ()
    return (Rule(float(report.validation.chosen), True, "mark", "dashed", 1.4),)
