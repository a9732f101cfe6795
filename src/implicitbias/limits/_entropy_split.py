"""The canonical split of a fit among dependent columns: the one that the true flow takes.

Where several sign-feasible w share the fit, the flow from scale alpha tends to the one that minimises
sum |w_i| ln(|w_i| / m_i) - |w_i|. From w = 0 all m_i are equal. A coordinate that starts at w0_i != 0 has m_i = |w0_i|
while it keeps its sign and m_i = 1 / (4 |w0_i|) once it has changed it, against m_i = 1/2 elsewhere: with
a = alpha^2, arcsinh(w_i / a) = arcsinh(w0_i / a) + 2 x_i^T nu, and nu = nu_0 ln(1/alpha) + nu_1 + o(1).
"""

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError
from implicitbias.limits._linear_programs import maximal_support
from implicitbias.problems import LeastSquares

_RANK = 1e-12
_STEPS = 200

Split = tuple[Int64[ndarray, " p"], Float64[ndarray, " p"]]


def entropy_split(
    problem: LeastSquares,
    start: Float64[ndarray, " d"],
    s: Float64[ndarray, " d"],
    basic: tuple[Int64[ndarray, " k"], Float64[ndarray, " k"]],
    idle: Int64[ndarray, " m"],
) -> Split | None:
    """Indices and values of the canonical split, or None where the coefficients are unique.

    `basic` holds one minimiser; `idle` the boundary coordinates that it leaves at 0 and whose gradient vanishes.
    """
    support, values = basic
    candidates = np.concatenate([support, idle])
    signs, norms = s[candidates], problem.column_norms[candidates]
    norms = np.where(norms > 0.0, norms, 1.0)
    columns = problem.X[:, candidates] * (signs / norms)
    rows, null = _row_and_null_space(columns)
    if null.shape[1] == 0:
        return None
    u = np.concatenate([np.abs(values), np.zeros(len(idle))]) * norms
    found = maximal_support(rows, u)
    if found is None:
        return None
    free, interior = found
    null = _row_and_null_space(columns[:, free])[1]
    if null.shape[1] == 0:
        return None
    index, scale = candidates[free], norms[free]
    # The interior point meets the fit to the tolerance of the LP only: put it back exactly.
    interior = u[free] + null @ (null.T @ (interior[free] - u[free]))
    if np.any(interior <= 0.0):
        return None  # within rounding of a face: nothing to split
    w = _least_entropy(interior / scale, null / scale[:, None], _weights(start[index], s[index]))
    order = np.argsort(index)
    return index[order], (signs[free] * w)[order]


def _row_and_null_space(
    columns: Float64[ndarray, "n m"],
) -> tuple[Float64[ndarray, "r m"], Float64[ndarray, "m k"]]:
    """Orthonormal bases of the row space (as rows) and of the null space (as columns)."""
    _, singular, right = np.linalg.svd(columns, full_matrices=True)
    rank = int(np.sum(singular > _RANK * singular[0])) if len(singular) else 0
    return right[:rank], right[rank:].T


def _weights(start: Float64[ndarray, " m"], s: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
    size = np.abs(start)
    with np.errstate(divide="ignore"):
        flipped = 1.0 / (4.0 * size)
    return np.where(size == 0.0, 0.5, np.where(start * s > 0.0, size, flipped))


def _least_entropy(
    w: Float64[ndarray, " m"], null: Float64[ndarray, "m k"], weights: Float64[ndarray, " m"]
) -> Float64[ndarray, " m"]:
    """Newton in the null space from w > 0 for min sum w ln(w / m) - w; the fit never changes."""
    for _ in range(_STEPS):
        gradient = null.T @ np.log(w / weights)
        step = -null @ np.linalg.solve(null.T @ (null / w[:, None]), gradient)
        shrink = np.max(-step / w, initial=0.0)
        size = min(1.0, 0.9 / shrink) if shrink > 0.0 else 1.0
        w = w + size * step
        if np.max(np.abs(step) / w) < 1e-13 or (size == 1.0 and np.max(np.abs(step) / w) < 1e-9):
            return w
    raise ImplicitBiasError(
        "the split among dependent columns did not converge in "
        f"{_STEPS} Newton steps; scale the columns of X to norm 1, or drop all but one of each set of dependent columns"
    )
