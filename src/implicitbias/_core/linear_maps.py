"""Linear maps w -> X w for dense, memory-mapped and sparse X, for sparse X minus a rank-one matrix, and for entries."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.values import Value

# The number of entries that are converted to a dense block at a time.
_BLOCK = 2**20
# The same for products of columns, whose blocks should fit a cache, and the least number of columns in such a block.
_CACHED, _LEAST_WIDTH = 2**17, 256
# Columns with a smaller share of a weighted Gram matrix change none of its digits, also if there are a billion of them.
_NEGLIGIBLE = 1e-26
# The same for Gram matrices of a few digits.
_SMALL = 3e-5


class Storage(NamedTuple):
    """The arrays of a linear map, for compiled code: a dense or a sparse matrix minus the product rows shift^T.

    Attributes:
        dense: the matrix as an array, or None if it is sparse.
        sparse: the matrix as a `csc_array`, or None if it is dense.
        rows: the vector (n,) of the product, empty if there is no product.
        shift: the vector (d,) of the product, empty if there is no product.
    """

    dense: ndarray | None
    sparse: Any
    rows: Float64[ndarray, " n"]
    shift: Float64[ndarray, " d"]


_NOTHING = frozen(np.zeros(0))


class LinearMap(Value, ABC):
    """A linear map X from arrays w of the shape `domain` to n numbers; X is never converted to a dense matrix.

    As a matrix, X has the shape (n, d), where d is the number of entries of w, taken in row order.

    Attributes:
        shape: (n, d).
        domain: the shape of w.
    """

    shape: tuple[int, int]

    @property
    def domain(self) -> tuple[int, ...]:
        """The shape of w, which is (d,) by default."""
        return self.shape[1:]

    @abstractmethod
    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        """Return X w."""

    @abstractmethod
    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        """Return X^T v in the shape of w; if v is a matrix, return one result for each of its rows."""

    @abstractmethod
    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        """Return some columns of X as a dense array."""

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]) -> Float64[ndarray, "m k"]:
        """Return some rows of some columns of X as a dense array."""
        return self.take(columns)[rows]

    @abstractmethod
    def traced(self) -> Any:
        """Return the map as a `TracedMap` for JAX, with arrays in the precision of the caller."""

    def storage(self) -> Storage:
        """Return the arrays of the map, or a dense copy of X if the map does not store X."""
        return Storage(self.take(np.arange(self.shape[1])), None, _NOTHING, _NOTHING)

    def squares(self) -> Float64[ndarray, " d"]:
        """Return the squared norms of the columns."""
        return np.concatenate([np.einsum("ij,ij->j", columns, columns) for _, columns in self.blocks()])

    def sizes(self) -> Float64[ndarray, " d"]:
        """Return the largest magnitude or the norm of each column; either is NaN or inf if an entry is."""
        return self.norms

    def gram(self, weights: Float64[ndarray, " d"], rough: bool = False) -> Float64[ndarray, "n n"]:
        """Return X diag(weights) X^T for weights >= 0; columns whose share is below rounding are left out.

        If `rough` is True, it is computed in float32, and columns of a small share are left out, too.
        """
        n = self.shape[0]
        shares = weights * self.norms**2
        most = float(np.max(shares))
        used = np.flatnonzero(shares > (_SMALL if rough else _NEGLIGIBLE) * most)
        total, width = np.zeros((n, n)), max(_LEAST_WIDTH, _CACHED // n)
        scale = most if rough and 0.0 < most < np.inf else 1.0
        for first in range(0, len(used), width):
            some = used[first : first + width]
            columns = self.take(some)
            columns *= np.sqrt(weights[some] / scale)
            if rough:
                columns = columns.astype(np.float32)
            total += columns @ columns.T
        return total * scale

    @cached_property
    def norms(self) -> Float64[ndarray, " d"]:
        """The Euclidean norms of the columns."""
        return frozen(np.sqrt(self.squares()))

    @cached_property
    def row_norms(self) -> Float64[ndarray, " n"]:
        """The Euclidean norms of the rows."""
        squares = sum(np.einsum("ij,ij->i", columns, columns) for _, columns in self.blocks())
        return frozen(np.sqrt(squares))

    def blocks(self) -> Any:
        """Yield (slice, dense columns) for consecutive blocks of columns."""
        n, d = self.shape
        width = max(1, _BLOCK // n)
        for first in range(0, d, width):
            some = slice(first, min(first + width, d))
            yield some, self.take(np.arange(some.start, some.stop))


class DenseMap(LinearMap):
    """A dense matrix in memory or in a memory-mapped file."""

    X: ndarray

    def __init__(self, X: ndarray) -> None:
        n, d = X.shape
        self._settle({"X": X, "shape": (n, d)})

    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        if self.X.dtype == np.float64 and np.count_nonzero(w) >= len(w) // 8:
            return self.X @ w
        # For a sparse w only the columns with a nonzero entry are read. An X of another type is converted in blocks.
        out, support = np.zeros(self.shape[0]), np.flatnonzero(w)
        width = max(1, _BLOCK // self.shape[0])
        for first in range(0, len(support), width):
            some = support[first : first + width]
            out += self.take(some) @ w[some]
        return out

    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        if self.X.dtype == np.float64:
            return v @ self.X
        out = np.empty((*v.shape[:-1], self.shape[1]))
        for some, columns in self.blocks():
            out[..., some] = v @ columns
        return out

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return _double(self.X[:, indices])

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]) -> Float64[ndarray, "m k"]:
        return _double(self.X[np.ix_(rows, columns)])

    def squares(self) -> Float64[ndarray, " d"]:
        # Values that are not finite are reported later, with their position.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.einsum("ij,ij->j", self.X, self.X, dtype=np.float64)

    def storage(self) -> Storage:
        return Storage(self.X, None, _NOTHING, _NOTHING)

    def traced(self) -> Any:
        import jax.numpy as jnp

        from implicitbias._core.traced_maps import DenseTraced

        return DenseTraced(jnp.asarray(self.X, dtype=float))

    def sizes(self) -> Float64[ndarray, " d"]:
        return _double(np.maximum(self.X.max(axis=0), -self.X.min(axis=0)))


class SparseMap(LinearMap):
    """A `scipy.sparse.csc_array` in canonical form."""

    X: Any

    def __init__(self, X: Any) -> None:
        n, d = X.shape
        self._settle({"X": X, "shape": (int(n), int(d))})

    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        return self.X @ w

    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        # The transpose of a CSC matrix is a CSR matrix with the same data, so nothing is copied.
        return (self.X.T @ v.T).T

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return self.X[:, indices].toarray()

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]) -> Float64[ndarray, "m k"]:
        return self.X[rows][:, columns].toarray()

    def gram(self, weights: Float64[ndarray, " d"], rough: bool = False) -> Float64[ndarray, "n n"]:
        return ((self.X * weights) @ self.X.T).toarray()

    def squares(self) -> Float64[ndarray, " d"]:
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.add.reduceat(np.append(self.X.data**2, 0.0), self.X.indptr[:-1])
        return self._filled(sums)

    @cached_property
    def row_norms(self) -> Float64[ndarray, " n"]:
        """The Euclidean norms of the rows."""
        return frozen(np.sqrt(np.bincount(self.X.indices, weights=self.X.data**2, minlength=self.shape[0])))

    def storage(self) -> Storage:
        return Storage(None, self.X, _NOTHING, _NOTHING)

    def traced(self) -> Any:
        from implicitbias._core.traced_maps import sparse_traced

        return sparse_traced(self.X)

    def sizes(self) -> Float64[ndarray, " d"]:
        return self._filled(np.maximum.reduceat(np.append(np.abs(self.X.data), 0.0), self.X.indptr[:-1]))

    def _filled(self, values: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
        """Return the values with 0 for empty columns, for which `reduceat` gives the next entry instead."""
        return np.where(np.diff(self.X.indptr) > 0, values, 0.0)


class ShiftedMap(LinearMap):
    r"""The map $X - r m^\top$ for a sparse X, for instance centred sparse data; the difference is never formed.

    Args:
        X: (n, d) `scipy.sparse` matrix.
        rows: (n,) the vector r: ones for centred columns, square roots of the weights for weighted rows.
        shift: (d,) the vector m of means.

    Raises:
        InputError: X is not sparse, or the lengths disagree.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> from scipy import sparse
        >>> from implicitbias._core.linear_maps import ShiftedMap
        >>> X = sparse.csc_array([[1.0, 0.0], [3.0, 4.0]])
        >>> centred = ShiftedMap(X, np.ones(2), np.array([2.0, 2.0]))
        >>> centred.take(np.arange(2)).tolist()
        [[-1.0, -2.0], [1.0, 2.0]]
        >>> ib.LeastSquares(centred, [-1.0, 1.0]).shape
        (2, 2)
    """

    plain: SparseMap
    rows: Float64[ndarray, " n"]
    shift: Float64[ndarray, " d"]

    def __init__(self, X: Any, rows: Any, shift: Any) -> None:
        if not scipy.sparse.issparse(X):
            raise InputError(
                f"X is a {type(X).__name__}, a scipy.sparse matrix is expected; for a dense X type "
                "X - numpy.outer(rows, shift)"
            )
        plain = SparseMap(canonical(X))
        rows, shift = real_array(rows, "rows", ndim=1), real_array(shift, "shift", ndim=1)
        if (len(rows), len(shift)) != plain.shape:
            raise InputError(
                f"X has shape {plain.shape}, rows has {len(rows)} entries and shift {len(shift)}; "
                "one for each row and one for each column are expected"
            )
        self._settle({"plain": plain, "shape": plain.shape, "rows": frozen(rows), "shift": frozen(shift)})

    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        return self.plain.matvec(w) - self.rows * (self.shift @ w)

    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        return self.plain.rmatvec(v) - np.multiply.outer(v @ self.rows, self.shift)

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return self.plain.take(indices) - np.outer(self.rows, self.shift[indices])

    def squares(self) -> Float64[ndarray, " d"]:
        """Return the squared norms of the columns.

        Stored and absent entries are summed separately, because ||x||^2 - 2 m r^T x + m^2 ||r||^2 would lose digits.
        """
        X, rows, shift = self.plain.X, self.rows, self.shift
        column = np.repeat(np.arange(self.shape[1]), np.diff(X.indptr))
        with np.errstate(over="ignore", invalid="ignore"):
            here = (X.data - rows[X.indices] * shift[column]) ** 2
            held = np.bincount(column, weights=rows[X.indices] ** 2, minlength=self.shape[1])
            # A column without absent entries gets exactly 0 here, not the rounding error of the difference.
            absent = np.where(np.diff(X.indptr) < self.shape[0], np.maximum(rows @ rows - held, 0.0), 0.0)
            return np.bincount(column, weights=here, minlength=self.shape[1]) + absent * shift**2

    def storage(self) -> Storage:
        return Storage(None, self.plain.X, self.rows, self.shift)

    def traced(self) -> Any:
        import jax.numpy as jnp

        from implicitbias._core.traced_maps import ShiftedTraced

        return ShiftedTraced(self.plain.traced(), jnp.asarray(self.rows), jnp.asarray(self.shift))

    def __repr__(self) -> str:
        return f"ShiftedMap(shape={self.shape}, nnz={self.plain.X.nnz})"


class EntriesMap(LinearMap):
    """The map from a matrix W of the shape `domain` to n of its entries, W[rows, cols].

    Args:
        rows: (n,) the row of each entry.
        cols: (n,) the column of each entry.
        domain: the shape of W.
    """

    rows: Int64[ndarray, " n"]
    cols: Int64[ndarray, " n"]
    matrix_shape: tuple[int, int]

    def __init__(
        self, rows: Int64[ndarray, " n"], cols: Int64[ndarray, " n"], domain: tuple[int, int]
    ) -> None:
        shape = (len(rows), domain[0] * domain[1])
        self._settle({"rows": frozen(rows), "cols": frozen(cols), "matrix_shape": domain, "shape": shape})

    @property
    def domain(self) -> tuple[int, ...]:
        """The shape of W."""
        return self.matrix_shape

    @property
    def places(self) -> Int64[ndarray, " n"]:
        """The index of each entry in W flattened in row order."""
        return self.rows * self.matrix_shape[1] + self.cols

    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        return w[self.rows, self.cols]

    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        flat = np.zeros((self.shape[1], *v.shape[:-1]))
        np.add.at(flat, self.places, np.moveaxis(v, -1, 0))
        return np.moveaxis(flat, 0, -1).reshape(*v.shape[:-1], *self.matrix_shape)

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return np.equal.outer(self.places, indices).astype(np.float64)

    def squares(self) -> Float64[ndarray, " d"]:
        return np.bincount(self.places, minlength=self.shape[1]).astype(np.float64)

    def gram(self, weights: Float64[ndarray, " d"], rough: bool = False) -> Float64[ndarray, "n n"]:
        return np.equal.outer(self.places, self.places) * weights[self.places]

    def traced(self) -> Any:
        import jax.numpy as jnp

        from implicitbias._core.traced_maps import EntriesTraced

        return EntriesTraced(jnp.asarray(self.rows), jnp.asarray(self.cols), self.matrix_shape)


def canonical(X: Any) -> Any:
    """Return a float64 copy of a sparse matrix as a `csc_array` with sorted entries and without duplicates."""
    if np.dtype(X.dtype).kind not in "fiub":
        raise InputError(f"X is a sparse matrix of {X.dtype}, real numbers are expected")
    if X.ndim != 2:
        raise InputError(f"X is a sparse array of {X.ndim} dimension(s), 2 are expected")
    # Conversion to CSC adds duplicate entries; in a small integer type their sum could overflow.
    copy = scipy.sparse.csc_array(X.astype(np.float64, copy=False), copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    # The smallest sufficient index type halves the memory, and nearly all matrices then share one compiled loop.
    kind = scipy.sparse.get_index_dtype(maxval=max(copy.nnz, *copy.shape))
    copy = scipy.sparse.csc_array(
        (copy.data, copy.indices.astype(kind, copy=False), copy.indptr.astype(kind, copy=False)), copy.shape
    )
    for array in (copy.data, copy.indices, copy.indptr):
        array.flags.writeable = False
    return copy


def _double(array: ndarray) -> Float64[ndarray, "..."]:
    return np.asarray(array, dtype=np.float64)
