"""Facts about the columns of a dense or sparse matrix that may hold NaN."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Integer
from numpy import ndarray


class Extremes(NamedTuple):
    """The least and the greatest value of each column; NaN in columns with missing values."""

    least: Float64[ndarray, " d"]
    greatest: Float64[ndarray, " d"]

    @property
    def sizes(self) -> Float64[ndarray, " d"]:
        """The largest absolute values."""
        return np.maximum(np.abs(self.least), np.abs(self.greatest))


def is_sparse(values: Any) -> bool:
    """Return whether the matrix is stored as a sparse one."""
    return not isinstance(values, ndarray)


def extremes(values: Any) -> Extremes:
    """Return the extremes of all columns in two passes over the matrix."""
    least, greatest = values.min(axis=0), values.max(axis=0)
    if is_sparse(values):
        least, greatest = least.toarray(), greatest.toarray()
    return Extremes(np.ravel(least), np.ravel(greatest))


def positions(values: Any, test: Callable[[ndarray], ndarray]) -> tuple[ndarray, ndarray]:
    """Return the rows and the columns of the entries that pass a test, which 0 does not pass."""
    if not is_sparse(values):
        rows, columns = np.nonzero(test(values))
        return rows, columns
    entries = values.tocoo()
    passed = test(entries.data)
    return entries.coords[0][passed], entries.coords[1][passed]


def missing_counts(values: Any) -> Integer[ndarray, " d"]:
    """Return the number of NaN in each column."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isnan(values.sum()):  # one pass without a copy; opposite infinities also give NaN
            return np.zeros(values.shape[1], dtype=np.int64)
    return np.bincount(positions(values, np.isnan)[1], minlength=values.shape[1])


def with_missing(values: Any, marks: list[float]) -> Any:
    """Return the matrix with NaN for every entry that equals one of the marks."""
    if is_sparse(values):
        values = values.copy()
        values.data[np.isin(values.data, marks)] = np.nan
        return values
    return np.where(np.isin(values, marks), np.nan, values)


def column(values: Any, j: int) -> Float64[ndarray, " n"]:
    """Return one column as a dense array."""
    if is_sparse(values):
        return np.ravel(values[:, [j]].toarray())
    return values[:, j]
