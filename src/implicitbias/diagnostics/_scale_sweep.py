"""Comparison of simulations from decreasing scales of the start with the path to which they converge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.diagnostics._crossings import jump_times
from implicitbias.trajectories import Trajectory

# Number of evenly spaced samples of a simulation, in addition to its own times.
_SAMPLES = 500


@runtime_checkable
class JumpingPath(Protocol):
    """A piecewise-constant path in slow time, for instance a `SaddlePath`."""

    @property
    def times(self) -> Float64[ndarray, " k"]:
        """(k+1,) ascending jump times; the first is 0."""

    @property
    def losses(self) -> Float64[ndarray, " k"]:
        """(k+1,) the losses between the jumps."""

    def at(self, t: Any) -> Float64[ndarray, "..."]:
        """Return the values of the path at m times, (m, d)."""


class SampledRun(NamedTuple):
    """Samples of one simulation: slow times (m,), states (m, d) and losses (m,)."""

    times: Float64[ndarray, " m"]
    states: Float64[ndarray, "m d"]
    losses: Float64[ndarray, " m"]


@dataclass(frozen=True, eq=False)
class ScaleSweep:
    r"""Trajectories of w from several scales, and their distances from the path in slow time.

    Slow time is flow time divided by a unit that grows as the scale vanishes, for instance $\ln(1/\alpha)$.

    Args:
        path: the predicted path with k jumps, which has `times`, `losses` and `at`.
        trajectories: one trajectory for each scale, from the largest scale to the smallest. Their states are w, (d,).
        units: (scales,) the flow time of one unit of slow time at each scale.
        loss: w -> L(w). A simulation jumps at the time at which its loss crosses the mean of two plateaus.
        beyond: the last plateau ends at this multiple of the last jump time.

    Raises:
        InputError: the numbers of trajectories and units differ, or a unit is not positive.

    Reference:
        pesme2023saddle, theorem 1.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> from implicitbias.diagnostics import ScaleSweep, rate_slopes
        >>> problem = ib.LeastSquares(np.eye(2), [4.0, 1.0])
        >>> path, units = ib.saddle_path(problem), np.array([30.0, 100.0, 300.0])
        >>> flows = [ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * unit)) for unit in units]
        >>> runs = tuple(ib.simulate(f, np.zeros(2), t1=2.5 * u) for f, u in zip(flows, units))
        >>> sweep = ScaleSweep(path, runs, units, problem.loss)
        >>> bool(np.allclose(rate_slopes(1 / units, sweep.jump_errors), 1.0, atol=0.1))
        True
    """

    path: JumpingPath
    trajectories: tuple[Trajectory, ...]
    units: Float64[ndarray, " scales"]
    loss: Callable[[ndarray], float]
    beyond: float = 1.2

    def __post_init__(self) -> None:
        if len(self.trajectories) != len(self.units) or not np.all(self.units > 0.0):
            raise InputError(
                f"units is {self.units}, one positive number for each of the {len(self.trajectories)} trajectories is "
                "expected"
            )

    @cached_property
    def jump_times(self) -> Float64[ndarray, "scales jumps"]:
        """(scales, k) jump times of the simulations in slow time; nan for a jump that a simulation does not make."""
        return np.array(
            [
                jump_times(trajectory, self.loss, self.path.losses) / unit
                for trajectory, unit in zip(self.trajectories, self.units, strict=True)
            ]
        )

    @property
    def jump_errors(self) -> Float64[ndarray, "scales jumps"]:
        """(scales, k) distances between the jump times of simulations and path, in slow time."""
        return np.abs(self.jump_times - self.path.times[1:])

    @cached_property
    def middles(self) -> Float64[ndarray, " saddles"]:
        """(k+1,) slow times in the middle of each plateau of the path."""
        return plateau_middles(self.path.times, self.beyond)

    @cached_property
    def states(self) -> Float64[ndarray, "scales saddles d"]:
        """(scales, k+1, d) states of the simulations in the middle of each plateau."""
        runs = zip(self.trajectories, self.units, strict=True)
        return np.array([trajectory.state(self.middles * unit) for trajectory, unit in runs])

    @cached_property
    def saddle_errors(self) -> Float64[ndarray, "scales saddles"]:
        """(scales, k+1) distances from the saddles in mid-plateau, relative to the largest coefficient."""
        saddles = self.path.at(self.middles)
        return np.max(np.abs(self.states - saddles), axis=2) / np.max(np.abs(saddles))

    @cached_property
    def off_support(self) -> Float64[ndarray, "scales saddles"]:
        """(scales, k+1) the largest |w_i| in the middle of each plateau, over the i with w_i = 0 at its saddle."""
        resting = self.path.at(self.middles) == 0.0
        return np.max(np.where(resting, np.abs(self.states), 0.0), axis=2)

    @property
    def steps(self) -> Int64[ndarray, " scales"]:
        """(scales,) number of steps of each simulation."""
        return np.array([trajectory.stats.steps for trajectory in self.trajectories], dtype=np.int64)

    @property
    def statuses(self) -> tuple[str, ...]:
        """Names of the statuses of the simulations."""
        return tuple(trajectory.status.name for trajectory in self.trajectories)

    def sampled(self, index: int, end: float, samples: int = _SAMPLES) -> SampledRun:
        """Return samples of one simulation up to the slow time `end`, at its own times and at evenly spaced times."""
        trajectory, unit = self.trajectories[index], float(self.units[index])
        own = trajectory.times / unit
        last = min(end, float(own[-1]))
        times = np.unique(np.concatenate([own[own <= last], np.linspace(0.0, last, samples)]))
        states = trajectory.state(times * unit)
        return SampledRun(times, states, np.array([self.loss(w) for w in states]))


def plateau_middles(times: Float64[ndarray, " k"], beyond: float = 1.2) -> Float64[ndarray, " k"]:
    """Return the slow times in the middle of the plateaus between jump times.

    Args:
        times: (k+1,) the time 0 and the jump times.
        beyond: the last plateau ends at beyond * times[-1].

    Examples:
        >>> import numpy as np
        >>> from implicitbias.diagnostics import plateau_middles
        >>> plateau_middles(np.array([0.0, 1.0, 3.0]), 2.0).tolist()
        [0.5, 2.0, 4.5]
    """
    return np.append((times[:-1] + times[1:]) / 2, times[-1] * (1 + beyond) / 2)


def rate_slopes(small: Float64[ndarray, " scales"], errors: Float64[ndarray, "..."]) -> Any:
    """Return least-squares slopes of ln(errors) against ln(small), one for each column of errors.

    Args:
        small: (scales,) positive numbers, such as 1 / ln(1/alpha).
        errors: (scales,) or (scales, k).

    Returns:
        () or (k,) slopes. A slope is nan if an error is 0 or nan, for instance because a simulation does not jump.

    Examples:
        >>> import numpy as np
        >>> from implicitbias.diagnostics import rate_slopes
        >>> small = np.array([1.0, 0.1, 0.01])
        >>> [round(float(slope), 9) for slope in rate_slopes(small, np.stack([3 * small, small**2], axis=1))]
        [1.0, 2.0]
    """
    columns = np.reshape(errors, (len(small), -1)).T
    slopes = [
        float(np.polyfit(np.log(small), np.log(column), 1)[0]) if np.all(column > 0.0) else np.nan
        for column in columns
    ]
    return np.reshape(slopes, np.shape(errors)[1:])
