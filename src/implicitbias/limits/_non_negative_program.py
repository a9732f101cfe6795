r"""The program $\min_q \frac12 q^\top K q - r^\top q$ subject to $q \ge 0$, by an interior-point method.

Active-set methods need about as many factorizations as there are positive entries, or exchange rows without an end
where many rows are nearly degenerate. Here the number of factorizations hardly depends on the number of rows (15 to
25), and rows of K that depend on each other do no harm, because each matrix is K plus a positive diagonal.
"""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

# Each step goes this share of the way to the boundary, and the method takes at most so many steps.
_TO_BOUNDARY, _MOST_STEPS = 0.995, 80
# The sum of the complementary products q_i s_i, relative to r^T q, and the residual relative to r, where it stops.
_PRODUCTS, _RESIDUAL = 1e-15, 1e-13
# The first program has one of so many rows; the most programs before all rows are used; and the violation of a row,
# relative to the right-hand side, that counts as rounding.
_SHARE, _ROUNDS, _OUTSIDE = 5, 8, 1e-12
# The relative increases of the diagonal that are tried where rounding makes the matrix indefinite.
_RIDGES = (0.0, 1e-15, 1e-13, 1e-11)


def non_negative(kernel: Float64[ndarray, "m m"], right: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
    r"""Return the minimiser q, with 0 where an entry is smaller than its slack $(K q - r)_i$ in units of the data.

    The entries are as accurate as the kernel allows; a caller who has a Jacobian solves the positive ones again.

    Args:
        kernel: (m, m) the positive semidefinite K.
        right: (m,) the r.
    """
    unit, size = float(np.mean(np.diag(kernel))), float(np.max(right, initial=0.0))
    if not (
        size > 0.0 and unit > 0.0
    ):  # The slope -r has no negative entry, or the objective is not bounded.
        return np.zeros(len(right))
    K, r = kernel / unit, right / size
    q = np.full(len(r), 1.0 / float(np.max(np.sum(np.abs(K), axis=1))))
    s = np.maximum(K @ q - r, 0.0) + 1.0
    for _ in range(_MOST_STEPS):
        residual = K @ q - r - s
        enough = float(q @ s) <= _PRODUCTS * float(np.abs(r) @ q)
        if enough and np.max(np.abs(residual)) <= _RESIDUAL:
            break
        step = _step(K, q, s, residual)
        if step is None:
            break
        q, s = step
    return np.where(q > s, q, 0.0) * (size / unit)


def non_negative_by_rows(
    kernel: Float64[ndarray, "m m"], right: Float64[ndarray, " m"], rank: Float64[ndarray, " m"]
) -> Float64[ndarray, " m"]:
    """Return the same as `non_negative`, from programs of those rows that are likely to have positive entries.

    Each program has the rows with a positive entry in the one before, and as many rows as at first whose slack was most
    negative. If rows are still violated after some programs, all rows are used.

    Args:
        kernel: (m, m) the positive semidefinite K.
        right: (m,) the r.
        rank: (m,) numbers that are smallest for the rows of the first program.
    """
    first = len(right) // _SHARE
    rows = np.sort(np.argsort(rank, kind="stable")[:first])
    rounding = _OUTSIDE * float(np.max(np.abs(right)))
    for _ in range(_ROUNDS):
        q = np.zeros(len(right))
        q[rows] = non_negative(kernel[np.ix_(rows, rows)], right[rows])
        used = np.flatnonzero(q)
        slack = kernel[:, used] @ q[used] - right
        slack[rows] = 0.0
        violated = np.flatnonzero(slack < -rounding)
        if not len(violated):
            return q
        rows = np.union1d(used, violated[np.argsort(slack[violated], kind="stable")[:first]])
        if 2 * len(rows) > len(right):
            break
    return non_negative(kernel, right)


def _step(K: ndarray, q: ndarray, s: ndarray, residual: ndarray) -> tuple[ndarray, ndarray] | None:
    """Return q and s after one predictor-corrector step (Mehrotra); None if rounding allows no further step."""
    factor = _factorised(K, s / q)
    if factor is None:
        return None

    def direction(products: ndarray) -> tuple[ndarray, ndarray]:
        """Return the step that solves the equations and changes q_i s_i by `products` to first order."""
        dq = cho_solve(factor, products / q - residual, check_finite=False)
        return dq, (products - s * dq) / q

    mean = float(q @ s) / len(q)
    dq, ds = direction(-s * q)
    length = min(1.0, _reach(q, dq), _reach(s, ds))
    after = float((q + length * dq) @ (s + length * ds)) / len(q)
    dq, ds = direction((after / mean) ** 3 * mean - s * q - dq * ds)
    # The objective is curved, so that the residual falls only if q and s make steps of the same length.
    length = min(1.0, _TO_BOUNDARY * min(_reach(q, dq), _reach(s, ds)))
    q, s = q + length * dq, s + length * ds
    return (q, s) if np.all(np.isfinite(q)) and np.all(q > 0.0) and np.all(s > 0.0) else None


def _factorised(K: ndarray, diagonal: ndarray) -> tuple[ndarray, bool] | None:
    for ridge in _RIDGES:
        matrix = K.copy()
        matrix[np.diag_indices(len(matrix))] += diagonal + ridge
        try:
            factor: tuple[ndarray, bool] = cho_factor(
                matrix, lower=True, overwrite_a=True, check_finite=False
            )
        except LinAlgError:
            continue
        return factor
    return None


def _reach(values: ndarray, step: ndarray) -> float:
    """Return the length at which the first entry becomes 0."""
    down = step < 0.0
    return float(np.min(-values[down] / step[down], initial=np.inf))
