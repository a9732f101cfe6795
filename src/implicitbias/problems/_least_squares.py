"""Least squares over rows: the statement that limits and flows share."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError

# Squares of numbers outside this range leave float64's, and norms with them.
_SMALLEST, _LARGEST = 1e-140, 1e140


class LeastSquares:
    r"""The problem $L(w) = \frac{1}{2n} \lVert X w - y \rVert^2$; nothing is centred or scaled behind your back.

    Args:
        X: (n, d) dense array or DataFrame (its column names are kept); float32 is computed in float64.
        y: (n,) targets.

    Attributes:
        X: (n, d) float64, read-only, in the memory order it came in.
        y: (n,) float64, read-only.
        feature_names: column names of a DataFrame as strings, else None.

    Raises:
        InputError: shapes that disagree, NaN or infinite values, a single row, no columns, text, sparse
            matrices, or magnitudes whose squares leave float64.

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

    def __init__(self, X: Any, y: Any) -> None:
        names = _column_names(X)
        X, y = real_array(X, "X", ndim=2), real_array(y, "y", ndim=1)
        n, d = X.shape
        if n == 0 or d == 0:
            raise InputError(
                f"X is empty: its shape is {X.shape}, at least two rows and one column are expected"
            )
        if y.shape[0] != n:
            hint = "; X looks transposed, type X = X.T" if y.shape[0] == d else ""
            raise InputError(f"X has {n} rows and y has {y.shape[0]} values, they must agree{hint}")
        if n == 1:
            raise InputError(
                "X has one row, at least two samples are expected; if the row is one feature, type X = X.reshape(-1, 1)"
            )
        for name, array in (("X", X), ("y", y)):
            _refuse_extreme(array, name)
        self.X: Float64[ndarray, "n d"] = frozen(X)
        self.y: Float64[ndarray, " n"] = frozen(y)
        self.feature_names: tuple[str, ...] | None = names

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d): rows and columns of X."""
        n, d = self.X.shape
        return n, d

    @cached_property
    def column_norms(self) -> Float64[ndarray, " d"]:
        """Euclidean norms of the columns of X."""
        return frozen(np.sqrt(np.einsum("ij,ij->j", self.X, self.X)))

    def residual(self, w: Any) -> Float64[ndarray, " n"]:
        """y - X w."""
        residual: ndarray = self.y - self.X @ self.predictor(w)
        return residual

    def loss(self, w: Any) -> float:
        """L(w)."""
        residual = self.residual(w)
        return float(residual @ residual) / (2 * len(residual))

    def gradient(self, w: Any) -> Float64[ndarray, " d"]:
        """The gradient of L at w: -X^T (y - X w) / n."""
        gradient: ndarray = -(self.residual(w) @ self.X) / self.shape[0]
        return gradient

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, " d"]:
        """`w` as a checked (d,) float64 array."""
        array = real_array(w, name, ndim=1)
        if array.shape[0] != self.shape[1]:
            raise InputError(
                f"{name} has {array.shape[0]} entries, one for each of the {self.shape[1]} columns of X is expected"
            )
        # What overflows is the fit; a large w on a column of small unit does not.
        if np.any(np.abs(array) > _LARGEST / np.maximum(self.column_norms, _SMALLEST)):
            raise InputError(
                f"{name} holds magnitudes whose fit X {name} passes {_LARGEST:g}; change its unit"
            )
        return array

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling drops the read-only flag, and with it the compiled code's signature.
        self.__dict__.update(state)
        self.X, self.y = frozen(self.X), frozen(self.y)

    def __repr__(self) -> str:
        return f"LeastSquares(n={self.shape[0]}, d={self.shape[1]})"


def _column_names(X: Any) -> tuple[str, ...] | None:
    columns = getattr(X, "columns", None)
    return None if columns is None else tuple(str(name) for name in columns)


def _refuse_extreme(array: ndarray, name: str) -> None:
    sizes = np.abs(array).max(axis=0, initial=0.0)
    bad = np.flatnonzero((sizes > _LARGEST) | ((sizes > 0) & (sizes < _SMALLEST)))
    if len(bad) == 0:
        return
    if array.ndim == 1:
        where, what = "", name
    else:
        where, what = f" in column(s) {', '.join(str(i) for i in bad[:5])}", f"{name}[:, {bad[0]}]"
    raise InputError(
        f"{name} holds magnitudes outside [{_SMALLEST:g}, {_LARGEST:g}]{where}, whose squares leave float64; "
        f"change the unit, for instance type {what} = {what} / abs({what}).max()"
    )
