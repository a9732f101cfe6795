"""Tests of the search for piecewise linear units, and of models whose units have given slopes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.predictors import GatedPredictor, gated, traced
from implicitbias.predictors._kinks import untracked

ROWS, INPUTS, WIDTH = 7, 3, 8
_rng = np.random.default_rng(0)
X, Y = _rng.standard_normal((ROWS, INPUTS)), _rng.standard_normal(ROWS)
Activation = Callable[[Any], Any]


def start(seed: int = 1) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((INPUTS, WIDTH)), rng.standard_normal(WIDTH), rng.standard_normal(WIDTH)


def network(activation: Activation) -> Callable[[Any, Any], Any]:
    def model(params: Any, X: Any) -> Any:
        W, b, a = params
        return activation(X @ W + b) @ a

    return model


def found(model: Any, params: Any, X: Any = X) -> GatedPredictor | None:
    problem = ib.Problem(model, X, Y[: len(X)])
    shape, flat = problem.checked_params(params)
    with double_precision():
        predictor = traced(problem.double_objective.readout).fitted(shape, flat)
        return gated(predictor, shape, flat)


def pooled(h: Any) -> Any:
    ones = (1,) * (h.ndim - 1)
    windows = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (*ones, 2), (*ones, 2), "VALID")
    return jnp.repeat(windows, 2, axis=-1)


def padded(h: Any) -> Any:
    ones = (1,) * (h.ndim - 1)
    return jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (*ones, 3), (1,) * h.ndim, "SAME")


def scanned(h: Any) -> Any:
    return jax.lax.scan(lambda c, row: (c, jax.nn.relu(row)), 0.0, h)[1]


def looped(h: Any) -> Any:
    # A running sum of units along the last axis: the carry has units of earlier turns, and not that of the last one.
    return jax.lax.scan(lambda c, x: (c + jax.nn.relu(x), c * x), 0.0 * h.T[0], h.T, reverse=True)[1].T


def maxout(h: Any) -> Any:
    return jnp.repeat(jnp.max(h.reshape(*h.shape[:-1], 2, 4), axis=-1), 4, axis=-1)


# The number of units of a row.
KINKED: dict[str, tuple[Activation, int]] = {
    "jax.nn.relu": (jax.nn.relu, WIDTH),
    "maximum": (lambda h: jnp.maximum(h, 0.0), WIDTH),
    "minimum": (lambda h: jnp.minimum(h, 0.3 * h), WIDTH),
    "where": (lambda h: jnp.where(h > 0, h, 0.0), WIDTH),
    "where, the other way": (lambda h: jnp.where(h <= 0, 0.1 * h, h), WIDTH),
    "leaky relu": (jax.nn.leaky_relu, WIDTH),
    "abs": (jnp.abs, WIDTH),
    "relu6": (jax.nn.relu6, 2 * WIDTH),
    "clip": (lambda h: jnp.clip(h, -1.0, 1.0), 2 * WIDTH),
    "a product with a comparison": (lambda h: h * (h > 0), WIDTH),
    "one kink in two operations": (lambda h: jnp.where(h > 0, h, -0.5 * h) + jax.nn.relu(h), WIDTH),
    "max over an axis": (maxout, 6),
    "max-pooling": (pooled, WIDTH // 2),
    "max-pooling with padding": (padded, 2 * WIDTH),
    "hard tanh": (jax.nn.hard_tanh, 2 * WIDTH),
    "prelu": (lambda h: jnp.where(h >= 0, h, 0.25 * h), WIDTH),
    "relu in a scan": (scanned, WIDTH),
    "relu in a scan with a carry": (looped, WIDTH - 1),
    "relu and softmax": (lambda h: jax.nn.softmax(jax.nn.relu(h)), WIDTH),
    "relu under jit and checkpoint": (jax.jit(jax.checkpoint(jax.nn.relu)), WIDTH),
}
OTHERS: dict[str, Activation] = {
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "elu": jax.nn.elu,
    "softmax": jax.nn.softmax,
    "a choice between whole arrays": lambda h: jnp.where(h.sum() > 0, h, 0.1 * h),
    "a comparison of integers": lambda h: jnp.where(h.argmax(axis=-1, keepdims=True) > 2, h, 0.5 * h),
    "relu in a long scan": lambda h: jax.lax.scan(lambda c, _: (jax.nn.relu(c), None), h, None, length=40)[0],
}


@eqx.filter_jit
def facts(predictor: GatedPredictor, theta: Any, slopes: Any) -> Any:
    """Return the predictions, the pre-activations, the Jacobian, the derivatives in the shifts, and the normals."""
    predictor = predictor.with_slopes(slopes)
    f, z = predictor.evaluate(theta, slopes, None)
    J = predictor.jacobian(predictor.shape, theta, dense=True).matrix()
    shifted = jax.jacfwd(lambda e: predictor.evaluate(theta, slopes, e)[0])(jnp.zeros(z.shape))
    return f, z, J, shifted, predictor.normals(theta, jnp.arange(z.size))


# Oracle: the model itself and its automatic derivative away from kinks.
@pytest.mark.parametrize("name", list(KINKED))
def test_units_are_found_and_change_nothing(name: str) -> None:
    activation, units = KINKED[name]
    model, params = network(activation), start()
    predictor = found(model, params)
    assert predictor is not None
    assert predictor.slopes.shape == (ROWS, units)
    with double_precision():
        flat = predictor.shape.flatten(params)

        def plain(theta: Any) -> Any:
            return model(predictor.shape.unflatten(theta), jnp.asarray(X))

        f, _, J, _, _ = facts(predictor, flat, jnp.asarray(predictor.slopes))
        np.testing.assert_allclose(f[:, 0], plain(flat), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(J[:, 0], jax.jacrev(plain)(flat), rtol=1e-12, atol=1e-12)


# Oracle: by hand. With max(h, 0) @ a, a shift of unit j of row i changes prediction i by a_j.
def test_shifts_and_normals_of_a_relu_layer() -> None:
    params = start()
    predictor = found(network(jax.nn.relu), params)
    assert predictor is not None
    with double_precision():
        flat = predictor.shape.flatten(params)
        _, z, _, shifted, normals = facts(predictor, flat, jnp.asarray(predictor.slopes))
    np.testing.assert_allclose(z, X @ params[0] + params[1], rtol=1e-13)
    normals = np.asarray(normals).reshape(ROWS, WIDTH, -1)
    for i in range(ROWS):
        for j in range(WIDTH):
            expected = np.zeros((ROWS, 1))
            expected[i] = params[2][j]
            np.testing.assert_allclose(shifted[:, :, i, j], expected)
            W, b, a = (np.zeros_like(leaf) for leaf in params)
            W[:, j], b[j] = X[i], 1.0
            np.testing.assert_allclose(normals[i, j], np.concatenate([W.ravel(), b, a]))


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_models_are_left_alone(name: str) -> None:
    assert found(network(OTHERS[name]), start()) is None


def test_kinks_that_are_not_tracked_are_named() -> None:
    def kept(h: Any) -> frozenset[str]:
        return untracked(jax.make_jaxpr(h)(jnp.ones((2, WIDTH))))

    assert kept(OTHERS["relu in a long scan"]) == {"scan"}
    assert kept(scanned) == kept(padded) == kept(jnp.tanh) == frozenset()
    assert kept(lambda h: jax.lax.cond(h[0, 0] > 0, jax.nn.relu, jnp.tanh, h)) == {"cond"}


def test_units_of_all_layers_are_found() -> None:
    def deep(params: Any, X: Any) -> Any:
        W, V, a = params
        return jax.nn.relu(jax.nn.relu(X @ W) @ V) @ a

    rng = np.random.default_rng(2)
    predictor = found(deep, (start()[0], rng.standard_normal((WIDTH, 4)), rng.standard_normal(4)))
    assert predictor is not None
    assert predictor.slopes.shape == (ROWS, WIDTH + 4)


def test_units_inside_a_module_and_a_vmap_are_found() -> None:
    net = eqx.nn.MLP(INPUTS, "scalar", 5, 2, key=jax.random.key(0))
    predictor = found(lambda net, X: jax.vmap(net)(X), net)
    assert predictor is not None
    assert predictor.slopes.shape == (ROWS, 10)


def test_units_of_models_that_mix_rows_are_found() -> None:
    def centred(params: Any, X: Any) -> Any:
        W, b, a = params
        h = X @ W + b
        return jax.nn.relu(h - h.mean(axis=0)) @ a

    predictor = found(centred, start())
    assert predictor is not None
    assert predictor.slopes.shape == (1, ROWS * WIDTH)


def test_linear_problems_have_no_units() -> None:
    problem = ib.LeastSquares(X, Y)
    shape, flat = problem.checked_params(np.ones(INPUTS))
    with double_precision():
        assert gated(traced(problem.double_objective.readout), shape, flat) is None
