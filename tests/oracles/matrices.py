"""Matrices of least nuclear norm by cvxpy, from the observed entries alone."""

import cvxpy as cp
import numpy as np
from numpy import ndarray

_TIGHT = {"tol_gap_rel": 1e-11, "tol_gap_abs": 1e-11, "tol_feas": 1e-11}


def least_nuclear_norm(
    rows: ndarray, cols: ndarray, values: ndarray, shape: tuple[int, int]
) -> tuple[float, ndarray]:
    """min ||W||_* subject to W[rows, cols] = values: the value and a minimiser."""
    W = cp.Variable(shape)
    fits = [W[r, c] == value for r, c, value in zip(rows, cols, values, strict=True)]
    problem = cp.Problem(cp.Minimize(cp.normNuc(W)), fits)
    problem.solve(solver=cp.CLARABEL, **_TIGHT)
    return float(problem.value), np.asarray(W.value)
