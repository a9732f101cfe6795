"""Normalised steepest descent in the geometry of a gauge, for classification."""

import time
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import as_float
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape, tree_shape
from implicitbias.flows._dense import Output, SampledOutput
from implicitbias.flows._engine import Engine
from implicitbias.flows._flow import Flow
from implicitbias.flows._limits import Limits
from implicitbias.gauges import Gauge
from implicitbias.problems import Classification
from implicitbias.trajectories import Stats

# The number of saved steps for each factor of 10 in their number.
_PER_DECADE = 20
# The time in seconds between two returns to `simulate`, which reports progress and handles interrupts.
_SECONDS = 0.2
# The largest number of steps, whose times are one array.
_MOST_STEPS = 10**8
# Entries of the gradient, relative to the largest one, that count as equal if they differ by less than this.
_TIE = 1e-12


class SteepestDescent(Flow):
    r"""The iteration $w_{k+1} = w_k + \eta_k v_k$, where $v_k$ maximises $\langle -\nabla L(w_k), v \rangle$ over
    $\gamma(v) \le 1$, with step sizes $\eta_k = \eta\, (k + 1)^{-p}$.

    The geometry is that of the gauge: `L2` gives normalised gradient descent, `LInf` sign descent, `L1` coordinate
    descent, and `Spectral` the update $U V^\top$ of spectral descent. On separable data the margin in the gauge tends
    to the largest one if $0 < p < 1$. The gradient is computed by the logarithms of its row weights, so that it never
    becomes 0 in float64.

    The time after k steps is $s_k = \sum_{j < k} \eta_j$, the length of the path in the gauge. `simulate` rounds the
    end time up to a whole number of steps. It keeps the states at log-spaced steps or at the steps nearest to `times`,
    and it does not use `rtol` and `max_steps`.

    Args:
        problem: a `Classification`.
        gauge: a `Gauge` of w, finite on all of space.
        step_size: eta > 0.
        decay: the exponent p in [0, 1); 0 for constant steps.

    Raises:
        InputError: an argument has another type or is out of range.

    Reference:
        lyu2020margin; pesme2024mirror for the margins of other geometries.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1], loss="exponential")
        >>> descent = ib.SteepestDescent(problem, ib.gauges.LInf(), step_size=0.5)
        >>> trajectory = ib.simulate(descent, np.zeros(2), t1=descent.time(1000))
        >>> trajectory.stats.steps
        1000
        >>> margin = ib.diagnostics.margin_in(problem, ib.gauges.LInf())
        >>> round(margin(0.0, trajectory.final), 6)
        2.0
    """

    problem: Classification
    gauge: Gauge
    step_size: float
    decay: float

    def __init__(self, problem: Any, gauge: Any, step_size: Any = 1.0, decay: Any = 0.5) -> None:
        if not isinstance(problem, Classification) or not isinstance(gauge, Gauge):
            raise InputError(
                f"SteepestDescent expects a Classification and a Gauge, got a {type(problem).__name__} and a "
                f"{type(gauge).__name__}; type ib.SteepestDescent(ib.Classification(X, y), ib.gauges.LInf())"
            )
        gauge.refuse_shape(problem.predictor_shape, "w has shape")
        self._settle(
            {
                "problem": problem,
                "gauge": gauge,
                "step_size": _number("step_size", step_size, np.nextafter(0.0, 1.0), np.inf),
                "decay": _number("decay", decay, 0.0, 1.0),
            }
        )

    def time(self, steps: int) -> float:
        """Return the time after this number of steps, the sum of their sizes."""
        return float(self._times(steps)[-1])

    def _times(self, steps: int) -> Float64[ndarray, " k"]:
        """Return the times after 0, 1, ... steps."""
        sizes = self.step_size * np.arange(1.0, steps + 1.0) ** -self.decay
        times: ndarray = np.concatenate([[0.0], np.cumsum(sizes)])
        return times

    def _steps_to(self, end: float) -> int:
        """Return a number of steps that certainly reaches this time."""
        # The sum of j^-p over j <= k is at least ((k + 1)^(1 - p) - 1) / (1 - p).
        power = 1.0 - self.decay
        with np.errstate(over="ignore"):  # An infinite number of steps is refused below.
            base = np.float64(end) * power / self.step_size + 1.0
            steps = float(np.ceil(base ** (1.0 / power)))
        if not steps <= _MOST_STEPS:
            raise InputError(
                f"the time {end:g} takes about {steps:.2g} steps, at most {_MOST_STEPS:g} are possible; use a larger "
                "step_size or a smaller end time: type t1=descent.time(100_000)"
            )
        return int(steps)

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        return tree_shape(self.problem.predictor(start, "start"), "start")

    def snapped(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
        reached = self._times(self._steps_to(float(times[-1])))
        right = np.clip(np.searchsorted(reached, times), 1, len(reached) - 1)
        nearer = right - (times - reached[right - 1] < reached[right] - times)
        snapped: ndarray = reached[np.unique(nearer)]
        return snapped

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        times = self._times(self._steps_to(limits.end))
        # A sum has a rounding error, so the step whose time equals the end up to rounding is the last one.
        total = max(1, int(np.searchsorted(times, limits.end * (1.0 - 1e-12))))
        if limits.grid is None:
            saves = np.round(np.geomspace(1, total, 2 + round(_PER_DECADE * np.log10(total))))
        else:
            saves = np.append(np.searchsorted(times, limits.grid * (1.0 - 1e-12)), total)
        saves = np.unique(saves.astype(np.int64))
        return SteepestEngine(self, np.array(start), times[: total + 1], saves[saves > 0])

    def __repr__(self) -> str:
        return f"SteepestDescent({self.problem!r}, {self.gauge!r}, step_size={self.step_size:g}, decay={self.decay:g})"


@dataclass
class SteepestEngine(Engine):
    """An engine that takes steps of steepest descent and keeps the states at the steps in `saves`."""

    descent: SteepestDescent
    w: Float64[ndarray, " size"]
    times: Float64[ndarray, " k"]
    saves: Int64[ndarray, " m"]
    steps: int = 0

    saved = ("w", "steps")

    def __post_init__(self) -> None:
        self.first = SampledOutput(np.zeros(1), self.w[None].copy())

    def advance(self) -> Output | None:
        target = int(self.saves[np.searchsorted(self.saves, self.steps, side="right")])
        problem, gauge = self.descent.problem, self.descent.gauge
        shape = problem.predictor_shape
        begin = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):
            while self.steps < target and not self.ending_note and time.perf_counter() - begin < _SECONDS:
                self._step(problem, gauge, shape)
        self.t = float(self.times[self.steps])
        return SampledOutput(np.array([self.t]), self.w[None]) if self.steps == target else None

    def _step(self, problem: Classification, gauge: Gauge, shape: tuple[int, ...]) -> None:
        """Take a step, or write the note that ends the integration if it would give no finite numbers."""
        pull = problem.descent_formula(self.w.reshape(shape))
        if np.isfinite(pull).all():
            size = self.times[self.steps + 1] - self.times[self.steps]
            # A new array is made, so that an interrupt leaves the state and the number of steps in agreement.
            w = self.w + size * gauge.exposed_formula(pull, _TIE).ravel()
            if np.isfinite(w).all():
                self.w, self.steps = w, self.steps + 1
                return
        self.ending_note = f"Step {self.steps + 1} would leave the range of float64. Use a smaller step_size."

    def status(self) -> Status | None:
        if self.ending_note:
            return Status.NOT_FINITE
        return Status.REACHED_TIME if self.steps >= self.saves[-1] else None

    def state(self) -> Float64[ndarray, " size"]:
        return self.w

    def stats(self, seconds: float) -> Stats:
        return Stats(self.steps, self.steps, 0, self.steps, 0, seconds)


def _number(name: str, value: Any, least: float, below: float) -> float:
    """Return the value as a float if it is a number in [least, below), or raise an `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= as_float(value) < below:
        expected = f"a number in [0, {below:g})" if least == 0.0 else "a positive, finite number"
        raise InputError(f"{name} is {value!r}, {expected} is expected")
    return as_float(value)
