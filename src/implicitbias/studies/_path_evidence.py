"""Measurements of a predicted path: optimality of saddles, the norm at its end, and the distance from the Lasso."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.limits import MinL1, SaddlePath, certify, least_l1_dual
from implicitbias.studies._data import lasso

_INTERVALS = 12


def path_dataset(path: SaddlePath) -> Any:
    """Return the path as a dataset with measurements.

    The dataset has the variables of `SaddlePath.to_dataset`. For each saddle it also has `boundary` (1 if the dual is
    at its threshold), `kkt_residual`, `complementarity` and `rank_excess`. For the last point it has the residuals of
    its certificate, its norm, and the least norm by a linear program.
    """
    last = path.coefficients[-1]
    certificate = certify(path.problem, last, MinL1(growth_times=path.growth_times))
    gap = np.nan if certificate.gap is None else certificate.gap
    numbers = {
        "end_stationarity": certificate.residuals["stationarity"],
        "end_dual_feasibility": certificate.residuals["dual_feasibility"],
        "end_gap": gap,
        "end_norm": modified_norm(path, last),
        "least_norm": least_norm(path),
    }
    data = path.to_dataset().assign(
        boundary=(("jump", "feature"), _boundary(path)),
        kkt_residual=("jump", kkt_residuals(path)),
        complementarity=("jump", complementarity(path)),
        rank_excess=("jump", rank_excess(path)),
    )
    return data.assign(numbers)


def modified_norm(path: SaddlePath, w: Float64[ndarray, " d"]) -> float:
    """Return sum t+ w+ + t- w-; without growth times this is the l1 norm. It is inf if w has an excluded sign."""
    if path.growth_times is None:
        return float(np.sum(np.abs(w)))
    plus, minus = path.growth_times
    support = np.flatnonzero(w)
    return float(np.abs(w[support]) @ np.where(w > 0.0, plus, minus)[support])


def least_norm(path: SaddlePath, plain: bool = False) -> float:
    """Return the least modified norm (or l1 norm) of all minimisers, by a linear program; nan if it is not solved."""
    problem = path.problem
    fit = problem.X @ path.coefficients[-1]
    growth = None if plain else path.growth_times
    dual = least_l1_dual(problem.X, problem.column_norms, fit, np.zeros(problem.shape[1]), growth)
    return float("nan") if dual is None else float(dual @ fit)


def kkt_residuals(path: SaddlePath) -> Float64[ndarray, " k"]:
    """Return the relative KKT residuals of the saddles, from coefficients and equicorrelation sets.

    A residual is inf if a coefficient has the wrong sign.
    """
    residuals = np.zeros(len(path.times))
    gradients = _relative_gradients(path)
    for k, (w, s, g) in enumerate(zip(path.coefficients, path.dual, gradients, strict=True)):
        outward = np.max((s * g)[path.equicorrelation_sets[k]], initial=0.0)
        residuals[k] = max(float(outward), float(np.max(np.abs(g[path.active_sets[k]]), initial=0.0)))
        if np.any(s * w < 0.0):
            residuals[k] = np.inf
    return residuals


def complementarity(path: SaddlePath) -> Float64[ndarray, " k"]:
    """Return for each saddle the least max(|w_i|, |grad_i|), both relative, over coordinates at their threshold.

    The value is 0 for a degenerate saddle, which has an i with |s_i| = 1 and w_i = grad_i = 0. It is inf if no s_i is
    at its threshold.
    """
    gradients = _relative_gradients(path)
    size = float(np.max(np.abs(path.coefficients), initial=0.0)) or 1.0
    slack = np.maximum(np.abs(path.coefficients) / size, np.abs(gradients))
    return np.array(
        [
            float(np.min(row[boundary], initial=np.inf))
            for row, boundary in zip(slack, path.equicorrelation_sets, strict=True)
        ]
    )


def rank_excess(path: SaddlePath) -> Int64[ndarray, " k"]:
    """Return the number of coefficients minus the rank of their columns, for saddles with unique coefficients."""
    excess = np.zeros(len(path.times), dtype=np.int64)
    for k, (active, unique) in enumerate(zip(path.active_sets, path.unique, strict=True)):
        if unique and len(active):
            excess[k] = max(0, len(active) - int(np.linalg.matrix_rank(path.problem.X[:, active])))
    return excess


def departure_times(path: SaddlePath) -> Float64[ndarray, " d"]:
    """Return for each coordinate the first time at which it leaves |s_i| = 1 after it was non-zero, or inf."""
    left = np.full(path.problem.shape[1], np.inf)
    learned = np.zeros(len(left), dtype=bool)
    for k in range(len(path.times) - 1):
        learned[path.active_sets[k]] = True
        inside = np.ones(len(learned), dtype=bool)
        inside[path.equicorrelation_sets[k + 1]] = False
        inside[path.active_sets[k]] = False
        # A coordinate that moved from one threshold to the other has also been between them.
        inside |= path.dual[k] * path.dual[k + 1] < 0.0
        left[learned & inside & np.isinf(left)] = path.times[k]
    return left


def lasso_dataset(path: SaddlePath) -> dict[str, Any]:
    """Return variables with the relative distances of the time average from the Lasso with penalty 1/t."""
    ends = np.append(path.times[1 : _INTERVALS + 1], path.times[-1] * 1.2)
    times = np.sort(np.concatenate([(ends[:-1] + ends[1:]) / 2, ends]))
    return {
        "lasso_time": ("lasso_time", times),
        "lasso_distance": ("lasso_time", np.array([_lasso_distance(path, float(t)) for t in times])),
        "departure_time": ("feature", departure_times(path)),
    }


def _lasso_distance(path: SaddlePath, t: float) -> float:
    solution = lasso(path.problem.X, path.problem.y, 1.0 / t)
    size = float(np.max(np.abs(solution), initial=0.0))
    distance = float(np.max(np.abs(solution - path.time_average(t))))
    return distance / size if size > 0.0 else distance


def _relative_gradients(path: SaddlePath) -> Float64[ndarray, "k d"]:
    """Return X^T (y - X w) of each saddle, divided by the norms of the columns and by ||y|| + sum ||x_j|| |w_j|."""
    problem, norms = path.problem, path.problem.column_norms
    size = np.sqrt(problem.y @ problem.y)
    rows = [
        (problem.residual(w) @ problem.X) / (norms * (size + norms @ np.abs(w))) for w in path.coefficients
    ]
    return np.array(rows)


def _boundary(path: SaddlePath) -> Int64[ndarray, "k d"]:
    mask = np.zeros(path.coefficients.shape, dtype=np.int64)
    for row, boundary in zip(mask, path.equicorrelation_sets, strict=True):
        row[boundary] = 1
    return mask
