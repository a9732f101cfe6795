"""The interpolation limit: the end of training without weight decay."""

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.precision import double_precision
from implicitbias._core.progress import Progress
from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape
from implicitbias.flows import (
    MOST_FOR_HESSIAN,
    CriticalPoint,
    GradientFlow,
    critical_point,
    finite_minimiser,
    simulate,
)
from implicitbias.limits import Limit
from implicitbias.predictors import traced
from implicitbias.trajectories import Trajectory

# The flow is followed until the squared residual is below this share of its terms, or until the gradient, which is 0 at
# minima with another loss than 0 too, is below its share.
_SQUARED, _SLOPE = 1e-12, 1e-7
# The measures at a state cost as much as several steps, and are computed only where the time has grown by this factor.
_LATER = 1.5
# The end time in units of the time in which the loss falls at its first speed.
_END = 1e14
# The largest accepted residual and gradient after the last step of Gauss-Newton, relative to their terms, the largest
# accepted distance that these steps may move the parameters, and the largest number of steps.
_RESIDUAL, _GRADIENT, _MOVED, _STEPS = 1e-12, 1e-10, 1e-3, 10
# A residual that fell to this share of the first one tends to 0.
_FELL = 1e-6
# Steps stop when the residual is below this share of the accepted one, or when so many of them one after another leave
# more than the other share of the least one. Where the kernel is nearly singular, the first step is long and makes the
# residual larger, and the next ones converge; at kinks of the model none does.
_ENDED, _REDUCED, _VAIN = 0.1, 0.5, 2
# A residual is not small against its terms from this share of them on.
_LARGE = 1e-2
# The largest accepted negative curvature relative to the largest one, as a rounding error.
_NEGATIVE = 1e-6
# The ratio of the two tolerances of the flow from which its error is estimated.
_LOOSER = 10.0


class _End(NamedTuple):
    """The end of a flow: the point after the Gauss-Newton steps, how far these moved it, and the trajectory."""

    point: CriticalPoint
    moved: float
    trajectory: Trajectory


def interpolation_limit(
    problem: Any,
    params: Any,
    *,
    rtol: float = 1e-6,
    max_steps: int = 100_000,
    progress: Progress | None = None,
) -> Limit:
    r"""Return $\Phi(\theta_0)$, the end of the gradient flow without weight decay that starts at `params`.

    The flow $\dot\theta = -\nabla F(\theta)$ is followed until the squared residual is below 1e-12 of its terms. Then
    Gauss-Newton steps $\theta \mathrel{-}= J^\top (J J^\top)^+ (f - y)$ lead to a residual of 1e-12. They leave the set
    of points with the same limit by the square of their length only. If the model cannot fit the data, the flow ends at
    a minimum of the loss that is not 0, where Newton steps with the exact Hessian take their place (up to 1500
    parameters); the certificate then says so.

    Training with a small weight decay first goes to this point, and then along `ib.NormDrift(problem)`.

    Args:
        problem: a problem with the squared loss, or with another loss that has a finite minimiser.
        params: the parameters at which training starts, a pytree of arrays.
        rtol: the tolerance of the flow, as for `ib.simulate`.
        max_steps: the largest number of steps of the flow.
        progress: a function that is called from time to time with (fraction, text).

    Returns:
        A `Limit`: `point` is the pytree of parameters and `value` is the loss there. `certificate` has the `residual`
        or the `gradient` relative to its terms, the share of dependent rows of the Jacobian (`dependent`), the distance
        that the last steps `moved` the parameters relative to their norm, and `negative_curvature` where the loss is
        not 0. It proves a property of the point only. `error` is the estimated relative error of the flow, the
        difference of two runs with the tolerances rtol and 10 rtol (rtol / 10 if rtol > 0.01) plus the square of
        `moved`; it is inf if the flow stopped before its end. After a keyboard interrupt, the point reached is
        returned.

    Raises:
        InputError: the loss has its minimiser at infinity (logistic, exponential, cross-entropy loss), or params are
            invalid.
        ImplicitBiasError: the tangent kernel needs more than 2 GiB.

    Reference:
        boursier2025grokking.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 1.0], [2.0, 2.0]], [2.0, 4.0])
        >>> limit = ib.interpolation_limit(problem, np.array([3.0, 0.0]))
        >>> limit.point.round(6).tolist()  # the projection of (3, 0) on w_1 + w_2 = 2
        [2.5, -0.5]
        >>> limit.certificate.holds, limit.error < 1e-6
        (True, True)
    """
    flow = GradientFlow(finite_minimiser(problem, "interpolation_limit"))
    shape, start = flow.checked_start(params)
    with double_precision():
        objective = problem.double_objective
        predictor = traced(objective.readout).fitted(shape, start)
        begin = critical_point(predictor, objective.mean_loss, shape, start)
        begin.refuse_jacobian()
        end = _followed(flow, begin, rtol, max_steps, _half(progress, 0))
        theta, error = end.point.theta, np.inf
        if end.trajectory.status.ok:  # After an interrupt, for instance, a second run is not wanted.
            other = _LOOSER * rtol if rtol <= 0.1 / _LOOSER else rtol / _LOOSER
            second = _followed(flow, begin, other, max_steps, _half(progress, 1)).point.theta
            size = max(float(np.linalg.norm(theta)), 1e-300)
            # The last steps, which both runs take, leave the manifold of the flow by the square of their length.
            error = float(np.linalg.norm(theta - second)) / size + (end.moved / size) ** 2
        certificate = _certificate(begin, end, error)
    params = shape.numpy_tree(theta)
    status = Status.CONVERGED if certificate.holds else Status.NOT_CERTIFIED
    stopped = end.trajectory.status
    return Limit(
        problem=problem,
        point=params,
        value=problem.loss(params),
        certificate=certificate,
        status=status if status.ok or stopped.ok else stopped,
        error=error,
    )


def _followed(
    flow: GradientFlow, begin: CriticalPoint, rtol: float, max_steps: int, progress: Progress | None
) -> _End:
    """Return the end of the flow with this tolerance."""
    problem, shape = flow.problem, begin.shape
    due = 0.0

    def ended(t: float, params: Any) -> bool:
        nonlocal due
        if t < due:
            return False
        due = _LATER * t
        measures = begin.at(_flat(shape, params)).measures
        return bool(measures.misfit**2 <= _SQUARED or measures.slope <= _SLOPE)

    end = _END * _time_scale(problem, shape.numpy_tree(begin.theta))
    trajectory = simulate(
        flow,
        shape.numpy_tree(begin.theta),
        times=[end],
        rtol=rtol,
        until=ended,
        max_steps=max_steps,
        progress=progress,
    )
    if progress is not None and trajectory.status.ok:
        progress(1.0, "done")
    point = begin.at(_flat(shape, trajectory.final))
    polished = _polished(point) if trajectory.status.ok else point
    return _End(polished, float(np.linalg.norm(polished.theta - point.theta)), trajectory)


def _half(progress: Progress | None, run: int) -> Progress | None:
    """Return the progress of the first (0) or second (1) of two runs."""
    if progress is None:
        return None
    return lambda fraction, text: progress((run + fraction) / 2, f"flow {run + 1} of 2, {text}")


def _time_scale(problem: Any, params: Any) -> float:
    """Return the time in which the loss would fall to 0 at its present speed, or 1 at a critical point."""
    import jax

    square = sum(
        float(np.sum(leaf**2))
        for leaf in jax.tree.leaves(problem.gradient(params))
        if isinstance(leaf, ndarray)
    )
    scale = problem.loss(params) / square if square > 0.0 else 0.0
    return scale if 0.0 < scale < np.inf else 1.0


def _polished(point: CriticalPoint) -> CriticalPoint:
    """Return the point after Gauss-Newton steps, as long as they make the residual or the gradient smaller."""
    if _nearly_fits(point):
        point = _fitted(point)
    for _ in range(_STEPS):
        too_large = point.by_hessian and len(point.theta) > MOST_FOR_HESSIAN
        if too_large or _left(point) <= _ENDED * _bound(point):
            break
        theta = point.stepped()
        following = point.at(theta) if np.all(np.isfinite(theta)) else point
        if not _left(following) < _left(point):
            break
        point = following
    return point


def _nearly_fits(point: CriticalPoint) -> bool:
    """Return whether the flow ended because its residual is small; no Hessian is needed near an interpolation."""
    return bool(point.measures.misfit**2 <= 2.0 * _SQUARED)


def _fitted(point: CriticalPoint) -> CriticalPoint:
    """Return the point after Gauss-Newton steps to the targets, or itself if they do not make the residual smaller."""
    best, here, vain = point, point, 0
    while best.measures.misfit > _ENDED * _RESIDUAL and vain < _VAIN:
        theta = here.stepped_to_targets()
        if not np.all(np.isfinite(theta)):
            break
        here = point.at(theta)
        if here.measures.misfit < _REDUCED * best.measures.misfit:
            best, vain = here, 0
        else:
            vain += 1
    return best


def _left(point: CriticalPoint) -> float:
    return float(point.measures.misfit if point.interpolates else point.measures.slope)


def _bound(point: CriticalPoint) -> float:
    return _RESIDUAL if point.interpolates else _GRADIENT


def _certificate(begin: CriticalPoint, end: _End, error: float) -> Certificate:
    """Return the certificate of the point, whose kind decides what it states."""
    point = end.point
    size = max(float(np.linalg.norm(point.theta)), 1e-300)
    full = min(len(point.theta), point.measures.predictions.size)
    rank = point.jacobian_rank()
    residuals, bounds = (
        {"moved": end.moved / size, "dependent": 1.0 - rank / full},
        {"moved": _MOVED, "dependent": 1.0 - 0.5 / full},
    )
    ended = end.trajectory.status.ok
    # At a limit where the Jacobian vanishes, the residual falls like a power of t, and never far below its terms.
    fell = _residual_norm(point) <= _FELL * _residual_norm(begin)
    slowly = ended and fell and bool(point.measures.misfit > _LARGE)
    if point.interpolates or _nearly_fits(point) or slowly or not ended:
        statement = "the predictions at the point minimise the loss of every row (they fit the targets)"
        residuals["residual"] = float(point.measures.misfit)
    else:
        statement = (
            "the point is a minimum of the loss, which is not 0 there: the model does not fit the data"
        )
        residuals["gradient"] = float(point.measures.slope)
        bounds["gradient"] = _GRADIENT
        residuals["negative_curvature"] = _negative_curvature(point)
        bounds["negative_curvature"] = _NEGATIVE
    note = (
        f"The flow ended at t = {end.trajectory.times[-1]:.3g}, and the relative error of the point is about "
        f"{error:.0e}."
        if ended
        else "The flow stopped before its end."
    )
    note += f" The Jacobian of the predictions has the rank {rank} of {full}."
    if slowly:
        note += (
            f" The residual fell to {_residual_norm(point) / _residual_norm(begin):.0e} of that at the start, but "
            "slowly, since the Jacobian vanishes at the limit: the flow has not arrived there at any finite time."
        )
    if np.isnan(residuals.get("negative_curvature", 0.0)):
        note += (
            f" The exact Hessian was not computed, because there are {len(point.theta)} parameters, more than "
            f"{MOST_FOR_HESSIAN}."
        )
    return Certificate(statement, None, residuals, _RESIDUAL, bounds, note)


def _residual_norm(point: CriticalPoint) -> float:
    return float(np.linalg.norm(point.measures.predictions - point.measures.target))


def _negative_curvature(point: CriticalPoint) -> float:
    """Return the size of the least curvature if it is negative, else 0; nan if the Hessian is too large."""
    if not point.by_hessian:  # The predictions are linear near the point, so that the loss is convex there.
        return 0.0
    return max(0.0, -point.least_curvature()) if len(point.theta) <= MOST_FOR_HESSIAN else np.nan


def _flat(shape: TreeShape, params: Any) -> ndarray:
    return np.asarray(shape.flatten(params))
