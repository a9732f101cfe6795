"""Claims about a predicted path alone: optimality, activity, the link with the Lasso."""

import numpy as np

from implicitbias.limits import MinL1, SaddlePath, certify, least_l1_dual
from implicitbias.studies._claim import Assumption, Claim, at_most
from implicitbias.studies._data import lasso

_INTERVALS = 12


def path_claims(point: str, path: SaddlePath) -> list[Claim]:
    """Every saddle is optimal, the last point has the least l1 norm, and the loss falls at each jump."""
    problem, last = path.problem, path.coefficients[-1]
    norm = float(np.sum(np.abs(last)))
    fit = problem.X @ last
    dual = least_l1_dual(problem.X, problem.column_norms, fit, np.zeros(len(last)))
    by_lp = float("nan") if dual is None else float(dual @ fit)
    certificate = certify(problem, last, MinL1())
    optimal = Assumption.checked(
        "the last point minimises the loss", certificate.residuals["stationarity"] <= 1e-9
    )
    drops = int(np.sum(np.diff(path.losses) >= 0.0))
    return [
        at_most(
            point, "every saddle minimises the loss under its signs (worst relative KKT residual)",
            "pesme2023saddle, algorithm 1", (worst_saddle(path), 1e-9),
        ),
        at_most(
            point, "the limit has the least l1 norm of all minimisers (relative gap to the linear program)",
            "pesme2023saddle, theorem 1", (abs(norm - by_lp) / norm, 1e-8), optimal,
        ),
        at_most(point, "the loss falls at every jump (jumps where it does not)", "pesme2023saddle", (drops, 0)),
        at_most(
            point, "coefficients beyond the rank of their columns, where they are unique (most at a saddle)",
            "docs/theory.md, The number of jumps", (_excess(path), 0),
        ),
    ]  # fmt: skip


def _excess(path: SaddlePath) -> int:
    """Most coefficients that a saddle with unique ones has beyond the rank of its active columns."""
    excess = 0
    for active, unique in zip(path.active_sets, path.unique, strict=True):
        if unique and len(active):
            excess = max(excess, len(active) - int(np.linalg.matrix_rank(path.problem.X[:, active])))
    return excess


def worst_saddle(path: SaddlePath) -> float:
    """Largest relative KKT residual of the saddles, from coefficients and boundary sets alone; inf at a wrong sign."""
    problem, norms = path.problem, path.problem.column_norms
    worst = 0.0
    for w, s, boundary, active in zip(
        path.coefficients, path.dual, path.boundary_sets, path.active_sets, strict=True
    ):
        scale = np.sqrt(problem.y @ problem.y) + norms @ np.abs(w)
        gradient = (problem.residual(w) @ problem.X) / (norms * scale)
        outward = np.max((s * gradient)[boundary], initial=0.0)
        worst = max(worst, float(outward), float(np.max(np.abs(gradient[active]), initial=0.0)))
        if np.any(s * w < 0.0):
            return float("inf")
    return worst


def departure_claim(point: str, path: SaddlePath) -> Claim:
    """Coordinates can be forgotten."""
    leaving = sum(
        len(np.setdiff1d(a, b)) for a, b in zip(path.active_sets, path.active_sets[1:], strict=False)
    )
    statement = "coordinates can leave: the active set is not monotone (coordinates that become 0 on the way)"
    return Claim(point, statement, "pesme2023saddle", (), "at least 1", float(leaving), 0.0, leaving >= 1)


def first_departure(path: SaddlePath) -> float:
    """The first time at which a coordinate that was non-zero leaves |s_i| = 1; inf where none does."""
    learned = np.zeros(path.problem.shape[1], dtype=bool)
    for k in range(len(path.times) - 1):
        learned[path.active_sets[k]] = True
        inside = np.ones(len(learned), dtype=bool)
        inside[path.boundary_sets[k + 1]] = False
        inside[path.active_sets[k]] = False
        # From one side of the boundary to the other it has been inside as well.
        inside |= path.dual[k] * path.dual[k + 1] < 0.0
        if np.any(learned & inside):
            return float(path.times[k])
    return float("inf")


def lasso_claims(point: str, path: SaddlePath) -> list[Claim]:
    """The time average solves the Lasso with penalty 1/t until a learned coordinate leaves the boundary."""
    departure = first_departure(path)
    ends = np.append(path.times[1 : _INTERVALS + 1], path.times[-1] * 1.2)
    times = np.sort(np.concatenate([(ends[:-1] + ends[1:]) / 2, ends]))
    distance = np.array([_lasso_distance(path, t) for t in times])
    before, after = distance[times <= departure], distance[times > departure]
    reference = "berthier2026lasso"
    kept = Assumption.checked("no coordinate has returned to 0 and left |s_i| = 1", True)
    left = Assumption.checked("a coordinate has returned to 0 and left |s_i| = 1", True)
    claims = []
    if len(before):
        statement = "the time average solves the Lasso with penalty 1/t (largest relative distance)"
        claims.append(at_most(point, statement, reference, (float(np.max(before)), 1e-6), kept))
    if len(after):
        worst = float(np.max(after))
        statement = (
            "the time average leaves the Lasso path once a learned coordinate leaves (relative distance)"
        )
        claims.append(
            Claim(point, statement, reference, (left,), "more than 0.001", worst, 0.0, worst > 1e-3)
        )
    return claims


def _lasso_distance(path: SaddlePath, t: float) -> float:
    solution = lasso(path.problem.X, path.problem.y, 1.0 / t)
    size = float(np.max(np.abs(solution), initial=0.0))
    distance = float(np.max(np.abs(solution - path.time_average(t))))
    return distance / size if size > 0.0 else distance
