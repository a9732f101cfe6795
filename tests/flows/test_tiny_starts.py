"""Tests of growth from tiny starts: jump times, their order in rtol, the number of steps, and what the notes say."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows._growth_modes import growth_modes


class Net(NamedTuple):
    """A problem, the same objective for the reference, a start of scale 1, and the rate of the slowest growth."""

    problem: ib.Problem
    start: Any
    rate: float


def _linear(params: Any, X: Any) -> Any:
    return X @ params[0] @ params[1]


def _tanh(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params[0]) @ params[1]


def linear_net() -> Net:
    """Return a linear network 5-8-3 whose three modes have the sizes 2, 1 and 1/2."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5))
    left, _, right = np.linalg.svd(rng.standard_normal((5, 3)), full_matrices=False)
    start = (rng.standard_normal((5, 8)), rng.standard_normal((8, 3)))
    return Net(ib.Problem(_linear, X, X @ (left * [2.0, 1.0, 0.5]) @ right), start, 0.45)


def tanh_net() -> Net:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
    return Net(ib.Problem(_tanh, X, y), (rng.standard_normal((4, 8)), rng.standard_normal(8)), 0.35)


NETS = {"linear": linear_net(), "tanh": tanh_net()}
# The shares of the fall of the loss at which jump times are read.
LEVELS = (0.5, 0.15, 0.02)


def scaled(net: Net, scale: float) -> tuple[ndarray, ...]:
    return tuple(scale * leaf for leaf in net.start)


def end_time(net: Net, scale: float) -> float:
    return 4 * np.log(1 / scale) / net.rate + 60


def times_at(loss: Any, end: float, levels: ndarray) -> ndarray:
    """Return the times at which a loss falls through each of the levels."""

    def time_at(level: float) -> float:
        return float(brentq(lambda t: loss(t) - level, 0.0, end, xtol=1e-9))

    return np.array([time_at(level) for level in levels])


def reference(net: Net, scale: float) -> tuple[ndarray, ndarray]:
    """Return the levels and the jump times by SciPy's DOP853 with rtol 1e-12."""
    problem, end = net.problem, end_time(net, scale)
    model, X, y = problem.model, np.asarray(problem.X), np.asarray(problem.y)
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, scaled(net, scale)))
        objective = jax.jit(lambda u: jnp.sum((model(unravel(u), X) - y) ** 2) / (2 * len(y)))
        slope = jax.jit(jax.grad(objective))
        path = solve_ivp(
            lambda _, u: -np.asarray(slope(u)),
            (0.0, end),
            np.asarray(flat),
            method="DOP853",
            rtol=1e-12,
            atol=1e-13 * scale,
            dense_output=True,
        ).sol
        first, last = float(objective(path(0.0))), float(objective(path(end)))
        levels = last + np.array(LEVELS) * (first - last)
        return levels, times_at(lambda t: float(objective(path(t))), end, levels)


def jumps(net: Net, scale: float, levels: ndarray, rtol: float = 1e-4) -> tuple[ndarray, ib.Trajectory]:
    """Return the jump times of the library's flow, read from its dense output, and its trajectory."""
    trajectory = ib.simulate(
        ib.GradientFlow(net.problem), scaled(net, scale), t1=end_time(net, scale), rtol=rtol
    )
    return times_at(lambda t: net.problem.loss(trajectory.state(t)), trajectory.times[-1], levels), trajectory


# Oracle: DOP853. Errors relative to whole arrays put the later jumps 3 to 60 % off.
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("scale", [1e-3, 1e-8, pytest.param(1e-12, marks=pytest.mark.slow)])
def test_jump_times_are_within_ten_rtol(name: str, scale: float) -> None:
    levels, expected = reference(NETS[name], scale)
    found, trajectory = jumps(NETS[name], scale, levels)
    assert trajectory.notes == ()
    np.testing.assert_allclose(found, expected, rtol=10 * 1e-4)


# Oracle: DOP853. The errors of jump times are proportional to rtol, or smaller.
@pytest.mark.parametrize("name", NETS)
def test_errors_of_jump_times_fall_with_rtol(name: str) -> None:
    levels, expected = reference(NETS[name], 1e-6)
    rtols = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    errors = [np.max(np.abs(jumps(NETS[name], 1e-6, levels, rtol)[0] / expected - 1)) for rtol in rtols]
    assert np.all(errors <= 10 * rtols)
    slope = np.polyfit(np.log(rtols), np.log(np.maximum(errors, 1e-9)), 1)[0]
    assert slope > 0.7


# Oracle: the closed form: growth over 27 or 69 e-foldings takes as many steps as over 7.
@pytest.mark.parametrize("name", NETS)
def test_steps_hardly_grow_with_the_logarithm_of_the_scale(name: str) -> None:
    counts = [
        ib.simulate(
            ib.GradientFlow(NETS[name].problem), scaled(NETS[name], s), t1=end_time(NETS[name], s)
        ).stats.steps
        for s in (1e-3, 1e-12, 1e-30)
    ]
    assert counts[1] <= 2.2 * counts[0]  # today's ordinary steps: 4 and 3 times as many
    assert counts[2] <= 1.6 * counts[1]


# Oracle: the flow in dual variables, which is exact from any start. Once the second coordinate came late by a third.
def test_a_slow_entry_grows_at_its_time() -> None:
    def squares(p: Any, X: Any) -> Any:
        return X @ (p[0] ** 2 - p[1] ** 2)

    X = np.sqrt(2.0) * np.eye(2)
    start = (np.full(2, 1e-10),) * 2
    mine = ib.simulate(ib.GradientFlow(ib.Problem(squares, X, X @ [2.0, 0.1])), start, t1=200.0)
    exact = ib.LeastSquares(X, X @ [2.0, 0.1]).reparametrize(ib.SquareDifference())
    theirs = ib.simulate(ib.GradientFlow(exact), start, t1=200.0, rtol=1e-8)

    def grown(trajectory: ib.Trajectory) -> float:
        found = brentq(lambda t: trajectory.state(t)[0][1] ** 2 - 0.05, 10.0, 200.0)
        return float(found)

    assert grown(mine) == pytest.approx(grown(theirs), rel=1e-3)
    assert mine.notes == theirs.notes == ()


def test_a_zero_start_is_not_called_tiny() -> None:
    def shifted(p: Any, X: Any) -> Any:
        return jnp.tanh(X @ p + 0.5)

    rng = np.random.default_rng(0)
    problem = ib.Problem(shifted, rng.standard_normal((6, 3)), rng.standard_normal(6))
    assert ib.simulate(ib.GradientFlow(problem), np.zeros(3), t1=50.0).notes == ()


# Oracle: NumPy's eigenvalues of a dense matrix; the speed lies in a space of three eigenvectors.
def test_modes_are_the_eigenvectors_in_the_speed() -> None:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    rates = np.concatenate([[2.0, 1.0, -3.0], np.linspace(-5.0, 5.0, 37)])
    matrix = vectors * rates @ vectors.T
    speed = vectors[:, :3] @ [1.0, 1e-9, 1.0]
    with double_precision():
        modes = growth_modes(lambda v: jnp.asarray(matrix) @ v, jnp.asarray(speed))
        found = np.asarray(modes.rates)
        top, size = np.asarray(modes.vectors), np.asarray(modes.speeds)
    for rate, vector, part in ((2.0, vectors[:, 0], 1.0), (1.0, vectors[:, 1], 1e-9)):
        row = int(np.argmin(np.abs(found - rate)))
        assert found[row] == pytest.approx(rate, rel=1e-6)
        assert abs(top[row] @ vector) == pytest.approx(1.0, rel=1e-6)
        assert abs(size[row]) == pytest.approx(part, rel=1e-5)


def test_a_hessian_that_is_not_finite_gives_no_modes() -> None:
    with double_precision():
        modes = growth_modes(lambda v: v * jnp.nan, jnp.ones(3))
    assert not np.any(np.asarray(modes.rates))
    assert np.all(np.isfinite(np.asarray(modes.vectors)))
    assert not np.any(np.asarray(modes.speeds))
