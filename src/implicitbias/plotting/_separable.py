"""Figures of mirror flows on separable data."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias.plotting._style import COLOURS, QUIET, new_figure

_DOT = {"markersize": 4, "linestyle": "none"}
_SQUARE = 5.5


class PlaneFlow(NamedTuple):
    """The flow of one potential in the plane.

    Attributes:
        name: the potential.
        log_times: (s,) natural logarithms of the times.
        states: (s, 2) w at these times.
        sizes: (s,) the gauge of w.
        log_losses: (s,) ln L(w).
        ball: (k, 2) the boundary of the unit ball of the gauge, up to a factor.
        target: (2,) the certified classifier, of gauge 1.
    """

    name: str
    log_times: ndarray
    states: ndarray
    sizes: ndarray
    log_losses: ndarray
    ball: ndarray
    target: ndarray


def plane_figure(X: ndarray, y: ndarray, flows: list[PlaneFlow], raw_until: float) -> Figure:
    """Return a figure of losses, separating lines, unit balls, raw and normalised trajectories, and angles.

    Args:
        X: (n, 2) the points.
        y: (n,) their labels, -1 or 1.
        flows: one flow for each potential.
        raw_until: the logarithm of the time at which raw trajectories end, because later ones would hide earlier ones.
    """
    figure, axes = new_figure(2, 3, height=4.0, width=4.6)
    losses, lines, balls, raw, unit, angles = axes.ravel()
    _draw_points(lines, X, y)
    for flow, colour in zip(flows, COLOURS, strict=False):
        early = flow.log_times <= raw_until
        losses.plot(
            flow.log_times[early], flow.log_losses[early], color=colour, linewidth=1.6, label=flow.name
        )
        across = np.array([-flow.target[1], flow.target[0]]) / np.linalg.norm(flow.target)
        lines.plot(*(np.outer([-_SQUARE, _SQUARE], across).T), color=colour, linewidth=1.6)
        closed = np.vstack([flow.ball, flow.ball[:1]]) * _scale(flow)
        for axis in (balls, unit):
            axis.plot(*closed.T, color=colour, linewidth=1.6 if axis is balls else 0.7)
            axis.plot(*flow.target[:, None], "o", color=colour, **_DOT)
        raw.plot(*flow.states[early].T, ".-", color=colour, linewidth=1.4, markersize=3)
        unit.plot(*(flow.states / flow.sizes[:, None]).T, ".-", color=colour, linewidth=1.8, markersize=3)
        shown = flow.log_times > 0.0
        degrees = np.degrees(np.arctan2(flow.states[:, 1], flow.states[:, 0]))
        angles.semilogx(flow.log_times[shown], degrees[shown], color=colour, linewidth=1.6)
        angles.axhline(
            np.degrees(np.arctan2(flow.target[1], flow.target[0])),
            color=colour,
            linewidth=0.9,
            linestyle="--",
        )
    _label(figure, axes)
    return figure


def _label(figure: Figure, axes: Any) -> None:
    losses, lines, balls, _, unit, _ = axes.ravel()
    names = (r"$\ln t$", r"$x_1$", r"$w_1$", r"$w_1$", r"$w_1 / \phi_\infty(w)$", r"$\ln t$")
    heights = (
        r"$\ln L(w_t)$",
        r"$x_2$",
        r"$w_2$",
        r"$w_2$",
        r"$w_2 / \phi_\infty(w)$",
        "angle of $w_t$ in degrees",
    )
    titles = (
        "training loss", "classifiers in the limit", "unit balls of the horizons, and classifiers",
        "trajectories, early times", "normalised trajectories, from 0 on", "direction; dashed: certified classifier",
    )  # fmt: skip
    for axis, x, y, title in zip(axes.ravel(), names, heights, titles, strict=True):
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        axis.set_title(title, loc="left", fontsize=10)
    for axis in (lines, balls, unit):
        axis.set_aspect("equal")
    losses.legend(frameon=False, fontsize=9)
    lines.set_xlim(-2.4, 2.4)
    lines.set_ylim(-2.4, 2.4)


def _draw_points(axis: Any, X: ndarray, y: ndarray) -> None:
    for label, marker, colour in ((1.0, "o", "#333333"), (-1.0, "x", "#8A9094")):
        axis.plot(*X[y == label].T, marker, color=colour, **_DOT)


def _scale(flow: PlaneFlow) -> float:
    """Return the factor by which the ball passes through the classifier, which has gauge 1."""
    angle = np.arctan2(flow.target[1], flow.target[0])
    angles = np.arctan2(flow.ball[:, 1], flow.ball[:, 0])
    apart = np.abs(np.angle(np.exp(1j * (angles - angle))))
    near = np.argsort(apart)[:2]
    # The boundary between two neighbouring rays is a line.
    weights = np.linalg.solve(flow.ball[near].T, flow.target)
    return float(np.sum(weights))


def balls_figure(
    rays: ndarray, balls: dict[str, ndarray], sublevels: dict[str, ndarray], label: str
) -> Figure:
    """Return a figure with the ball of each horizon, over a sublevel set of its potential.

    Args:
        rays: (k, 2) unit vectors.
        balls: {potential: (k,) radii of the ball of the horizon}.
        sublevels: {potential: (k,) radii of the sublevel set}.
        label: the name of the level in words.
    """
    columns = (len(balls) + 1) // 2
    figure, axes = new_figure(2, columns, height=3.0, width=3.0)
    for axis, colour, (name, radii) in zip(axes.ravel(), COLOURS, balls.items(), strict=False):
        sublevel = sublevels[name]
        axis.fill(*(rays * sublevel[:, None]).T, color=QUIET, alpha=0.7, linewidth=0.0, label=label)
        closed = rays * radii[:, None]
        axis.plot(*np.vstack([closed, closed[:1]]).T, color=colour, linewidth=1.6, label="horizon")
        axis.set_aspect("equal")
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_xlim(-1.1, 1.1)
        axis.set_ylim(-1.1, 1.1)
    axes[0, 0].legend(frameon=False, fontsize=7, loc="center")
    for axis in axes.ravel()[len(balls) :]:
        axis.set_visible(False)
    return figure


def shortfall_figure(shortfalls: dict[str, tuple[ndarray, ndarray]]) -> Figure:
    """Return a figure of relative shortfalls of margins against the smallest margin of the state, on logarithmic axes.

    Args:
        shortfalls: {potential: (smallest margins, relative shortfalls)}.
    """
    figure, axes = new_figure(1, height=4.2, width=6.5)
    axis = axes[0, 0]
    for colour, (name, (margins, values)) in zip(COLOURS, shortfalls.items(), strict=False):
        shown = (margins > 0.0) & (values > 0.0)
        axis.loglog(
            margins[shown], values[shown], "o-", color=colour, markersize=3, linewidth=1.4, label=name
        )
    axis.set_xlabel(r"smallest margin of the state,  $\min_i y_i \langle x_i, w_t \rangle$")
    axis.set_ylabel("shortfall of the margin in the horizon, relative")
    axis.legend(frameon=False, fontsize=8)
    return figure


def bounds_figure(panels: dict[str, dict[str, tuple[ndarray, ndarray, ndarray]]], x_label: str) -> Figure:
    """Return a figure with one panel for each title, of gaps of margins and their bounds (dashed).

    Args:
        panels: {title: {name: (x, gaps, bounds)}}.
        x_label: the meaning of x.
    """
    figure, axes = new_figure(1, len(panels), height=4.0, width=5.5)
    for axis, (title, lines) in zip(axes.ravel(), panels.items(), strict=True):
        for colour, (name, (x, gaps, bounds)) in zip(COLOURS, lines.items(), strict=False):
            shown = gaps > 0.0
            axis.loglog(x[shown], gaps[shown], "o-", color=colour, markersize=3, linewidth=1.4, label=name)
            axis.loglog(x, bounds, "--", color=colour, linewidth=1.0)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel(x_label)
        axis.set_ylabel("gap of the margin (dashed: bound)")
        axis.legend(frameon=False, fontsize=8)
    return figure


def bounded_figure(log_times: ndarray, norms: ndarray, least: float) -> Figure:
    """Return a figure of the norm of w along a flow on data that are not separable, and of the minimiser (dashed)."""
    figure, axes = new_figure(1, height=4.0, width=6.5)
    axis = axes[0, 0]
    # Steps grow with ln t, so that the whole course is in the first few values of ln t.
    early = log_times <= max(30.0, float(log_times[0]))
    axis.plot(
        log_times[early], norms[early], "o-", color=COLOURS[0], markersize=3, linewidth=1.6, label="flow"
    )
    axis.axhline(least, color="#8A9094", linestyle="--", linewidth=1.0, label="minimiser of the loss")
    axis.set_xlabel(rf"$\ln t$ (the flow was followed to {log_times[-1]:.4g})")
    axis.set_ylabel(r"$\|w_t\|$")
    axis.legend(frameon=False, fontsize=8)
    return figure
