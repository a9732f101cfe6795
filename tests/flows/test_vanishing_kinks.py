"""Tests of flows of piecewise linear models whose weight decay takes all parameters to 0, the kink of all units."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.flows._vanishing_rest import _stay_positive


def _two_layers(params: Any, X: Any) -> Any:
    return jax.nn.relu(X @ params[0] + params[2]) @ params[1]


def _deep(params: Any, X: Any) -> Any:
    return jax.nn.relu(jax.nn.relu(X @ params[0]) @ params[1]) @ params[2]


def _problem(model: Callable[[Any, Any], Any]) -> ib.Problem:
    rng = np.random.default_rng(0)
    return ib.Problem(model, rng.standard_normal((8, 3)), rng.standard_normal(8))


def _start(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    return tuple(rng.standard_normal(shape) for shape in shapes)


def _assert_at_rest_at_zero(trajectory: ib.Trajectory, words: str) -> None:
    assert trajectory.status is ib.Status.REACHED_TIME
    assert all(np.all(leaf == 0.0) for leaf in trajectory.final)
    assert any("tends to 0" in note and words in note for note in trajectory.notes)


# Oracle: theta . grad F <= |g(0)| |X| |w| |a| near 0, so that with a larger decay |theta| decreases to 0 from there on,
# on whatever side of the kinks. About 2000 more steps were taken, because squares underflowed.
def test_two_layers_that_vanish_with_units_held_at_their_kinks() -> None:
    problem, lam = _problem(_two_layers), 1.2
    X = np.column_stack([np.asarray(problem.X), np.ones(8)])
    assert np.linalg.norm(np.asarray(problem.y)) / 8 * np.linalg.norm(X, 2) < lam
    trajectory = ib.simulate(ib.GradientFlow(problem, lam), _start((3, 5), (5,), (5,)), t1=1e6)
    _assert_at_rest_at_zero(trajectory, "it is linear")
    assert trajectory.stats.steps < 900
    assert trajectory.stats.held > 0


# Oracle: the gradient of the loss of three layers without biases is of degree two in the parameters.
@pytest.mark.slow
def test_three_layers_vanish_whatever_their_units_do() -> None:
    start = _start((3, 4), (4, 4), (4,))
    trajectory = ib.simulate(ib.GradientFlow(_problem(_deep), 1.0), start, t1=1e6)
    _assert_at_rest_at_zero(trajectory, "whatever the slopes")
    assert trajectory.stats.steps < 700


# Oracle: while the second row is inactive, w_1 and a decay at the rate lam - y_1 / 2 = 0.1 and w_2 at lam, so that its
# pre-activation w_1 - |w_2| turns positive at t = ln(1 / 1e-20) / 0.2 = 230, at |theta| = 1e-30. Then they grow.
def test_a_flow_that_turns_back_after_it_has_nearly_vanished() -> None:
    X, y = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0.4, 0.8])
    problem = ib.Problem(lambda params, X: jax.nn.relu(X @ params[0]) * params[1], X, y)
    start = np.array([1e-20, -1.0]), np.array(1e-20)
    trajectory = ib.simulate(ib.GradientFlow(problem, 0.3), start, t1=600.0)
    assert np.max(np.abs(trajectory.state(225.0)[0])) < 1e-21
    assert np.max(np.abs(trajectory.final[0])) > 0.1
    assert trajectory.stats.steps < 2000


# Oracle: the sum on a grid of times. The rates are equal in pairs, where only the sum of both parts counts.
def test_sums_of_exponentials_that_stay_positive() -> None:
    rng = np.random.default_rng(0)
    times = np.concatenate([np.linspace(0.0, 20.0, 400), np.geomspace(20.0, 200.0, 100)])
    found = []
    for _ in range(300):
        rates = np.repeat(rng.uniform(0.1, 2.0, 3), 2)
        parts = rng.standard_normal(6) + [0.5] * 6
        positive = _stay_positive(rates, parts[None], np.array([parts.sum()]), np.array([1e-12]))
        values = np.exp(-np.outer(times, rates - rates.min())) @ parts
        found.append(positive)
        assert not positive or np.all(values > 0.0)
    assert 50 < sum(found) < 250
    assert not _stay_positive(np.ones(2), np.ones((1, 2)), np.array([3.0]), np.array([1e-12]))
