"""Measurements of early and late phases: runs of diagonal networks, and the limits which they reach.

The variables, with d features, runs from several starts with several weight decays, and places lam (t - T):

- `cos_l2`, `cos_l1` (run, place): cosines of w to the early and to the late limit. `score`: the test accuracy, or the
  explained share of the variance of the test targets. `fit`: the smallest margin, or the explained share of the squares
  of the training targets. `size_l1`, `size_l2`: the norms of w; `size`: the norm of the parameters.
- `coarse_*` (place,): the same for the last run at a tolerance that is ten times larger. `own_*`: the run from the
  start of the paper; `control_*`: a run without weight decay; `small_*`: a run from a small start; `held_*`: the end of
  a run whose weight decay pulls the parameters towards the start.
- `alpha`, `weight_decay`, `transition` (run,): the start, lam, and lam T. `excess` (run,): a bound of the relative
  excess of the end over the least L + lam/2 |w|_1.
- `l2_score`, `l1_score`, `l1_l2_cosine`: of both limits. `gaps`: their certificates. `kernel_apart`: the relative
  distance of the predictor of the tangent kernel from the early limit.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import entr

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.gauges import L1
from implicitbias.limits import MinL1, certify, kernel_regime, least_gauge, max_margin
from implicitbias.parametrizations import Parametrization, SquareDifference
from implicitbias.problems import Classification, LeastSquares
from implicitbias.studies._early_late_settings import Experiment

# The times of the paper's run in units of 1 / lam.
_OWN_TIMES = np.geomspace(1e-3, 15.0, 40)
# The run from a small start is measured at these times, and the run without weight decay at these shares of the last
# time of the run with it.
_SMALL_TIMES = np.geomspace(0.1, 3e3, 46)
_CONTROL_TIMES = np.array([1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])
# The end of the run that is held at its start needs few digits, because it is the minimum of a strongly convex function
# up to the curvature of the network.
_HELD_RTOL = 1e-3


class Ends(NamedTuple):
    """The early and the late limit w, each (d,), of training from a large start.

    Attributes:
        l2: the early limit.
        l1: the late limit.
        kernel: the predictor of the tangent kernel at u = v = 1.
        gaps: the relative errors of the certificates of the three.
        multipliers: those of the rows in the proofs of the first two.
        reach: |theta| / |h| at u = v = 1, where h is the change of the parameters of the tangent kernel. At
            u = v = alpha it is alpha^2 times as large.
    """

    l2: Float64[ndarray, " d"]
    l1: Float64[ndarray, " d"]
    kernel: Float64[ndarray, " d"]
    gaps: Float64[ndarray, " 3"]
    multipliers: Float64[ndarray, "2 n"]
    reach: float


class Training(NamedTuple):
    """What a study trains on: the experiment, the problem in w, the limits, and how they depend on the loss.

    Attributes:
        level: the function from lam to the margins in the early phase: ln(1 / lam), or 1 for the squared loss.
        fit: the function from rows of predictions to how well they fit the training data.
        excess: the function from w and lam to a bound of the relative excess over the least L + lam/2 |w|_1.
    """

    experiment: Experiment
    problem: Classification | LeastSquares
    ends: Ends
    level: Callable[[float], float]
    fit: Callable[[ndarray], ndarray]
    excess: Callable[[ndarray, float], float]

    def transition(self, alpha: float, decay: float) -> float:
        """Return T = ln(|theta_0| / (M |h_0|)) / (2 lam) with the margins M of the early phase."""
        return float(np.log(self.ends.reach * alpha * alpha / self.level(decay)) / (2.0 * decay))


class Run(NamedTuple):
    """The w (times, d) of a run, the norms of its parameters, and the name of its status."""

    w: Float64[ndarray, "times d"]
    size: Float64[ndarray, " times"]
    status: str


def classified(experiment: Experiment) -> Training:
    """Return the training of a classifier: its limits are the largest margins."""
    problem = experiment.data.problem()
    assert isinstance(problem, Classification)
    y = np.asarray(problem.y)
    l2, l1 = max_margin(problem, "l2"), max_margin(problem, "l1")
    h = kernel_regime(problem.reparametrize(SquareDifference()), _ones(problem))
    gaps = np.array([limit.certificate.gap for limit in (l2, l1, h)])
    assert l2.multipliers is not None
    assert l1.multipliers is not None
    multipliers = np.stack([l2.multipliers, l1.multipliers])
    return Training(
        experiment,
        problem,
        Ends(l2.point, l1.point, _in_w(h.point), gaps, multipliers, _reach(h.point)),
        level=lambda decay: float(np.log(1.0 / decay)),
        fit=lambda predictions: np.min(y * predictions, axis=1),
        excess=lambda w, decay: _logistic_excess(problem, w, decay),
    )


def regressed(experiment: Experiment) -> Training:
    """Return the training of a regression: its limits are the interpolants of least l2 and l1 norm."""
    problem = experiment.data.problem()
    assert isinstance(problem, LeastSquares)
    X, y = np.asarray(problem.X), problem.targets
    nu = np.linalg.solve(X @ X.T, y)
    l2 = X.T @ nu
    program = least_gauge(problem.linear_map, y, L1())
    assert program is not None
    h = kernel_regime(problem.reparametrize(SquareDifference()), _ones(problem))
    residual = float(np.linalg.norm(X @ l2 - y) / np.linalg.norm(y))
    gaps = np.array(
        [
            residual,
            certify(problem, program.point, MinL1()).gap,
            np.max(list(h.certificate.residuals.values())),
        ]
    )
    return Training(
        experiment,
        problem,
        Ends(l2, program.point, _in_w(h.point), gaps, np.stack([nu, program.nu]), _reach(h.point)),
        level=lambda _: 1.0,
        fit=lambda predictions: 1.0 - np.sum((predictions - y) ** 2, axis=1) / float(y @ y),
        excess=lambda w, decay: _squared_excess(problem, w, decay),
    )


def training_dataset(training: Training, progress: Progress) -> Any:
    """Return the dataset of all runs of an experiment."""
    setting, places = training.experiment, training.experiment.places()
    times = [training.transition(*run) + places / run[1] for run in setting.runs]
    runs = []
    for (alpha, decay), some in zip(setting.runs, times, strict=True):
        runs.append(_run(training, alpha, decay, some))
        progress(0.1 + 0.5 * len(runs) / len(times), f"run from alpha = {alpha:g} with lam = {decay:g}")
    own = _run(training, setting.own[0], setting.own[1], _OWN_TIMES / setting.own[1])
    small = _run(training, setting.small, setting.own[1], _SMALL_TIMES)
    held = _held(training)
    control = _run(training, setting.runs[0][0], 0.0, times[0][-1] * _CONTROL_TIMES)
    coarse = _run(training, *setting.runs[-1], times[-1], 10.0 * setting.rtol)
    progress(0.8, "test data")
    every = [*runs, own, small, control, coarse, held]
    measured, ends = _measured(training, every)
    groups = {
        key: (("run", "place"), np.stack([one[key] for one in measured[: len(runs)]])) for key in measured[0]
    }
    variables: dict[str, Any] = groups | {
        f"{name}_{key}": (dimension, value)
        for name, dimension, one in zip(
            ("own", "small", "control", "coarse", "held"),
            ("own_time", "small_time", "control_time", "place", "held_time"),
            measured[len(runs) :],
            strict=True,
        )
        for key, value in one.items()
    }
    alphas, decays = np.array(setting.runs).T
    variables |= ends | {
        "alpha": ("run", alphas),
        "weight_decay": ("run", decays),
        "transition": ("run", [training.transition(*run) * run[1] for run in setting.runs]),
        "excess": (
            "run",
            [training.excess(run.w[-1], lam) for run, (_, lam) in zip(runs, setting.runs, strict=True)],
        ),
        "place": ("place", places),
        "own_slow_time": ("own_time", _OWN_TIMES),
        "own_transition": training.transition(*setting.own) * setting.own[1],
        "simulation_status": ("simulation", [run.status for run in every]),
    }  # fmt: skip
    return dataset({}, {}, {"rtol": setting.rtol}).assign(variables)


def _ones(problem: Classification | LeastSquares) -> tuple[ndarray, ndarray]:
    d = problem.shape[1]
    return np.ones(d), np.ones(d)


def _in_w(h: Any) -> Float64[ndarray, " d"]:
    """Return the change of w = u^2 - v^2 at u = v = 1 by a change of the parameters, in first order."""
    return np.asarray(2.0 * (h[0] - h[1]))


def _reach(h: Any) -> float:
    return float(np.sqrt(2.0 * len(h[0])) / np.linalg.norm(np.concatenate(h)))


def _run(
    training: Training,
    alpha: float,
    decay: float,
    times: Float64[ndarray, " times"],
    rtol: float | None = None,
) -> Run:
    """Return the run of u^2 - v^2 from u = v = alpha, at times of which those before 0 are replaced by 0."""
    d = training.problem.shape[1]
    flow = GradientFlow(training.problem.reparametrize(SquareDifference()), weight_decay=decay)
    later = np.maximum(times, 0.0)
    trajectory = simulate(
        flow,
        (np.full(d, alpha), np.full(d, alpha)),
        t1=float(later[-1]),
        times=np.unique(later),
        rtol=rtol or training.experiment.rtol,
    )
    w, size = np.empty((len(times), d)), np.empty(len(times))
    for i, t in enumerate(later):
        u, v = trajectory.state(float(t))
        w[i], size[i] = (u - v) * (u + v), np.sqrt(u @ u + v @ v)
    return Run(w, size, trajectory.status.name)


def _held(training: Training) -> Run:
    """Return the end of the first run with a weight decay that pulls towards the start.

    It trains the change delta of the parameters of (alpha + delta_u)^2 - (alpha + delta_v)^2, which is not homogeneous
    in delta, so that the start does not decay.
    """
    (alpha, decay), d = training.experiment.runs[0], training.problem.shape[1]
    G = Parametrization.from_function(
        lambda delta: (delta[0] - delta[1]) * (2.0 * alpha + delta[0] + delta[1])
    )
    flow = GradientFlow(training.problem.reparametrize(G), weight_decay=decay)
    end = training.transition(alpha, decay) + training.experiment.transition_places()[-1] / decay
    trajectory = simulate(flow, (np.zeros(d), np.zeros(d)), t1=end, times=np.array([end]), rtol=_HELD_RTOL)
    delta = trajectory.final
    w = (delta[0] - delta[1]) * (2.0 * alpha + delta[0] + delta[1])
    return Run(w[None], np.array([np.linalg.norm(np.concatenate(delta))]), trajectory.status.name)


def _measured(training: Training, runs: list[Run]) -> tuple[list[dict[str, ndarray]], dict[str, Any]]:
    """Return the measurements along each run, and those of both limits."""
    l2, l1 = training.ends.l2, training.ends.l1
    points = np.concatenate([*(run.w for run in runs), l2[None], l1[None]])
    values = measurements(training, points)
    lengths = np.cumsum([0, *(len(run.w) for run in runs)])
    found = [
        {key: value[a:b] for key, value in values.items()} | {"size": run.size}
        for run, (a, b) in zip(runs, pairwise(lengths), strict=True)
    ]
    return found, {
        "l2_score": values["score"][-2],
        "l1_score": values["score"][-1],
        "l1_l2_cosine": values["cos_l2"][-1],
        "l2_size": values["size_l2"][-2],
        "l1_size": values["size_l1"][-1],
        "gaps": ("limit", training.ends.gaps),
        "kernel_apart": np.linalg.norm(training.ends.kernel - l2) / np.linalg.norm(l2),
    }


def measurements(training: Training, w: Float64[ndarray, "m d"]) -> dict[str, Float64[ndarray, " m"]]:
    """Return the test score, the fit, the norms, and the cosines to both limits of each row."""
    sizes = np.linalg.norm(w, axis=1)
    values = {
        "score": training.experiment.data.score(w.T),
        "fit": training.fit((training.problem.X @ w.T).T),
        "size_l1": np.sum(np.abs(w), axis=1),
        "size_l2": sizes,
    }
    for name, limit in (("l2", training.ends.l2), ("l1", training.ends.l1)):
        unit = limit / np.linalg.norm(limit)
        values[f"cos_{name}"] = (w @ unit) / np.where(sizes > 0.0, sizes, 1.0)
    return values


def _logistic_excess(problem: Classification, w: Float64[ndarray, " d"], decay: float) -> float:
    """Return a bound of the relative excess of L + lam/2 ||w||_1 over its minimum, by a point of the dual program."""
    y, price = np.asarray(problem.y), decay / 2.0
    margins = y * (problem.X @ w)
    value = float(np.mean(np.logaddexp(0.0, -margins))) + price * float(np.sum(np.abs(w)))
    p = 1.0 / (1.0 + np.exp(margins))
    slope = float(np.max(np.abs(problem.linear_map.rmatvec(y * p)))) / len(y)
    p = p * min(1.0, price / slope)
    return 1.0 - float(np.mean(entr(p) + entr(1.0 - p))) / value


def _squared_excess(problem: LeastSquares, w: Float64[ndarray, " d"], decay: float) -> float:
    """Return the same bound for the squared loss."""
    y, price = problem.targets, decay / 2.0
    residual = y - problem.linear_map.matvec(w)
    n = len(y)
    value = float(residual @ residual) / (2 * n) + price * float(np.sum(np.abs(w)))
    q = residual / n
    q = q * min(1.0, price / float(np.max(np.abs(problem.linear_map.rmatvec(q)))))
    return 1.0 - float(q @ y - n / 2.0 * (q @ q)) / value
