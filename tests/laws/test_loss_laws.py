"""Laws of every loss: derivatives of its value, a root of its curvature, convexity, and the flow that it makes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.problems._loss import NAMED
from tests.laws.registry import LOSSES

everywhere = pytest.mark.parametrize("name", LOSSES)
few = settings(max_examples=4)
numbers = st.floats(-3.0, 3.0)
triples = arrays(np.float64, 3, elements=numbers)


def parts(loss: ib.Loss, f: np.ndarray, target: Any) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """The value, the derivative, R R^T, and the Hessian of the value by differentiation."""
    with double_precision():
        value, derivative, root, hessian = map(np.asarray, _parts(loss, jnp.asarray(f), jnp.asarray(target)))
    return float(value), derivative, root @ root.T, hessian


@eqx.filter_jit
def _parts(loss: ib.Loss, f: jax.Array, target: jax.Array) -> tuple[jax.Array, ...]:
    slope, hessian = loss.derivative(f, target), jax.hessian(loss.value)(f, target)
    return loss.value(f, target), slope, loss.root(f, target), hessian


def test_every_named_loss_is_listed() -> None:
    assert set(NAMED) <= set(LOSSES)


# Law: the value is not negative, and its derivative and curvature are those of central differences and jax.hessian.
@everywhere
@few
@given(f=triples)
def test_derivative_and_curvature(name: str, f: np.ndarray) -> None:
    loss, outputs, targets = LOSSES[name]
    f, step = f[:outputs], 1e-6
    for target in targets:
        value, derivative, curvature, hessian = parts(loss, f, target)
        assert value >= 0.0
        for i in range(outputs):
            e = step * np.eye(outputs)[i]
            slope = (parts(loss, f + e, target)[0] - parts(loss, f - e, target)[0]) / (2 * step)
            np.testing.assert_allclose(derivative[i], slope, rtol=1e-7, atol=1e-8)
        # jax.hessian of a value with large terms has lost some digits itself.
        np.testing.assert_allclose(curvature, hessian, rtol=1e-8, atol=1e-10)


# Law: every loss here is convex: the value in the middle is at most the mean.
@everywhere
@few
@given(f=triples, g=triples)
def test_the_losses_are_convex(name: str, f: np.ndarray, g: np.ndarray) -> None:
    loss, outputs, targets = LOSSES[name]
    for target in targets:
        ends = [parts(loss, point[:outputs], target)[0] for point in (f, g)]
        middle = parts(loss, (f + g)[:outputs] / 2, target)[0]
        assert middle <= sum(ends) / 2 + 1e-12 * (1.0 + sum(ends))


# Law: exactly the losses that say so have a derivative f - y.
@everywhere
def test_which_losses_are_quadratic(name: str) -> None:
    loss, outputs, targets = LOSSES[name]
    f = np.array([0.7, -0.4, 2.0])[:outputs]
    apart = [np.max(np.abs(parts(loss, f, y)[1] - (f - np.asarray(y)))) for y in targets if np.ndim(y)]
    assert loss.quadratic == (bool(apart) and max(apart) < 1e-15)


# Law: the gradient flow of a problem with the loss follows the negative gradient: after a short time t the parameters
# have moved by -t times the gradient, up to the order t^2, and the loss has not grown.
@everywhere
def test_its_gradient_flow(name: str) -> None:
    loss, outputs, targets = LOSSES[name]
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((len(targets), 2)), np.array(targets)
    start, t = rng.standard_normal((2, outputs)), 1e-4
    if outputs == 1:
        problem = ib.Problem(lambda w, inputs: (inputs @ w)[:, 0], X, y.ravel(), loss=loss)
    else:
        problem = ib.Problem(lambda W, inputs: inputs @ W, X, y, loss=loss)
    end = ib.simulate(ib.GradientFlow(problem), start, t1=t).final
    np.testing.assert_allclose((end - start) / t, -problem.gradient(start), rtol=2e-3, atol=1e-3)
    assert problem.loss(end) <= problem.loss(start)
