"""Measurements of early and late phases on diagonal networks of several depths."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import kernel_regime, max_margin
from implicitbias.problems import Classification, Problem
from implicitbias.studies._early_late_settings import DEPTHS, Depths, labels

# L lam (t - T) of the measurements.
_PLACES = np.arange(-16, 81) / 4.0


class Run(NamedTuple):
    """The predicted L lam T, the w (places, d) and the norms of theta of a run, and the name of its status."""

    transition: float
    w: Float64[ndarray, "places d"]
    norm: Float64[ndarray, " places"]
    status: str


def power_difference(depth: int) -> Callable[[Any, Any], jax.Array]:
    """Return the network $X (u^L - v^L)$ of depth L, whose L layers are equal."""

    def model(theta: Any, X: Any) -> jax.Array:
        u, v = theta
        return X @ (u**depth - v**depth)

    return model


def depth_dataset(progress: Progress, setting: Depths = DEPTHS) -> Any:
    """Return the dataset of all depths, scales of the start and weight decays of the setting."""
    X = setting.rows()
    y, runs = labels(X), []
    plan = [(depth, s ** (2.0 / depth), decay) for depth in setting.depths for s, decay in setting.runs]
    for count, (depth, alpha, decay) in enumerate(plan):
        problem = Problem(power_difference(depth), X, y, "logistic")
        runs.append(_run(problem, setting, depth, alpha, decay))
        progress((count + 1) / len(plan), f"depth {depth}, alpha = {alpha:g}, lam = {decay:g}")
    linear = Classification(X, y)
    units = {name: max_margin(linear, name).point for name in ("l2", "l1")}
    w = np.stack([run.w for run in runs])
    sizes = np.linalg.norm(w, axis=2)
    cosines = {f"cos_{name}": (w @ unit) / (sizes * np.linalg.norm(unit)) for name, unit in units.items()}
    accuracy = setting.accuracy(w.reshape(-1, setting.d).T).reshape(sizes.shape)
    depths, alphas, decays = np.array(plan).T
    return dataset({}, {}, {"rtol": setting.rtol}).assign(
        {name: (("run", "place"), values) for name, values in (cosines | {"accuracy": accuracy}).items()}
        | {
            "norm": (("run", "place"), np.stack([run.norm for run in runs])),
            "margin": (("run", "place"), np.min(y * (w @ X.T), axis=2)),
            "place": ("place", _PLACES),
            "depth": ("run", depths),
            "alpha": ("run", alphas),
            "weight_decay": ("run", decays),
            "transition": ("run", [run.transition for run in runs]),
            "simulation_status": ("simulation", [run.status for run in runs]),
        }
    )


def _run(problem: Problem, setting: Depths, depth: int, alpha: float, decay: float) -> Run:
    start = (np.full(setting.d, alpha), np.full(setting.d, alpha))
    limit = kernel_regime(problem, start)
    assert limit.margin is not None
    # L lam T = ln(gamma_0 |theta_0| / ln(1 / lam)) with |theta_0| = alpha sqrt(2 d).
    transition = float(np.log(limit.margin * alpha * np.sqrt(2.0 * setting.d) / np.log(1.0 / decay)))
    times = np.maximum(transition + _PLACES, 0.0) / (depth * decay)
    flow = GradientFlow(problem, weight_decay=decay)
    trajectory = simulate(flow, start, t1=float(times[-1]), times=np.unique(times), rtol=setting.rtol)
    w, norm = np.empty((len(times), setting.d)), np.empty(len(times))
    for i, t in enumerate(times):
        u, v = trajectory.state(float(t))
        w[i], norm[i] = u**depth - v**depth, np.sqrt(u @ u + v @ v)
    return Run(transition, w, norm, trajectory.status.name)
