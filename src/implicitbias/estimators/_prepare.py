"""Centring, scaling and weighting of rows, and the conversion of coefficients back to the caller's units."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import DenseMap, ShiftedMap
from implicitbias.estimators._parameters import flag
from implicitbias.problems import LeastSquares

# A weight below this share of the largest counts as 0, because its root would leave the range of `LeastSquares`.
_NO_WEIGHT = 1e-200
# Columns of magnitudes beyond this one, or below its reciprocal, are divided by a power of 2 before they are squared.
_SQUARED = 1e140
# A column counts as constant if its values differ by less than this, relative to their mean.
_CONSTANT = 4 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Prepared:
    r"""A `LeastSquares` problem on centred, scaled and weighted rows, $x_{ij} \to \sqrt{p_i} (x_{ij} - m_j) / s_j$.

    The weights $p_i = n w_i / \sum_k w_k$ have mean 1, so that the loss is the weighted mean. Times on its path are
    therefore the same as for rows that are repeated $w_i$ times.

    Attributes:
        problem: the problem, with the rows of positive weight.
        x_offset: (d,) weighted means m of the columns; 0 without an intercept.
        x_scale: (d,) weighted standard deviations s of the columns; 1 for constant columns and without scaling.
        y_offset: the weighted mean of y; 0 without an intercept.

    Examples:
        >>> from implicitbias.estimators import prepare
        >>> prepared = prepare([[1.0, 5.0], [3.0, 9.0]], [2.0, 4.0], standardize=True)
        >>> prepared.problem.X.tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
        >>> coefficients, intercept = prepared.original_units([1.0, 0.0])
        >>> coefficients.tolist(), float(intercept)
        ([1.0, 0.0], 1.0)
    """

    problem: LeastSquares
    x_offset: Float64[ndarray, " d"]
    x_scale: Float64[ndarray, " d"]
    y_offset: float

    def original_units(self, coefficients: Any) -> tuple[Any, Any]:
        """Return coefficients and intercepts for the caller's rows, from coefficients of the problem.

        Args:
            coefficients: (d,) or (k, d) array, or (k, d) sparse.

        Returns:
            Coefficients of the same shape (sparse ones stay sparse), and a number or (k,) intercepts.
        """
        if sparse.issparse(coefficients):
            scaled: Any = sparse.csr_array(coefficients, copy=True)
            scaled.data = scaled.data / self.x_scale[scaled.indices]
        else:
            scaled = np.asarray(coefficients, dtype=np.float64) / self.x_scale
        return scaled, self.y_offset - scaled @ self.x_offset


def prepare(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    fit_intercept: Any = True,
    standardize: Any = False,
    feature_names: tuple[str, ...] | None = None,
) -> Prepared:
    """Return the least-squares problem of centred, scaled and weighted rows.

    With an intercept, columns and y are centred by their weighted means. The best intercept is then 0 for any
    coefficients. Rows of weight 0 are left out. A column that is constant up to rounding becomes 0 when it is centred,
    and is never scaled. Weights below 1e-200 of the largest count as 0. Sparse rows are centred without conversion to
    a dense matrix.

    Args:
        X: (n, d) array, sparse matrix or data frame. The problem takes the column names of a data frame.
        y: (n,) targets.
        sample_weight: (n,) weights >= 0, one number for all rows, or None for weights 1.
        fit_intercept: whether to centre X and y.
        standardize: whether to divide columns by their weighted standard deviations.
        feature_names: names of the columns if X is not a data frame.

    Raises:
        InputError: `LeastSquares` does not accept X and y; the weights are negative or NaN, their number is wrong, or
            fewer than two of them are positive.
    """
    fit_intercept, standardize = flag("fit_intercept", fit_intercept), flag("standardize", standardize)
    if isinstance(X, ShiftedMap):
        raise InputError(
            "X is a ShiftedMap, whose rows are already centred; a plain matrix is expected; type prepare(X, y) with it"
        )
    raw = LeastSquares(X, y, feature_names=feature_names)
    rows, targets = raw.X, raw.y
    weights = checked_weights(sample_weight, len(targets))
    if weights is None:
        share = np.ones(len(targets))
    else:
        kept = np.flatnonzero(weights)
        if len(kept) < len(weights):
            rows, targets, weights = rows[kept], targets[kept], weights[kept]
        share = weights * (len(weights) / np.sum(weights))
    step = _sparse_columns if sparse.issparse(rows) else _dense_columns
    rows, x_offset, x_scale = step(rows, share, fit_intercept, standardize)
    y_offset = 0.0
    if fit_intercept:
        centred, offset, _ = _centred(targets[:, None], share)
        targets, y_offset = centred[:, 0], float(offset[0])
    if weights is not None:
        targets = targets * np.sqrt(share)
    if isinstance(rows, ndarray):
        rows = DenseMap(frozen(np.asfortranarray(rows)))  # a read-only array is not copied again
    problem = LeastSquares(rows, targets, feature_names=raw.feature_names)
    return Prepared(problem, frozen(x_offset), frozen(x_scale), y_offset)


def standardized(X: Any, *, centre: bool) -> tuple[Any, ndarray, ndarray]:
    """Return the columns divided by their standard deviations, the subtracted means, and the divisors.

    Sparse columns are never centred, because a free intercept has the same effect on them.
    """
    share = np.ones(X.shape[0])
    thin = sparse.issparse(X)
    unit = _units(abs(X).max(axis=0).toarray().ravel() if thin else np.max(np.abs(X), axis=0))
    X = X if np.all(unit == 1.0) else (sparse.csc_array(X) / unit if thin else X / unit)
    if thin:
        X, offset, scale = _sparse_columns(X, share, fit_intercept=False, standardize=True)
    else:
        X, offset, scale = _dense_columns(X, share, centre, standardize=True)
    return X, offset * unit, scale * unit


def _units(size: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
    """Return powers of 2 near the largest magnitudes of columns whose squares would leave float64, else 1."""
    far = (size > 0.0) & ((size < 1.0 / _SQUARED) | (size > _SQUARED))
    return np.exp2(np.where(far, np.floor(np.log2(np.where(far, size, 1.0))), 0.0))


def checked_weights(sample_weight: Any, n: int) -> Float64[ndarray, " n"] | None:
    """Return the weights with largest entry 1, or None if all rows have the same weight."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, sample_weight)
    weights = real_array(sample_weight, "sample_weight", ndim=1)
    if len(weights) != n:
        raise InputError(
            f"sample_weight has {len(weights)} entries, one for each of the {n} rows is expected"
        )
    if np.any(weights < 0.0):
        raise InputError(
            f"sample_weight holds negative numbers, the least is {np.min(weights):g}; weights >= 0 are expected; "
            "to leave a row out, give it weight 0"
        )
    largest = np.max(weights, initial=0.0)
    weights = weights / (largest or 1.0)
    weights[weights < _NO_WEIGHT] = 0.0
    positive = int(np.count_nonzero(weights))
    if positive < 2:
        raise InputError(f"{positive} row(s) have a weight above zero, at least two are expected")
    return None if np.all(weights == 1.0) else weights


def _centred(X: ndarray, share: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Return X minus its weighted means, the means, and which columns are constant (these become exactly 0)."""
    mean = share @ X / len(share)
    centred = X - mean
    # The mean of many rows has rounding errors. Subtracting the mean of the centred rows removes them.
    rest = share @ centred / len(share)
    centred -= rest
    mean = mean + rest
    constant = np.max(np.abs(centred), axis=0) <= _CONSTANT * np.abs(mean)
    centred[:, constant] = 0.0
    return centred, mean, constant


def _dense_columns(
    X: ndarray, share: ndarray, fit_intercept: bool, standardize: bool
) -> tuple[ndarray, ndarray, ndarray]:
    """Return the rows, offsets and scales of a dense X."""
    offset, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if fit_intercept or standardize:
        centred, mean, constant = _centred(X, share)
        if standardize:
            scale = np.sqrt(share @ centred**2 / len(share))
            scale[constant] = 1.0
        if fit_intercept:
            X, offset = centred, mean
    if standardize:
        X = X / scale
    if np.any(share != 1.0):
        X = X * np.sqrt(share)[:, None]
    return X, offset, scale


def _sparse_columns(
    X: Any, share: ndarray, fit_intercept: bool, standardize: bool
) -> tuple[Any, ndarray, ndarray]:
    """Return the rows, offsets and scales of a sparse X; centred rows are a sparse part minus an outer product."""
    n, d = X.shape
    offset, scale = np.zeros(d), np.ones(d)
    X = sparse.csc_array(X, copy=True)
    column = np.repeat(np.arange(d), np.diff(X.indptr))
    if fit_intercept or standardize:
        weight = np.bincount(column, weights=share[X.indices], minlength=d)
        mean = np.bincount(column, weights=share[X.indices] * X.data, minlength=d) / n
        apart = X.data - mean[column]
        # A column is constant if all its entries are stored and near their mean, or if all of them are 0.
        near = np.abs(apart) <= np.where(np.diff(X.indptr) == n, _CONSTANT * np.abs(mean), 0.0)[column]
        constant = np.bincount(column, weights=~(near | (X.data == 0.0)), minlength=d) == 0
        if standardize:
            squares = np.bincount(column, weights=share[X.indices] * apart**2, minlength=d)
            unstored = np.where(np.diff(X.indptr) == n, 0.0, n - weight)
            scale = np.sqrt((squares + unstored * mean**2) / n)
            scale[constant] = 1.0
        if fit_intercept:
            offset = mean
            X.data[constant[column]] = 0.0
    root = np.sqrt(share)
    X.data *= root[X.indices] / scale[column]
    if not fit_intercept:
        return X, offset, scale
    return ShiftedMap(X, root, np.where(constant, 0.0, offset / scale)), offset, scale
