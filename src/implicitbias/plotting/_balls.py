"""Figures of unit balls of gauges, and of the sublevel sets of potentials beside the unit ball of their horizon."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.gauges import Gauge
from implicitbias.plotting._formula_names import formula_name
from implicitbias.plotting._slices import Slice, directions, slice_of
from implicitbias.plotting._style import COLOURS, QUIET, new_figure, plain
from implicitbias.plotting._text import short

# Exponents of the levels c = phi(0) + 10^k of the sublevel sets. They grow fast, because some potentials approach their
# horizon only like 1 / ln c.
_EXPONENTS = (-1, 1, 4, 16, 64)
_FADED = ("#DCE6EE", "#B9CFE0", "#8FB3CF", "#5E93BB", "#2F74A7")
_LEVEL_LINES, _WINDOW = 7, 3.0
_SIZE, _TITLE = 4.6, 48
_STYLES = ("-", "--", "-.")
# The figure of an unbounded ball ends at this multiple of its median length, and the outline far beyond.
_CUT, _BEYOND = 2.0, 1e3
# Gauges whose names say how a horizon is computed and not what it is.
_MEANS = ("FromOracle", "SublevelGauge")


class Ball(NamedTuple):
    """The part of a unit ball in a plane.

    Attributes:
        label: the name of the gauge.
        outline: (m, 2) its boundary.
        radius: the largest length of a point; of an unbounded ball, the length up to which it is shown.
    """

    label: str
    outline: Float64[ndarray, "m 2"]
    radius: float

    def scaled(self, factor: float) -> "Ball":
        """Return the ball times a number."""
        return self._replace(outline=factor * self.outline, radius=factor * self.radius)


def ball_of(gauge: Gauge, plane: Slice, label: str = "") -> Ball:
    """Return the unit ball of a gauge in a plane.

    Raises:
        InputError: the gauge cannot be evaluated there, or is infinite on the whole plane.
    """
    u = directions()
    try:
        values = np.array([gauge.value(point) for point in plane.points(u)])
    except InputError:
        raise
    except (ValueError, TypeError, IndexError) as error:  # from functions of the user
        raise InputError(
            f"the gauge {formula_name(gauge)} cannot be evaluated at points of shape {plane.shape} ({error}); its own "
            "number of entries is expected: type coordinates=(0, d - 1) for vectors with d entries"
        ) from error
    with np.errstate(divide="ignore"):
        lengths = 1.0 / values
    if not np.any(lengths > 0.0):
        raise InputError(
            f"the gauge {formula_name(gauge)} is infinite at all points of the plane; choose other coordinates"
        )
    bounded = bool(np.all(values > 0.0))
    finite = lengths[np.isfinite(lengths) & (lengths > 0.0)]
    usual = float(np.median(finite)) if len(finite) else 1.0
    name = label or formula_name(gauge)
    if bounded:
        return Ball(name, u * lengths[:, None], float(np.max(lengths)))
    outline = u * np.minimum(lengths, _BEYOND * usual)[:, None]
    return Ball(f"{name} (unbounded)", outline, _CUT * usual)


def gauge_figure(gauge: Gauge, coordinates: Any = None) -> Figure:
    """Return a figure of the unit ball of a gauge, with level lines at other values."""
    plane = slice_of(gauge, coordinates, None)
    ball = ball_of(gauge, plane)
    figure, axis = _axis(plane)
    for level in (0.5, 1.5, 2.0):
        x, y = (level * ball.outline).T
        axis.plot(
            x, y, color=QUIET, linewidth=0.9, label="level lines 0.5, 1.5 and 2" if level == 0.5 else None
        )
    _draw(axis, ball._replace(label="unit ball"), COLOURS[0], filled=True)
    _finish(axis, f"Unit ball of the gauge {ball.label}", plane, 2.0 * ball.radius)
    return figure


def balls_figure(items: Any, coordinates: Any = None) -> Figure:
    """Return one figure with the unit balls of several gauges, or of the horizons of potentials.

    Args:
        items: a list of gauges and potentials, or a dict whose keys are their labels.
        coordinates: the two entries that are drawn.

    Raises:
        InputError: an item is of another kind, or the items are for points of different shapes.
    """
    named = dict(items) if isinstance(items, Mapping) else dict(enumerate(items))
    if not named:
        raise InputError(
            "the list of gauges is empty, at least one is expected; type ib.plot([ib.gauges.L1()])"
        )
    gauges = {key: _as_gauge(value) for key, value in named.items()}
    labels = {
        key: plain(str(key)) if isinstance(items, Mapping) else formula_name(named[key]) for key in named
    }
    shape = next((found for item in named.values() if (found := _shape(item, coordinates)) is not None), None)
    first = next(iter(gauges.values()))
    plane = slice_of(first, coordinates, shape)
    for gauge in gauges.values():
        gauge.refuse_shape(plane.shape, "the points of the figure have shape")
    balls = [ball_of(gauge, plane, labels[key]) for key, gauge in gauges.items()]
    free = any(not isinstance(value, Gauge) for value in named.values())
    if free:  # a horizon is known up to a factor
        balls = [ball.scaled(1.0 / ball.radius) for ball in balls]
    figure, axis = _axis(plane)
    for i, ball in enumerate(balls):
        _draw(axis, ball, COLOURS[i % len(COLOURS)], style=_STYLES[i % 3])
    title = "Unit balls, each with the largest length 1" if free else "Unit balls"
    _finish(axis, title, plane, max(ball.radius for ball in balls))
    return figure


def potential_figure(potential: Any, coordinates: Any = None) -> Figure:
    """Return a figure of the level lines of a potential, and of its scaled sublevel sets and its horizon's unit ball.

    The sublevel sets are $S_c / R_c$ with $R_c$ the largest length of a point of $S_c$ in the plane, for growing
    levels c. The unit ball has the largest length 1 too.
    """
    # The potentials load JAX, which the figures of paths do not need.
    from implicitbias.potentials import ray_lengths

    horizon = potential.horizon()
    plane = slice_of(horizon, coordinates, horizon.shape or _shape(potential, coordinates))
    ball = ball_of(horizon, plane)
    start = potential.value(np.zeros(plane.shape))
    u = directions()
    lengths = ray_lengths(potential, plane.points(u), start + 10.0 ** np.array(_EXPONENTS, dtype=np.float64))
    figure, axes = new_figure(1, 2, height=_SIZE + 0.9, width=_SIZE + 0.4)
    left, right = axes[0]
    figure.suptitle(f"Potential {formula_name(potential)}", fontsize=12)
    _level_lines(left, potential, plane)
    _finish(left, "Level lines", plane, _WINDOW, legend=False)
    for exponent, values, colour in zip(_EXPONENTS, lengths.T, _FADED, strict=True):
        largest = float(np.max(values))
        x, y = (u * (values / largest)[:, None]).T
        label = rf"$c = \phi(0) + 10^{{{exponent}}}$, $R_c = {_tex(largest)}$"
        right.plot(x, y, color=colour, linewidth=1.6, label=label)
    name = "" if ball.label.startswith(_MEANS) else f" {ball.label}"
    _draw(right, ball.scaled(1.0 / ball.radius)._replace(label=f"unit ball of the horizon{name}"), COLOURS[1])
    _finish(right, r"Sublevel sets $S_c / R_c$ and the horizon", plane, 1.0)
    return figure


def _level_lines(axis: Any, potential: Any, plane: Slice) -> None:
    """Draw lines of equal values at the points j / k of the longer half axis."""
    from implicitbias.potentials import ray_lengths

    along = plane.points(np.eye(2))
    steps = _WINDOW * np.arange(1, _LEVEL_LINES + 1) / _LEVEL_LINES
    levels = [max(potential.value(step * point) for point in along) for step in steps]
    start = potential.value(np.zeros(plane.shape))
    u = directions()
    lines = ray_lengths(potential, plane.points(u), [level for level in levels if level > start])
    for values in lines.T:
        x, y = (u * values[:, None]).T
        axis.plot(x, y, color=COLOURS[0], linewidth=1.1)


def _as_gauge(value: Any) -> Gauge:
    if isinstance(value, Gauge):
        return value
    if not isinstance(value, type) and callable(getattr(value, "horizon", None)):
        horizon: Gauge = value.horizon()
        return horizon
    kind = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
    raise InputError(
        f"the list holds {kind}, gauges and potentials are expected; type "
        "ib.plot([ib.gauges.L1(), ib.Cosh()])"
    )


def _shape(value: Any, coordinates: Any) -> tuple[int, ...] | None:
    """Return the shape of points of a gauge or a potential, or None if the coordinates are to tell it."""
    if isinstance(value, Gauge):
        return value.shape
    length = value.length()
    if length is None:
        # A numerical horizon of singular values accepts any shape, so the potential says that points are matrices.
        return (2, 2) if value.dimensions == 2 and coordinates is None else None
    return (length[1],)


def _axis(plane: Slice) -> tuple[Figure, Any]:
    figure, axes = new_figure(1, height=_SIZE + 0.8, width=_SIZE + 1.0)
    return figure, axes[0, 0]


def _draw(axis: Any, ball: Ball, colour: str, *, filled: bool = False, style: str = "-") -> None:
    x, y = ball.outline.T
    if filled:
        axis.fill(x, y, color=colour, alpha=0.14, linewidth=0)
    axis.plot(x, y, color=colour, linewidth=2.0, linestyle=style, label=ball.label)


def _finish(axis: Any, title: str, plane: Slice, radius: float, legend: bool = True) -> None:
    """Set equal axes, the labels, the legend below the axes, and the title with the slice."""
    axis.set_aspect("equal")
    axis.set_xlim(-1.08 * radius, 1.08 * radius)
    axis.set_ylim(-1.08 * radius, 1.08 * radius)
    axis.axhline(0.0, color="#8A9094", linewidth=0.6, zorder=0)
    axis.axvline(0.0, color="#8A9094", linewidth=0.6, zorder=0)
    first, second = plane.axis_labels
    axis.set_xlabel(first)
    axis.set_ylabel(second)
    lines = (*wrap(title, _TITLE), *([plane.told] if plane.told else []))
    axis.set_title("\n".join(lines), loc="left", fontsize=11)
    if legend:
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.0, -0.13))


def _tex(value: float) -> str:
    """Return a positive number with two digits as a formula."""
    if 1e-3 <= value < 1e4:
        return short(float(f"{value:.3g}"))
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
