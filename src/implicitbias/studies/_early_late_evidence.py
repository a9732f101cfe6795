"""Measurements of early and late phases on sparse data: runs of diagonal networks, and the classifiers they reach."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import entr

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import Limit, kernel_regime, max_margin
from implicitbias.parametrizations import SquareDifference
from implicitbias.problems import Classification
from implicitbias.studies._early_late_settings import Sparse, labels

# lam (t - T) of the measurements, and the times of the paper's run in units of 1 / lam.
_PLACES = np.arange(-8, 49) / 4.0
_OWN_TIMES = np.geomspace(1e-3, 15.0, 40)
# The run from a small start is measured at these times, and the run without weight decay at these shares of the last
# time of the run with it.
_SMALL_TIMES = np.geomspace(3.0, 3e3, 31)
_CONTROL_TIMES = np.array([1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])


class Classifiers(NamedTuple):
    """The classifiers of largest l2 and l1 margin, and the tangent-kernel machine at u = v = 1."""

    l2: Limit
    l1: Limit
    kernel: Limit


class Run(NamedTuple):
    """The w (times, d) of a run, and the name of its status."""

    w: Float64[ndarray, "times d"]
    status: str


def sparse_dataset(setting: Sparse, progress: Progress) -> Any:
    """Return the dataset of one setting."""
    X = setting.rows()
    problem = Classification(X, labels(X))
    ones = (np.ones(setting.d), np.ones(setting.d))
    kernel = kernel_regime(problem.reparametrize(SquareDifference()), ones)
    machines = Classifiers(max_margin(problem, "l2"), max_margin(problem, "l1"), kernel)
    progress(0.1, "largest margins")
    times = [_transition(machines, setting, *run) + _PLACES / run[1] for run in setting.runs]
    runs = []
    for (alpha, decay), some in zip(setting.runs, times, strict=True):
        runs.append(_run(problem, alpha, decay, some, setting.rtol))
        progress(0.1 + 0.5 * len(runs) / len(times), f"run from alpha = {alpha:g} with lam = {decay:g}")
    own = _run(problem, setting.own[0], setting.own[1], _OWN_TIMES / setting.own[1], setting.rtol)
    small = _run(problem, setting.small, setting.own[1], _SMALL_TIMES, setting.rtol)
    alpha, decay = setting.runs[0]
    control = _run(problem, alpha, 0.0, times[0][-1] * _CONTROL_TIMES, setting.rtol)
    coarse = _run(problem, alpha, decay, times[0], 10.0 * setting.rtol)
    progress(0.8, "test accuracy")
    every = [*runs, own, small, control, coarse]
    measured = _measured(setting, problem, machines, [run.w for run in every])
    variables = _run_variables(setting, machines, measured[: len(runs)], measured[-1])
    for name, one in zip(("own", "small", "control"), measured[len(runs) : -1], strict=True):
        variables |= {f"{name}_{key}": (f"{name}_time", value) for key, value in one.items()}
    variables |= {
        "place": ("place", _PLACES),
        "own_slow_time": ("own_time", _OWN_TIMES),
        "small_t": ("small_time", _SMALL_TIMES),
        "excess": (
            "run",
            [_excess(problem, run.w[-1], lam) for run, (_, lam) in zip(runs, setting.runs, strict=True)],
        ),
        "own_transition": _transition(machines, setting, *setting.own) * setting.own[1],
        "simulation_status": ("simulation", [run.status for run in every]),
    }  # fmt: skip
    return dataset({}, {}, {"rtol": setting.rtol}).assign(variables | _machine_variables(setting, machines))


def _transition(machines: Classifiers, setting: Sparse, alpha: float, decay: float) -> float:
    """Return T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (2 lam); both factors grow like alpha."""
    margin = machines.kernel.margin
    assert margin is not None
    reach = margin * alpha * alpha * np.sqrt(2.0 * setting.d)
    return float(np.log(reach / np.log(1.0 / decay)) / (2.0 * decay))


def _run(
    problem: Classification, alpha: float, decay: float, times: Float64[ndarray, " times"], rtol: float
) -> Run:
    """Return the run of u^2 - v^2 from u = v = alpha, at times of which those before 0 are replaced by 0."""
    d = problem.shape[1]
    start = (np.full(d, alpha), np.full(d, alpha))
    flow = GradientFlow(problem.reparametrize(SquareDifference()), weight_decay=decay)
    later = np.maximum(times, 0.0)
    trajectory = simulate(flow, start, t1=float(later[-1]), times=np.unique(later), rtol=rtol)
    w = np.empty((len(times), d))
    for row, t in zip(w, later, strict=True):
        u, v = trajectory.state(float(t))
        row[:] = (u - v) * (u + v)
    return Run(w, trajectory.status.name)


def _measured(
    setting: Sparse, problem: Classification, machines: Classifiers, runs: list[ndarray]
) -> list[dict[str, ndarray]]:
    """Return the test accuracy, the smallest margin and the cosines to both classifiers along each run."""
    points = np.concatenate([*runs, machines.l2.point[None], machines.l1.point[None]])
    accuracy = setting.accuracy(points.T)
    margin = np.min(np.asarray(problem.y)[:, None] * (problem.X @ points.T), axis=0)
    values = {"accuracy": accuracy, "margin": margin}
    sizes = np.linalg.norm(points, axis=1)
    for name, limit in (("l2", machines.l2), ("l1", machines.l1)):
        unit = limit.point / np.linalg.norm(limit.point)
        values[f"cos_{name}"] = (points @ unit) / np.where(sizes > 0.0, sizes, 1.0)
    ends = np.cumsum([0, *map(len, runs)])
    return [
        {key: value[a:b] for key, value in values.items()}
        for a, b in pairwise(ends)
    ]  # fmt: skip


def _run_variables(
    setting: Sparse,
    machines: Classifiers,
    measured: list[dict[str, ndarray]],
    coarse: dict[str, ndarray],
) -> dict[str, Any]:
    variables: dict[str, Any] = {
        key: (("run", "place"), np.stack([one[key] for one in measured])) for key in measured[0]
    }
    variables |= {f"coarse_{key}": ("place", value) for key, value in coarse.items()}
    alphas, decays = np.array(setting.runs).T
    slow = [_transition(machines, setting, *run) * run[1] for run in setting.runs]
    return variables | {
        "alpha": ("run", alphas),
        "weight_decay": ("run", decays),
        "transition": ("run", np.array(slow)),
    }


def _machine_variables(setting: Sparse, machines: Classifiers) -> dict[str, Any]:
    """Return how both classifiers are certified, and how well they predict."""
    l2, l1, kernel = machines
    points = np.stack([l2.point, l1.point], axis=1)
    accuracy = setting.accuracy(points)
    sizes = np.linalg.norm(points, axis=0)
    assert kernel.margin is not None
    assert l2.margin is not None
    return {
        "l2_gap": l2.certificate.gap,
        "l1_gap": l1.certificate.gap,
        "kernel_gap": kernel.certificate.gap,
        "kernel_margin": kernel.margin,
        "l2_margin": l2.margin,
        "l2_accuracy": accuracy[0],
        "l1_accuracy": accuracy[1],
        "l1_l2_cosine": float(l2.point @ l1.point) / float(np.prod(sizes)),
    }


def _excess(problem: Classification, w: Float64[ndarray, " d"], decay: float) -> float:
    """Return a bound of the relative excess of L + lam/2 ||w||_1 over its minimum, by a point of the dual program."""
    y, price = np.asarray(problem.y), decay / 2.0
    margins = y * (problem.X @ w)
    value = float(np.mean(np.logaddexp(0.0, -margins))) + price * float(np.sum(np.abs(w)))
    p = 1.0 / (1.0 + np.exp(margins))
    slope = float(np.max(np.abs(problem.linear_map.rmatvec(y * p)))) / len(y)
    p = p * min(1.0, price / slope)
    return 1.0 - float(np.mean(entr(p) + entr(1.0 - p))) / value
