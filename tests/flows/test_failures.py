"""Tests of integrations that stop early: their status, their notes, and the part of the trajectory that is kept."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from tests.flows._nets import X, Y, flat_rows, pair_start, reference

ONES = np.ones((2, 1))


def linear(w: Any, X: Any) -> Any:
    return X @ w


class Quartic(ib.Loss):
    """The loss -f^4, which is unbounded below."""

    def value(self, prediction: Any, target: Any) -> Any:
        return -jnp.sum(prediction**4)


# Oracle: by hand. w' = 4 w^3 from 1 gives w = (1 - 8 t)^(-1/2), which is infinite at t = 1/8. Each step has error rtol.
def test_a_blow_up_in_finite_time() -> None:
    flow = ib.GradientFlow(ib.Problem(linear, ONES, np.zeros(2), Quartic()))
    trajectory = ib.simulate(flow, np.ones(1), t1=10.0, rtol=1e-6)
    assert trajectory.status is ib.Status.BLEW_UP
    assert not trajectory.status.ok
    assert trajectory.times[-1] == pytest.approx(0.125, rel=1e-4)
    assert "|state|" in trajectory.notes[0]
    assert np.all(np.isfinite(trajectory.states))
    assert trajectory.state(0.1)[0] == pytest.approx((1 - 0.8) ** -0.5, rel=1e-4)


def root(params: Any, X: Any) -> Any:
    return jnp.sqrt(X @ params["inside"]) + 0 * params["beside"]


# Oracle: by hand. s = sqrt(w) satisfies s' = -(s + 1) / (4 s^2) from 1 and reaches 0 at t = 4 (ln 2 - 1/2).
def test_a_root_at_the_edge_of_its_domain() -> None:
    flow = ib.GradientFlow(ib.Problem(root, ONES, -np.ones(2)))
    start = {"inside": np.ones(1), "beside": np.asarray(1.0)}
    trajectory = ib.simulate(flow, start, t1=10.0, rtol=1e-6)
    assert trajectory.status is ib.Status.NOT_FINITE
    assert trajectory.times[-1] == pytest.approx(4 * (np.log(2) - 0.5), rel=1e-4)
    assert any("t = 0.772" in note and "inside" in note for note in trajectory.notes)
    assert np.all(np.isfinite(trajectory.states["inside"]))


# Oracle: by hand. w w' = -1000 - ln w from 1 reaches 0 near t = 5e-4, beyond which the logarithm is not defined.
def test_a_logarithm_at_the_edge_of_its_domain() -> None:
    problem = ib.Problem(lambda w, X: jnp.log(X @ w), ONES, np.full(2, -1000.0))
    trajectory = ib.simulate(ib.GradientFlow(problem), np.ones(1), t1=1.0)
    assert trajectory.status is ib.Status.NOT_FINITE
    assert trajectory.times[-1] == pytest.approx(5e-4, rel=1e-3)
    assert "predictions" in trajectory.notes[0]


def cut_off(w: Any, X: Any) -> Any:
    return jnp.where(w[0] > 0.5, X @ w, jnp.nan)


# Oracle: by hand. w' = -(w + 1) from 1 reaches 1/2 at t = ln(4/3). Beyond 1/2 the gradient is 0, so a flow that checks
# only gradients would stay there.
def test_predictions_that_become_nan() -> None:
    flow = ib.GradientFlow(ib.Problem(cut_off, ONES, -np.ones(2)))
    trajectory = ib.simulate(flow, np.ones(1), t1=10.0, rtol=1e-6)
    assert trajectory.status is ib.Status.NOT_FINITE
    assert trajectory.times[-1] == pytest.approx(np.log(4 / 3), rel=1e-5)
    assert "t = 0.2876" in trajectory.notes[0]


def narrow(w: Any, X: Any) -> Any:
    return (X @ w.astype(jnp.float32)).astype(jnp.float64)


# Oracle: the same model without its cast, which agrees to seven digits.
def test_a_model_that_computes_in_single_precision() -> None:
    start = np.array([0.5, -1.0, 0.25])
    trajectory = ib.simulate(ib.GradientFlow(ib.Problem(narrow, X, Y)), start, t1=5.0)
    assert trajectory.status is ib.Status.LOW_PRECISION
    assert not trajectory.status.ok
    assert any("float32" in note for note in trajectory.notes)
    exact = ib.simulate(ib.GradientFlow(ib.Problem(linear, X, Y)), start, t1=5.0, rtol=1e-7)
    np.testing.assert_allclose(trajectory.final, exact.final, rtol=0, atol=30 * 1e-4)
    cut = ib.simulate(ib.GradientFlow(ib.Problem(narrow, X, Y)), start, t1=5.0, max_steps=2)
    assert cut.status is ib.Status.MAX_STEPS
    assert any("float32" in note for note in cut.notes)


def relu_net(params: Any, X: Any) -> Any:
    W, b, a = params
    return jax.nn.relu(X @ W + b) @ a


# Oracle: DOP853, which also integrates over a few jumps of the gradient.
def test_a_model_with_kinks_is_integrated_and_flagged() -> None:
    start, times = pair_start(seed=2), np.array([0.1, 0.3])
    trajectory = ib.simulate(ib.GradientFlow(ib.Problem(relu_net, X, Y)), start, t1=0.3, rtol=1e-6)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert any("not smooth" in note for note in trajectory.notes)
    expected = reference(relu_net, start, lambda f: (f - Y) ** 2 / 2, 0.0, times)
    assert np.max(np.abs(flat_rows(trajectory.state(times), 2) - expected)) <= 30e-6 * np.max(
        np.abs(expected)
    )


def apply(net: Any, X: Any) -> Any:
    return jax.vmap(net)(X)


# Oracle: the module. The returned state has its structure and can be called.
def test_an_equinox_module() -> None:
    with jax.enable_x64(True):
        net = eqx.nn.MLP(3, "scalar", 4, 1, activation=jnp.tanh, key=jax.random.key(0))
    trajectory = ib.simulate(ib.GradientFlow(ib.Problem(apply, X, Y)), net, t1=1.0)
    assert jax.tree.structure(trajectory.final) == jax.tree.structure(net)
    np.testing.assert_array_equal(trajectory.start.layers[0].weight, net.layers[0].weight)
    assert type(trajectory.final.layers[0].weight) is np.ndarray
    with jax.enable_x64(True):
        values = np.array([float(trajectory.final(x)) for x in X])
    np.testing.assert_allclose(
        values, ib.Problem(apply, X, Y).predict(trajectory.final), rtol=1e-12, atol=1e-12
    )
    assert trajectory.state([0.0, 0.5, 1.0]).layers[0].weight.shape == (3, 4, 3)


# Oracle: by hand: at 0 the gradient of this problem vanishes, and so does every right-hand side of a step.
def test_conjugate_gradients_with_a_zero_right_hand_side() -> None:
    problem = ib.Problem(lambda p, X: jnp.tanh(X @ p), np.eye(2), np.zeros(2))
    frugal = ib.GaussNewtonRosenbrock(max_bytes=1)
    trajectory = ib.simulate(ib.GradientFlow(problem), np.zeros(2), t1=1.0, solver=frugal)
    assert trajectory.status is ib.Status.REACHED_TIME
    np.testing.assert_array_equal(trajectory.final, 0.0)


# Oracle: the end time is smaller than the smallest step. The integration must stop at once with a status.
def test_an_end_below_resolution() -> None:
    flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 2.0]), ib.SquaredNorm())
    assert ib.simulate(flow, np.zeros(2), log_t1=-744.0).status is ib.Status.STEP_UNDERFLOW


# Oracle: linear regression in closed form, w = y (1 - exp(-t / n)), for models that need all rows at once.
@pytest.mark.parametrize("kind", ["reshapes", "weighs"])
def test_models_that_need_all_rows(kind: str) -> None:
    weights = np.ones(2)

    def reshapes(p: Any, X: Any) -> Any:
        return X.reshape(2, 2) @ p

    def weighs(p: Any, X: Any) -> Any:
        return weights * (X @ p)

    model = {"reshapes": reshapes, "weighs": weighs}[kind]
    problem = ib.Problem(model, np.eye(2), np.array([1.0, 2.0]))
    final = ib.simulate(ib.GradientFlow(problem), np.zeros(2), t1=2.0, rtol=1e-6).final
    np.testing.assert_allclose(final, np.array([1.0, 2.0]) * (1 - np.exp(-1.0)), rtol=1e-5)
