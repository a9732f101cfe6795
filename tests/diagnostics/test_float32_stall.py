"""`ib.diagnostics.float32_stall` against gradient descent that really computes in float32."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

X = np.array([[2.0, 1.0], [1.0, -1.5], [-1.0, 2.0]])
Y = np.array([1.0, 1.0, -1.0])
NET = ib.Classification(X, Y).reparametrize(ib.HadamardProduct())
START = np.array([1.0, 0.5]), np.array([0.3, -0.4])


@pytest.fixture(scope="module")
def trajectory() -> ib.Trajectory:
    return ib.simulate(ib.GradientFlow(NET), START, log_t1=30.0)


def stalled(rate: float, *, collapsing: bool) -> float:
    """Return the time at which gradient descent in float32 stops, with the gradient p - 1, or with -(1 - p)."""
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)

    def moved(state: Any) -> Any:
        u, v = state
        m = y * (x @ (u * v))
        slope = jax.nn.sigmoid(m) - 1 if collapsing else -jax.nn.sigmoid(-m)
        g = (slope * y) @ x / 3
        return u - jnp.float32(rate) * g * v, v - jnp.float32(rate) * g * u

    def step(carry: Any) -> Any:
        state, count, _ = carry
        after = moved(state)
        return after, count + 1, jnp.any(after[0] != state[0]) | jnp.any(after[1] != state[1])

    start = tuple(jnp.asarray(leaf, jnp.float32) for leaf in START)

    def unfinished(carry: Any) -> Any:
        return carry[2] & (carry[1] < 5_000_000)

    run = jax.jit(lambda carry: jax.lax.while_loop(unfinished, step, carry))
    _, count, moving = run((start, jnp.int32(0), jnp.asarray(True)))
    assert not bool(moving)
    return rate * int(count)


# Oracle: the run itself. It is chaotic in its last bits, and its gradient p - 1 has few digits near the end.
@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_real_runs_in_float32_stop_there(trajectory: ib.Trajectory, rate: float) -> None:
    stall = ib.diagnostics.float32_stall(trajectory, NET, learning_rate=rate)
    assert stall.time == stall.frozen < stall.absorbed
    np.testing.assert_allclose(stalled(rate, collapsing=False), stall.frozen, rtol=0.1)
    assert 0.5 < stalled(rate, collapsing=True) / stall.time < 2.0
    assert "changes no parameter" in stall.sentence


# Oracle: NumPy's float32.
def test_probabilities_are_one_from_the_absorbed_time_on(trajectory: ib.Trajectory) -> None:
    stall = ib.diagnostics.float32_stall(trajectory, NET)
    assert np.isnan(stall.frozen)
    assert np.isinf(stall.released)
    for share, equal in ((1.001, True), (0.999, False)):
        u, v = trajectory.state(share * stall.absorbed)
        m = (Y * (X @ (u * v))).astype(np.float32)
        assert bool(np.all(np.float32(1) + np.exp(-m) == np.float32(1))) is equal


# Oracle: by hand. A large start decays freely, theta = e^(-lam t) theta_0, until its margins fall below 24 ln 2.
def test_a_large_start_is_released_by_the_weight_decay() -> None:
    start = np.array([6.0, 0.5]), np.array([6.0, -6.0])
    flow = ib.GradientFlow(NET, weight_decay=1e-3)
    stall = ib.diagnostics.float32_stall(
        ib.simulate(flow, start, t1=3e3, rtol=1e-6), NET, learning_rate=0.1, weight_decay=1e-3
    )
    least = np.min(Y * (X @ (start[0] * start[1])))
    np.testing.assert_allclose(stall.released, np.log(least / (24 * np.log(2))) / 2e-3, rtol=1e-4)
    assert stall.absorbed == 0.0
    assert np.isnan(stall.frozen)  # the weight decay moves the parameters
    assert "to t = " in stall.sentence


# Oracle: by hand. Three classes with equal scores of the others: 1 - p = 2 e^-m to first order.
def test_classes_and_sampled_trajectories() -> None:
    problem = ib.Classification(np.eye(3), [0, 1, 2], loss="cross_entropy")
    # The first step leads to the margin 17, at which 1 - p is above 2^-24, because there are two other classes.
    descent = ib.GradientDescent(problem, learning_rate=51.0)
    trajectory = ib.simulate(descent, np.zeros((3, 3)), t1=51.0 * 300_000)
    stall = ib.diagnostics.float32_stall(trajectory, problem)
    W = trajectory.state(stall.absorbed)
    assert np.log(2.0**25) <= W[0, 0] - W[0, 1] < 17.5
    assert stall.absorbed in trajectory.times


# Oracle: by hand. The largest number of float32 is (2 - 2^-23) 2^127 = 3.4028e38. An infinite parameter does not change
# either, but such a run is not frozen.
def test_parameters_beyond_the_range_of_float32_have_overflowed() -> None:
    problem = ib.Classification([[1.0, 0.0], [0.0, -1.0]], [1, -1])
    trajectory = ib.simulate(ib.GradientFlow(problem), [1e39, 1.0], t1=10.0)
    stall = ib.diagnostics.float32_stall(trajectory, problem, learning_rate=0.1)
    assert stall.overflowed == stall.time == 0.0
    assert np.isnan(stall.frozen)
    assert "infinite parameters" in stall.sentence
    inside = ib.simulate(ib.GradientFlow(problem), [1e38, 1.0], t1=10.0)
    assert np.isnan(ib.diagnostics.float32_stall(inside, problem, learning_rate=0.1).overflowed)


def test_short_runs_do_not_stall() -> None:
    stall = ib.diagnostics.float32_stall(ib.simulate(ib.GradientFlow(NET), START, t1=10.0), NET)
    assert np.isnan(stall.time)
    assert np.isnan(stall.released)
    assert "would not stall" in stall.sentence


def test_bad_arguments(trajectory: ib.Trajectory) -> None:
    stall = ib.diagnostics.float32_stall
    with pytest.raises(ib.InputError, match="expects a Trajectory and its problem"):
        stall(NET, trajectory)
    with pytest.raises(ib.InputError, match="one of 'logistic', 'exponential' and 'cross_entropy'"):
        stall(trajectory, ib.LeastSquares(X, Y))
    for name, value in (("learning_rate", 0.0), ("learning_rate", "fast"), ("weight_decay", -1.0)):
        with pytest.raises(ib.InputError, match=f"{name} is .*, a .* finite number is expected"):
            stall(trajectory, NET, **{name: value})
