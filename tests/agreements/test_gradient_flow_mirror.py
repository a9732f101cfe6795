"""Tests that different flows of the library agree: mirror flow, dual variables, generic network, rescaled time."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

RTOL = 1e-7
_rng = np.random.default_rng(6)
X, Y = _rng.standard_normal((5, 7)), _rng.standard_normal(5)
SIGNS = np.array([1.0, 1.0, -1.0, 1.0, -1.0])


def start_of(name: str, alpha: float) -> Any:
    if name == "u * v":
        return np.full(7, np.sqrt(2) * alpha), np.zeros(7)
    return np.full(7, alpha), np.full(7, alpha)


# Oracle: theory 0.1: the mirror flow of the induced potential is the flow of w. alpha = 1e-150: alpha^2 = 1e-300.
@pytest.mark.parametrize("alpha", [1e-1, 1e-4, 1e-8, 1e-150])
@pytest.mark.parametrize("name", ["u * v", "u^2 - v^2"])
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_gradient_flow_is_mirror_flow(kind: str, name: str, alpha: float) -> None:
    problem: Any = ib.LeastSquares(X, Y) if kind == "regression" else ib.Classification(X, SIGNS)
    G: Any = ib.HadamardProduct() if name == "u * v" else ib.SquareDifference()
    theta, size = start_of(name, alpha), np.log(1 / alpha)
    end = 8.0 * size
    network = ib.simulate(ib.GradientFlow(problem.reparametrize(G)), theta, t1=end, rtol=RTOL)
    mirror = ib.simulate(ib.MirrorFlow(problem, G.potential(theta)), np.zeros(7), t1=end, rtol=RTOL)
    times = np.linspace(0.0, 1.0, 9)[1:] * end
    u, v = network.state(times)
    w, expected = (u * v if name == "u * v" else (u - v) * (u + v)), mirror.state(times)
    # At a jump w moves at speed 1 while its time is known to RTOL of t.
    np.testing.assert_allclose(w, expected, rtol=0, atol=RTOL * (100 + 30 * end))
    np.testing.assert_allclose(network.dual(times), mirror.dual(times) - mirror.dual(0.0), rtol=0, atol=1e-4)
    assert np.max(np.abs(expected[-1])) > 0.1


def product_net(params: Any, X: Any) -> Any:
    u, v = params
    return X @ (u * v)


# Oracle: one integrates 14 parameters with the Gauss-Newton matrix, the other five dual variables.
@pytest.mark.parametrize("lam", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["regression", pytest.param("classification", marks=pytest.mark.slow)])
def test_the_generic_path_is_the_dual_path(kind: str, lam: float) -> None:
    theta, times = (np.full(7, 0.3), np.full(7, -0.1)), np.array([0.1, 1.0, 5.0, 20.0])
    if kind == "regression":
        generic, inner = ib.Problem(product_net, X, Y), ib.LeastSquares(X, Y)
    else:
        generic, inner = ib.Problem(product_net, X, SIGNS, "logistic"), ib.Classification(X, SIGNS)
    one = ib.simulate(ib.GradientFlow(generic, lam), theta, t1=20.0, rtol=RTOL)
    two = ib.simulate(
        ib.GradientFlow(inner.reparametrize(ib.HadamardProduct()), lam), theta, t1=20.0, rtol=RTOL
    )
    np.testing.assert_allclose(
        np.array(one.state(times)), np.array(two.state(times)), rtol=0, atol=60 * RTOL * 3
    )
    with pytest.raises(ib.InputError, match="no dual variable"):
        one.dual(1.0)


class Twice(ib.Loss):
    """(f - y)^2, without the half."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sum((prediction - target) ** 2)


# Oracle: theory 0.9: the flow of (k L, lam) at time t is that of (L, lam / k) at time k t, k = 2.
def test_another_normalisation_is_another_clock() -> None:
    theta, times = (np.full(7, 0.3), np.full(7, -0.1)), np.array([0.1, 1.0, 5.0, 20.0])
    twice = ib.simulate(
        ib.GradientFlow(ib.Problem(product_net, X, Y, Twice()), 0.2), theta, t1=10.0, rtol=RTOL
    )
    once = ib.simulate(
        ib.GradientFlow(ib.LeastSquares(X, Y).reparametrize(ib.HadamardProduct()), 0.1),
        theta,
        t1=20.0,
        rtol=RTOL,
    )
    np.testing.assert_allclose(
        np.array(twice.state(times / 2)), np.array(once.state(times)), rtol=0, atol=60 * RTOL * 3
    )
