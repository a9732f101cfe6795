"""Facts about the columns of a dense or sparse matrix that may hold NaN."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Integer
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


def missing_counts(values: Any) -> Integer[ndarray, " d"]:
    """Return the number of NaN in each column."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isnan(values.sum()):  # one pass without a copy; opposite infinities also give NaN
            return np.zeros(values.shape[1], dtype=np.int64)
    return np.ravel(_entries(values, np.isnan).sum(axis=0)).astype(np.int64)


def rows_with(values: Any, test: Any) -> Bool[ndarray, " n"]:
    """Return in which rows an entry passes a test of single numbers that 0 does not pass."""
    return np.ravel(_entries(values, test).sum(axis=1)) > 0


def columns_with(values: Any, test: Any) -> Bool[ndarray, " d"]:
    """Return in which columns an entry passes such a test."""
    return np.ravel(_entries(values, test).sum(axis=0)) > 0


def count(values: Any, test: Any) -> int:
    """Return the number of entries that pass such a test."""
    return int(_entries(values, test).sum())


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


def _entries(values: Any, test: Any) -> Any:
    """Return the results of a test as 0 and 1, in a matrix of the same kind."""
    if is_sparse(values):
        found = values.copy()
        found.data = test(values.data).astype(np.int64)
        return found
    return test(values)
