"""Tests of growth in three linear layers, where rates grow with the modes and later saddles have slow modes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib
from implicitbias.flows._growth_modes import growth_modes
from tests.flows.test_tiny_starts import LEVELS, Net, scaled, times_at


def _deep(params: Any, X: Any) -> Any:
    return X @ params[0] @ params[1] @ params[2]


def deep_net(sizes: tuple[float, ...], seed: int) -> Net:
    """Return a network of three linear layers whose three modes have these sizes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 5))
    left, _, right = np.linalg.svd(rng.standard_normal((5, 3)), full_matrices=False)
    start = tuple(rng.standard_normal(shape) for shape in ((5, 6), (6, 6), (6, 3)))
    return Net(ib.Problem(_deep, X, X @ (left * list(sizes)) @ right), start, 1.0)


def deep_reference(net: Net, scale: float, end: float) -> tuple[ndarray, ndarray]:
    """Return the levels and the jump times by SciPy's DOP853, with the gradient written in NumPy."""
    X, y = np.asarray(net.problem.X), np.asarray(net.problem.y)
    (A, B, C), n = (leaf.shape for leaf in net.start), len(X)
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

    start = np.concatenate([leaf.ravel() for leaf in scaled(net, scale)])
    path = solve_ivp(
        speed, (0.0, end), start, "DOP853", rtol=1e-10, atol=1e-10 * scale, dense_output=True
    ).sol
    first, last = loss(path(0.0)), loss(path(end))
    levels = last + np.array(LEVELS) * (first - last)
    return levels, times_at(lambda t: loss(path(t)), end, levels)


def deep_jumps(
    net: Net, scale: float, end: float, levels: ndarray, rtol: float = 1e-4
) -> tuple[ndarray, ib.Trajectory]:
    trajectory = ib.simulate(ib.GradientFlow(net.problem), scaled(net, scale), t1=end, rtol=rtol)
    loss = lambda t: net.problem.loss(trajectory.state(t))  # noqa: E731
    return times_at(loss, trajectory.times[-1], levels), trajectory


# Oracle: DOP853 from 1e-3. Near 0 the flow is homogeneous of degree 3, so that scale * time has a limit as the scale
# vanishes. The speed at a saddle is the square of the deviations: from 1e-10 it is far below the rounding errors of
# the gradient, and the jump times once were wrong by half without a word.
@pytest.mark.parametrize(("scale", "lost"), [(1e-3, False), (1e-5, False), (1e-10, True), (1e-12, True)])
def test_later_jumps_of_three_layers_are_right_or_said_to_be_wrong(scale: float, lost: bool) -> None:
    net, end = deep_net((2.0, 1.0, 0.5), 0), 0.8
    levels, expected = deep_reference(net, 1e-3, end / 1e-3)
    found, trajectory = deep_jumps(net, scale, end / scale, levels)
    apart = np.abs(found * scale / (expected * 1e-3) - 1)
    assert apart[0] < 2e-3
    assert bool(np.max(apart) > 0.1) == lost
    # From 1e-5 a note may estimate a relative error of some rtol, which bounds the true one from above.
    assert any("decided by these errors" in note for note in trajectory.notes) == lost
    if scale == 1e-3:
        assert np.max(apart) < 10 * 1e-4
        assert trajectory.notes == ()


# Oracle: DOP853. The third jump once was 400 rtol late for seed 2 and 100 to 200 rtol for seed 10: no mode was found
# near the third saddle, and near the second one, errors in the mode that grows at the third were ignored.
@pytest.mark.parametrize("seed", [2, pytest.param(1, marks=pytest.mark.slow), 10])
def test_a_slow_mode_at_a_later_saddle_is_held_to_rtol(seed: int) -> None:
    net, end = deep_net((3.0, 1.5, 0.6), seed), 2.2 / 1e-3
    levels, expected = deep_reference(net, 1e-3, end)
    for rtol in (1e-3, 1e-4, 1e-5):
        found, trajectory = deep_jumps(net, 1e-3, end, levels, rtol)
        np.testing.assert_allclose(found, expected, rtol=3 * rtol)
        assert trajectory.notes == ()
        # 476 where the path of the growth contained parts that decay, and 365 with the exact Hessian throughout.
        assert trajectory.stats.steps < 330


# Oracle: DOP853 from 1e-3, and the limit of scale * time. Near the third saddle, errors of the fast directions hid the
# mode that grows in the speed: the third jump was 37 % late from 1e-5, and did not come from 1e-6, without a word.
@pytest.mark.parametrize("scale", [1e-5, 1e-6])
def test_a_slow_mode_that_errors_hide_in_the_speed_is_seen_in_the_steps(scale: float) -> None:
    net, end = deep_net((3.0, 1.5, 0.6), 2), 2.2
    levels, expected = deep_reference(net, 1e-3, end / 1e-3)
    found, _ = deep_jumps(net, scale, end / scale, levels)
    np.testing.assert_allclose(found * scale, expected * 1e-3, rtol=3e-3)


# Oracle: the eigenvectors of the matrix. A part of the speed that decays faster than the mode grows follows its source;
# a path on which it grew made the error of a step linear in its size. A part that decays slowly stays in the path.
def test_a_path_of_growth_has_no_part_that_decays_fast() -> None:
    rates = np.array([0.1, -0.05, -3.0, -7.0])
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    matrix, speed = (Q * rates) @ Q.T, Q @ np.array([1.0, 0.2, 0.1, 0.3])
    with jax.enable_x64(True):
        bent = growth_modes(
            lambda v: jnp.asarray(matrix) @ v, jnp.asarray(speed), lambda v: 0.5 * rates[0] ** 2 * v
        )
    assert float(bent.bend) == pytest.approx(0.5)
    np.testing.assert_allclose(Q.T @ np.asarray(bent.course), [1.0, 0.2, 0.0, 0.0], atol=1e-12)
