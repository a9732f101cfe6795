"""The multipliers of linearised constraints, and projections on the directions that leave the active ones unchanged."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias.limits._non_negative_program import non_negative_by_rows
from implicitbias.limits._norm_constraints import Linearized

# The number of exchanges of all wrong rows at once, after which rows are exchanged one by one.
_BLOCKS = 20
# With more rows, an interior-point method finds the active ones where none are known or exchanges do not end.
MANY = 500
# The relative increases of the diagonal that are tried where rounding makes the matrix indefinite.
_RIDGES = (0.0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8)


class WorkingSet(NamedTuple):
    r"""Multipliers q and the active rows, as the solution of a quadratic program in the linearised constraints.

    Attributes:
        at: the linearised constraints.
        q: (m,) the multipliers.
        active: (m,) which rows are treated as equations.
        factor: the Cholesky factor of the kernel of the active rows, plus the stabilisation; None if the kernel is 0.
        stabilisation: the number that is added to the diagonal of the kernel.
    """

    at: Linearized
    q: Float64[ndarray, " m"]
    active: Bool[ndarray, " m"]
    factor: Any
    stabilisation: float

    def normal(self, wanted: Float64[ndarray, " m"]) -> Float64[ndarray, " p"]:
        """Return the least step d with J d = wanted on the active rows."""
        q = np.zeros(len(self.active))
        if self.factor is not None:
            q[self.active] = cho_solve(self.factor, wanted[self.active], check_finite=False)
        return self.at.rmatvec(q)

    def with_rows(self, rows: Bool[ndarray, " m"]) -> "WorkingSet":
        """Return the same multipliers with more active rows."""
        return fixed_set(self.at, self.q, self.active | rows, self.stabilisation)

    def tangent(self, v: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
        """Return the part of a direction that leaves the active constraints unchanged to first order."""
        inside = v - self.normal(self.at.matvec(v))
        # If most of the direction was removed, a second projection removes the rounding errors of the first one.
        if np.linalg.norm(inside) < 0.5 * np.linalg.norm(v):
            inside = inside - self.normal(self.at.matvec(inside))
        return inside


def fixed_set(
    at: Linearized, q: Float64[ndarray, " m"], active: Bool[ndarray, " m"], stabilisation: float
) -> WorkingSet:
    """Return the working set with these multipliers and active rows."""
    factor, _ = _solved(at.kernel, active, np.zeros(len(active)), stabilisation)
    return WorkingSet(at, q, active, factor, stabilisation)


def working_set(
    at: Linearized,
    right: Float64[ndarray, " m"],
    before: Float64[ndarray, " m"],
    stabilisation: float,
) -> WorkingSet:
    r"""Return the multipliers q of min 1/2 ||x||^2 subject to J x = right, or J x >= right.

    The point is x = J^T q. For inequalities q >= 0 solves the complementarity problem
    $K q + \delta (q - q_0) - \text{right} \ge 0$, q times it = 0. The term with $\delta$ keeps dependent rows from
    making the matrix singular, and vanishes where q no longer changes from $q_0$ (stabilised sequential quadratic
    programming). The program is solved by exchanges of active rows, of all wrong ones at once as long as this helps.

    Args:
        at: the linearised constraints with K = J J^T.
        right: (m,) the right-hand side.
        before: (m,) the previous multipliers q_0; rows with a positive one are active at the start.
        stabilisation: delta > 0.
    """
    target = right + stabilisation * before
    if at.constraints.equality:
        active = np.ones(len(right), dtype=bool)
        factor, q = _solved(at.kernel, active, target, stabilisation)
        return WorkingSet(at, q, active, factor, stabilisation)
    many = len(right) > MANY
    active = before > 0.0
    if many and not before.any():
        # Without multipliers the rows with a positive target are violated. If they are few, exchanges end soon.
        active = target > 0.0
        if 2 * np.count_nonzero(active) > len(target):
            active = _interior(at, target, stabilisation)
    largest, size = float(np.max(np.abs(at.kernel))), float(np.max(np.abs(target)))
    factor, q = _solved(at.kernel, active, target, stabilisation)
    fewest, patience = len(right) + 1, _BLOCKS
    for _ in range(_BLOCKS + 50 * len(right)):
        slack = at.kernel @ q + stabilisation * q - target
        # Large multipliers add their rounding errors to the slack.
        rounding = 1e-14 * (size + largest * max(1.0, float(np.max(np.abs(q)))))
        wrong = np.where(active, q < 0.0, slack < -rounding)
        count = int(np.count_nonzero(wrong))
        if count == 0:
            break
        if count < fewest:
            fewest, patience = count, _BLOCKS
        patience -= 1
        if patience < 0 and many:
            active, patience, many = _interior(at, target, stabilisation), _BLOCKS, False
            factor, q = _solved(at.kernel, active, target, stabilisation)
            continue
        if patience < 0:  # The exchange of the last wrong row alone cannot cycle (Murty).
            wrong[: np.flatnonzero(wrong)[-1]] = False
        active = active ^ wrong
        factor, q = _solved(at.kernel, active, target, stabilisation)
    return WorkingSet(at, np.maximum(q, 0.0), active, factor, stabilisation)


def _interior(at: Linearized, target: ndarray, stabilisation: float) -> Bool[ndarray, " m"]:
    """Return the rows with a positive multiplier in the whole program."""
    matrix = at.kernel.copy()
    matrix[np.diag_indices(len(matrix))] += stabilisation
    # At the point itself the slacks are c, so that the rows with the smallest ones are likely to be active.
    return np.asarray(non_negative_by_rows(matrix, target, at.c) > 0.0)


def _solved(
    kernel: Float64[ndarray, "m m"], active: Bool[ndarray, " m"], target: ndarray, stabilisation: float
) -> tuple[Any, Float64[ndarray, " m"]]:
    """Return the Cholesky factor of the active part of the kernel and the multipliers that solve it.

    Without active rows, or where the derivatives of all of them are 0, they are None and zeros.
    """
    q = np.zeros(len(target))
    part = kernel[np.ix_(active, active)]
    size = float(np.max(np.diag(part), initial=0.0))
    if size < np.finfo(np.float64).tiny:
        return None, q
    for ridge in _RIDGES:
        matrix = part.copy()
        matrix[np.diag_indices(len(part))] += stabilisation + ridge * size
        try:
            factor = cho_factor(matrix, lower=True, check_finite=False)
        except LinAlgError:
            continue
        q[active] = cho_solve(factor, target[active], check_finite=False)
        return factor, q
    raise LinAlgError("the tangent kernel is not positive semidefinite")
