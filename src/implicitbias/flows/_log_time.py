r"""The logarithm of the time as the variable of a gradient flow of any model, for losses of margins.

With $\tau = \ln(1 + t / t_0)$ the flow is $d\theta / d\tau = -(t + t_0)\, \nabla F(\theta)$. Where the loss tends to 0,
t leaves float64 and the derivative of the loss becomes 0 in float64, but their product stays moderate for the rows of
smallest margin. It is computed as the exponential of a sum of logarithms.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.modules import PlainModule
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.flows._limits import Limits
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss

# A flow is integrated in the logarithm of the time if the logarithm of its end time, in units of the time of the first
# change, is at least this. Shorter flows need no more steps in t itself.
LONG = 15.0
# If the loss does not tend to 0, the speeds in tau grow like t. At this logarithm, relative to the start, the
# parameters are at their limit in float64. From there on the factor of the gradient is constant, so that it does not
# overflow.
_FASTEST = 300.0
# The largest rise of the logarithm of the largest slope of a row over a step, in addition to ln n.
_MOST_RISE = 3.0
# The largest accepted rise of that logarithm when the unknown predictions are replaced by those of the model. The
# stages of a step multiply it by about 4, in an exponent.
_MOST_GAP = 1.0
# The largest logarithm of the unit of time: after a start of large margins it could be larger than any end time.
_LONGEST_UNIT = 600.0


class LogTime(PlainModule):
    """The factor t + t_0 of the gradient as a function of tau, in logarithms.

    Attributes:
        log_unit: ln t_0.
        log_fastest: the largest logarithm of (t + t_0) times the slope of a row, to which the factor is lowered.
        rtol: the tolerance of the flow.
    """

    log_unit: jax.Array
    log_fastest: jax.Array
    rtol: jax.Array

    def log_scale(self, mean_loss: MeanLoss, f: jax.Array, tau: jax.Array) -> jax.Array:
        """Return ln(t + t_0), lowered where the slopes would overflow."""
        whole = tau[0] + self.log_unit
        return whole - jnp.maximum(0.0, whole + mean_loss.log_largest_slope(f) - self.log_fastest)

    def growth(self, mean_loss: MeanLoss, f: jax.Array, tau: jax.Array) -> jax.Array:
        """Return the derivative of `log_scale` in tau: 1, and 0 where it is lowered."""
        whole = tau[0] + self.log_unit
        return jnp.where(whole + mean_loss.log_largest_slope(f) > self.log_fastest, 0.0, 1.0)

    def rise(self, mean_loss: MeanLoss, before: jax.Array, after: jax.Array, model: jax.Array) -> jax.Array:
        """Return the rise of the largest slope of a row in a step, in rtol: above it, the step is too long.

        The loss decreases along a flow, so the largest slope grows at most by a factor near n. At large margins the
        relative error of the parameters does not see that a row became too fast. The next step replaces the unknown
        predictions `after` by those of the model, which must not be much faster either.
        """
        slopes = [mean_loss.log_largest_slope(f) for f in (before, after, model)]
        over_step = (slopes[1] - slopes[0]) / (jnp.log(float(len(mean_loss.targets))) + _MOST_RISE)
        return self.rtol * jnp.maximum(over_step, (slopes[2] - slopes[1]) / _MOST_GAP)


def log_time_from(mean_loss: MeanLoss, predictions: ndarray, limits: Limits) -> LogTime:
    """Return the factor for limits with a logarithmic clock and a flow that begins with these predictions (n, k)."""
    unit = float(limits.clock.log_unit or 0.0)
    largest = float(np.asarray(mean_loss.log_largest_slope(jnp.asarray(predictions))))
    return LogTime(*(jnp.asarray(number, float) for number in (unit, unit + largest + _FASTEST, limits.rtol)))


def log_unit_at(predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, theta: ndarray) -> float:
    """Return the logarithm of the time in which the flow first changes the parameters or a prediction."""
    largest, change = (float(part) for part in _first_change(predictor, mean_loss, shape, theta))
    rate = largest + np.log(change) if change > 0.0 else -np.inf
    return float(min(-rate, _LONGEST_UNIT)) if np.isfinite(rate) else 0.0


@compiled
def _first_change(
    predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, theta: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the logarithm of the largest slope, and the rate of change at the start divided by this slope."""
    point = jnp.asarray(theta)
    f, pull_back = jax.vjp(lambda at: predictor(shape.unflatten(at)), point)
    largest = mean_loss.log_largest_slope(f)
    force = -pull_back(mean_loss.pull(f, -largest))[0]
    moved = jax.jvp(lambda at: predictor(shape.unflatten(at)), (point,), (force,))[1]
    size = jnp.linalg.norm(point)
    own = jnp.where(size > 0.0, jnp.linalg.norm(force) / jnp.where(size > 0.0, size, 1.0), 0.0)
    return largest, jnp.maximum(jnp.max(jnp.abs(moved)), own)


def not_separated(mean_loss: MeanLoss, f: ndarray) -> tuple[str, ...]:
    """Return a note for the reader if some rows have no positive margin at the end, at predictions f (n, k)."""
    with double_precision():
        margins = np.asarray(_least_margins(mean_loss, f))
    wrong = np.flatnonzero(~(margins > 0.0))
    if len(wrong) == 0:
        return ()
    return (
        f"The loss does not tend to 0: {len(wrong)} of {len(margins)} rows have no positive margin at the end, the "
        f"first is row {wrong[0]} with the margin {margins[wrong[0]]:.3g}. The model does not separate the labels from "
        "this start, so that there is no maximum-margin limit: check y, or use a larger model or a longer time.",
    )


@compiled
def _least_margins(mean_loss: MeanLoss, f: Any) -> jax.Array:
    return jnp.min(mean_loss.margins(jnp.asarray(f)), axis=1)
