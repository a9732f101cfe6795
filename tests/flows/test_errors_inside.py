"""Tests of the errors of states inside long steps, in which the state grows much, and of states that shrink to 0."""

from typing import Any

import jax
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.flows._nets import reference

CLASSES = 3


def random_case(seed: int, leaves: int, columns: int) -> tuple[ndarray, ndarray, ndarray, float]:
    """Return inputs (4, 5), targets or classes, a start (leaves, 5, columns) of random scale, and a weight decay."""
    rng = np.random.default_rng(seed)
    X, classifies = rng.standard_normal((4, 5)), columns > 1
    y = rng.integers(0, CLASSES, 4) if classifies else rng.standard_normal(4)
    if classifies:
        y[:CLASSES] = np.arange(CLASSES)
    scale = 10 ** (rng.uniform(-9, 0.3) if classifies else rng.uniform(-1.5, 0.3))
    shape = (5, columns) if classifies else (5,)
    start = [scale * 10 ** rng.uniform(-1, 0.3, shape) * rng.choice([-1, 1], shape) for _ in range(leaves)]
    lam = 10 ** rng.uniform(-3, -1) * (1.0 if classifies else 0.3)
    return X, y, np.stack(start).reshape(leaves, 5, columns), lam


def dense_layer(params: Any, X: Any) -> Any:
    return X @ (params[0] ** 2 - params[1] ** 2)


def product(params: Any, X: Any) -> Any:
    return X @ (params[0] * params[1] * params[2])


def worst(run: Any, times: ndarray, expected: ndarray) -> float:
    """Return the largest error of the states at these times, relative to the norm of the state."""
    leaves = jax.tree.leaves(run.state(times))
    states = np.concatenate([np.asarray(leaf).reshape(len(times), -1) for leaf in leaves], axis=1)
    errors = np.linalg.norm(states - expected, axis=1) / np.linalg.norm(expected, axis=1)
    return float(errors.max())


# Oracle: SciPy's DOP853 with rtol 1e-12. In one step the state grows by orders of magnitude. Its ends were accurate and
# the dense output between them had errors of 130 rtol.
def test_states_inside_steps_that_follow_growth_modes() -> None:
    X, y, start, lam = random_case(22, 2, CLASSES)
    rtol = 1e-3
    times = np.geomspace(0.1, 40.0, 200)

    def losses(f: Any) -> Any:
        return jax.nn.logsumexp(f, axis=1) - f[np.arange(len(y)), y]

    expected = reference(dense_layer, start, losses, lam, times, X)
    flow = ib.GradientFlow(ib.Problem(dense_layer, X, y, loss="cross_entropy"), lam)
    run = ib.simulate(flow, start, t1=1e3, rtol=rtol, solver="kernel")
    assert worst(run, times, expected) <= 10 * rtol


# Oracle: the same. One explicit step covered a growth by 4.5, and its error estimate was far too small: errors were
# 32 rtol in this step and 10 rtol at its end. From the other start, weight decay takes the state to 0, where each
# step must be accurate relative to its own end: the error at the end was 10.5 rtol.
@pytest.mark.parametrize(("seed", "last"), [(13, 60.0), (34, None)])
def test_states_of_a_deep_diagonal_network(seed: int, last: float | None) -> None:
    X, y, start, lam = random_case(seed, 3, 1)
    end, rtol = 12 / lam, 1e-3
    times = np.linspace(end / 100, last or end, 300)
    expected = reference(product, start, lambda f: (f[:, 0] - y) ** 2 / 2, lam, times, X)
    problem = ib.LeastSquares(X, y).reparametrize(ib.DeepDiagonal(3))
    run = ib.simulate(ib.GradientFlow(problem, lam), tuple(start[:, :, 0]), t1=end, rtol=rtol)
    assert worst(run, times, expected) <= 10 * rtol
