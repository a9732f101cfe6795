"""Maximum margins by cvxpy, from the rows and the labels alone."""

from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from numpy import ndarray

_TIGHT = {"tol_gap_rel": 1e-9, "tol_gap_abs": 1e-9, "tol_feas": 1e-9}


def least_gauge(
    X: ndarray,
    y: ndarray,
    formula: Callable[[Any, Any], Any],
    constraints: Callable[[Any, Any], list[Any]] = lambda cp, w: [],
    *,
    bias: bool = False,
) -> float:
    """The least gauge of a w with y_i (<x_i, w> + b) >= 1, where b = 0 unless bias; its inverse is the margin."""
    w, b = cp.Variable(X.shape[1]), cp.Variable()
    margins = cp.multiply(y, X @ w + (b if bias else 0.0))
    problem = cp.Problem(cp.Minimize(formula(cp, w)), [margins >= 1.0, *constraints(cp, w)])
    problem.solve(solver=cp.CLARABEL, **_TIGHT)
    return float(problem.value)


def least_norm_on_face(X: ndarray, y: ndarray, formula: Callable[[Any, Any], Any], value: float) -> ndarray:
    """The w of least Euclidean norm among those with all margins >= 1 and a gauge of at most `value`."""
    w = cp.Variable(X.shape[1])
    inside = [cp.multiply(y, X @ w) >= 1.0, formula(cp, w) <= value * (1.0 + 1e-12)]
    cp.Problem(cp.Minimize(cp.sum_squares(w)), inside).solve(solver=cp.CLARABEL, **_TIGHT)
    return np.asarray(w.value)
