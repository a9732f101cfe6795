"""The times at which a trajectory crosses levels."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.trajectories import Trajectory

_BISECTIONS = 60


def crossing_times(
    trajectory: Trajectory, quantity: Callable[[ndarray], float], levels: Float64[ndarray, " k"]
) -> Float64[ndarray, " k"]:
    """Return the first times at which a decreasing quantity of the state falls below each level; nan if it never does.

    The crossing is first located between two of the trajectory's own times. Then bisection on the dense output gives
    the time.
    """
    values = np.array([quantity(state) for state in trajectory.states])
    below = values[:, None] < levels
    first = np.argmax(below, axis=0)
    crossed = np.flatnonzero(below.any(axis=0) & (first > 0))
    low, high = trajectory.times[first[crossed] - 1], trajectory.times[first[crossed]]
    for _ in range(_BISECTIONS if len(crossed) else 0):
        middle = (low + high) / 2
        fallen = np.array([quantity(state) for state in trajectory.state(middle)]) < levels[crossed]
        low, high = np.where(fallen, low, middle), np.where(fallen, middle, high)
    found = np.full(len(levels), np.nan)
    found[crossed] = high
    return found


def jump_times(
    trajectory: Trajectory, loss: Callable[[ndarray], float], plateaus: Float64[ndarray, " saddles"]
) -> Float64[ndarray, " jumps"]:
    """Return the k times at which the loss crosses the means of consecutive plateaus, for k + 1 plateaus."""
    levels = (plateaus[:-1] + plateaus[1:]) / 2
    return crossing_times(trajectory, loss, levels)
