"""Independent combinations of the rows of a linear map, for least squares with dependent rows."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cholesky

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import DenseMap, LinearMap
from implicitbias.limits._tolerances import RANK

# Rows count as independent without a singular value decomposition if the pivots of their correlations are larger.
_PIVOT = 1e-4
# The first test of independence uses this many columns for each row.
_SAMPLED = 4
# The most entries of X for which dependent rows are replaced by independent ones.
_LARGEST = 2**27
# The most entries of the kernel.
_LARGEST_KERNEL = 2**28


class IndependentRows(NamedTuple):
    """Rows B^T X that are independent and span all rows of X, and targets B^T y.

    Attributes:
        rows: B^T X.
        targets: (r,) B^T y, which are those of the nearest fit to y.
        combine: (n, r) B, or None if it is the identity.
    """

    rows: LinearMap
    targets: Float64[ndarray, " r"]
    combine: Float64[ndarray, "n r"] | None

    def every(self, nu: Float64[ndarray, " r"]) -> Float64[ndarray, " n"]:
        """Return the multipliers of all rows of X from those of the independent ones."""
        return nu if self.combine is None else self.combine @ nu


def independent_rows(linear_map: LinearMap, targets: Float64[ndarray, " n"]) -> IndependentRows:
    """Return independent rows with the span of the rows of X, and the targets of the fit that is nearest to y.

    Raises:
        InputError: X is too large for a kernel (n, n), or for a decomposition if its rows depend on each other.
    """
    n, d = linear_map.shape
    if (
        n <= d
        and n * n <= _LARGEST_KERNEL
        and (_clearly_independent(linear_map, _SAMPLED * n) or _clearly_independent(linear_map, d))
    ):
        return IndependentRows(linear_map, targets, None)
    return spanning_rows(linear_map).with_targets(targets)


def spanning_rows(linear_map: Any) -> "SpanningRows":
    """Return independent rows with the span of the rows of X, from its singular value decomposition.

    Raises:
        InputError: X is too large.
    """
    n, d = linear_map.shape
    if n * d > _LARGEST:
        raise InputError(
            f"X has shape ({n}, {d}) and rows that depend on each other, at most {_LARGEST:.1e} entries are expected "
            "then; drop dependent rows, or solve in a subset of the columns"
        )
    X, norms = linear_map.part(np.arange(n), np.arange(d)), linear_map.norms
    scale = np.where(norms > 0.0, norms, 1.0)
    # The rank does not depend on the units of the columns.
    left, sizes, right = np.linalg.svd(X / scale, full_matrices=False)
    rank = int(np.count_nonzero(sizes > RANK * sizes[0]))
    rows = DenseMap(frozen(np.asfortranarray(right[:rank] * scale)))
    return SpanningRows(rows, left[:, :rank], sizes[:rank])


class SpanningRows(NamedTuple):
    """Independent rows that span the rows of X.

    Attributes:
        rows: the independent rows B^T X.
        basis: (n, r) orthonormal columns that span the range of X.
        sizes: (r,) the singular values, so that B is the basis divided by them.
    """

    rows: LinearMap
    basis: Float64[ndarray, "n r"]
    sizes: Float64[ndarray, " r"]

    def with_targets(self, targets: Float64[ndarray, " n"]) -> IndependentRows:
        """Return the rows with the targets of the predictions of w that are nearest to these."""
        combine = self.basis / self.sizes
        return IndependentRows(self.rows, combine.T @ targets, combine)


def _clearly_independent(linear_map: LinearMap, columns: int) -> bool:
    """Return whether the pivots of the correlations are large, from about this number of columns.

    More columns add a positive semidefinite matrix to the correlations, which only increases their pivots. A part of
    the columns is therefore enough for the answer True.
    """
    sizes = linear_map.row_norms
    if not np.all(sizes > 0.0):
        return False
    used = np.zeros(linear_map.shape[1])
    used[:: max(1, len(used) // columns)] = 1.0
    gram = linear_map.gram(used) / sizes / sizes[:, None]
    try:
        factor = cholesky(gram, lower=True, check_finite=False)
    except LinAlgError:
        return False
    return bool(np.min(np.diag(factor)) > _PIVOT)
