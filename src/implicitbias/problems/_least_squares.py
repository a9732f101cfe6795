"""Least squares over rows: the statement that limits and flows share."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import LinearMap
from implicitbias.problems._in_w import ProblemInW
from implicitbias.problems._matrix_completion import MatrixCompletion
from implicitbias.problems._rows import (
    LARGEST,
    SMALLEST,
    checked_map,
    checked_names,
    checked_w,
    refuse_extreme,
)


class LeastSquares(ProblemInW):
    r"""The problem $L(w) = \frac{1}{2n} \lVert X w - y \rVert^2$; nothing is centred or scaled behind your back.

    Args:
        X: (n, d) dense array or DataFrame (its column names are kept), copied column by column; a `scipy.sparse`
            matrix, copied as CSC and never made dense; or a `numpy.memmap` of float64 or float32 (Fortran order is
            the fast one), which is not copied and must not change. Computations are in float64.
        y: (n,) targets.
        feature_names: d names of the columns; those of a DataFrame unless given.

    Attributes:
        linear_map: X as the library uses it.
        y: (n,) float64, read-only.
        feature_names: the names of the columns as strings, None where there are none.

    Raises:
        InputError: shapes that disagree, NaN or infinite values, a single row, no columns, text, or magnitudes whose
            squares leave float64.

    Reference:
        The normalisation of pesme2023saddle, used throughout the library.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1.0, 2.0, 3.0])
        >>> problem.shape
        (3, 2)
        >>> problem.loss([1.0, 2.0])
        0.0
    """

    linear_map: LinearMap
    y: Float64[ndarray, " n"]
    feature_names: tuple[str, ...] | None

    def __init__(self, X: Any, y: Any, *, feature_names: Any = None) -> None:
        y = real_array(y, "y", ndim=1)
        linear_map, names = checked_map(X, len(y))
        refuse_extreme(y, "y")
        names = checked_names(feature_names, names, linear_map.shape[1])
        self._settle({"linear_map": linear_map, "y": frozen(y), "feature_names": names})

    @staticmethod
    def entries(rows: Any, cols: Any, values: Any, shape: Any) -> MatrixCompletion:
        """Matrix completion: w has this shape, and the loss is 1/(2n) sum (w[rows, cols] - values)^2.

        An entry that is listed twice counts twice.

        Args:
            rows: (n,) row of each observed entry, from 0.
            cols: (n,) its column.
            values: (n,) the observed values.
            shape: (m, k) of the matrix.

        Raises:
            InputError: lengths that disagree, indices that are not integers or lie outside the shape, NaN, infinite or
                extreme values.

        Examples:
            >>> import numpy as np, implicitbias as ib
            >>> problem = ib.LeastSquares.entries([0, 1], [0, 1], [1.0, 2.0], (2, 2))
            >>> problem.loss(np.eye(2))
            0.25
        """
        return MatrixCompletion(rows, cols, values, shape)

    @property
    def columns(self) -> LinearMap:
        """X as a linear map; the name of `linear_map` in earlier versions."""
        return self.linear_map

    @property
    def X(self) -> Any:
        """(n, d), read-only: float64 in Fortran order, a memory map as it is, or a `scipy.sparse.csc_array`."""
        return getattr(self.linear_map, "X", self.linear_map)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d): rows and columns of X."""
        return self.linear_map.shape

    @property
    def targets(self) -> Float64[ndarray, " n"]:
        """(n,) y, by the name that all least-squares problems share."""
        return self.y

    @property
    def column_norms(self) -> Float64[ndarray, " d"]:
        """Euclidean norms of the columns of X."""
        return self.linear_map.norms

    def residual(self, w: Any) -> Float64[ndarray, " n"]:
        """y - X w."""
        return frozen(self.y - self.linear_map.matvec(self.predictor(w)))

    def loss(self, w: Any) -> float:
        """L(w)."""
        residual = self.residual(w)
        return float(residual @ residual) / (2 * len(residual))

    def gradient(self, w: Any) -> Float64[ndarray, " d"]:
        """The gradient of L at w: -X^T (y - X w) / n."""
        return frozen(-self.linear_map.rmatvec(self.residual(w)) / self.shape[0])

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, " d"]:
        """`w` as a checked (d,) float64 array."""
        array = checked_w(w, name, self.shape[1])
        # What overflows is the fit; a large w on a column of small unit does not.
        if np.any(np.abs(array) > LARGEST / np.maximum(self.column_norms, SMALLEST)):
            raise InputError(
                f"{name} holds magnitudes whose fit X {name} passes {LARGEST:g}; change its unit"
            )
        return array

    def predict(self, params: Any) -> Float64[ndarray, " n"]:
        """X w."""
        return frozen(self.linear_map.matvec(self.predictor(params)))

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w: (d,)."""
        return (self.shape[1],)

    def objective(self) -> Any:
        """The `Objective` in w, with JAX arrays; called under double precision."""
        import jax.numpy as jnp

        from implicitbias.problems._loss import Squared
        from implicitbias.problems._objective import Linear, MeanLoss, Objective

        return Objective(Linear(self.linear_map.traced()), MeanLoss(jnp.asarray(self.y)[:, None], Squared()))

    def __repr__(self) -> str:
        return f"LeastSquares(n={self.shape[0]}, d={self.shape[1]})"
