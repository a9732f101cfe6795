"""Pictures of a trajectory."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.plotting._style import COLOURS, QUIET, label_lines, new_figure, plain
from implicitbias.trajectories import Trajectory

_NAMED = 8


def trajectory_figure(trajectory: Trajectory) -> Figure:
    """State coordinates, and scalar observables below, against flow time.

    Raises:
        InputError: a trajectory without times.
    """
    if len(trajectory.times) == 0:
        raise InputError(
            "the trajectory holds no times: its integration stopped before the first that was asked for"
        )
    scalars = {name: values for name, values in trajectory.observables.items() if values.ndim == 1}
    figure, axes = new_figure(1 + len(scalars))
    top = axes[0, 0]
    times, states = trajectory.times, trajectory.states
    size = np.max(np.abs(states), axis=0)
    named = sorted(int(i) for i in np.argsort(-size)[:_NAMED] if size[i] > 0.01 * size.max())
    for i in range(states.shape[1]):
        if i not in named:
            top.plot(times, states[:, i], color=QUIET, linewidth=0.8)
    colours = dict(zip(named, COLOURS, strict=False))
    for i, colour in colours.items():
        top.plot(times, states[:, i], color=colour, linewidth=1.6)
    _fit_times(top, times)
    top.set_ylabel("state")
    label_lines(top, [(states[-1, i], f"$w_{{{i}}}$", colour) for i, colour in colours.items()], times[-1])
    for axis, (name, values) in zip(axes[1:, 0], scalars.items(), strict=True):
        axis.plot(times, values, color="#333333", linewidth=1.4)
        _fit_times(axis, times)
        axis.set_ylabel(plain(name))
    top.set_title(f"{trajectory.stats.steps} steps, {trajectory.status.name}", loc="left", fontsize=11)
    axes[-1, 0].set_xlabel("flow time  $t$")
    return figure


def _fit_times(axis: Any, times: ndarray) -> None:
    if times[0] < times[-1]:  # a single time has no range
        axis.set_xlim(times[0], times[-1])
