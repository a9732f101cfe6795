"""`ib.norm_minimizer` where the rows of the Jacobian nearly depend on each other, as for networks with one input."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize
from scipy.special import expit

import implicitbias as ib

WIDTH = 12


def tanh_network(theta: Any, X: Any) -> jax.Array:
    W, b, a = theta
    return jnp.tanh(X @ W + b) @ a


def softplus_network(theta: Any, X: Any) -> jax.Array:
    W, b, a = theta
    return jax.nn.softplus(X @ W + b) @ a


# Activation functions and their derivatives in NumPy, for oracles that do not use JAX.
BY_NUMPY: dict[Any, tuple[Callable[[ndarray], ndarray], Callable[[ndarray], ndarray]]] = {
    tanh_network: (np.tanh, lambda z: 1.0 / np.cosh(z) ** 2),
    softplus_network: (lambda z: np.logaddexp(z, 0.0), expit),
}


def drawn(network: Any, rows: int, seed: int) -> tuple[ib.Problem, Any]:
    """Return a problem with one input, and a random interpolant, which gives the targets."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2.0, 2.0, (rows, 1))
    theta = (rng.standard_normal((1, WIDTH)), rng.standard_normal(WIDTH), rng.standard_normal(WIDTH))
    return ib.Problem(
        network, X, predictions(network, X, np.concatenate([leaf.ravel() for leaf in theta]))
    ), theta


def predictions(network: Any, X: ndarray, flat: ndarray) -> ndarray:
    W, b, a = np.split(flat, 3)
    return BY_NUMPY[network][0](X @ W[None] + b) @ a


def jacobian(network: Any, X: ndarray, flat: ndarray) -> ndarray:
    W, b, a = np.split(flat, 3)
    function, derivative = BY_NUMPY[network]
    z = X @ W[None] + b
    return np.hstack([derivative(z) * a * X, derivative(z) * a, function(z)])


# Oracle: the KKT conditions with predictions and a Jacobian written by hand in NumPy. The condition number of J is
# between 1e3 and 1e7.
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("network", "rows"), [(tanh_network, 10), (softplus_network, 7)], ids=["tanh", "softplus"]
)
def test_networks_with_one_input(network: Any, rows: int, seed: int) -> None:
    problem, start = drawn(network, rows, seed)
    limit = ib.norm_minimizer(problem, start)
    assert limit.certificate.holds, limit.certificate
    assert limit.status is ib.Status.CONVERGED
    flat = np.concatenate([leaf.ravel() for leaf in limit.point])
    J = jacobian(network, problem.X, flat)
    assert np.linalg.cond(J) > 100.0
    np.testing.assert_allclose(predictions(network, problem.X, flat), problem.y, atol=1e-12)
    assert np.linalg.norm(J.T @ limit.multipliers - flat) <= 1e-8 * np.linalg.norm(flat)
    assert limit.value < sum(np.sum(leaf**2) for leaf in start)
    assert limit.curvature.negative == 0


def least_norm_beside(X: ndarray, y: ndarray, flat: ndarray) -> float:
    """Return the least squared norm that SciPy's SLSQP finds from a point beside the parameters of a tanh network."""
    found = minimize(
        lambda theta: theta @ theta,
        flat + 1e-3 * np.random.default_rng(0).standard_normal(len(flat)),
        jac=lambda theta: 2.0 * theta,
        constraints={
            "type": "eq",
            "fun": lambda theta: predictions(tanh_network, X, theta) - y,
            "jac": lambda theta: jacobian(tanh_network, X, theta),
        },
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    assert found.success
    return float(found.fun)


# Oracle: SciPy's SLSQP from a point beside the end finds no smaller norm.
def test_slsqp_finds_no_smaller_norm() -> None:
    problem, start = drawn(tanh_network, 10, 0)
    limit = ib.norm_minimizer(problem, start)
    flat = np.concatenate([leaf.ravel() for leaf in limit.point])
    np.testing.assert_allclose(least_norm_beside(problem.X, problem.y, flat), limit.value, rtol=1e-6)


# Oracle: the same minimum, which the descent on the manifold finds at once. Where its steps would be expensive, it is
# used after the other descent, which does not converge here.
def test_a_large_jacobian_changes_the_order_of_the_descents(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, start = drawn(tanh_network, 10, 1)
    limit = ib.norm_minimizer(problem, start)
    monkeypatch.setattr("implicitbias.limits._norm_minimizer._MOST_FACTORISED", 0.0)
    other = ib.norm_minimizer(problem, start, max_steps=100)
    assert other.certificate.holds
    np.testing.assert_allclose(other.value, limit.value, rtol=1e-9)


# Oracle: SLSQP on the problem without the second of two equal rows.
def test_equal_rows_have_multipliers_that_are_not_unique() -> None:
    problem, start = drawn(tanh_network, 10, 0)
    X, y = np.array(problem.X), np.array(problem.y)
    X[9], y[9] = X[0], y[0]
    limit = ib.norm_minimizer(ib.Problem(tanh_network, X, y), start)
    assert limit.certificate.holds, limit.certificate
    assert limit.curvature.rank == 9
    assert "linear independence constraint qualification fails" in limit.certificate.note
    np.testing.assert_allclose(limit.multipliers[0], limit.multipliers[9], rtol=1e-5)
    flat = np.concatenate([leaf.ravel() for leaf in limit.point])
    np.testing.assert_allclose(least_norm_beside(X[:9], y[:9], flat), limit.value, rtol=1e-6)


# Rows of inputs that are close to each other have divided differences as singular values, here of orders up to 3. The
# multipliers are so large that rounding errors of J exceed the tolerance, which must be said.
def test_rows_that_cannot_be_told_apart_are_said() -> None:
    _, start = drawn(tanh_network, 10, 0)
    X = np.linspace(-1.0, 1.0, 10)[:, None]
    X[:4, 0] = -1.0 + 1e-3 * np.arange(4)
    flat = np.concatenate([leaf.ravel() for leaf in start])
    limit = ib.norm_minimizer(ib.Problem(tanh_network, X, predictions(tanh_network, X, flat)), start)
    assert not limit.certificate.holds
    assert limit.status is ib.Status.NOT_CERTIFIED
    assert "rows of the Jacobian nearly depend on each other" in limit.certificate.note
    assert limit.certificate.residuals["violation"] <= 1e-12
