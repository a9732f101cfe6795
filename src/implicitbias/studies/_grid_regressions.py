"""Single runs of the studies of deep diagonal networks and of linear regression at settings that a sweep varies."""

from typing import Any

import numpy as np

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import silent, tell_progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import saddle_path
from implicitbias.parametrizations import DeepDiagonal, HadamardProduct
from implicitbias.problems import LeastSquares
from implicitbias.studies._deep_evidence import simulated
from implicitbias.studies._deep_settings import Network
from implicitbias.studies._grid_runs import expect, expect_count, first_time
from implicitbias.studies._path_evidence import modified_norm
from implicitbias.studies._seeds import generator
from implicitbias.studies._sweep_evidence import finished

# The slow times lam t at which a run of linear regression is stored, and the variance of its weak directions.
_SLOW, _NOISE = (1e-7, 20.0, 200), 0.05
_SHALLOW, _DEEPEST = 2, 8


def deep_run(*, alpha: float, depth: int, n: int, d: int, seed: int) -> Any:
    """Return how far the flow of a deep diagonal network from alpha times a random direction is from its limit path.

    `integration_error` is the change of the jump times for a ten times larger rtol, relative to `jump_error`.
    """
    expect("alpha", alpha, 0.0 < alpha < 1.0, "a number between 0 and 1")
    expect("depth", depth, _SHALLOW <= depth <= _DEEPEST and depth % 1 == 0, "a whole number from 2 to 8")
    expect_count("n", n)
    expect_count("d", d)
    rng = generator(seed)
    problem = LeastSquares(rng.standard_normal((n, d)), rng.standard_normal(n))
    layers = tuple(rng.uniform(0.5, 1.5, (depth, d)) * rng.choice([-1.0, 1.0], (depth, d)))
    shallow = depth == _SHALLOW
    G = HadamardProduct() if shallow else DeepDiagonal(depth)
    network = Network(G, layers, depth, (float(-np.log10(alpha)),), 1e-6 if shallow else 1e-8)
    path = saddle_path(problem, growth_times=network.growth)
    growths = simulated(path, network, silent)
    final = np.asarray(growths.sweep.trajectories[0].final)
    numbers = {
        "jumps": path.n_jumps,
        "last_jump_time": path.times[-1],
        "jump_error": np.max(growths.sweep.jump_errors),
        "saddle_error": np.max(growths.sweep.saddle_errors),
        "integration_error": growths.integration_error,
        "end_norm": modified_norm(path, final),
        "limit_norm": modified_norm(path, path.coefficients[-1]),
        "end_l1_norm": np.sum(np.abs(final)),
        "steps": int(growths.sweep.steps[0]),
    }
    return dataset({name: ((), np.array(value)) for name, value in numbers.items()}, {}, {})


def linear_run(*, weight_decay: float, scale: float, n: int, d: int, seed: int) -> Any:
    """Return the errors of linear regression with weight decay over slow time lam t, as shares of those of w = 0.

    The inputs have variance 1.05 in three random directions and 0.05 in the others, and the start is `scale` times a
    standard normal vector. The times are slow ones, and nan if they are not reached. `ridge_distance` is the relative
    distance of the end from the solution of ridge regression.
    """
    expect("weight_decay", weight_decay, weight_decay > 0.0, "a positive number")
    expect("scale", scale, scale >= 0.0, "a number of at least 0")
    expect_count("n", n)
    expect("d", d, d >= 3 and d % 1 == 0, "a whole number of at least 3")
    rng = generator(seed)
    strong = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    X = rng.standard_normal((n, 3)) @ strong.T + np.sqrt(_NOISE) * rng.standard_normal((n, d))
    teacher = strong @ np.array([1.5, -1.0, 0.5])
    y, start = X @ teacher, scale * rng.standard_normal(d)
    slow = np.geomspace(*_SLOW)
    flow = GradientFlow(LeastSquares(X, y), weight_decay)
    run = finished(
        simulate(
            flow,
            start,
            t1=slow[-1] / weight_decay,
            times=slow / weight_decay,
            rtol=1e-6,
            progress=tell_progress,
        )
    )
    w: Any = np.asarray(run.states)
    ridge = X.T @ np.linalg.solve(X @ X.T / n + weight_decay * np.eye(n), y / n)
    apart = w - teacher
    risk = np.sum((apart @ strong) ** 2, axis=1) + _NOISE * np.sum(apart**2, axis=1)
    train = np.mean((w @ X.T - y) ** 2, axis=1) / np.mean(y**2)
    test = risk / ((1.0 + _NOISE) * float(teacher @ teacher))
    variables: dict[str, Any] = {
        "train": (("slow_time",), train),
        "test": (("slow_time",), test),
        "memorization_time": ((), first_time(slow, train <= 0.01)),
        "generalisation_time": ((), first_time(slow, test <= 0.2)),
        "final_test": ((), np.array(test[-1])),
        "ridge_distance": ((), np.linalg.norm(w[-1] - ridge) / np.linalg.norm(ridge)),
        "steps": ((), np.array(run.stats.steps)),
    }
    return dataset(variables, {"slow_time": slow}, {})
