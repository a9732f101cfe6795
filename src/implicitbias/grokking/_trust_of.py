"""Measurements on a model that say how far its forecast can be trusted."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from implicitbias import predictors
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.flows import GradientFlow
from implicitbias.grokking._course import Course
from implicitbias.grokking._first_stretch import ERRORS, LOSSES, Stretch
from implicitbias.grokking._held_out import Gauge
from implicitbias.grokking._times import Times
from implicitbias.grokking._trust import DELAY, FALL, Reason, Trust
from implicitbias.problems import Objective

# The largest number of predictions n k whose tangent kernel is computed.
_KERNEL = 2000
# Eigenvalues of the kernel below this share of the largest one count as 0.
_ZERO = 1e-12
# Gradient descent leaves the flow if the sharpness times the learning rate exceeds 2.
_EDGE = 2.0
# The bounds of the other numbers, beyond which there is doubt.
_SEPARATION, _LOGITS, _DISTANCE = 0.1, 50.0, 0.1
# The verdict is close if the fall of the test error differs from that of a model that groks by at most this much.
_CLOSE = 0.01


class Evidence(NamedTuple):
    """What a forecast was computed from.

    Attributes:
        problem: the problem.
        gauge: the training and the test rows.
        course: the whole course.
        stretch: the first stretch of gradient descent; None if no learning rate was given.
        optimizer: the name of the optimiser.
        settled: whether the course ends at rest.
        stopped: why the flow stopped early; "" if it did not.
    """

    problem: Any
    gauge: Gauge
    course: Course
    stretch: Stretch | None
    optimizer: str
    settled: bool
    stopped: str


def trust_of(
    evidence: Evidence,
    flow: GradientFlow,
    start: Float64[ndarray, " size"],
    learning_rate: float | None,
    times: tuple[float, float],
) -> Trust:
    """Return the trust in a forecast.

    Args:
        evidence: what the forecast was computed from.
        flow: the flow.
        start: the flat parameters at the start.
        learning_rate: the learning rate; None if none was given.
        times: the memorization time and the grokking time, at which the model is examined besides the end.
    """
    course = evidence.course
    looked = np.unique([time for time in (*times, course.end) if np.isfinite(time)])
    states = course.states(looked)
    reasons = [
        *_of_the_optimizer(evidence, learning_rate),
        _separation(evidence, flow, start, states[0]),
        *_kernel(evidence, flow, states),
    ]
    if learning_rate is not None:
        reasons.append(_sharpness(evidence.gauge, states, learning_rate, flow.weight_decay))
    if evidence.gauge.train.mean_loss.loss.of_margins is not None:
        reasons.append(_logits(evidence.gauge, states))
    flags = flow.flags(evidence.gauge.shape, start)
    kinks = (
        "The model has kinks, such as those of ReLUs. The theory of the slow phase needs three derivatives, and "
        "forecasts of such models were less accurate."
    )
    precision = (
        "The model computes in a lower precision than float64: at most about seven digits are correct."
    )
    rest = (
        evidence.stopped or "The test error still changes at the end of the forecast, so it may not be final."
    )
    return Trust(
        (
            *reasons,
            Reason("kinks", float(flags.not_smooth), 0.0, False, kinks),
            Reason("single precision", float(flags.single_precision), 0.0, False, precision),
            Reason("not at rest", float(not evidence.settled), 0.0, True, rest),
        )
    )


def of_the_verdict(
    found: Times, other: Times, interval: tuple[float, float], resolution: float
) -> tuple[Reason, ...]:
    """Return the reasons about the final error and about a verdict that is close.

    Args:
        found: the times of the forecast.
        other: the times of the second forecast, which is less accurate.
        interval: the interval of the grokking time.
        resolution: the share of one test row in the error; 0 for squared errors.
    """
    apart = abs(found.final - other.final) / found.unit
    ends = (
        f"The final test errors of two forecasts, of which one is less accurate, differ by {100 * apart:.2g} points; "
        "where they do, small changes decide to which minimum training goes."
    )
    fall = abs((found.error_then - found.final) / found.unit - FALL)
    delays = np.array(interval) / found.memorized if found.memorized > 0.0 else np.full(2, np.inf)
    close = fall <= max(_CLOSE, 1.5 * resolution) or bool(delays[0] < DELAY <= delays[1])
    verdict = (
        "The verdict is close: the fall of the test error is near 10 points, or the grokking time is near 10 "
        "memorization times."
    )
    return (
        Reason("two forecasts, final error", apart, max(LOSSES, 1.5 * resolution), True, ends),
        Reason("close verdict", float(close), 0.0, False, verdict),
    )


def _of_the_optimizer(evidence: Evidence, learning_rate: float | None) -> list[Reason]:
    """Return the reasons about the optimiser and its first stretch."""
    other = evidence.optimizer != "gradient_descent"
    named = (
        f"The optimiser is {evidence.optimizer!r}, but the forecast is that of full-batch gradient descent; other "
        "optimisers and mini-batches take other paths, at other times, and may end elsewhere."
    )
    reasons = [Reason("other optimizer", float(other), 0.0, True, named)]
    if evidence.stretch is None:
        missing = "No learning rate was given, so that gradient descent was not compared with the flow."
        return [*reasons, Reason("descent compared", np.nan, 0.0, False, missing)]
    found = evidence.stretch.agreement
    end = f"from step {found.steps} to {2 * found.steps}"
    errors = (
        f"Over the last compared stretch, {end}, the test errors of gradient descent and of the flow differ by "
        f"{100 * found.errors:.2g} points on average."
    )
    losses = (
        f"Over the last compared stretch, {end}, their losses differ by up to {100 * found.losses:.2g} %."
    )
    distance = (
        f"Over the last compared stretch, {end}, gradient descent and the flow come apart by "
        f"{100 * found.distance:.2g} % of the way, and {found.moved} test rows are classified differently."
    )
    return [
        *reasons,
        Reason("descent from flow, errors", found.errors, max(ERRORS, 1.5 * found.resolution), True, errors),
        Reason("descent from flow, losses", found.losses, LOSSES, True, losses),
        Reason("descent from flow, distance", found.distance, _DISTANCE, False, distance),
    ]


def _separation(
    evidence: Evidence,
    flow: GradientFlow,
    start: Float64[ndarray, " size"],
    later: Float64[ndarray, " size"],
) -> Reason:
    """Return the condition of grokking, that lam is far below ||grad F(theta_0)|| / ||theta|| at memorization."""
    slope = evidence.problem.gradient(evidence.gauge.shape.numpy_tree(start))
    size = float(np.linalg.norm(np.asarray(evidence.gauge.shape.flatten(slope))))
    ratio = flow.weight_decay * float(np.linalg.norm(later)) / max(size, 1e-300)
    sentence = (
        f"The weight decay acts at {ratio:.2g} of the strength of the first gradient; the two phases are separate only "
        "where this is far below 1."
    )
    return Reason("separation of scales", ratio, _SEPARATION, False, sentence)


def _kernel(evidence: Evidence, flow: GradientFlow, states: Float64[ndarray, "m size"]) -> list[Reason]:
    """Return the weight decay relative to the smallest eigenvalue of J J^T/n, and the share of missing rank.

    Losses of margins have neither: their curvature is not J J^T / n but vanishes as margins grow, and in the slow phase
    the margins are held from below only.
    """
    if evidence.gauge.train.mean_loss.loss.of_margins is not None:
        return []
    rows = int(np.prod(evidence.gauge.train_predictions(states[0]).shape))
    n = int(evidence.gauge.train.mean_loss.targets.shape[0])
    if rows > _KERNEL:
        sentence = f"The tangent kernel of {rows} predictions is too large to be examined."
        return [Reason("weight decay over gap", np.nan, 1.0, False, sentence)]
    predictor = predictors.of(evidence.problem)
    gaps, missing = [], []
    for state in states:
        kernel = predictor.tangent_kernel(evidence.gauge.shape.numpy_tree(state))
        values = np.linalg.eigvalsh(np.asarray(kernel).reshape(rows, rows)) / n
        positive = values[values > _ZERO * max(float(values[-1]), 1e-300)]
        gaps.append(float(positive[0]) if len(positive) else 0.0)
        missing.append(1.0 - len(positive) / min(rows, states.shape[1]))
    ratio = flow.weight_decay / max(min(gaps), 1e-300)
    gap = (
        f"The smallest non-zero eigenvalue of J J^T / n along the way is {min(gaps):.2g}, so that the weight decay is "
        f"{ratio:.2g} of it. Above 1 the training data are not held, and the theory of the slow phase does not apply; "
        "the forecast follows the flow at the given weight decay nevertheless."
    )
    rank = f"Up to {100 * max(missing):.2g} % of the rows of the Jacobian depend on the others along the way."
    return [
        Reason("weight decay over gap", ratio, 1.0, False, gap),
        Reason("missing rank", max(missing), 0.0, False, rank),
    ]


def _sharpness(
    gauge: Gauge, states: Float64[ndarray, "m size"], learning_rate: float, weight_decay: float
) -> Reason:
    """Return the learning rate times the largest eigenvalue of the Hessian along the way."""
    largest = max(top_eigenvalue(gauge.train, gauge.shape, state) for state in states) + weight_decay
    product = learning_rate * largest
    sentence = (
        f"The sharpness is up to {largest:.3g} along the way, {product:.2g} / learning_rate. Above 2 / learning_rate "
        "gradient descent does not follow the flow."
    )
    return Reason("learning rate times sharpness", product, _EDGE, True, sentence)


def _logits(gauge: Gauge, states: Float64[ndarray, "m size"]) -> Reason:
    """Return the largest size of a training prediction along the way."""
    largest = max(float(np.max(np.abs(gauge.train_predictions(state)))) for state in states)
    sentence = (
        f"Predictions reach {largest:.3g}. Where they are that large, the gradient of the loss is tiny until the "
        "weight decay has shrunk them, and gradient descent in float32 may not move at all."
    )
    return Reason("size of the predictions", largest, _LOGITS, False, sentence)


@eqx.filter_jit
def _hessian_product(objective: Objective, shape: TreeShape, state: Any, vector: Any) -> jax.Array:
    def loss(point: jax.Array) -> jax.Array:
        return objective.mean_loss.value(objective.readout(shape.unflatten(point)))

    return jax.jvp(jax.grad(loss), (jnp.asarray(state),), (jnp.asarray(vector),))[1]


def top_eigenvalue(objective: Objective, shape: TreeShape, state: Float64[ndarray, " size"]) -> float:
    """Return the largest eigenvalue of the Hessian of the loss, to about 1 %, by the method of Lanczos."""
    size = len(state)

    def product(vector: ndarray) -> ndarray:
        return np.asarray(_hessian_product(objective, shape, state, np.ravel(vector)))

    with double_precision():
        if size < 4:
            return float(np.linalg.eigvalsh(np.stack([product(row) for row in np.eye(size)]))[-1])
        random = np.random.default_rng(0).standard_normal(size)
        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
        try:
            values = eigsh(operator, k=1, which="LA", tol=1e-2, v0=random, return_eigenvectors=False)
        except ArpackError:
            return float("nan")
    return float(values[0])
