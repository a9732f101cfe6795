"""Tests of growth that begins in rounding errors: the notes say where jump times are lost, and only there."""

from typing import Any

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
from tests.flows.test_tiny_starts import LEVELS, NETS, Net, jumps, reference, scaled, times_at


def grown_linearly(net: Net, scale: float, size: float) -> tuple[Net, float]:
    """Return the network with a start of this norm, to which the start of `scale` grows, and the time that this takes.

    The growth is that of the flow linearised at 0, in closed form.
    """
    with double_precision():
        flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, scaled(net, scale)))
        model, X, y = net.problem.model, np.asarray(net.problem.X), np.asarray(net.problem.y)
        hessian = jax.hessian(lambda u: jnp.sum((model(unravel(u), X) - y) ** 2) / (2 * len(y)))(0.0 * flat)
        values, vectors = np.linalg.eigh(np.asarray(hessian))
        parts = vectors.T @ np.asarray(flat)
        time = float(
            brentq(
                lambda t: np.log(np.linalg.norm(np.exp(-values * t) * parts) / size), 0.0, 400.0, xtol=1e-9
            )
        )
        leaves = unravel(jnp.asarray(vectors @ (np.exp(-values * time) * parts)))
        return net._replace(start=tuple(np.asarray(leaf) for leaf in leaves)), time


# Oracle: the flow linearised at 0 until the norm is 1e-4, and DOP853 from there. A note once spoke of lost modes here.
def test_jump_times_from_any_scale_are_right_and_no_mode_is_called_lost() -> None:
    net, time = grown_linearly(NETS["tanh"], 1e-30, 1e-4)
    levels, expected = reference(net, 1.0)
    found, trajectory = jumps(NETS["tanh"], 1e-30, levels)
    np.testing.assert_allclose(found, expected + time, rtol=10 * 1e-4)
    assert trajectory.notes == ()


# Oracle: near 0 a linear network is homogeneous of degree 2, so that jump times are linear functions of ln(1/scale).
# They are extrapolated from DOP853 at 1e-6 and 1e-8. Below 1e-16 of the first mode the third one is rounding.
def test_a_lost_mode_is_said() -> None:
    levels, at_six = reference(NETS["linear"], 1e-6)
    per_decade = (reference(NETS["linear"], 1e-8)[1] - at_six) / 2
    found = {scale: jumps(NETS["linear"], scale, levels) for scale in (1e-16, 1e-30)}
    apart = {
        scale: times / (at_six + (-6 - np.log10(scale)) * per_decade) - 1
        for scale, (times, _) in found.items()
    }
    assert np.all(np.abs(apart[1e-16]) <= 10 * 1e-4)
    assert found[1e-16][1].notes == ()
    assert np.all(np.abs(apart[1e-30][:2]) <= 10 * 1e-4)
    assert abs(apart[1e-30][2]) > 0.05
    (note,) = found[1e-30][1].notes
    assert "decided by these errors" in note
    assert "Use a larger start" in note


def _deep(params: Any, X: Any) -> Any:
    return X @ params[0] @ params[1] @ params[2]


def deep_net() -> Net:
    """Return a network of three linear layers whose three modes have the sizes 2, 1 and 1/2."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5))
    left, _, right = np.linalg.svd(rng.standard_normal((5, 3)), full_matrices=False)
    start = tuple(rng.standard_normal(shape) for shape in ((5, 6), (6, 6), (6, 3)))
    return Net(ib.Problem(_deep, X, X @ (left * [2.0, 1.0, 0.5]) @ right), start, 1.0)


DEEP, DEEP_END = deep_net(), 0.8


def deep_reference(scale: float) -> tuple[ndarray, ndarray]:
    """Return the levels and the jump times by SciPy's DOP853, with the gradient written in NumPy."""
    X, y = np.asarray(DEEP.problem.X), np.asarray(DEEP.problem.y)
    (A, B, C), n = (leaf.shape for leaf in DEEP.start), len(X)
    cuts = np.cumsum([np.prod(A), np.prod(B)])

    def leaves(u: ndarray) -> tuple[ndarray, ...]:
        first, second, third = np.split(u, cuts)
        return first.reshape(A), second.reshape(B), third.reshape(C)

    def loss(u: ndarray) -> float:
        first, second, third = leaves(u)
        return float(np.sum((X @ first @ second @ third - y) ** 2) / (2 * n))

    def speed(_: float, u: ndarray) -> ndarray:
        first, second, third = leaves(u)
        G = X.T @ (y - X @ first @ second @ third) / n
        parts = (G @ (second @ third).T, first.T @ G @ third.T, (first @ second).T @ G)
        return np.concatenate([part.ravel() for part in parts])

    start, end = np.concatenate([leaf.ravel() for leaf in scaled(DEEP, scale)]), DEEP_END / scale
    path = solve_ivp(
        speed, (0.0, end), start, "DOP853", rtol=1e-10, atol=1e-10 * scale, dense_output=True
    ).sol
    first, last = loss(path(0.0)), loss(path(end))
    levels = last + np.array(LEVELS) * (first - last)
    return levels, times_at(lambda t: loss(path(t)), end, levels)


def deep_jumps(scale: float, levels: ndarray) -> tuple[ndarray, ib.Trajectory]:
    trajectory = ib.simulate(ib.GradientFlow(DEEP.problem), scaled(DEEP, scale), t1=DEEP_END / scale)
    loss = lambda t: DEEP.problem.loss(trajectory.state(t))  # noqa: E731
    return times_at(loss, trajectory.times[-1], levels), trajectory


# Oracle: DOP853 from 1e-3. Near 0 the flow is homogeneous of degree 3, so that scale * time has a limit as the scale
# vanishes. The speed at a saddle is the square of the deviations: from 1e-10 it is far below the rounding errors of
# the gradient, and the jump times once were wrong by half without a word.
@pytest.mark.parametrize(("scale", "lost"), [(1e-3, False), (1e-5, False), (1e-10, True), (1e-12, True)])
def test_later_jumps_of_three_layers_are_right_or_said_to_be_wrong(scale: float, lost: bool) -> None:
    levels, expected = deep_reference(1e-3)
    found, trajectory = deep_jumps(scale, levels)
    apart = np.abs(found * scale / (expected * 1e-3) - 1)
    assert apart[0] < 2e-3
    assert bool(np.max(apart) > 0.1) == lost
    assert len(trajectory.notes) == lost
    if lost:
        assert "decided by these errors" in trajectory.notes[0]
    if scale == 1e-3:
        assert np.max(apart) < 10 * 1e-4


# Oracle: a linear problem with a saddle, whose flow has a closed form. The slow mode of size 1e-19 is lost in the
# parameters of size 1 once their coordinates are turned.
@pytest.mark.parametrize(("size", "lost"), [(1e-8, False), (1e-19, True)])
def test_a_mode_below_the_rounding_of_the_parameters(size: float, lost: bool) -> None:
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]

    def model(p: Any, X: Any) -> Any:
        a, b, c = turn.T @ p
        return X @ jnp.stack([a, b * b, c])

    # The rates: -1 for a, and 2 * 0.25 for b until b^2 = 1/4.
    problem = ib.Problem(model, np.sqrt(3.0) * np.eye(3), np.sqrt(3.0) * np.array([1.0, 0.25, 1.0]))
    trajectory = ib.simulate(ib.GradientFlow(problem), turn @ [3.0, size, 2.0], t1=2 * np.log(1 / size) + 40)
    # b' = b (1/2 - 2 b^2), so that b = 1/4 at t = 2 ln((1/4) / size) - ln(3/4) up to terms of the size of b^2.
    exact = 2 * np.log(0.25 / size) - np.log(0.75)
    found = times_at(
        lambda t: -abs(float((turn.T @ trajectory.state(t))[1])), trajectory.times[-1], np.array([-0.25])
    )
    assert bool(abs(found[0] / exact - 1) > 1e-2) == lost
    assert bool(trajectory.notes) == lost
