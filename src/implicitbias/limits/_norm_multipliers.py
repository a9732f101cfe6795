"""Multipliers of the constraints that come closest to the KKT conditions of the least norm at a given point."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import lstsq, qr
from scipy.optimize import nnls

from implicitbias.limits._non_negative_program import non_negative_by_rows
from implicitbias.limits._norm_constraints import Linearized
from implicitbias.limits._tolerances import EPSILON, RANK
from implicitbias.limits._working_set import MANY, working_set

# The stabilisation relative to the kernel where J does not fit into memory, and the number of refinements.
_STABLE, _REFINEMENTS = 1e-13, 5


def multipliers_of(at: Linearized) -> Float64[ndarray, " m"]:
    r"""Return the multipliers q of theta = J^T q that are the best in least squares.

    In regression they are those of least norm. In classification they are non-negative, and the sum of the
    complementary products $q_i (M_i - 1) / \lVert \theta \rVert^2$ is one more equation.
    """
    size = float(np.linalg.norm(at.flat))
    if size == 0.0:
        return np.zeros(len(at.c))
    if at.J is None:
        return _by_kernel(at, size)
    if at.constraints.equality:
        found = lstsq(at.J.T, at.flat, cond=RANK, lapack_driver="gelsy", check_finite=False)
        return np.asarray(found[0])
    if len(at.c) > MANY:  # SciPy's active-set method takes minutes to hours.
        return _many(at, size)
    # A common unit of the rows keeps the numbers of the solver near 1.
    unit = np.sqrt(at.scale) or 1.0
    columns = np.vstack([at.J.T / unit, at.c[None] / (unit * size)])
    target = np.append(at.flat / size, 0.0)
    if columns.shape[0] > columns.shape[1]:
        small = qr(np.column_stack([columns, target]), mode="r", check_finite=False)[0]
        columns, target = small[: len(small), :-1], small[:, -1]
    q = _non_negative(columns, target)
    return q * (size / unit)


def rounding_of(at: Linearized, q: Float64[ndarray, " m"]) -> float:
    r"""Return the change of the relative stationarity that rounding errors of J alone cause; 0 if J is not at hand.

    It is $\epsilon \lVert |J|^\top |q| \rVert / \lVert \theta \rVert$, which is large where rows nearly depend on
    each other, because the multipliers are large there.
    """
    size = float(np.linalg.norm(at.flat))
    if at.J is None or size == 0.0:
        return 0.0
    return EPSILON * float(np.linalg.norm(np.abs(q) @ np.abs(at.J))) / size


def _non_negative(columns: Float64[ndarray, "r m"], target: Float64[ndarray, " r"]) -> Float64[ndarray, " m"]:
    """Return the non-negative least-squares solution; its positive entries are solved again to full accuracy."""
    q = np.asarray(nnls(columns, target, maxiter=30 * columns.shape[1])[0])
    positive = q > EPSILON * np.max(q, initial=0.0)
    if positive.any():
        better = lstsq(columns[:, positive], target, cond=RANK, check_finite=False)[0]
        if np.all(better >= 0.0):
            q = np.zeros(len(q))
            q[positive] = better
    return q


def _many(at: Linearized, size: float) -> Float64[ndarray, " m"]:
    """Return the multipliers of many constraints from the kernel, whose positive ones J then makes accurate."""
    q = _by_kernel(at, size)
    positive = q > 0.0
    if at.J is None or not positive.any():
        return q
    columns = np.vstack([at.J[positive].T, at.c[None, positive] / size]) / np.sqrt(at.scale)
    target = np.append(at.flat, 0.0) / np.sqrt(at.scale)
    better = lstsq(columns, target, cond=RANK, check_finite=False, lapack_driver="gelsy")[0]
    if np.all(better >= 0.0):
        q[positive] = better
    return q


def _by_kernel(at: Linearized, size: float) -> Float64[ndarray, " m"]:
    """Return the multipliers from the kernel alone; each refinement removes most of the error of the one before."""
    product = at.matvec(at.flat)
    q = np.zeros(len(at.c))
    if not at.constraints.equality:
        at = at._replace(kernel=at.kernel + np.outer(at.c, at.c) / size**2)
        if len(at.c) > MANY:
            q = non_negative_by_rows(at.kernel, product, at.c)
    for _ in range(_REFINEMENTS):
        q = working_set(at, product, q, _STABLE * at.scale).q
    return q
