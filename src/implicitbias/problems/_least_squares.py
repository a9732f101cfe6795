"""Linear least squares."""

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
    r"""The problem $L(w) = \frac{1}{2n} \lVert X w - y \rVert^2$ without intercept, centring or scaling.

    Args:
        X: (n, d) data in one of three forms. A dense array or a data frame (pandas, Polars, pyarrow) is copied to
            Fortran order, and the column names of a frame are kept. A `scipy.sparse` matrix is copied to CSC and never
            converted to dense. A `numpy.memmap` of float64 or float32 is not copied and must not change; Fortran order
            is faster. All computations are in float64.
        y: (n,) targets.
        feature_names: the d names of the columns; by default the column names of a data frame.

    Attributes:
        linear_map: X as a `LinearMap`.
        y: (n,) float64, read-only.
        feature_names: the names of the columns as strings, or None if they have no names.

    Raises:
        InputError: the shapes disagree, X has a single row or no columns, or the data hold text, missing values, NaN,
            infinite values or magnitudes whose squares overflow or underflow in float64.

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
        """Return the matrix completion problem with the loss 1/(2n) sum (w[rows, cols] - values)^2.

        The unknown w is a matrix of the given shape. An entry that is listed twice counts twice.

        Args:
            rows: (n,) the row of each observed entry, counted from 0.
            cols: (n,) the column of each observed entry, counted from 0.
            values: (n,) the observed values.
            shape: the shape (m, k) of the matrix.

        Raises:
            InputError: the lengths disagree, indices are not integers or lie outside the shape, or the values are NaN,
                infinite or extreme.

        Examples:
            >>> import numpy as np, implicitbias as ib
            >>> problem = ib.LeastSquares.entries([0, 1], [0, 1], [1.0, 2.0], (2, 2))
            >>> problem.loss(np.eye(2))
            0.25
        """
        return MatrixCompletion(rows, cols, values, shape)

    @property
    def columns(self) -> LinearMap:
        """X as a linear map; this is the name of `linear_map` in earlier versions."""
        return self.linear_map

    @property
    def X(self) -> Any:
        """The data (n, d), read-only: a float64 array in Fortran order, a memory map, or a `scipy.sparse.csc_array`."""
        return getattr(self.linear_map, "X", self.linear_map)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d) of X."""
        return self.linear_map.shape

    @property
    def targets(self) -> Float64[ndarray, " n"]:
        """The targets y, (n,); all least-squares problems have this attribute."""
        return self.y

    @property
    def column_norms(self) -> Float64[ndarray, " d"]:
        """The Euclidean norms of the columns of X."""
        return self.linear_map.norms

    def residual(self, w: Any) -> Float64[ndarray, " n"]:
        """Return the residual y - X w, (n,)."""
        return frozen(self.y - self.linear_map.matvec(self.predictor(w)))

    def loss(self, w: Any) -> float:
        """Return the loss L(w)."""
        residual = self.residual(w)
        return float(residual @ residual) / (2 * len(residual))

    def gradient(self, w: Any) -> Float64[ndarray, " d"]:
        """Return the gradient of L at w, which is -X^T (y - X w) / n."""
        return frozen(-self.linear_map.rmatvec(self.residual(w)) / self.shape[0])

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, " d"]:
        """Return `w` as a checked (d,) float64 array."""
        array = checked_w(w, name, self.shape[1])
        # The fit X w must not overflow. A large entry of w is accepted if its column of X is small.
        if np.any(np.abs(array) > LARGEST / np.maximum(self.column_norms, SMALLEST)):
            raise InputError(
                f"{name} holds magnitudes for which the fit X {name} exceeds {LARGEST:g}; change its unit"
            )
        return array

    def predict(self, params: Any) -> Float64[ndarray, " n"]:
        """Return the predictions X w, (n,)."""
        return frozen(self.linear_map.matvec(self.predictor(params)))

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w: (d,)."""
        return (self.shape[1],)

    def objective(self) -> Any:
        """Return the `Objective` in w with JAX arrays; call it inside `double_precision`."""
        import jax

        from implicitbias.problems._loss import Squared
        from implicitbias.problems._objective import Linear, MeanLoss, Objective

        return Objective(
            Linear(self.linear_map.traced()), MeanLoss(jax.device_put(self.y[:, None]), Squared())
        )

    def __repr__(self) -> str:
        return f"LeastSquares(n={self.shape[0]}, d={self.shape[1]})"
