"""Networks of equinox, of flax (linen and nnx) and plain functions are taken as they are, with equal numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

RNG = np.random.default_rng(0)
W, V = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 2))
X, Y = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 2))


def of_equinox():
    net = eqx.nn.MLP(3, 2, 4, 1, jnp.tanh, use_bias=False, use_final_bias=False, key=jax.random.key(0))
    where = lambda net: [layer.weight for layer in net.layers]  # noqa: E731  equinox takes a function
    return (
        lambda net, X: jax.vmap(net)(X),
        eqx.tree_at(where, net, [W.T, V.T]),
        lambda net: net.layers[0].weight.T,
    )


def of_linen():
    from flax import linen

    net = linen.Sequential([linen.Dense(4, use_bias=False), jnp.tanh, linen.Dense(2, use_bias=False)])
    params = {"params": {"layers_0": {"kernel": W}, "layers_2": {"kernel": V}}}
    return net.apply, params, lambda params: params["params"]["layers_0"]["kernel"]


def of_nnx():
    from flax import nnx

    net = nnx.Sequential(
        nnx.Linear(3, 4, use_bias=False, rngs=nnx.Rngs(0)),
        jnp.tanh,
        nnx.Linear(4, 2, use_bias=False, rngs=nnx.Rngs(1)),
    )
    graph, state, rest = nnx.split(net, nnx.Param, ...)
    first, second = jax.tree.leaves(state)
    assert (first.shape, second.shape) == (W.shape, V.shape)
    params = jax.tree.unflatten(jax.tree.structure(state), [W, V])
    return (
        lambda state, X: nnx.merge(graph, state, rest)(X),
        params,
        lambda params: jax.tree.leaves(params)[0],
    )


def of_a_function():
    return lambda params, X: jnp.tanh(X @ params[0]) @ params[1], (W, V), lambda params: params[0]


@pytest.mark.parametrize("framework", [of_equinox, of_linen, of_nnx, of_a_function])
def test_each_framework_is_taken_as_it_is(framework):
    model, params, first = framework()
    problem = ib.Problem(model, X, Y)
    hidden = np.tanh(X @ W)
    residual = hidden @ V - Y
    assert problem.loss(params) == pytest.approx((residual**2).sum() / 12, rel=1e-14)
    slope = X.T @ ((residual @ V.T) * (1 - hidden**2)) / 6
    np.testing.assert_allclose(first(problem.gradient(params)), slope, rtol=1e-12, atol=1e-14)
    # One step of gradient descent keeps the structure of the parameters.
    final = ib.simulate(ib.GradientDescent(problem, learning_rate=0.1), params, t1=0.1).final
    np.testing.assert_allclose(first(final), W - 0.1 * slope, rtol=1e-12, atol=1e-14)
