"""Linear maps of matrices, W -> (<X_i, W>)_i, with the matrices X_i stored as the rows of a dense matrix."""

from typing import Any

from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.linear_maps import DenseMap, LinearMap


class MatricesMap(LinearMap):
    r"""The map $W \mapsto (\langle X_i, W \rangle)_i$ for matrices X_i of the shape `domain`.

    Args:
        plain: the map of the flattened matrices, (n, p q), in row order.
        domain: the shape (p, q) of W.
    """

    plain: DenseMap
    matrix_shape: tuple[int, int]

    def __init__(self, plain: DenseMap, domain: tuple[int, int]) -> None:
        self._settle({"plain": plain, "matrix_shape": domain, "shape": plain.shape})

    @property
    def domain(self) -> tuple[int, ...]:
        """The shape (p, q) of W."""
        return self.matrix_shape

    @property
    def X(self) -> Float64[ndarray, "n p q"]:
        """The matrices, read-only."""
        return self.plain.X.reshape(self.shape[0], *self.matrix_shape)

    def matvec(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " n"]:
        return self.plain.matvec(w.ravel())

    def rmatvec(self, v: Float64[ndarray, "*m n"]) -> Float64[ndarray, "..."]:
        return self.plain.rmatvec(v).reshape(*v.shape[:-1], *self.matrix_shape)

    def take(self, indices: ndarray) -> Float64[ndarray, "n k"]:
        return self.plain.take(indices)

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]) -> Float64[ndarray, "m k"]:
        return self.plain.part(rows, columns)

    def squares(self) -> Float64[ndarray, " d"]:
        return self.plain.squares()

    def sizes(self) -> Float64[ndarray, " d"]:
        return self.plain.sizes()

    def traced(self) -> Any:
        from implicitbias._core.traced_maps import MatricesTraced

        return MatricesTraced(self.plain.traced(), self.matrix_shape)
