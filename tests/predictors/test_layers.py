"""The tangent kernel of dense layers against the Jacobian by `jax.jacrev`, and which models have such layers."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias import predictors
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import tree_shape
from implicitbias.predictors import _traced
from implicitbias.predictors._layer_kernel import layer_sizes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3))
NORMAL = RNG.standard_normal
W, V, B, C, A = NORMAL((3, 4)), NORMAL((4, 4)), NORMAL(4), NORMAL(4), NORMAL((4, 2))
Model = Callable[[Any, Any], Any]


def mlp(p: Any, X: Any) -> Any:
    return jnp.tanh(X @ p["W"] + p["b"]) @ p["a"] + p["c"]


def normalised(p: Any, X: Any) -> Any:
    h = jnp.tanh(X @ p["W"])
    h = (h - h.mean(axis=1, keepdims=True)) / jnp.sqrt(h.var(axis=1, keepdims=True) + 1e-5)
    return (h * p["gain"] + p["b"]) @ p["a"]


def attention(p: Any, X: Any) -> Any:
    tokens = X[:, :, None] * p["embed"]
    q, k, v = tokens @ p["V"], tokens @ p["K"], tokens
    return (jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2)) @ v).mean(axis=1) @ p["a"]


def residual(p: Any, X: Any) -> Any:
    h = X @ p["W"] + p["b"]
    return (h + jax.nn.gelu(h @ p["V"] + p["c"])) @ p["a"]


def convolution(p: Any, X: Any) -> Any:
    windows = jnp.stack([X[:, :2], X[:, 1:]], axis=1)
    return jnp.tanh(windows @ p["filter"]).reshape(len(X), -1) @ p["a"]


@jax.jit
def compiled(p: Any, X: Any) -> Any:
    return jax.nn.softplus(X @ p[0] + p[1]) @ p[2]


def vmapped(p: Any, X: Any) -> Any:
    return jax.vmap(lambda x: p["a"].T @ jnp.tanh(p["W"].T @ x - p["b"]))(X)


NET = {"W": W, "b": B, "a": A, "c": NORMAL(2)}
# model, parameters, the sizes (a, b) of the factors of the layers
CASES: dict[str, tuple[Model, Any, tuple[tuple[int, int], ...]]] = {
    "dense": (mlp, NET, ((4, 4), (5, 2))),
    "compiled, one output": (compiled, (W, B, A[:, 0]), ((4, 4), (4, 1))),
    "vmapped, transposed, subtracted bias": (vmapped, {"W": W, "b": B, "a": A}, ((4, 4), (4, 2))),
    "scaled": (
        lambda p, X: ((X @ (p["W"] / jnp.sqrt(3.0))) ** 2) @ p["a"] / 4600, {"W": W, "a": A}, ((3, 4), (4, 2)),
    ),
    "learned scale": (
        lambda p, X: jnp.tanh(X @ (p["s"] * p["W"])) @ p["a"], {"W": W, "s": NORMAL(()), "a": A},
        ((3, 4), (4, 2)),
    ),
    "residual": (residual, {"W": W, "b": B, "V": V, "c": C, "a": A}, ((4, 4), (5, 4), (4, 2))),
    "layer norm": (normalised, {"W": W, "gain": C, "b": B, "a": A}, ((3, 4), (4, 2))),
    "two biases": (
        lambda p, X: jnp.tanh(X @ p["W"] + p["b"] + p["c"]) @ p["a"], {"W": W, "b": B, "c": C, "a": A},
        ((5, 4), (4, 2)),
    ),
    "tied weights": (
        lambda p, X: jnp.tanh(X @ p["W"] + p["b"]) @ p["W"].T @ p["a"], {"W": W, "b": B, "a": A[:3]}, ((3, 2),),
    ),
    "attention": (
        attention, {"embed": NORMAL(4), "V": V, "K": NORMAL((4, 4)), "a": A}, ((4, 2),),
    ),
    "convolution": (convolution, {"filter": NORMAL((2, 3)), "a": NORMAL((6, 2))}, ((6, 2),)),
    "no layer": (lambda p, X: jnp.sum(jnp.sin(X[:, :, None] * p), axis=1), NORMAL(4), ()),
    "equinox": (
        lambda net, X: jax.vmap(net)(X), eqx.nn.MLP(3, 2, 5, 2, key=jax.random.key(0)),
        ((4, 5), (6, 5), (6, 2)),
    ),
}  # fmt: skip


def plain_jacobian(problem: ib.Problem, params: Any) -> np.ndarray:
    with double_precision():
        shape, flat = tree_shape(params)
        J = jax.jacrev(lambda u: jnp.ravel(problem.model(shape.unflatten(u), X)))(jnp.asarray(flat))
        return np.asarray(J)


# Oracle: J J^T with the Jacobian by `jax.jacrev` on the whole batch.
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_that_of_the_jacobian(name: str) -> None:
    model, params, sizes = CASES[name]
    with double_precision():
        outputs = jax.eval_shape(lambda inputs: model(params, inputs), X).shape
    problem = ib.Problem(model, X, np.zeros(outputs))
    with double_precision():
        shape, flat = tree_shape(params)
        readout = problem.double_objective.readout
        assert layer_sizes(readout.row, shape.unflatten(jnp.asarray(flat)), readout.X[0]) == sizes
        found = predictors.of(problem).traced.structure(shape, flat)
    assert found.rows_apart
    assert found.layers == sizes
    J = plain_jacobian(problem, params)
    expected = J @ J.T
    kernel = predictors.of(problem).tangent_kernel(params).reshape(expected.shape)
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


# Oracle: the same kernel. An attention network once held nearly all of its Jacobian at once, for its last layer's sake.
def test_layers_that_are_a_small_part_of_a_large_jacobian_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, params, sizes = CASES["attention"]
    problem = ib.Problem(model, X, np.zeros((6, 2)))
    with double_precision():
        shape, flat = tree_shape(params)
        structure = predictors.of(problem).traced.structure
        assert structure(shape, flat).layers == sizes != ()
        by_layers = predictors.of(problem).tangent_kernel(params)
        monkeypatch.setattr(_traced, "_BLOCK_BYTES", 0)
        assert structure(shape, flat).layers == ()
    by_blocks = predictors.of(problem).tangent_kernel(params)
    np.testing.assert_allclose(by_blocks, by_layers, rtol=0, atol=1e-13 * np.abs(by_layers).max())


# Oracle: J J2^T by `jax.jacrev` at other inputs.
def test_the_kernel_at_other_inputs() -> None:
    problem, others = ib.Problem(mlp, X, np.zeros((6, 2))), RNG.standard_normal((4, 3))
    J, J2 = (plain_jacobian(problem, NET), None)
    with double_precision():
        shape, flat = tree_shape(NET)
        J2 = np.asarray(jax.jacrev(lambda u: jnp.ravel(mlp(shape.unflatten(u), others)))(jnp.asarray(flat)))
    kernel = predictors.of(problem).tangent_kernel(NET, others)
    np.testing.assert_allclose(kernel.reshape(12, 8), J @ J2.T, rtol=1e-12, atol=1e-12)


# A bias that depends on the other rows looks like a dense layer for one row, and the comparison finds that it is none.
def test_models_that_mix_their_rows_are_not_layered() -> None:
    def mixing(p: Any, X: Any) -> Any:
        return jnp.tanh((X - X.mean(axis=0)) @ p["W"]) @ p["a"]

    params = {"W": W, "a": A}
    problem = ib.Problem(mixing, X, np.zeros((6, 2)))
    with double_precision():
        shape, flat = tree_shape(params)
        found = predictors.of(problem).traced.structure(shape, flat)
    assert found == (False, ())
    J = plain_jacobian(problem, params)
    np.testing.assert_allclose(
        predictors.of(problem).tangent_kernel(params).reshape(12, 12), J @ J.T, rtol=1e-11, atol=1e-12
    )


# Derivatives of the whole batch and of one row that differ: the gradient through `counted` is that of a batch.
def test_a_wrong_kernel_is_found_by_the_comparison() -> None:
    @jax.custom_jvp
    def counted(z: Any) -> Any:
        return z

    @counted.defjvp
    def _slope(primals: Any, tangents: Any) -> Any:
        return primals[0], tangents[0] * len(primals[0])

    problem = ib.Problem(lambda p, X: counted(X @ p), X, np.zeros(6))
    with double_precision():
        shape, flat = tree_shape(NORMAL(3))
        found = predictors.of(problem).traced.structure(shape, flat)
    assert found == (True, ())


def test_flax_modules_have_layers() -> None:
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, inputs: Any) -> Any:
            return linen.Dense(2)(jnp.tanh(linen.Dense(4)(inputs)))

    net = Net()
    params = net.init(jax.random.key(0), jnp.asarray(X, jnp.float32))
    problem = ib.Problem(net.apply, X, np.zeros((6, 2)))
    with double_precision():
        shape, flat = tree_shape(params)
        assert predictors.of(problem).traced.structure(shape, flat).layers
