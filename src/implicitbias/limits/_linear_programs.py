"""Small linear programs. This is the only file of this folder that calls HiGHS."""

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import linprog

from implicitbias.parametrizations import Growth

_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def maximal_support(
    row_space: Float64[ndarray, "r m"], point: Float64[ndarray, " m"]
) -> tuple[Bool[ndarray, " m"], Float64[ndarray, " m"]] | None:
    """Return which u_i can be positive in {u >= 0: row_space (u - point) = 0}, and a u at which all of these are.

    `row_space` has orthonormal rows, so that nearly dependent columns cause no difficulty. One linear program is
    solved: maximise sum t over t <= u, 0 <= t <= 1, row_space (u - lambda point) = 0, lambda >= 1. By homogeneity every
    u_i that can be positive reaches t_i = 1. The result is None if HiGHS finds no answer.
    """
    rank, m = row_space.shape
    unit = float(np.max(point)) or 1.0  # HiGHS has absolute tolerances, so the point is scaled to size 1
    equal = np.hstack([row_space, np.zeros((rank, m)), -(row_space @ (point / unit))[:, None]])
    below = np.hstack([-np.eye(m), np.eye(m), np.zeros((m, 1))])
    cost = np.concatenate([np.zeros(m), -np.ones(m), [0.0]])
    bounds = [(0, None)] * m + [(0, 1)] * m + [(1, None)]
    limits = {"A_ub": below, "b_ub": np.zeros(m), "A_eq": equal, "b_eq": np.zeros(rank)}
    answer = linprog(cost, **limits, bounds=bounds, options=_OPTIONS)
    if answer.x is None:
        return None
    return (answer.x[m : 2 * m] > 0.5) | (point > 0.0), unit * answer.x[:m] / answer.x[-1]


def least_l1_dual(
    X: Float64[ndarray, "n d"],
    norms: Float64[ndarray, " d"],
    fit: Float64[ndarray, " n"],
    q: Float64[ndarray, " d"],
    growth: Growth | None = None,
) -> Float64[ndarray, " n"] | None:
    """Return the nu that maximises <nu, fit> over -t_minus <= q + X^T nu <= t_plus, scaled down until it is feasible.

    The thresholds are 1 unless a growth is given. The result is None if HiGHS finds no answer, which can happen with
    nearly dependent columns.
    """
    kept = norms > 0.0
    if not kept.any():
        return np.zeros(len(fit))
    times = Growth.product(len(q)) if growth is None else growth
    up, down = times.t_plus - q, times.t_minus + q
    columns = X[:, kept] / norms[kept]
    basis, singular, _ = np.linalg.svd(columns, full_matrices=False)
    basis = basis[:, singular > 1e-12 * np.max(singular, initial=0.0)]
    # The fit is scaled to size 1, so that the absolute tolerances of HiGHS mean the same for every unit of y.
    unit = float(np.sqrt(fit @ fit)) or 1.0
    rows = (basis.T @ columns).T
    A = np.vstack([rows, -rows])
    b = np.concatenate([up[kept] / norms[kept], down[kept] / norms[kept]])
    finite = np.isfinite(b)  # a sign that a coordinate never takes gives no constraint
    size = float(np.max(b[finite], initial=0.0)) or 1.0
    answer = linprog(
        -(basis.T @ fit) / unit, A_ub=A[finite], b_ub=b[finite] / size, bounds=(None, None), options=_OPTIONS
    )
    if answer.x is None:
        return None
    nu = size * (basis @ answer.x)
    s = nu @ X
    room = np.where(s > 0.0, up, down)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = np.min(np.where(s != 0.0, room / np.abs(s), np.inf), initial=1.0)
    # If q is at a threshold, scaling nu down cannot restore feasibility there; the certificate judges the violation.
    shrunk: ndarray = nu * (shrink if shrink > 0.5 else 1.0)
    return shrunk


def largest_margin(
    levels: Float64[ndarray, "m k"], free: Float64[ndarray, "m r"]
) -> tuple[Float64[ndarray, " k"], Float64[ndarray, " r"], Float64[ndarray, " m"]] | None:
    """Return the shares c >= 0, sum c = 1, and b that maximise min(levels c + free b), and the row multipliers.

    The multipliers have the sum 1. The result is None if HiGHS finds no answer.
    """
    m, k = levels.shape
    r = free.shape[1]
    size = float(np.max(np.abs(levels), initial=0.0)) or 1.0
    cost = np.zeros(k + r + 1)
    cost[-1] = -1.0
    below = np.hstack([-levels / size, -free, np.ones((m, 1))])
    equal = np.hstack([np.ones((1, k)), np.zeros((1, r + 1))])
    bounds = [(0, None)] * k + [(None, None)] * (r + 1)
    limits = {"A_ub": below, "b_ub": np.zeros(m), "A_eq": equal, "b_eq": [1.0]}
    answer = linprog(cost, **limits, bounds=bounds, options=_OPTIONS)
    if answer.x is None:
        return None
    q = np.maximum(-answer.ineqlin.marginals, 0.0)
    return np.maximum(answer.x[:k], 0.0), size * answer.x[k : k + r], q / (np.sum(q) or 1.0)


def one_point(C: Float64[ndarray, "c k"], h: Float64[ndarray, " c"]) -> bool:
    """Return whether {t: C t >= h}, which holds 0, is one point up to 1e-8 of the size of h.

    The width of the set is measured along one direction without symmetry.
    """
    k = C.shape[1]
    size = float(np.max(np.abs(h), initial=0.0)) or 1.0
    direction = np.cos(1.0 + 2.0 * np.arange(k))  # a fixed direction that no symmetry of the data prefers
    ends = []
    for sign in (1.0, -1.0):
        answer = linprog(sign * direction, A_ub=-C, b_ub=-h / size, bounds=(-1e3, 1e3), options=_OPTIONS)
        if answer.x is None:
            return False
        ends.append(float(direction @ answer.x))
    return abs(ends[1] - ends[0]) <= 1e-8 * float(np.linalg.norm(direction))


def best_shifts(values: Float64[ndarray, " m"], free: Float64[ndarray, "m r"]) -> Float64[ndarray, " r"]:
    """Return the b that maximises min(values + free b), or 0 if HiGHS finds no answer."""
    m, r = free.shape
    size = float(np.max(np.abs(values), initial=0.0)) or 1.0
    cost = np.append(np.zeros(r), -1.0)
    below = np.hstack([-free, np.ones((m, 1))])
    answer = linprog(cost, A_ub=below, b_ub=values / size, bounds=(None, None), options=_OPTIONS)
    return np.zeros(r) if answer.x is None else size * answer.x[:r]
