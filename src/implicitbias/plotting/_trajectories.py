"""Figures of a trajectory."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.plotting._style import COLOURS, QUIET, label_lines, new_figure, plain
from implicitbias.trajectories import Trajectory

_NAMED, _DRAWN = 8, 400
# If half of the steps are in this first share of the time, a logarithmic time axis is needed to see them.
_EARLY = 0.02


def trajectory_figure(trajectory: Trajectory) -> Figure:
    """Return a figure of the state coordinates, and of scalar observables below them, against flow time.

    Raises:
        InputError: the trajectory has no times.
    """
    if len(trajectory.times) == 0:
        raise InputError(
            "the trajectory holds no times, at least one is expected: its integration stopped before the first "
            "requested time; look at trajectory.status"
        )
    scalars = {name: values for name, values in trajectory.observables.items() if values.ndim == 1}
    figure, axes = new_figure(1 + len(scalars))
    # Times beyond float64 are drawn by their logarithms, from t = 1 on.
    beyond = bool(np.isinf(trajectory.times[-1]))
    times = trajectory.log_times if beyond else trajectory.times
    early = len(times) > 2 and np.median(times) < _EARLY * times[-1]
    first = int(np.argmax(times > 0.0)) if beyond else int(early and times[0] == 0.0)
    kept = slice(first, None)
    _draw_states(axes[0, 0], trajectory, times[kept], trajectory.flat_states[kept])
    for axis, (name, values) in zip(axes[1:, 0], scalars.items(), strict=True):
        axis.plot(times[kept], values[kept], color="#333333", linewidth=1.4)
        axis.set_ylabel(plain(name))
    for axis in axes[:, 0]:
        if early:
            axis.set_xscale("log")
        _fit_times(axis, times[kept])
    axes[0, 0].set_title(f"{trajectory.stats.steps} steps, {trajectory.status.name}", loc="left", fontsize=11)
    axes[-1, 0].set_xlabel("logarithm of the flow time  $\\ln t$" if beyond else "flow time  $t$")
    return figure


def _draw_states(axis: Any, trajectory: Trajectory, times: ndarray, states: ndarray) -> None:
    """Draw the coordinates that become largest in colour and with their names, over the others in grey."""
    size = np.max(np.abs(states), axis=0)
    drawn = np.sort(np.argsort(-size)[:_DRAWN])
    named = sorted(int(i) for i in np.argsort(-size)[:_NAMED] if size[i] > 0.01 * size.max())
    axis.plot(times, states[:, [i for i in drawn if i not in named]], color=QUIET, linewidth=0.8)
    colours = dict(zip(named, COLOURS, strict=False))
    for i, colour in colours.items():
        axis.plot(times, states[:, i], color=colour, linewidth=1.6)
    axis.set_ylabel("state")
    ends = [(states[-1, i], _name(trajectory, i), colour) for i, colour in colours.items()]
    label_lines(axis, ends, times[-1])


def _name(trajectory: Trajectory, index: int) -> str:
    """Return w_i if the state is one vector; otherwise the leaf and the position in it."""
    shape = trajectory.shape
    if shape is None or (len(shape.shapes) == 1 and len(shape.shapes[0]) == 1):
        return f"$w_{{{index}}}$"
    edges = np.cumsum([0, *(int(np.prod(leaf)) for leaf in shape.shapes)])
    leaf = int(np.searchsorted(edges, index, side="right")) - 1
    place = np.unravel_index(index - edges[leaf], shape.shapes[leaf])
    return plain(f"{shape.names[leaf]}[{', '.join(str(int(i)) for i in place)}]")


def _fit_times(axis: Any, times: ndarray) -> None:
    if times[0] < times[-1]:  # a single time has no range
        axis.set_xlim(times[0], times[-1])
