"""The time at which a training run in float32 would stop moving, although the flow goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from scipy.special import logsumexp

from implicitbias._core.errors import InputError
from implicitbias.problems import TrainingProblem
from implicitbias.trajectories import Trajectory

# 1 + x is 1 in float32 for x up to half of the spacing above 1, by rounding to even.
_LOG_ABSORBED = -24.0 * np.log(2.0)
# Times are located to this share.
_LOCATED = 1e-6


@dataclass(frozen=True)
class Float32Stall:
    r"""The times at which a training run in float32 that follows a trajectory would stall.

    Attributes:
        absorbed: the first time at which $1 + \sum_c e^{-m_c} = 1$ in float32 for every row with the margins $m_c$, so
            that each probability of the own class is exactly 1; nan if there is none.
        released: the first time after it at which this ends, because margins decrease; inf if it does not end in the
            trajectory, and nan if `absorbed` is nan.
        frozen: the first time at which a step of gradient descent changes no parameter, because it is below half of
            the spacing of float32; nan if there is none, or if no learning rate was given.
        overflowed: the first time at which a parameter is beyond the largest number of float32; nan if there is none.
        smallest_margin: the largest value that the smallest margin has at the kept times.
    """

    absorbed: float
    released: float
    frozen: float
    overflowed: float
    smallest_margin: float

    @property
    def time(self) -> float:
        """The first of the times `absorbed`, `frozen` and `overflowed`; nan if there is none."""
        return float(np.fmin(np.fmin(self.absorbed, self.frozen), self.overflowed))

    @property
    def sentence(self) -> str:
        """What the times mean, in words."""
        if np.isnan(self.time):
            return (
                "A run in float32 would not stall on this trajectory: the smallest margin reaches "
                f"{self.smallest_margin:.3g}, and probabilities round to 1 from about 16.6 on."
            )
        parts = []
        if not np.isnan(self.absorbed):
            end = "" if np.isinf(self.released) else f" to t = {self.released:.4g}"
            parts.append(
                f"From t = {self.absorbed:.4g}{end} all probabilities of the own classes are 1 in float32, so that a "
                "program that computes the gradient as a probability minus 1 gets 0."
            )
        if not np.isnan(self.frozen):
            parts.append(f"From t = {self.frozen:.4g} on a step changes no parameter in float32.")
        if not np.isnan(self.overflowed):
            parts.append(
                f"From t = {self.overflowed:.4g} on a parameter is beyond 3.4e38, the largest number of float32, "
                "so that a run in float32 has infinite parameters; rescale the data or the start."
            )
        return " ".join(parts)


def float32_stall(
    trajectory: Any, problem: Any, *, learning_rate: Any = None, weight_decay: Any = 0.0
) -> Float32Stall:
    r"""Return when training in float32 would stall, although the trajectory, computed in float64, goes on.

    Losses of margins have gradients of the size $e^{-m}$. There are two reasons for which float32 loses them. Where
    $e^{-m} \le 2^{-24}$, which is $m \ge 16.6$, the probability $1 / (1 + e^{-m})$ of the own class is 1 in float32, so
    that the usual gradient p - 1 is exactly 0 (softmax collapse); with the cross-entropy its other entries stay, up to
    about m = 87. And a step $\eta\, (\nabla F + \lambda \theta)$ below half of the spacing of float32 at $\theta$ is
    lost when it is added to $\theta$. With a weight decay $\lambda < 2^{-24}$ the margins of the flow tend to
    $\ln(1/\lambda) > 16.6$, where such a run cannot hold them.

    The library computes these losses and their gradients from logarithms, so that they are accurate at any margin.

    Args:
        trajectory: a trajectory of parameters or of w.
        problem: its problem, with the logistic, the exponential or the cross-entropy loss.
        learning_rate: the step size of gradient descent; None to leave out `frozen`.
        weight_decay: the weight decay lam of the run.

    Raises:
        InputError: the arguments have other types, the loss has no margins, or a number is out of range.

    Reference:
        prieto2025grokking.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.Classification([[1.0, 0.0], [0.0, -1.0]], [1, -1])
        >>> trajectory = ib.simulate(ib.GradientFlow(problem), np.zeros(2), log_t1=30.0)
        >>> stall = ib.diagnostics.float32_stall(trajectory, problem, learning_rate=1.0)
        >>> round(float(np.log(stall.absorbed)), 2)  # e^m + m = 1 + t / 2, so that t = 2 e^m at m = 24 ln 2
        17.33
        >>> stall.frozen < stall.absorbed
        True
    """
    rate, decay = _checked(trajectory, problem, learning_rate, weight_decay)
    readings = np.asarray(trajectory.kept_readings)

    def state(reading: float) -> Any:
        if reading == 0.0:
            return trajectory.state(0.0)
        return trajectory.state(log_t=float(trajectory.clock.log_times(reading)))

    def absorbed(point: Any) -> bool:
        return bool(np.max(_log_others(problem, point)) <= _LOG_ABSORBED)

    def overflowed(point: Any) -> bool:
        return not np.all(np.isfinite(_in_float32(problem.checked_params(point)[1])))

    def frozen(point: Any) -> bool:
        shape, theta = problem.checked_params(point)
        step = np.asarray(rate) * (np.asarray(shape.flatten(problem.gradient(point))) + decay * theta)
        here, change = _in_float32(theta), _in_float32(step)
        # An infinite parameter does not change either, but such a run has overflowed.
        if not (np.all(np.isfinite(here)) and np.all(np.isfinite(change))):
            return False
        return bool(np.all(here - change == here))

    def first(holds: Callable[[Any], bool], after: int = 0) -> tuple[float, int]:
        """Return the first time at which a condition holds, nan if never, and the index of the next kept time."""
        for index in range(after, len(readings)):
            if holds(state(readings[index])):
                break
        else:
            return np.nan, len(readings)
        if trajectory.sampled:
            return float(trajectory.times[index]), index
        low, high = float(readings[max(index - 1, 0)]), float(readings[index])
        while index > after and high - low > _LOCATED * high:
            middle = (low + high) / 2
            low, high = (low, middle) if holds(state(middle)) else (middle, high)
        return float(np.exp(trajectory.clock.log_times(high))) if high > 0.0 else 0.0, index

    begin, index = first(absorbed)
    end, _ = first(lambda point: not absorbed(point), index) if not np.isnan(begin) else (np.nan, 0)
    margins = [-float(np.max(_log_others(problem, state(reading)))) for reading in readings]
    return Float32Stall(
        absorbed=begin,
        released=np.inf if np.isnan(end) and not np.isnan(begin) else end,
        frozen=np.nan if rate is None else first(frozen)[0],
        overflowed=first(overflowed)[0],
        smallest_margin=float(np.max(margins, initial=-np.inf)),
    )


def _in_float32(values: Float64[ndarray, " p"]) -> Float32[ndarray, " p"]:
    """Return the values in float32, where those beyond its range are infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _log_others(problem: TrainingProblem, point: Any) -> Float64[ndarray, " n"]:
    """Return ln sum_c e^(-m_c) of each row, which is minus the margin for two classes."""
    f, targets = problem.predict(point), np.asarray(problem.double_objective.mean_loss.targets)
    if targets.dtype.kind == "f":
        return -targets.ravel() * f.reshape(len(targets))
    own = targets.astype(np.int64)
    rows = np.arange(len(own))
    differences = f - f[rows, own][:, None]
    differences[rows, own] = -np.inf
    found: ndarray = logsumexp(differences, axis=1)
    return found


def _checked(
    trajectory: Any, problem: Any, learning_rate: Any, weight_decay: Any
) -> tuple[float | None, float]:
    """Return the checked learning rate and weight decay, or raise an `InputError`."""
    if not isinstance(trajectory, Trajectory) or not isinstance(problem, TrainingProblem):
        raise InputError(
            f"float32_stall expects a Trajectory and its problem, got a {type(trajectory).__name__} and a "
            f"{type(problem).__name__}; type float32_stall(ib.simulate(flow, start, t1), problem)"
        )
    loss = problem.double_objective.mean_loss.loss
    if loss.of_margins is None:
        raise InputError(
            f"the problem has the {type(loss).__name__} loss, one of 'logistic', 'exponential' and 'cross_entropy' is "
            "expected: gradients of other losses do not vanish with growing margins"
        )
    for name, value, least in (("learning_rate", learning_rate, 5e-324), ("weight_decay", weight_decay, 0.0)):
        if value is None and name == "learning_rate":
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not least <= float(value) < np.inf:
            sign = "positive" if least else "non-negative"
            raise InputError(f"{name} is {value!r}, a {sign}, finite number is expected")
    return None if learning_rate is None else float(learning_rate), float(weight_decay)
