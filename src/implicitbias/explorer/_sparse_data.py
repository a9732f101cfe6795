"""Random least-squares data with a sparse teacher, padded to one shape for all sizes."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.explorer._picture import QUIET, Curve, Role

ROWS, COLUMNS = 30, 60
"""The largest n and d. Flows are simulated with arrays of this shape, so that no size compiles again."""

_TEACHER = (1.0, -2.0, 1.5)
_COLOURS = 8


class SparseData(NamedTuple):
    """Gaussian inputs, the targets and the teacher."""

    X: Float64[ndarray, "n d"]
    y: Float64[ndarray, " n"]
    teacher: Float64[ndarray, " d"]

    def padded(self) -> Any:
        """Return the problem with ROWS rows and COLUMNS columns that has the same flow.

        Rows of zeros change the mean over the rows only, which the factor sqrt(ROWS / n) of the other rows undoes.
        Columns of zeros have no gradient, so that their coefficients stay zero.
        """
        from implicitbias.problems import LeastSquares

        n, d = self.X.shape
        factor = math.sqrt(ROWS / n)
        X, y = np.zeros((ROWS, COLUMNS)), np.zeros(ROWS)
        X[:n, :d], y[:n] = factor * self.X, factor * self.y
        return LeastSquares(X, y)

    def loss(self, w: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        """Return the training loss of each row."""
        return np.asarray(np.mean((w @ self.X.T - self.y) ** 2, axis=1) / 2.0)


def sparse_data(n: int, d: int, noise: float, seed: int) -> SparseData:
    """Return data of a teacher with three entries that are not zero."""
    rng = np.random.default_rng(seed)
    # The draws do not depend on n and d, so that moving a size adds or removes rows and columns of the same data.
    X = rng.standard_normal((ROWS, COLUMNS))[:n, :d]
    errors = rng.standard_normal(ROWS)[:n]
    teacher = np.zeros(d)
    teacher[: len(_TEACHER)] = _TEACHER
    return SparseData(X, X @ teacher + noise * errors, teacher)


def coefficient_curves(
    x: Float64[ndarray, " m"], w: Float64[ndarray, "m d"], role: Role, order: Float64[ndarray, " d"]
) -> list[Curve]:
    """Return a curve for each coefficient that is not always zero. The largest ones of `order` have colours.

    Args:
        x: the times.
        w: the coefficients at these times.
        role: whether they are simulated or predicted.
        order: the size by which the coefficients are ranked.
    """
    ranks = np.empty(len(order), dtype=int)
    ranks[np.argsort(-order, kind="stable")] = np.arange(len(order))
    shown = np.flatnonzero(np.max(np.abs(w), axis=0) > 1e-3 * np.max(order))
    return [
        Curve(f"w_{j + 1}", x, w[:, j], role, int(ranks[j]) if ranks[j] < _COLOURS else QUIET)
        for j in shown[np.argsort(ranks[shown])].tolist()
    ]


def steps(times: Float64[ndarray, " k"], end: float) -> tuple[Float64[ndarray, " m"], ndarray]:
    """Return the corners of a right-continuous step function until `end`: their times, and the index of the level."""
    corners = np.repeat(np.append(times, end), 2)[1:-1]
    return corners, np.repeat(np.arange(len(times)), 2)
