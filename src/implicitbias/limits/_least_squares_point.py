"""A checked point of a least-squares problem, with its linear map, fit and residual."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import LinearMap
from implicitbias.problems import LeastSquares, MatrixCompletion


class PointOfLeastSquares:
    """A point w of a least-squares problem, over vectors or over the entries of a matrix.

    Attributes:
        linear_map: X.
        targets: (n,) y.
        w: the point, of the shape `linear_map.domain`.
        fit: (n,) X w.
        residual: (n,) y - X w.
    """

    def __init__(self, problem: Any, point: Any, criterion: str) -> None:
        if not isinstance(problem, (LeastSquares, MatrixCompletion)):
            raise InputError(
                f"problem is a {type(problem).__name__}, {criterion} expects a least-squares problem; "
                "type ib.LeastSquares(X, y) or ib.LeastSquares.entries(rows, cols, values, shape)"
            )
        self.linear_map: LinearMap = problem.linear_map
        self.targets: Float64[ndarray, " n"] = problem.targets
        self.w: Float64[ndarray, ...] = problem.predictor(point, "point")
        self.fit: Float64[ndarray, " n"] = self.linear_map.matvec(self.w)
        self.residual: Float64[ndarray, " n"] = self.targets - self.fit

    def correlation(self) -> Float64[ndarray, "..."]:
        """Return X^T (y - X w), which is -n times the gradient of the loss, shaped as w."""
        return self.linear_map.rmatvec(self.residual)

    def relative(self, correlation: Float64[ndarray, "..."]) -> Float64[ndarray, " d"]:
        """Return |x_i^T r| / (||x_i|| (||y|| + sum ||x_j|| |w_j|)) for given values of x_i^T r."""
        return relative_correlation(self.linear_map, self.targets, self.w, correlation)


def relative_correlation(
    linear_map: LinearMap,
    targets: Float64[ndarray, " n"],
    w: Float64[ndarray, "..."],
    correlation: Float64[ndarray, "..."],
) -> Float64[ndarray, " d"]:
    """Return the correlation of each column with the residual, relative to the sizes of column, y and terms of X w."""
    norms = linear_map.norms
    scale = float(np.sqrt(targets @ targets) + norms @ np.abs(w).ravel())
    if scale == 0.0:
        return np.zeros(len(norms))
    return np.abs(correlation).ravel() / np.where(norms > 0.0, norms, 1.0) / scale
