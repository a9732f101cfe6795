"""Linear maps that JAX can trace: products X w, and kernels X diag(weights) Z^T."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import real_array
from implicitbias._core.errors import InputError
from implicitbias._core.modules import PlainModule


class TracedMap(PlainModule):
    """A linear map w -> X w, traced by JAX; w is an array of the shape `domain`."""

    @abstractmethod
    def __call__(self, w: jax.Array) -> jax.Array:
        """Return X w, (n,)."""

    @abstractmethod
    def at(self, inputs: Any) -> "TracedMap":
        """Return the same map for other inputs, or raise an `InputError`."""

    @abstractmethod
    def matrix(self) -> jax.Array:
        """Return X as a dense (n, d) array, where d counts the entries of w in row order."""

    @property
    def entries(self) -> tuple[jax.Array, jax.Array] | None:
        """The rows and columns (n,) if the map returns entries of a matrix, else None."""
        return None

    @property
    def stored(self) -> jax.Array | None:
        """The dense matrix X (n, d) if the map stores it, else None."""
        return None

    @property
    def flat(self) -> "TracedMap":
        """The same map of the entries of w as one vector (d,), in row order."""
        return self

    @property
    def has_gram(self) -> bool:
        """Whether `gram` needs no dense copy of X."""
        return False

    def gram(self, weights: jax.Array, other: Any = None) -> jax.Array:
        """Return X diag(weights) Z^T, (n, m), where Z is the matrix of `other`, or X itself if `other` is None.

        The weights have the shape of w.
        """
        right = self if other is None else other
        return (self.matrix() * weights.ravel()) @ right.matrix().T


class DenseTraced(TracedMap):
    """The map of a dense X (n, d)."""

    X: jax.Array

    def __call__(self, w: jax.Array) -> jax.Array:
        return self.X @ w

    def at(self, inputs: Any) -> TracedMap:
        return rows_traced(inputs, self.X.shape[1])

    def matrix(self) -> jax.Array:
        return self.X

    @property
    def stored(self) -> jax.Array | None:
        return self.X

    @property
    def has_gram(self) -> bool:
        return True


class MatricesTraced(TracedMap):
    """The map W -> (<X_i, W>)_i of matrices X_i, whose entries are the rows of a dense matrix."""

    plain: DenseTraced
    domain: tuple[int, int] = eqx.field(static=True)

    def __call__(self, w: jax.Array) -> jax.Array:
        return self.plain(w.ravel())

    def at(self, inputs: Any) -> TracedMap:
        matrices = real_array(inputs, "X2", ndim=3)
        if matrices.shape[1:] != self.domain:
            raise InputError(f"X2 has matrices of shape {matrices.shape[1:]}, {self.domain} is expected")
        return MatricesTraced(DenseTraced(jnp.asarray(matrices.reshape(len(matrices), -1))), self.domain)

    def matrix(self) -> jax.Array:
        return self.plain.matrix()

    @property
    def flat(self) -> TracedMap:
        return self.plain

    @property
    def has_gram(self) -> bool:
        return True


class SparseTraced(TracedMap):
    """The map of a sparse X, stored as the rows, columns and values of its entries."""

    rows: jax.Array
    cols: jax.Array
    values: jax.Array
    shape: tuple[int, int] = eqx.field(static=True)

    def __call__(self, w: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(self.values * w[self.cols], self.rows, self.shape[0])

    def at(self, inputs: Any) -> TracedMap:
        return rows_traced(inputs, self.shape[1])

    def matrix(self) -> jax.Array:
        return jnp.zeros(self.shape, self.values.dtype).at[self.rows, self.cols].add(self.values)


class ShiftedTraced(TracedMap):
    """The map X - rows shift^T; the difference is never formed."""

    plain: TracedMap
    rows: jax.Array
    shift: jax.Array

    def __call__(self, w: jax.Array) -> jax.Array:
        return self.plain(w) - self.rows * (self.shift @ w)

    def at(self, inputs: Any) -> TracedMap:
        return rows_traced(inputs, len(self.shift))

    def matrix(self) -> jax.Array:
        return self.plain.matrix() - jnp.outer(self.rows, self.shift)


class EntriesTraced(TracedMap):
    """The map W -> W[rows, cols] from a matrix to some of its entries."""

    rows: jax.Array
    cols: jax.Array
    domain: tuple[int, int] = eqx.field(static=True)

    def __call__(self, w: jax.Array) -> jax.Array:
        return w[self.rows, self.cols]

    def at(self, inputs: Any) -> TracedMap:
        if not isinstance(inputs, tuple) or len(inputs) != 2:
            raise InputError(
                f"X2 is {type(inputs).__name__}, a pair (rows, cols) of integer arrays is expected"
            )
        rows, cols = (np.asarray(part) for part in inputs)
        sizes = [(rows, self.domain[0]), (cols, self.domain[1])]
        if (
            rows.ndim != 1
            or rows.shape != cols.shape
            or any(part.dtype.kind not in "iu" for part, _ in sizes)
        ):
            raise InputError("X2 must hold two arrays of integers of equal length: (rows, cols)")
        if any(part.size and (part.min() < 0 or part.max() >= size) for part, size in sizes):
            raise InputError(f"X2 holds indices outside a matrix of shape {self.domain}")
        return EntriesTraced(jnp.asarray(rows), jnp.asarray(cols), self.domain)

    def matrix(self) -> jax.Array:
        places = self.rows * self.domain[1] + self.cols
        return 1.0 * (places[:, None] == jnp.arange(self.domain[0] * self.domain[1]))

    @property
    def entries(self) -> tuple[jax.Array, jax.Array] | None:
        return self.rows, self.cols

    @property
    def has_gram(self) -> bool:
        return True

    def gram(self, weights: jax.Array, other: Any = None) -> jax.Array:
        right = self if other is None else other
        same = (self.rows[:, None] == right.rows) & (self.cols[:, None] == right.cols)
        return jnp.where(same, weights[self.rows, self.cols][:, None], 0.0)


def rows_traced(X: Any, d: int) -> DenseTraced:
    """Return the map of a dense matrix (m, d)."""
    rows = real_array(X, "X2", ndim=2)
    if rows.shape[1] != d:
        raise InputError(f"X2 has {rows.shape[1]} columns, {d} are expected")
    return DenseTraced(jnp.asarray(rows))


def sparse_traced(X: Any) -> SparseTraced:
    """Return the map of a `scipy.sparse.csc_array`."""
    cols = np.repeat(np.arange(X.shape[1]), np.diff(X.indptr))
    n, d = (int(size) for size in X.shape)
    return SparseTraced(jnp.asarray(X.indices), jnp.asarray(cols), jnp.asarray(X.data, dtype=float), (n, d))
