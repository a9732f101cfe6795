r"""Descent of the norm of the parameters along the constraints f = y, or y f >= 1, to a KKT point.

Each step solves the quadratic program of least norm in the linearised constraints, which gives multipliers q and the
active rows. A truncated Newton step in their tangent space follows, with the exact Hessian of the Lagrangian
$\frac12 \lVert \theta \rVert^2 - \sum_i q_i c_i$, and a Gauss-Newton correction brings the point back to the
constraints.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias.limits._norm_constraints import Constraints, Linearized, violated
from implicitbias.limits._tolerances import TOLERANCE
from implicitbias.limits._working_set import WorkingSet, working_set

# The relative residual at which the descent stops, and the number of steps without a smaller one after which it stops.
_TARGET, _PATIENCE = 1e-13, 12
# The largest and least stabilisation relative to the kernel, and its ratio to the residual.
_MOST_STABLE, _LEAST_STABLE, _STABLE = 1e-6, 1e-14, 1e-2
# The most conjugate-gradient steps of one Newton step, the most shorter steps that are tried, and the corrections.
_MOST_PRODUCTS, _MOST_TRIALS, _CORRECTIONS, _MOST_ADDITIONS = 300, 10, 3, 10
# The least decrease relative to the predicted one, and the share of the squared norm that counts as rounding.
_DECREASE, _ROUNDING = 1e-4, 1e-13
# The most Gauss-Newton steps of a restoration, and the relative violation at which it stops.
_MOST_RESTORED, _RESTORED = 60, 1e-13


class Descended(NamedTuple):
    """The point that a descent returns.

    Attributes:
        at: the linearised constraints at the point.
        q: (m,) the multipliers.
        residual: the relative residual of the KKT conditions.
        steps: the number of steps.
    """

    at: Linearized
    q: Float64[ndarray, " m"]
    residual: float
    steps: int


def restored(constraints: Constraints, flat: Float64[ndarray, " p"]) -> Linearized:
    """Return the constraints at a point near `flat` that satisfies them; the best point found, if none does.

    Gauss-Newton steps of least norm are halved until the violation decreases.
    """
    at = constraints.at(flat)
    for _ in range(_MOST_RESTORED):
        if at.violation() <= _RESTORED or at.scale == 0.0:
            break
        work = working_set(at, -at.c, np.zeros(len(at.c)), _LEAST_STABLE * at.scale)
        step, before = at.rmatvec(work.q), violated(at.c, constraints.equality)
        for power in range(12):
            moved = at.flat + 0.5**power * step
            after = violated(constraints.values(moved), constraints.equality)
            if after < (1.0 - 0.1 * 0.5**power) * before:
                break
        else:
            break
        at = constraints.at(moved)
    return at


def descend(at: Linearized, max_steps: int) -> Descended:
    """Return the KKT point of least norm that at most `max_steps` steps reach from a point within the constraints."""
    q, residual, radius = np.zeros(len(at.c)), 1.0, 0.5 * float(np.linalg.norm(at.flat))
    best, since = Descended(at, q, np.inf, 0), 0
    for steps in range(max_steps + 1):
        delta = at.scale * min(max(_STABLE * residual**2, _LEAST_STABLE), _MOST_STABLE)
        work = working_set(at, at.matvec(at.flat) - at.c, q, delta)
        q = work.q
        residual = _residual(at, q)
        since = since + 1 if residual > 0.5 * best.residual else 0
        if residual < best.residual:
            best = Descended(at, q, residual, steps)
        settled = best.residual <= TOLERANCE and since > _PATIENCE // 4
        if residual <= _TARGET or settled:
            break
        with one_blas_thread():  # A step consists of many small products.
            moved, radius = _step(work, residual, radius)
        if moved is None:
            break
        at = at.constraints.at(moved)
    if (
        best.residual > TOLERANCE
    ):  # A point that is not a KKT point is at least one that satisfies the constraints.
        nearer = restored(best.at.constraints, best.at.flat)
        best = Descended(nearer, q, _residual(nearer, q), steps)
    return best._replace(steps=steps)


def _residual(at: Linearized, q: Float64[ndarray, " m"]) -> float:
    """Return the largest of the relative gradient of the Lagrangian, violation and complementary products."""
    size = float(np.linalg.norm(at.flat)) or 1.0
    stationarity = float(np.linalg.norm(at.flat - at.rmatvec(q))) / size
    products = 0.0 if at.constraints.equality else float(np.sum(q * np.abs(at.c))) / size**2
    return max(stationarity, at.violation(), products)


def _step(work: WorkingSet, residual: float, radius: float) -> tuple[Float64[ndarray, " p"] | None, float]:
    """Return the next point and trust radius: a Newton step, else a step along the projected gradient, else None."""
    at = work.at
    gradient = at.flat - at.rmatvec(work.q)
    merit = _Merit(at, work.q)
    hessian = at.constraints.curvature(at.flat, work.q)
    for _ in range(_MOST_TRIALS):
        step, reached = _feasible_step(work, hessian, gradient, radius, min(0.1, residual))
        predicted = -float(at.flat @ step + step @ hessian(step) / 2 - work.q @ at.matvec(step))
        moved = _corrected(work, at.flat + step)
        ratio = merit.decrease(moved) / predicted if predicted > 0.0 else -1.0
        if merit.accepts(moved, predicted):
            grows = reached and ratio > 0.75
            return moved, 2.0 * radius if grows else radius
        radius = min(radius, float(np.linalg.norm(step))) / 4.0
        if radius <= 1e-12 * np.linalg.norm(at.flat):
            break
    step, predicted = -gradient, float(gradient @ gradient)
    for power in range(3 * _MOST_TRIALS):
        share = 0.5**power
        moved = _corrected(work, at.flat + share * step)
        if merit.accepts(moved, share * predicted):
            return moved, max(radius, share * float(np.linalg.norm(step)))
    return None, radius


def _tangent_step(
    work: WorkingSet,
    hessian: Callable[[ndarray], ndarray],
    gradient: Float64[ndarray, " p"],
    radius: float,
    accuracy: float,
) -> tuple[Float64[ndarray, " p"], bool]:
    """Return the minimiser of the quadratic model in the tangent space, and whether the radius limits it.

    These are projected conjugate gradients (Steihaug), which stop at the radius or at negative curvature.
    """
    r = work.tangent(gradient)
    z, direction, square = np.zeros_like(r), -r, float(r @ r)
    target = accuracy * np.sqrt(square)
    for _ in range(_MOST_PRODUCTS):
        if np.sqrt(square) <= target or square == 0.0:
            break
        image = hessian(direction)
        bend = float(direction @ image)
        ahead = square / bend if bend > 0.0 else np.inf
        if bend <= 0.0 or not np.linalg.norm(z + ahead * direction) < radius:
            return z + _to_radius(z, direction, radius) * direction, True
        z = z + ahead * direction
        r = r + ahead * work.tangent(image)
        former, square = square, float(r @ r)
        direction = -r + square / former * direction
    return z, False


def _to_radius(z: ndarray, direction: ndarray, radius: float) -> float:
    """Return the positive factor for which z + factor * direction has this length."""
    a, b = float(direction @ direction), float(z @ direction)
    c = float(z @ z) - radius**2
    return (-b + np.sqrt(max(b * b - a * c, 0.0))) / a if a > 0.0 else 0.0


def _feasible_step(
    work: WorkingSet,
    hessian: Callable[[ndarray], ndarray],
    gradient: Float64[ndarray, " p"],
    radius: float,
    accuracy: float,
) -> tuple[Float64[ndarray, " p"], bool]:
    """Return a tangent step that violates no inactive constraint to first order, and whether the radius limits it.

    Rows that the step would violate are added to the active ones and the step is computed again. After some additions
    it is cut at the first violated row.
    """
    at, normal = work.at, work.normal(-work.at.c)
    share = 1.0
    for _ in range(_MOST_ADDITIONS):
        bent = gradient + hessian(normal)
        z, reached = _tangent_step(work, hessian, bent, radius, accuracy)
        if at.constraints.equality:
            break
        slope, room = at.matvec(z), np.maximum(at.c + at.matvec(normal), 0.0)
        blocking = ~work.active & (slope < 0.0) & (room + slope < 0.0)
        share = float(np.min(-room[blocking] / slope[blocking], initial=1.0))
        if share > 0.5:
            break
        work = work.with_rows(blocking & (room <= -2.0 * share * slope))
    return normal + share * z, reached


def _corrected(work: WorkingSet, moved: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
    """Return the point after Gauss-Newton corrections of the active constraints with the Jacobian of the start."""
    constraints = work.at.constraints
    c = constraints.values(moved)
    for _ in range(_CORRECTIONS):
        error = float(np.linalg.norm(c[work.active]))
        if not np.all(np.isfinite(c)) or error <= _RESTORED * work.at.size:
            break
        nearer = moved + work.normal(-c)
        after = constraints.values(nearer)
        if not float(np.linalg.norm(after[work.active])) < 0.5 * error:
            break
        moved, c = nearer, after
    return moved


class _Merit:
    """The function 1/2 ||theta||^2 + penalty * violation, which steps must decrease."""

    def __init__(self, at: Linearized, q: Float64[ndarray, " m"]) -> None:
        self.constraints = at.constraints
        # The penalty is exact if it exceeds the norm of the multipliers.
        self.penalty = 2.0 * float(np.linalg.norm(q))
        self.square = float(at.flat @ at.flat)
        self.value = self._value(at.flat, at.c)

    def _value(self, flat: ndarray, c: ndarray) -> float:
        return float(flat @ flat) / 2 + self.penalty * violated(c, self.constraints.equality)

    def decrease(self, moved: Float64[ndarray, " p"]) -> float:
        """Return by how much the function is smaller at a point; -inf if the model is not finite there."""
        c = self.constraints.values(moved)
        return self.value - self._value(moved, c) if np.all(np.isfinite(c)) else -np.inf

    def accepts(self, moved: Float64[ndarray, " p"], predicted: float) -> bool:
        """Return whether the decrease is a sufficient share of the predicted one, up to rounding."""
        slack = _ROUNDING * self.square * (1.0 + self.penalty / max(self.square, 1e-300) ** 0.5)
        return self.decrease(moved) >= _DECREASE * max(predicted, 0.0) - slack
