r"""Least-squares problems with many more rows than columns, replaced by the triangular factor of [X, y] = Q R.

The walk needs X and y only through products of columns, so that a path of R is a path of X. It costs as much as if X
had d + 1 rows. The factor is scaled so that losses, gradients and slow times are those of X. The numbers that prove the
path are then computed again from X itself. Residuals y - X w that are computed from X have the rounding errors of y,
and a dual variable is a sum of residuals. If the dual variables of the rows of X are for this reason not those of the
path, the path is computed from all rows instead.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy import linalg, sparse

from implicitbias._core.arrays import frozen
from implicitbias._core.linear_maps import DenseMap, Storage
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

# Fewer rows than this multiple of the columns, or fewer entries, are not worth the factorisation.
_ROWS, _ENTRIES = 1.5, 2**15
# A sparse X is converted to dense blocks, which is not worth it if it has more entries than this, zeros included.
_DENSE_ENTRIES = 2**24
# The largest number of multiplications if it is unknown how much of the path is needed.
_WORK = 2**32
# Columns whose norm, or its reciprocal, is larger than this might leave the range that `LeastSquares` accepts.
_RANGE = 1e120
# The number of entries that are factorised at a time, and the number of saddles that are proved at a time.
_BLOCK, _SADDLES = 2**22, 64
# The largest accepted relative distance of s_i from its bound on the equicorrelation set.
_OFF = 1e-8


class Proofs(NamedTuple):
    """The numbers of each saddle that are computed from all rows of X.

    Attributes:
        nu: (k, n) the dual variables.
        losses: (k,) the losses.
        violations: (k,) the largest residual of the optimality conditions; NaN for a start that is not a saddle.
        accurate: whether the dual variables of all saddles are within their bounds and at them on the equicorrelation
            sets, up to rounding.
    """

    nu: Float64[ndarray, "k n"]
    losses: Float64[ndarray, " k"]
    violations: Float64[ndarray, " k"]
    accurate: bool = True


def compressed(problem: LeastSquares, jumps: float, limited: bool) -> LeastSquares | None:
    """Return a problem with at most d + 1 rows that has the same path, or None if that would not save time.

    Args:
        problem: the problem.
        jumps: the number of jumps after which the walk stops; inf if there is no such number.
        limited: whether the walk may stop early for another reason.
    """
    n, d = problem.shape
    storage = problem.linear_map.storage()
    if n < _ROWS * (d + 1) or n * d < _ENTRIES or jumps < d / 4 or not _in_memory(storage):
        return None
    sizes = np.append(problem.column_norms, np.sqrt(problem.y @ problem.y))
    sizes = sizes[sizes > 0.0]
    if np.min(sizes, initial=1.0) < 1.0 / _RANGE or np.max(sizes, initial=1.0) > _RANGE:
        return None
    if (storage.dense is None and n * d > _DENSE_ENTRIES) or (limited and 2 * n * d * d > _WORK):
        return None
    factor = _triangular_factor(storage, problem.y)
    factor *= np.sqrt(len(factor) / n)
    # Columns of zeros stay exactly 0, so that the walk knows them.
    factor[:, :d][:, problem.column_norms == 0.0] = 0.0
    X = DenseMap(frozen(np.asfortranarray(factor[:, :d])))
    return LeastSquares(X, factor[:, d], feature_names=problem.feature_names)


def _in_memory(storage: Storage) -> bool:
    dense = storage.dense
    return dense is None or (dense.dtype == np.float64 and not isinstance(dense, np.memmap))


def _triangular_factor(storage: Storage, y: Float64[ndarray, " n"]) -> Float64[ndarray, "p q"]:
    """Return R of the QR factorisation of [X, y], which is computed from blocks of rows."""
    n, width = len(y), _shape(storage)[1] + 1
    rows: Any = sparse.csr_array(storage.sparse) if storage.dense is None else storage.dense
    size = max(8 * width, _BLOCK // width)
    ends = [*range(0, n, size), n]
    if len(ends) > 2 and n - ends[-2] < width:
        del ends[-2]  # the last block is joined with the one before it if it is small
    factor = np.empty((0, width))
    for first, last in pairwise(ends):
        top = len(factor)
        block = np.empty((top + last - first, width), order="F")
        block[:top] = factor
        some = rows[first:last]
        block[top:, :-1] = some.toarray() if storage.dense is None else some
        if len(storage.rows):
            block[top:, :-1] -= np.outer(storage.rows[first:last], storage.shift)
        block[top:, -1] = y[first:last]
        packed = linalg.lapack.dgeqrf(block, lwork=64 * width, overwrite_a=1)[0]
        factor = np.triu(packed[:width])
    return factor


def _shape(storage: Storage) -> tuple[int, int]:
    matrix = storage.sparse if storage.dense is None else storage.dense
    return int(matrix.shape[0]), int(matrix.shape[1])


def proofs(
    problem: LeastSquares,
    growth: Growth,
    table: Any,
    times: Float64[ndarray, " k"],
    boundaries: list[ndarray],
) -> Proofs:
    """Return the numbers of all saddles, computed from X and y.

    Args:
        problem: the problem with all its rows.
        growth: the growth of the network.
        table: (k, d) `csr_array` of the coefficients.
        times: (k,) the slow times.
        boundaries: k arrays of the coordinates on the boundary.
    """
    n, count = len(problem.y), len(times)
    steps = np.diff(times, append=times[-1])[:, None] / n
    nu, losses, violations = np.zeros((count, n)), np.empty(count), np.empty(count)
    s = growth.at_signs(table[[0]].toarray()[0])
    norms = np.where(problem.column_norms > 0.0, problem.column_norms, 1.0)
    length, storage = float(np.sqrt(problem.y @ problem.y)), problem.linear_map.storage()
    furthest = 0.0
    for first in range(0, count, _SADDLES):
        some = slice(first, min(first + _SADDLES, count))
        w = table[some].toarray()
        residuals = problem.y - _products(storage, w)
        correlations = problem.linear_map.rmatvec(residuals)
        losses[some] = np.einsum("ij,ij->i", residuals, residuals) / (2 * n)
        duals = s + np.cumsum(np.vstack([np.zeros_like(s), steps[some] * correlations]), axis=0)
        wrong = np.where(w != 0.0, np.abs(correlations), 0.0)
        on = np.zeros(w.shape, dtype=bool)
        for row, boundary in zip(on, boundaries[some], strict=True):
            row[boundary] = True
        np.maximum(wrong, np.sign(duals[:-1]) * correlations, out=wrong, where=on)
        furthest = max(furthest, _distance_from_bounds(duals[:-1], w, on, growth))
        scales = length + np.abs(w) @ norms
        violations[some] = np.max(wrong / norms, axis=1, initial=0.0) / np.where(scales > 0.0, scales, 1.0)
        moved = np.cumsum(steps[some] * residuals, axis=0)
        ahead = slice(first + 1, min(some.stop + 1, count))
        nu[ahead] = nu[first] + moved[: ahead.stop - ahead.start]
        s = duals[-1]
    return Proofs(nu, losses, violations, accurate=furthest <= _OFF)


def _distance_from_bounds(
    s: Float64[ndarray, "m d"], w: Float64[ndarray, "m d"], on: Bool[ndarray, "m d"], growth: Growth
) -> float:
    """Return the largest relative distance of s_i beyond its bounds, or from its bound on the equicorrelation set.

    The bound of a coordinate with a coefficient is the one on the side of this coefficient.
    """
    nearest = np.maximum(s / growth.t_plus, -s / growth.t_minus)
    sided = np.where(w > 0.0, s / growth.t_plus, np.where(w < 0.0, -s / growth.t_minus, nearest))
    return float(np.max(np.where(on, np.abs(sided - 1.0), np.maximum(nearest - 1.0, 0.0)), initial=0.0))


def _products(storage: Storage, w: Float64[ndarray, "m d"]) -> Float64[ndarray, "m n"]:
    """Return X w for each row of w."""
    if storage.dense is not None:
        return w @ storage.dense.T
    products: Float64[ndarray, "m n"] = (storage.sparse @ w.T).T
    return products - np.outer(w @ storage.shift, storage.rows) if len(storage.rows) else products
