"""Tests of the slow phase of a flow with weight decay: the accuracy, and a number of steps that does not grow."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib
from tests.flows._nets import X, Y, pair_start, softplus_net

PROBLEM = ib.Problem(softplus_net, X, Y)
START = pair_start()
SLOW_TIME = 4.0


def flat(params: tuple[ndarray, ...]) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in params])


@cache
def derivatives() -> tuple[Any, Any, ndarray]:
    """Return gradient and Hessian as functions of (u, weight decay), which are compiled once, and the start u."""
    start, unravel = ravel_pytree(jax.tree.map(jnp.asarray, START))

    def loss(u: jax.Array, weight_decay: float) -> jax.Array:
        return jnp.mean((softplus_net(unravel(u), X) - Y) ** 2) / 2 + weight_decay * u @ u / 2

    return jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss)), np.asarray(start)


def by_radau(weight_decay: float) -> ndarray:
    """Return the end of the flow, computed by SciPy's Radau with rtol 1e-9, an exact Jacobian and no library code."""
    with jax.enable_x64(True):
        slope, curvature, start = derivatives()
        solution = solve_ivp(
            lambda t, u: -np.asarray(slope(u, weight_decay)),
            (0.0, SLOW_TIME / weight_decay),
            start,
            method="Radau",
            jac=lambda t, u: -np.asarray(curvature(u, weight_decay)),
            rtol=1e-9,
            atol=1e-11,
        )
    return solution.y[:, -1]


def by_us(weight_decay: float) -> ib.Trajectory:
    return ib.simulate(ib.GradientFlow(PROBLEM, weight_decay), START, t1=SLOW_TIME / weight_decay)


# Oracle: SciPy's Radau at 1e-9. The error gathers over some hundred steps of rtol = 1e-4 each.
@pytest.mark.parametrize("weight_decay", [1e-2, 1e-4, 1e-6])
def test_the_slow_phase_is_right(weight_decay: float) -> None:
    exact, found = by_radau(weight_decay), by_us(weight_decay)
    assert found.status.ok
    assert np.linalg.norm(flat(found.final) - exact) <= 2e-3 * np.linalg.norm(exact)


# Oracle: the promise. With predictions computed from the stages, 1e-8 took ten times the steps of 1e-3.
def test_steps_do_not_grow_as_the_weight_decay_shrinks() -> None:
    steps = [by_us(lam).stats.steps for lam in (1e-3, 1e-5, 1e-8)]
    assert max(steps) <= 1.6 * steps[0]


# Oracle: the predicted path at the middle of every plateau. At alpha = 1e-100000 the saddles are approached within
# O(1 / (ln(1/alpha) dt)) at worst; a jump that is missed or out of turn is off by the size of what it learns.
@pytest.mark.slow
def test_a_long_path_at_any_alpha() -> None:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((100, 1000)), rng.standard_normal(100))
    path, size = ib.saddle_path(problem), 100_000 * np.log(10.0)
    assert path.n_jumps > 150
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * size))
    middles = (path.times[1:-1] + path.times[2:]) / 2
    found = ib.simulate(flow, np.zeros(1000), times=middles * size)
    assert found.status.ok
    expected = np.array([path.at(t) for t in middles])
    width = np.diff(path.times[1:]) * size
    apart = np.max(np.abs(found.states - expected), axis=1) / np.max(np.abs(expected), axis=1)
    # The clock of the flow is off by up to rtol of the time: plateaus much wider than that must be met.
    wide = width > 20 * 1e-4 * middles * size
    assert np.mean(wide) > 0.5
    assert np.all(apart[wide] < 0.02)
