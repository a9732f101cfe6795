"""Single runs of studies at settings that a sweep varies."""

from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import dataset
from implicitbias._core.progress import silent, tell_progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import saddle_path
from implicitbias.parametrizations import HadamardProduct
from implicitbias.problems import LeastSquares
from implicitbias.studies._saddle_evidence import simulated
from implicitbias.studies._seeds import generator
from implicitbias.studies._sweep_evidence import finished

# The slow times lam t at which a run of the grokking study is stored.
_SLOW = (1e-7, 20.0, 120)


def saddle_run(*, alpha: float, n: int, d: int, noise: float, seed: int) -> Any:
    """Return how far the flow from u = sqrt(2) alpha, v = 0 is from its limit path, for a random design.

    The targets are those of a teacher with 2 ones, plus noise.
    """
    X, y, _ = _sparse_data(n, d, 2, noise, seed)
    expect("alpha", alpha, 0.0 < alpha < 1.0, "a number between 0 and 1")
    path = saddle_path(LeastSquares(X, y))
    runs = simulated(path, (float(-np.log10(alpha)),), silent)
    numbers = {
        "jumps": path.n_jumps,
        "first_jump_time": path.times[1],
        "last_jump_time": path.times[-1],
        "jump_error": np.max(np.abs(runs.jump_errors)),
        "saddle_error": np.max(np.abs(runs.saddle_errors)),
        "steps": int(runs.steps[0]),
    }
    return dataset({name: ((), np.array(value)) for name, value in numbers.items()}, {}, {})


def diagonal_run(*, alpha: float, weight_decay: float, n: int, d: int, sparsity: int, seed: int) -> Any:
    """Return the training and test errors along the flow of u * v with weight decay, over slow time lam t.

    The inputs are Gaussian, the teacher has `sparsity` ones, and the start is u = sqrt(2) alpha, v = 0. The errors are
    shares of the error of w = 0; the times are slow ones, and nan if they are not reached.
    """
    X, y, teacher = _sparse_data(n, d, sparsity, 0.0, seed)
    expect("alpha", alpha, alpha > 0.0, "a positive number")
    expect("weight_decay", weight_decay, weight_decay > 0.0, "a positive number")
    slow = np.geomspace(*_SLOW)
    flow = GradientFlow(LeastSquares(X, y).reparametrize(HadamardProduct()), weight_decay)
    start = np.sqrt(2.0) * alpha * np.ones(d), np.zeros(d)
    run = finished(
        simulate(flow, start, t1=slow[-1] / weight_decay, times=slow / weight_decay, progress=tell_progress)
    )
    states: Any = run.states
    w = np.asarray(states[0]) * np.asarray(states[1])
    train = np.mean((w @ X.T - y) ** 2, axis=1) / np.mean(y**2)
    test = np.sum((w - teacher) ** 2, axis=1) / sparsity
    variables: dict[str, Any] = {
        "train": (("slow_time",), train),
        "test": (("slow_time",), test),
        "memorization_time": ((), first_time(slow, train <= 0.01)),
        "generalisation_time": ((), first_time(slow, test <= 0.1)),
        "final_test": ((), np.array(test[-1])),
        "steps": ((), np.array(run.stats.steps)),
    }
    return dataset(variables, {"slow_time": slow}, {})


def _sparse_data(n: int, d: int, sparsity: int, noise: float, seed: int) -> tuple[Any, Any, Any]:
    """Return Gaussian inputs, targets, and the teacher, which begins with ones."""
    for name, value in (("n", n), ("d", d), ("sparsity", sparsity)):
        expect_count(name, value)
    expect("sparsity", sparsity, sparsity <= d, f"at most d = {d}")
    rng = generator(seed)
    X = rng.standard_normal((n, d))
    teacher = np.where(np.arange(d) < sparsity, 1.0, 0.0)
    return X, X @ teacher + noise * rng.standard_normal(n), teacher


def expect_count(name: str, value: Any) -> None:
    """Raise an error about a number of rows, features or layers that is no positive whole number.

    Raises:
        InputError: it is none.
    """
    expect(name, value, value >= 1 and value % 1 == 0, "a positive whole number")


def first_time(times: Any, reached: Any) -> Any:
    """Return the first time at which a level is reached; nan if it is not."""
    return np.array(times[int(np.argmax(reached))] if np.any(reached) else np.nan)


def expect(name: str, value: Any, fine: bool, expected: str) -> None:
    """Raise an error about a setting that is not fine.

    Raises:
        InputError: the setting is not fine.
    """
    if not fine:
        raise InputError(f"{name} is {value!r}, {expected} is expected")
