"""When a trajectory crosses levels."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.trajectories import Trajectory

_BISECTIONS = 60


def crossing_times(
    trajectory: Trajectory, quantity: Callable[[ndarray], float], levels: Float64[ndarray, " k"]
) -> Float64[ndarray, " k"]:
    """First times at which a decreasing quantity of the state falls below each level; nan where it never does.

    The interval is found among the trajectory's own times and refined by bisection on its dense output.
    """
    values = np.array([quantity(state) for state in trajectory.states])
    found = np.full(len(levels), np.nan)
    for k, level in enumerate(levels):
        below = np.flatnonzero(values < level)
        if len(below) == 0 or below[0] == 0:
            continue
        low, high = trajectory.times[below[0] - 1], trajectory.times[below[0]]
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if quantity(trajectory.state(middle)) < level else (middle, high)
        found[k] = high
    return found


def jump_times(
    trajectory: Trajectory, loss: Callable[[ndarray], float], plateaus: Float64[ndarray, " saddles"]
) -> Float64[ndarray, " jumps"]:
    """Times at which the loss crosses half way between consecutive plateaus (k + 1 plateaus, k jumps)."""
    levels = (plateaus[:-1] + plateaus[1:]) / 2
    return crossing_times(trajectory, loss, levels)
