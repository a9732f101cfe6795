"""Linear programs for end points, by SciPy's HiGHS, from X and y alone."""

import numpy as np
from numpy import ndarray
from scipy.optimize import linprog

_TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def row_space(X: ndarray, rcond: float = 1e-11) -> tuple[ndarray, ndarray]:
    """(rows, basis): X = basis @ rows up to rcond, with as few rows as the rank; columns should have norm 1."""
    basis, singular, right = np.linalg.svd(X, full_matrices=False)
    kept = singular > rcond * np.max(singular, initial=0.0)
    return singular[kept, None] * right[kept], basis[:, kept]


def least_l1(X: ndarray, y: ndarray, q: ndarray | None = None) -> tuple[float, ndarray]:
    """min ||w||_1 - <q, w> over the minimisers of ||y - X w||: the value and one minimiser.

    Solved in u = norm * w, so that columns of any scale look alike to the solver.
    """
    norms = np.sqrt(np.sum(X**2, axis=0))
    used = norms > 0.0
    q = np.zeros(X.shape[1]) if q is None else q
    rows, basis = row_space(X[:, used] / norms[used])
    unit = float(np.max(np.abs(basis.T @ y))) if basis.shape[1] else 0.0
    if unit == 0.0:
        return 0.0, np.zeros(X.shape[1])
    cost = np.concatenate([(1.0 - q[used]) / norms[used], (1.0 + q[used]) / norms[used]])
    size = float(np.median(cost))
    answer = linprog(
        cost / size, A_eq=np.hstack([rows, -rows]), b_eq=basis.T @ y / unit, bounds=(0, None), options=_TIGHT
    )
    assert answer.status == 0, answer.message
    half = len(cost) // 2
    w = np.zeros(X.shape[1])
    w[used] = unit * (answer.x[:half] - answer.x[half:]) / norms[used]
    return float(answer.fun * size * unit), w


def largest_values(X: ndarray, fit: ndarray, s: ndarray, candidates: list[int]) -> dict[int, float]:
    """For each candidate the largest |w_i| over {w: X w = fit, w_i s_i >= 0, w = 0 off the candidates}."""
    columns = X[:, candidates] * s[candidates]
    rows, basis = row_space(columns)
    target = basis.T @ fit
    largest = {}
    for place, index in enumerate(candidates):
        cost = np.zeros(len(candidates))
        cost[place] = -1.0
        answer = linprog(cost, A_eq=rows, b_eq=target, bounds=(0, None), options=_TIGHT)
        # Unbounded (status 3) means a ray of sign-feasible directions: as positive as can be.
        assert answer.status in (0, 3), answer.message
        largest[index] = np.inf if answer.status == 3 else -float(answer.fun)
    return largest
