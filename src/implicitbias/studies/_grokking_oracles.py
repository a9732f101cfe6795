"""Closed forms of linear regression and of diagonal networks with weight decay, which share no code with the flows."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.progress import Progress
from implicitbias.flows import NormDrift, simulate
from implicitbias.limits import least_l1_dual
from implicitbias.studies._grokking_evidence import Runs, flat
from implicitbias.studies._grokking_settings import Model
from implicitbias.studies._sinh_interpolant import sinh_interpolant
from implicitbias.studies._sweep_evidence import finished

# Times per run and drift at which it is compared with its closed form.
_TIMES = 60
# The drift of a diagonal network is compared with its dual formula at this tolerance, at so many slow times.
_TIGHT, _DUAL = 1e-10, 41


def linear_variables(model: Model, runs: Runs) -> dict[str, Any]:
    """Return relative distances of flows, drift and ends from the closed form of linear regression."""
    start, n = np.asarray(model.start), len(model.X)
    left, values, right = np.linalg.svd(model.X, full_matrices=False)
    h, pull = values**2 / n, values * (left.T @ model.y) / n
    inside, outside = right @ start, start - right.T @ (right @ start)

    def flow(decay: float, times: ndarray) -> ndarray:
        shrunk = np.exp(-np.outer(times, h + decay))
        rows: ndarray = (shrunk * inside + (1.0 - shrunk) * (pull / (h + decay))) @ right
        return rows + np.outer(np.exp(-decay * times), outside)

    apart, errors, ridge = [], [], []
    for decay, pair in zip((*model.sweep.decays, 0.0), (*runs.decayed, runs.baseline), strict=True):
        times = np.geomspace(model.sweep.fast / 1e3, float(pair.fine.times[-1]), _TIMES)
        exact, found, rough = flow(decay, times), flat(pair.fine.state(times)), flat(pair.coarse.state(times))
        size = np.linalg.norm(exact, axis=1)
        apart.append(np.max(np.linalg.norm(found - exact, axis=1) / size))
        errors.append(np.max(np.linalg.norm(found - rough, axis=1) / size))
        ridge.append((pull / (h + decay)) @ right)
    tau = np.linspace(0.0, model.sweep.end, _TIMES)
    exact = ridge[-1] + np.outer(np.exp(-tau), outside)
    found, rough = (flat(one.state(tau)) for one in runs.drift)
    size = np.linalg.norm(exact, axis=1)
    return {
        "flow_apart": (("run",), np.array(apart)),
        "flow_error": (("run",), np.array(errors)),
        "drift_apart": float(np.max(np.linalg.norm(found - exact, axis=1) / size)),
        "drift_error": float(np.max(np.linalg.norm(found - rough, axis=1) / size)),
        "phi_distance": float(np.linalg.norm(np.asarray(runs.limit.point) - exact[0]) / size[0]),
        "oracle_w": (("decay", "feature"), np.array(ridge[:-1])),
    }


def diagonal_variables(model: Model, runs: Runs, progress: Progress) -> dict[str, Any]:
    """Return distances of the drift from its dual formula, and the Lasso and minimal l1 norm at its ends."""
    progress(0.95, "the dual formula of the drift")
    tau = np.linspace(0.0, model.sweep.end, _DUAL)
    flow = NormDrift(model.problem())
    states = finished(simulate(flow, runs.limit.point, t1=model.sweep.end, rtol=_TIGHT)).state(tau)
    found, exact = model.in_w(states), _dual_path(model, tau)
    grams = [(model.X * row) @ model.X.T for row in model.metric(states)]
    end = exact[-1]
    support, lasso, feasible = _lasso_path(model, end)
    norms = np.linalg.norm(model.X, axis=0)
    dual = least_l1_dual(model.X, norms, model.y, np.zeros(len(end)), None)
    balance = states[0] ** 2 - states[1] ** 2
    fallen = np.exp(-2 * tau)[:, None] * balance[0]
    return {
        "dual_tau": (("dual",), tau),
        "dual_apart": (("dual",), np.max(np.abs(found - exact), axis=1) / np.max(np.abs(exact), axis=1)),
        "dual_condition": (("dual",), np.array([np.linalg.cond(gram) for gram in grams])),
        "balance_apart": float(np.max(np.abs(balance - fallen)) / np.max(np.abs(balance[0]))),
        "dual_rtol": _TIGHT,
        "least_norm": np.nan
        if dual is None
        else float(dual @ model.y),  # a lower bound, as the dual is feasible
        "teacher": (("feature",), model.teacher),
        "oracle_w": (("decay", "feature"), lasso),
        "oracle_dual": (("decay",), feasible),
        "support": (("active",), support),
    }


def _dual_path(model: Model, tau: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
    """Return w(tau) = a sinh(c + X^T nu) with a = a_0 e^(-2 tau) and X w = y, from the start of training.

    The equations X w = y for nu are solved by Newton's method, from the solution at a slightly earlier slow time.
    """
    u, v = model.start
    scale, centre = np.abs(u**2 - v**2) / 2, np.arcsinh(2 * u * v / np.abs(u**2 - v**2))
    nu, path, now = np.zeros(len(model.y)), [], 0.0
    # At the start of the drift, the targets move from those of the start of training to y.
    for share in np.linspace(0.0, 1.0, 21):
        nu = sinh_interpolant(model.X, (1 - share) * (model.X @ (u * v)) + share * model.y, scale, centre, nu)
    for time in tau:
        for between in np.linspace(now, time, 1 + int(np.ceil(10 * (time - now))))[1:]:
            nu = sinh_interpolant(model.X, model.y, scale * np.exp(-2 * between), centre, nu)
        now = time
        path.append(scale * np.exp(-2 * time) * np.sinh(centre + model.X.T @ nu))
    return np.array(path)


def _lasso_path(model: Model, end: Float64[ndarray, " d"]) -> tuple[ndarray, ndarray, ndarray]:
    """Return the support of the end, the Lasso solutions on it, and the largest |X^T r| / (n lam) beside it.

    They are the solutions if no such number is above 1 and the signs are those of the end.
    """
    n = len(model.X)
    support = np.flatnonzero(np.abs(end) > 1e-3 * np.max(np.abs(end)))
    columns, signs = model.X[:, support], np.sign(end[support])
    rows, duals = np.zeros((len(model.sweep.decays), len(end))), []
    for row, decay in zip(rows, model.sweep.decays, strict=True):
        row[support] = np.linalg.solve(columns.T @ columns / n, columns.T @ model.y / n - decay * signs)
        slopes = np.abs(model.gradient(row[None])[0]) / decay
        duals.append(np.max(np.delete(slopes, support)) if np.all(row[support] * signs > 0.0) else np.inf)
    return support, rows, np.array(duals)
