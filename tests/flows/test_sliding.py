"""Tests of gradient flows that slide along kinks, against closed forms and gradient descent with tiny steps."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.optimize import lsq_linear

import implicitbias as ib
from implicitbias.flows import _sliding_choice, _sliding_engine
from tests.flows.test_simulate_cost import compilations
from tests.oracles.filippov import TwoLayerRelu

ROWS, INPUTS, WIDTH = 8, 3, 6
_rng = np.random.default_rng(0)
X = _rng.standard_normal((ROWS, INPUTS))
Y = np.maximum(X @ _rng.standard_normal((INPUTS, 2)), 0.0).sum(axis=1)


def start(seed: int = 1) -> tuple[ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((INPUTS, WIDTH)), np.zeros(WIDTH), rng.standard_normal(WIDTH)


def shallow(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def model(params: Any, X: Any) -> Any:
        W, b, a = params
        return activation(X @ W + b) @ a

    return model


def deep(params: Any, X: Any) -> Any:
    W, V, a = params
    return jax.nn.relu(jax.nn.relu(X @ W) @ V) @ a


def deep_start() -> tuple[ndarray, ...]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((INPUTS, 5)), rng.standard_normal((5, 4)) / 2, rng.standard_normal(4)


def flat(params: Any) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def apart(found: Any, expected: Any) -> float:
    found, expected = flat(found), flat(expected)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def runge_kutta(problem: ib.Problem, start: Any, weight_decay: float, t1: float, h: float) -> ndarray:
    """Return the end of the flow of the mean squared error by classical Runge-Kutta steps of size h."""
    with jax.enable_x64(True):
        u, unravel = ravel_pytree(jax.tree.map(jnp.asarray, start))

        def loss(u: Any) -> jax.Array:
            errors = problem.model(unravel(u), problem.X) - problem.y
            return jnp.sum(errors**2) / (2 * len(problem.X)) + weight_decay / 2 * jnp.sum(u**2)

        def step(_: Any, u: Any) -> jax.Array:
            slope = jax.grad(loss)
            a = -slope(u)
            b = -slope(u + h / 2 * a)
            c = -slope(u + h / 2 * b)
            return u + h / 6 * (a + 2 * b + 2 * c - slope(u + h * c))

        return np.asarray(jax.jit(lambda u: jax.lax.fori_loop(0, round(t1 / h), step, u))(u))


def tiny_steps(model: Any, params: Any, weight_decay: float, t1: float, rate: float) -> ndarray:
    """Return the end of gradient descent with tiny steps, which chatters along a kink and converges like the rate."""
    with jax.enable_x64(True):
        u, unravel = ravel_pytree(jax.tree.map(jnp.asarray, params))

        def loss(v: Any) -> Any:
            return jnp.mean((model(unravel(v), jnp.asarray(X)) - Y) ** 2) / 2 + weight_decay * v @ v / 2

        count = round(t1 / rate)
        end = jax.jit(lambda u: jax.lax.fori_loop(0, count, lambda _, v: v - rate * jax.grad(loss)(v), u))(u)
        return np.asarray(end)


def absolute(theta: Any, X: Any) -> Any:
    return X @ jnp.stack([jnp.abs(theta[0]), theta[1]])


ONE_ROW = ib.Problem(absolute, np.ones((1, 2)), [-1.0])


def closed_form(t: ndarray) -> ndarray:
    """Return the flow of 1/2 (|x| + y + 1)^2 from (1/2, 0).

    The residual r starts at 3/2 and decays like exp(-2 t), until x = 1/2 - int r is 0, when exp(-2 t) = 1/3. From then
    on x stays at 0, because both sides push x there, and r = 1/2 exp(-(t - ln(3) / 2)) decays half as fast.
    """
    kink = np.log(3.0) / 2
    before = 0.75 * (1 - np.exp(-2 * t))
    late = np.exp(-np.maximum(t - kink, 0.0)) / 2 - 1
    return np.stack([np.where(t < kink, 0.5 - before, 0.0), np.where(t < kink, -before, late)], axis=-1)


# Oracle: closed form.
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6])
def test_a_kink_that_attracts_holds(rtol: float) -> None:
    times = np.linspace(0.0, 8.0, 33)
    trajectory = ib.simulate(ib.GradientFlow(ONE_ROW), np.array([0.5, 0.0]), t1=8.0, rtol=rtol)
    assert np.abs(trajectory.state(times) - closed_form(times)).max() <= 5 * rtol
    assert abs(trajectory.final[0]) < 1e-15
    assert (trajectory.stats.events, trajectory.stats.held) == (1, 1)
    assert any("from kink to kink" in note for note in trajectory.notes)


# Oracle: closed form. The start is on the kink.
def test_a_start_on_a_kink_is_held_or_left() -> None:
    held = ib.simulate(ib.GradientFlow(ONE_ROW), np.array([0.0, 0.0]), t1=2.0, rtol=1e-6)
    np.testing.assert_allclose(held.final, [0.0, np.exp(-2.0) - 1.0], atol=1e-5)
    assert held.stats.held == 1


# Oracle: dense output of the same flow.
def test_requested_times_are_those_of_the_dense_output() -> None:
    flow, times = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2), np.linspace(0.0, 20.0, 57)
    dense, kept = (ib.simulate(flow, start(), t1=20.0), ib.simulate(flow, start(), times=times))
    assert dense.stats.events > 5
    assert np.array_equal(flat(kept.states), flat(dense.state(times)))
    ends = flat(dense.state(dense.times[1:-1] * (1 + 1e-12)))
    assert np.abs(ends - flat(dense.state(dense.times[1:-1]))).max() < 1e-3  # continuous from step to step


NETS: dict[str, tuple[Any, Any, float]] = {
    "relu": (shallow(jax.nn.relu), start(), 1e-2),
    "two layers of relu": (deep, deep_start(), 1e-2),
    "relu without decay": (shallow(jax.nn.relu), start(2), 0.0),
    "leaky relu": (shallow(lambda h: jnp.where(h > 0, h, 0.1 * h)), start(), 1e-2),
    "abs": (shallow(jnp.abs), start(), 1e-2),
    "clip": (shallow(lambda h: jnp.clip(h, -1.0, 1.0)), start(), 1e-2),
    "maxout": (shallow(lambda h: jnp.repeat(h.reshape(*h.shape[:-1], 3, 2).max(-1), 2, -1)), start(), 1e-2),
}
FAST = ("relu", "two layers of relu")


def agrees_with_tiny_steps(name: str) -> None:
    model, params, decay = NETS[name]
    # The distance between two tiny rates estimates the error of the smaller one.
    coarse, fine = (tiny_steps(model, params, decay, 20.0, rate) for rate in (4e-4, 1e-4))
    flow = ib.GradientFlow(ib.Problem(model, X, Y), decay)
    for rtol in (1e-3, 1e-4):
        trajectory = ib.simulate(flow, params, t1=20.0, rtol=rtol)
        assert trajectory.status is ib.Status.REACHED_TIME
        assert trajectory.stats.events > 2
        assert apart(trajectory.final, fine) <= 5 * rtol + apart(coarse, fine)
    assert apart(coarse, fine) < 1e-3


# Oracle: gradient descent with tiny steps.
@pytest.mark.parametrize("name", FAST)
def test_nets_agree_with_tiny_steps(name: str) -> None:
    agrees_with_tiny_steps(name)


# Oracle: gradient descent with tiny steps.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETS).difference(FAST)))
def test_more_nets_agree_with_tiny_steps(name: str) -> None:
    agrees_with_tiny_steps(name)


# Oracle: SciPy's DOP853 from event to event on the formulas of a two-layer network, with tolerance 1e-10.
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_every_tolerance_is_met(decay: float) -> None:
    problem, flow_events = ib.Problem(lambda p, X: jax.nn.relu(X @ p[0]) @ p[1], X, Y), 0
    for seed in (2, 4, 5, 8):
        W, _, a = start(seed)
        oracle = TwoLayerRelu(X, Y, W, a, decay)
        expected = oracle.run(20.0)
        for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
            trajectory = ib.simulate(ib.GradientFlow(problem, decay), (W, a), t1=20.0, rtol=rtol)
            found = flat(trajectory.final)
            assert np.linalg.norm(found - expected) <= 3 * rtol * np.linalg.norm(expected)
        flow_events += trajectory.stats.events
        assert trajectory.stats.events == oracle.events
    assert flow_events >= 15


def test_the_steps_hardly_depend_on_the_tolerance() -> None:
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2)
    few, many = (ib.simulate(flow, start(), t1=100.0, rtol=rtol).stats for rtol in (1e-3, 1e-5))
    assert few.held >= 1
    assert (
        many.steps <= 6 * few.steps
    )  # a method of order 3 needs 4.6 times the steps; chattering needs 100 times


# Oracle: the conditions of Karush, Kuhn and Tucker. The gradient vanishes for slopes in [0, 1] of the units at z = 0.
def test_rest_on_kinks_is_found_and_crossed() -> None:
    decay = 5e-2
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), decay)
    trajectory = ib.simulate(flow, start(), t1=1e300, rtol=1e-4)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps <= 300 + 2 * trajectory.stats.events
    assert any("at rest" in note and "held at 0" in note for note in trajectory.notes)
    W, b, a = trajectory.final
    z = X @ W + b
    held = np.abs(z) < 1e-12 * np.abs(z).max()
    pulls = np.outer(np.maximum(z, 0.0) @ a - Y, a) / ROWS
    for j in range(WIDTH):
        # Column j of W and b_j: sum_i s_i q_i (x_i, 1) + decay (w_j, b_j) = 0.
        rows = np.column_stack([X, np.ones(ROWS)])
        right = -decay * np.append(W[:, j], b[j]) - rows.T @ np.where(
            held[:, j], 0.0, pulls[:, j] * (z[:, j] > 0)
        )
        columns = rows[held[:, j]].T * pulls[held[:, j], j]
        slopes = (
            lsq_linear(columns, right, bounds=(0.0, 1.0), tol=1e-14).x if held[:, j].any() else np.zeros(0)
        )
        np.testing.assert_allclose(columns @ slopes, right, atol=1e-9)
    np.testing.assert_allclose(
        np.maximum(z, 0.0).T @ (np.maximum(z, 0.0) @ a - Y) / ROWS, -decay * a, atol=1e-9
    )
    assert held.any()


# Oracle: SciPy's DOP853 from event to event. The loss falls from 90 % to 10 % at the end time.
def test_tiny_starts_are_held_to_the_tolerance() -> None:
    W, _, a = start(2)
    W, a = 1e-10 * W, 1e-10 * a
    problem = ib.Problem(lambda p, X: jax.nn.relu(X @ p[0]) @ p[1], X, Y)
    end = ib.simulate(ib.GradientFlow(problem), (W, a), t1=1e3, rtol=1e-3, until=grown(problem)).times[-1]
    expected = TwoLayerRelu(X, Y, W, a, 0.0).run(float(end))
    for rtol in (1e-3, 1e-4):
        found = flat(ib.simulate(ib.GradientFlow(problem), (W, a), t1=float(end), rtol=rtol).final)
        assert np.linalg.norm(found - expected) <= 10 * rtol * np.linalg.norm(expected)


def grown(problem: ib.Problem) -> Callable[[float, Any], bool]:
    half = float(np.mean(Y**2)) / 4
    return lambda t, params: float(problem.loss(params)) < half


# Oracle: classical Runge-Kutta steps, compiled, which chatter along kinks and converge like their size. Near 0 this
# network slides along many kinks. Crossed without events, they took 2060 steps.
def test_tiny_starts_that_slide_take_few_steps() -> None:
    rng = np.random.default_rng([7, 4, 7])
    X, teacher = rng.standard_normal((8, 4)), rng.standard_normal((4, 2))
    problem = ib.Problem(shallow(jax.nn.relu), X, np.tanh(X @ teacher) + 0.1 * rng.standard_normal((8, 2)))
    W, V, b = (
        rng.standard_normal((4, 6)) / 2,
        rng.standard_normal((6, 2)) / np.sqrt(6),
        rng.standard_normal(6),
    )
    start = (1e-8 * W, 0.3e-8 * b, 1e-8 * V)
    run = ib.simulate(ib.GradientFlow(problem, 1e-4), start, t1=8.0, rtol=1e-4)
    assert run.stats.events > 0
    assert run.stats.steps < 800
    assert apart(run.final, runge_kutta(problem, start, 1e-4, 8.0, 5e-4)) <= 10 * 1e-4


# Oracle: the same flow with events from the start.
def test_many_units_are_crossed_without_events_until_that_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2)
    followed = ib.simulate(flow, start(), t1=20.0, rtol=1e-4)
    monkeypatch.setattr(_sliding_choice, "_FEW_UNITS", 0)
    crossed = ib.simulate(flow, start(), t1=20.0, rtol=1e-4)
    assert crossed.stats.events == 0
    assert any("without events" in note or "short steps" in note for note in crossed.notes)
    assert apart(crossed.final, followed.final) < 1e-2
    # If compiling cost nothing, events would be preferred on the way.
    monkeypatch.setattr(_sliding_choice, "_COMPILE", 0.0)
    monkeypatch.setattr(_sliding_choice, "_EVENT", 0.0)
    monkeypatch.setattr(_sliding_choice, "_TIMES", 1e-6)
    both = ib.simulate(flow, start(), t1=20.0, rtol=1e-4)
    assert both.stats.events > 0
    assert apart(both.final, followed.final) < 5e-3
    # A promise that is far too low is noticed by what events then cost, and the flow goes on without them.
    assert any("far more than was expected" in note for note in both.notes)
    monkeypatch.setattr(_sliding_engine, "_PATIENCE", np.inf)
    patient = ib.simulate(flow, start(), t1=20.0, rtol=1e-4)
    assert patient.stats.events > both.stats.events
    assert apart(patient.final, followed.final) < 5e-3


@pytest.mark.parametrize("case", ["all units dead", "one row", "rows on their kink", "decay as a pytree"])
def test_odd_inputs_reach_the_end(case: str) -> None:
    W, b, a = start()
    inputs, targets, decay = X, Y, 1e-2
    if case == "all units dead":
        b = b - 100.0
    if case == "one row":
        inputs, targets = X[:1], Y[:1]
    if case == "rows on their kink":
        W, b = 0.0 * W, 0.0 * b
    if case == "decay as a pytree":
        decay = (1e-2, 0.0, 1e-2)
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), inputs, targets), decay)
    trajectory = ib.simulate(flow, (W, b, a), t1=20.0)
    assert trajectory.status is ib.Status.REACHED_TIME
    if case == "all units dead":  # Only the weight decay moves the parameters.
        assert apart(trajectory.final, flat((W, b, a)) * np.exp(-0.2)) < 5e-4
    if case == "decay as a pytree":
        assert apart(trajectory.final, tiny_steps_with(decay)) < 2e-3


def tiny_steps_with(decay: tuple[float, ...]) -> ndarray:
    """Return the end of gradient descent with tiny steps where each array has its own weight decay."""
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, start())

        def loss(params: Any) -> Any:
            squares = [lam / 2 * jnp.sum(leaf**2) for lam, leaf in zip(decay, params, strict=True)]
            return jnp.mean((shallow(jax.nn.relu)(params, jnp.asarray(X)) - Y) ** 2) / 2 + sum(squares)

        def descend(_: Any, params: Any) -> Any:
            return jax.tree.map(lambda leaf, slope: leaf - 2e-4 * slope, params, jax.grad(loss)(params))

        return flat(jax.jit(lambda params: jax.lax.fori_loop(0, 100_000, descend, params))(params))


# A model that mixes its rows has one list of units for all rows. Oracle: gradient descent with tiny steps.
def test_a_model_that_mixes_rows_slides_too() -> None:
    def centred(params: Any, X: Any) -> Any:
        W, b, a = params
        h = jax.nn.relu(X @ W + b)
        return (h - h.mean(axis=0)) @ a

    trajectory = ib.simulate(ib.GradientFlow(ib.Problem(centred, X, Y), 1e-2), start(), t1=10.0)
    assert trajectory.stats.events > 0
    assert apart(trajectory.final, tiny_steps(centred, start(), 1e-2, 10.0, 2e-4)) < 1e-3


def test_modules_slide_too() -> None:
    net = eqx.nn.MLP(INPUTS, "scalar", 5, 2, key=jax.random.key(1))
    problem = ib.Problem(lambda net, X: jax.vmap(net)(X), X, Y)
    trajectory = ib.simulate(ib.GradientFlow(problem, 1e-3), net, t1=50.0)
    assert trajectory.status.ok
    assert trajectory.stats.events > 0


def test_smooth_models_have_no_events() -> None:
    stats = ib.simulate(ib.GradientFlow(ib.Problem(shallow(jnp.tanh), X, Y)), start(), t1=5.0).stats
    assert (stats.events, stats.held) == (0, 0)


def test_where_too_many_units_would_be_held_none_are(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2)
    expected = ib.simulate(flow, start(), t1=5.0, rtol=1e-3)
    monkeypatch.setattr(_sliding_engine, "_MOST", 0)
    trajectory = ib.simulate(flow, start(), t1=5.0, rtol=1e-3)
    assert trajectory.status.ok
    assert any("None were held" in note for note in trajectory.notes)
    assert apart(trajectory.final, expected.final) < 2e-2


def test_a_limit_on_steps_is_kept() -> None:
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2)
    trajectory = ib.simulate(flow, start(), t1=100.0, max_steps=20)
    assert trajectory.status is ib.Status.MAX_STEPS
    assert trajectory.stats.steps == 20
    assert 0.0 < trajectory.times[-1] < 100.0


def test_events_compile_nothing() -> None:
    flow = ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y), 1e-2)
    ib.simulate(flow, start(), t1=20.0)
    with compilations() as messages:
        other = ib.simulate(
            ib.GradientFlow(ib.Problem(shallow(jax.nn.relu), X, Y + 0.1), 2e-2), start(5), t1=20.0
        )
    assert other.stats.events > 5
    assert messages == []


# Oracle: closed form. A row of zeros has pre-activations that are always 0; they are not held.
def test_rows_of_zeros_are_not_held() -> None:
    inputs = np.vstack([X[:3], np.zeros((20, INPUTS))])
    problem = ib.Problem(lambda params, X: jax.nn.relu(X @ params[0]) @ params[1], inputs, np.ones(23))
    trajectory = ib.simulate(ib.GradientFlow(problem), start()[::2], t1=5.0)
    assert trajectory.status.ok
    assert trajectory.stats.held <= 3 * WIDTH
