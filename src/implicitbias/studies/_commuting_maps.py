"""Measurements of gradient flows of theta beside mirror flows of w, for commuting maps and several losses."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, MirrorFlow, simulate
from implicitbias.limits import interpolant
from implicitbias.parametrizations import HadamardProduct, Parametrization, commutes, induced_potential
from implicitbias.potentials import HyperbolicEntropy, Potential
from implicitbias.problems import Classification, Problem
from implicitbias.studies._commuting_settings import Map, maps, problems
from implicitbias.studies._seeds import generator

_RTOL = 1e-11
# The end times of the flows: of least squares, of the logistic loss, and of one stage of a loss that changes.
_LATE, _LATE_MARGINS, _STAGE = 150.0, 600.0, 1.5
_SAMPLES = 41


def maps_dataset(progress: Progress) -> Any:
    """Return the distances of the flows, their ends, and divergences from the ends along the way."""
    parts = []
    for number, one in enumerate(maps()):
        parts.append(_map_numbers(one))
        progress(0.6 * (number + 1) / len(maps()), one.name)
    closed = [one for one in maps() if one.closed]
    margins = [_margin_numbers(one) for one in closed]
    progress(0.8, "logistic loss")
    names = parts[0][0].keys()
    statuses = [status for _, found in parts for status in found]
    variables: dict[str, Any] = {
        "map": (("map",), np.array([one.name for one in maps()])),
        "closed": (("closed_map",), np.array([one.name for one in closed])),
        "sample": (("time",), np.concatenate([[0.0], np.geomspace(0.1, _LATE, _SAMPLES)])),
    }
    for name in names:
        variables[name] = (("map", *_DIMS.get(name, ())), np.array([part[name] for part, _ in parts]))
    for name in margins[0][0]:
        variables[name] = (
            ("closed_map", *_DIMS.get(name, ())),
            np.array([part[name] for part, _ in margins]),
        )
    statuses += [status for _, found in margins for status in found]
    apart, found = _cross_entropy()
    variables |= {
        "cross_entropy_apart": ((), np.array(apart)),
        "simulation_status": (("simulation",), np.array(statuses + found)),
    }
    return dataset({}, {}, {"rtol": _RTOL}).assign(variables)


_DIMS = {
    "theta_w": ("time", "coordinate"),
    "mirror_w": ("time", "coordinate"),
    "divergence": ("time",),
    "margin_divergence": ("time",),
}


def _times(late: float) -> Float64[ndarray, " t"]:
    return np.concatenate([[0.0], np.geomspace(late / 1500.0, late, _SAMPLES)])


def _map_numbers(one: Map) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of one map for least squares, and the statuses of its flows."""
    R, G = induced_potential(one.G, one.theta0), one.plain()
    verdict, w0 = commutes(one.G, one.theta0), np.asarray(one.G(one.theta0))
    problem, times = problems().squared, _times(_LATE)
    theta = simulate(GradientFlow(problem.reparametrize(G)), one.theta0, times=times, rtol=_RTOL)
    w = simulate(MirrorFlow(problem, R), w0, times=times, rtol=_RTOL)
    limit = interpolant(problem, R, w0)
    switched, statuses = _switched(one, G, R)
    numbers = {
        "bracket": verdict.worst_bracket,
        "proved": float(verdict.proved),
        "mirror_of_start": float(np.max(np.abs(R.mirror(w0)))),
        "theta_w": one.values(theta, times),
        "mirror_w": np.asarray(w.state(times)),
        "limit_apart": _apart(one.values(theta, times[-1:])[0], limit.point),
        "limit_gap": float(limit.certificate.gap or 0.0),
        "limit_moved": _apart(w0, limit.point),
        "switched_apart": switched[0],
        "switched_moved": switched[1],
    }
    return numbers, [theta.status.name, w.status.name, *statuses]


def _apart(one: ndarray, other: ndarray) -> float:
    return float(np.max(np.abs(one - other)) / np.max(np.abs(other)))


def _switched(one: Map, G: Parametrization, R: Potential) -> tuple[tuple[float, float], list[str]]:
    """Return how far the flows are from each other when the loss has changed twice on the way, and how far w moved."""
    squared, other, logistic, _ = problems()
    theta, w, statuses = one.theta0, np.asarray(one.G(one.theta0)), []
    start = w
    # Each pair of a loss and a map is compiled once, so that maps without a closed form only see squared losses.
    for loss in (squared, logistic if one.closed else other, squared):
        stage = simulate(GradientFlow(loss.reparametrize(G)), theta, _STAGE, times=[_STAGE], rtol=_RTOL)
        mirror = simulate(MirrorFlow(loss, R), w, _STAGE, times=[_STAGE], rtol=_RTOL)
        theta, w = stage.final, np.asarray(mirror.final)
        statuses += [stage.status.name, mirror.status.name]
    end = np.asarray(one.G(theta))
    return (_apart(end, w), _apart(start, w)), statuses


def _margin_numbers(one: Map) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of one map for the logistic loss, and divergences from the ends of both losses."""
    R, G = induced_potential(one.G, one.theta0), one.plain()
    squared, _, logistic, _ = problems()
    times, w0 = _times(_LATE_MARGINS), np.asarray(one.G(one.theta0))
    theta = simulate(GradientFlow(logistic.reparametrize(G)), one.theta0, times=times, rtol=_RTOL)
    mirror = simulate(MirrorFlow(logistic, R), w0, times=times, rtol=_RTOL)
    w, best = one.values(theta, times), minimiser(logistic)
    fitted = simulate(GradientFlow(squared.reparametrize(G)), one.theta0, times=_times(_LATE), rtol=_RTOL)
    end = interpolant(squared, R, w0).point
    numbers = {
        "margin_apart": _largest_apart(w, np.asarray(mirror.state(times))),
        "margin_limit_apart": _apart(w[-1], best),
        "divergence": [R.divergence(end, point) for point in one.values(fitted, _times(_LATE))],
        "margin_divergence": [R.divergence(best, point) for point in w],
    }
    return numbers, [theta.status.name, mirror.status.name, fitted.status.name]


def _largest_apart(one: Float64[ndarray, "t *shape"], other: Float64[ndarray, "t *shape"]) -> float:  # noqa: F821
    return float(np.max(np.abs(one - other)) / np.max(np.abs(other)))


def minimiser(problem: Classification) -> Float64[ndarray, " d"]:
    """Return the minimiser of the logistic loss by Newton's method."""
    Z = problem.linear_map.take(np.arange(problem.linear_map.shape[1])) * problem.y[:, None]
    w = np.zeros(Z.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(Z @ w))
        w = w + np.linalg.solve(Z.T @ (Z * (p * (1.0 - p))[:, None]), Z.T @ p)
    return w


def _cross_entropy() -> tuple[float, list[str]]:
    """Return how far the flows of u * v and of w are from each other for three classes, with matrices (3, 3)."""
    problem, times = problems().classes, _times(60.0)
    rng = generator(7)
    theta0 = 0.5 + 0.2 * rng.standard_normal((3, 3)), 0.2 * rng.standard_normal((3, 3))
    G = HadamardProduct()
    theta = simulate(GradientFlow(_class_problem(problem)), theta0, times=times, rtol=_RTOL)
    u0, v0 = theta0
    R = HyperbolicEntropy(scale=np.ravel(np.abs(u0 * u0 - v0 * v0)) / 2.0)
    mirror = simulate(MirrorFlow(problem, R), u0 * v0, times=times, rtol=_RTOL)
    w = np.array([G(theta.state(float(t))) for t in times])
    apart = _largest_apart(w, np.asarray(mirror.state(times)))
    return apart, [theta.status.name, mirror.status.name]


def _class_problem(problem: Classification) -> Problem:
    """Return the problem of several classes in theta, with the model X (u * v)."""
    return Problem(_class_model, problem.X, problem.y, "cross_entropy")


def _class_model(theta: Any, X: Any) -> Any:
    u, v = theta
    return X @ (u * v)
