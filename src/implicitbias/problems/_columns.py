"""The columns of X, however they are stored: dense, memory-mapped, sparse, or sparse less a matrix of rank one."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.values import Value

# Entries that are made dense at a time.
_BLOCK = 2**20


class Columns(Value, ABC):
    """An (n, d) matrix as the limits use it: products from both sides, single columns, and never a dense copy.

    Attributes:
        shape: (n, d).
    """

    shape: tuple[int, int]

    @abstractmethod
    def combine(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
        """X w."""

    @abstractmethod
    def correlate(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "*m d"]:
        """X^T v, for one v or for each row of several."""

    @abstractmethod
    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        """Some columns, dense."""

    @abstractmethod
    def squares(self) -> Float64[ndarray, " d"]:
        """Squared norms of the columns."""

    def sizes(self) -> Float64[ndarray, " d"]:
        """Largest magnitudes, or norms where those tell as much: NaN or inf where an entry is."""
        return self.norms

    @cached_property
    def norms(self) -> Float64[ndarray, " d"]:
        """Euclidean norms of the columns."""
        return frozen(np.sqrt(self.squares()))

    def blocks(self) -> Any:
        """(slice, dense columns) over all columns, a block at a time."""
        n, d = self.shape
        width = max(1, _BLOCK // n)
        for first in range(0, d, width):
            some = slice(first, min(first + width, d))
            yield some, self.take(np.arange(some.start, some.stop))


class DenseColumns(Columns):
    """An array in memory, or one in a file that is mapped into memory."""

    X: ndarray

    def __init__(self, X: ndarray) -> None:
        n, d = X.shape
        self._settle({"X": X, "shape": (n, d)})

    def combine(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
        if self.X.dtype == np.float64 and np.count_nonzero(w) >= len(w) // 8:
            return self.X @ w
        # A sparse w reads its own columns only, and X of another type is not converted as a whole.
        out, support = np.zeros(self.shape[0]), np.flatnonzero(w)
        width = max(1, _BLOCK // self.shape[0])
        for first in range(0, len(support), width):
            some = support[first : first + width]
            out += self.take(some) @ w[some]
        return out

    def correlate(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "*m d"]:
        if self.X.dtype == np.float64:
            return v @ self.X
        out = np.empty((*v.shape[:-1], self.shape[1]))
        for some, columns in self.blocks():
            out[..., some] = v @ columns
        return out

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return _double(self.X[:, indices])

    def squares(self) -> Float64[ndarray, " d"]:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused with its place
            return np.einsum("ij,ij->j", self.X, self.X, dtype=np.float64)

    def sizes(self) -> Float64[ndarray, " d"]:
        return _double(np.maximum(self.X.max(axis=0), -self.X.min(axis=0)))


class SparseColumns(Columns):
    """A `scipy.sparse.csc_array` in canonical form."""

    X: Any

    def __init__(self, X: Any) -> None:
        n, d = X.shape
        self._settle({"X": X, "shape": (int(n), int(d))})

    def combine(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
        return self.X @ w

    def correlate(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "*m d"]:
        # A transpose of CSC is CSR: rows times dense vectors, nothing is converted.
        return (self.X.T @ v.T).T

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return self.X[:, indices].toarray()

    def squares(self) -> Float64[ndarray, " d"]:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.add.reduceat(np.append(self.X.data**2, 0.0), self.X.indptr[:-1])
        return self._filled(sums)

    def sizes(self) -> Float64[ndarray, " d"]:
        return self._filled(np.maximum.reduceat(np.append(np.abs(self.X.data), 0.0), self.X.indptr[:-1]))

    def _filled(self, values: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
        """Zeros where a column is empty: `reduceat` gives the next entry there."""
        return np.where(np.diff(self.X.indptr) > 0, values, 0.0)


class ShiftedColumns(Columns):
    r"""$X - r m^\top$ for a sparse X, never formed: sparse data with their means taken off.

    Args:
        X: (n, d) `scipy.sparse` matrix.
        rows: (n,) r; ones where columns are centred, square roots of the weights where rows are weighted.
        shift: (d,) m; the means.

    Raises:
        InputError: X is not sparse, or lengths that disagree.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> from scipy import sparse
        >>> from implicitbias.problems import ShiftedColumns
        >>> X = sparse.csc_array([[1.0, 0.0], [3.0, 4.0]])
        >>> centred = ShiftedColumns(X, np.ones(2), np.array([2.0, 2.0]))
        >>> centred.take(np.arange(2)).tolist()
        [[-1.0, -2.0], [1.0, 2.0]]
        >>> ib.LeastSquares(centred, [-1.0, 1.0]).shape
        (2, 2)
    """

    plain: SparseColumns
    rows: Float64[ndarray, " n"]
    shift: Float64[ndarray, " d"]

    def __init__(self, X: Any, rows: Any, shift: Any) -> None:
        if not sparse.issparse(X):
            raise InputError(
                f"X is a {type(X).__name__}, a scipy.sparse matrix is expected; of a dense one subtract the means: "
                "X - numpy.outer(rows, shift)"
            )
        plain = SparseColumns(canonical(X))
        rows, shift = real_array(rows, "rows", ndim=1), real_array(shift, "shift", ndim=1)
        if (len(rows), len(shift)) != plain.shape:
            raise InputError(
                f"X has shape {plain.shape}, rows has {len(rows)} entries and shift {len(shift)}; "
                "one for each row and one for each column are expected"
            )
        self._settle({"plain": plain, "shape": plain.shape, "rows": frozen(rows), "shift": frozen(shift)})

    def combine(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
        return self.plain.combine(w) - self.rows * (self.shift @ w)

    def correlate(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "*m d"]:
        return self.plain.correlate(v) - np.multiply.outer(v @ self.rows, self.shift)

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return self.plain.take(indices) - np.outer(self.rows, self.shift[indices])

    def squares(self) -> Float64[ndarray, " d"]:
        """Of stored and absent entries apart: ||x||^2 - 2 m r^T x + m^2 ||r||^2 would cancel."""
        X, rows, shift = self.plain.X, self.rows, self.shift
        column = np.repeat(np.arange(self.shape[1]), np.diff(X.indptr))
        with np.errstate(over="ignore", invalid="ignore"):
            here = (X.data - rows[X.indices] * shift[column]) ** 2
            held = np.bincount(column, weights=rows[X.indices] ** 2, minlength=self.shape[1])
            # What rounding leaves of a full column's absent rows is no part of it.
            absent = np.where(np.diff(X.indptr) < self.shape[0], np.maximum(rows @ rows - held, 0.0), 0.0)
            return np.bincount(column, weights=here, minlength=self.shape[1]) + absent * shift**2

    def __repr__(self) -> str:
        return f"ShiftedColumns(shape={self.shape}, nnz={self.plain.X.nnz})"


def canonical(X: Any) -> Any:
    """A copy of a sparse matrix as a `csc_array` of float64 without duplicate or unsorted entries."""
    if np.dtype(X.dtype).kind not in "fiub":
        raise InputError(f"X is a sparse matrix of {X.dtype}, real numbers are expected")
    if X.ndim != 2:
        raise InputError(f"X is a sparse array of {X.ndim} dimension(s), 2 are expected")
    copy = sparse.csc_array(X, dtype=np.float64, copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    # The smallest index type that holds them: half the memory, and one compiled loop for all but the largest.
    kind = sparse.get_index_dtype(maxval=max(copy.nnz, *copy.shape))
    copy = sparse.csc_array(
        (copy.data, copy.indices.astype(kind, copy=False), copy.indptr.astype(kind, copy=False)), copy.shape
    )
    for array in (copy.data, copy.indices, copy.indptr):
        array.flags.writeable = False
    return copy


def _double(array: ndarray) -> Float64[ndarray, "..."]:
    return np.asarray(array, dtype=np.float64)
