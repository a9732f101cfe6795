"""The change h of the parameters of least norm whose linearised predictions are given numbers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh, lapack, svd
from scipy.sparse.linalg import LinearOperator, lsmr

from implicitbias.limits._tangent_features import TangentFeatures
from implicitbias.limits._tolerances import EPSILON, RANK, TOLERANCE

# Kernels with a larger reciprocal condition number are solved by Cholesky factorization, with this many refinements.
_WELL_CONDITIONED, _REFINEMENTS = 1e-9, 5
# The largest size in bytes of a dense Jacobian whose singular values are computed.
_DENSE_BYTES = 2**29
# The most iterations without a kernel, as a multiple of the number of rows.
_MOST_ITERATIONS = 10


class LeastChange(NamedTuple):
    """The minimiser of ||h|| among the minimisers of ||J h - right||.

    Attributes:
        h: (p,) the change of the parameters.
        q: (m,) multipliers with h = J^T q.
        rank: the numerical rank of J; None if it was not computed, because the kernel does not fit into memory.
        fits: whether J h = right up to rounding.
    """

    h: Float64[ndarray, " p"]
    q: Float64[ndarray, " m"]
    rank: int | None
    fits: bool


def least_change(features: TangentFeatures, right: Float64[ndarray, " m"], ridge: float = 0.0) -> LeastChange:
    """Return the least change; with a ridge that of the kernel K + ridge I."""
    kernel = features.kernel
    if kernel is None:
        h, q, rank = _by_products(features, right, ridge)
    else:
        solved = _by_cholesky(features, kernel, right, ridge)
        h, q, rank = _by_singular_values(features, kernel, right) if solved is None else solved
    missed = float(np.linalg.norm(features.apply(h) + ridge * q - right))
    return LeastChange(h, q, rank, missed <= TOLERANCE * float(np.linalg.norm(right)))


def _by_cholesky(
    features: TangentFeatures, kernel: Float64[ndarray, "m m"], right: Float64[ndarray, " m"], ridge: float
) -> tuple[Float64[ndarray, " p"], Float64[ndarray, " m"], int] | None:
    """Return h, q and the rank m; None if the kernel is ill-conditioned."""
    matrix = kernel.copy()
    matrix[np.diag_indices(len(matrix))] += ridge
    size = float(np.max(np.sum(np.abs(matrix), axis=0)))
    try:
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return None
    if not lapack.dpocon(factor[0], size, uplo="L")[0] > _WELL_CONDITIONED and ridge == 0.0:
        return None
    q = np.zeros(len(right))
    h = np.zeros(len(features.flat))
    for _ in range(_REFINEMENTS):
        missing = right - features.apply(h) - ridge * q
        q = q + cho_solve(factor, missing, check_finite=False)
        h = features.transpose(q)
        if np.linalg.norm(missing) <= 10 * EPSILON * np.linalg.norm(right):
            break
    return h, q, len(right)


def _by_singular_values(
    features: TangentFeatures, kernel: Float64[ndarray, "m m"], right: Float64[ndarray, " m"]
) -> tuple[Float64[ndarray, " p"], Float64[ndarray, " m"], int]:
    """Return h, q and the rank from the singular values of J, or from those of the kernel if J is too large."""
    m, p = len(right), len(features.flat)
    if 8 * m * p <= _DENSE_BYTES:
        U, sizes, Vt = svd(features.rows(np.arange(m)), full_matrices=False, check_finite=False)
        kept = sizes > max(m, p) * RANK / 100 * sizes[0]
        ratios = (U[:, kept].T @ right) / sizes[kept]
        return ratios @ Vt[kept], U[:, kept] @ (ratios / sizes[kept]), int(np.sum(kept))
    # Singular values of J below the square root of the rounding of the kernel cannot be told from 0.
    squares, U = eigh(kernel, check_finite=False)
    kept = squares > m * EPSILON * squares[-1]
    q = np.zeros(m)
    h = np.zeros(p)
    for _ in range(_REFINEMENTS):
        missing = right - features.apply(h)
        q = q + U[:, kept] @ ((U[:, kept].T @ missing) / squares[kept])
        h = features.transpose(q)
    return h, q, int(np.sum(kept))


def _by_products(
    features: TangentFeatures, right: Float64[ndarray, " m"], ridge: float
) -> tuple[Float64[ndarray, " p"], Float64[ndarray, " m"], None]:
    """Return h and q from products with J alone: LSMR, whose iterates are in the range of J^T."""
    m, p = features.number, len(features.flat)
    J = LinearOperator((m, p), features.apply, features.transpose, dtype=np.float64)
    most = _MOST_ITERATIONS * m
    if ridge > 0.0:
        h = lsmr(J, right, damp=np.sqrt(ridge), atol=1e-14, btol=1e-14, conlim=0.0, maxiter=most)[0]
        return h, (right - features.apply(h)) / ridge, None
    h = lsmr(J, right, atol=1e-14, btol=1e-14, conlim=0.0, maxiter=most)[0]
    transposed = LinearOperator((p, m), features.transpose, features.apply, dtype=np.float64)
    q = lsmr(transposed, h, atol=1e-14, btol=1e-14, conlim=0.0, maxiter=most)[0]
    return h, q, None
