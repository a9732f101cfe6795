"""Tests of the coefficients of ROS34PW2 and of its step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

from implicitbias._core.precision import double_precision
from implicitbias.flows._ros34pw2 import (
    ALPHA,
    EMBEDDED,
    GAMMA,
    GAMMAS,
    ORDER,
    WEIGHTS,
    dense_weights,
    step,
)
from implicitbias.flows._system import Solve, System

ONE = np.ones(4)
FULL = GAMMAS + GAMMA * np.eye(4)  # Gamma with its diagonal
BETA = ALPHA + FULL
# The coefficients are printed with 16 to 17 digits and are of size 1: sums of 64 products of them.
PRINTED = 1e-14
_MIDDLE = dense_weights(np.array([0.5]))[0]


# Oracle: the order conditions of Rosenbrock and W-methods, Hairer & Wanner, Solving ODEs II, section IV.7.
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (WEIGHTS @ ONE, 1),
        (WEIGHTS @ ALPHA @ ONE, 1 / 2),
        (WEIGHTS @ FULL @ ONE, 0),
        (WEIGHTS @ (ALPHA @ ONE) ** 2, 1 / 3),
        (WEIGHTS @ ALPHA @ ALPHA @ ONE, 1 / 6),
        (WEIGHTS @ ALPHA @ FULL @ ONE, 0),
        (WEIGHTS @ FULL @ ALPHA @ ONE, 0),
        (WEIGHTS @ FULL @ FULL @ ONE, 0),
    ],
    ids=["1", "f'", "A", "f''", "f'f'", "f'A", "Af'", "AA"],
)
def test_all_w_conditions_of_order_3(left: float, right: float) -> None:
    assert abs(left - right) <= PRINTED


# Oracle: the same conditions up to order 2, and one of order 3 that fails: an estimate of the third-order error.
def test_the_embedded_method_has_order_2() -> None:
    conditions = [EMBEDDED @ ONE - 1, EMBEDDED @ ALPHA @ ONE - 1 / 2, EMBEDDED @ FULL @ ONE]
    assert np.max(np.abs(conditions)) <= PRINTED
    assert abs(EMBEDDED @ (ALPHA @ ONE) ** 2 - 1 / 3) > 0.01
    assert abs(EMBEDDED @ BETA @ BETA @ ONE - 1 / 6) > 0.01


# Oracle: R(z) = 1 + z b^T (I - z beta)^-1 1, so R(inf) = 1 - b^T beta^-1 1.
def test_it_is_l_stable_and_stiffly_accurate() -> None:
    assert abs(1 - WEIGHTS @ np.linalg.solve(BETA, ONE)) <= 10 * PRINTED  # through an inverse of norm 10
    np.testing.assert_allclose(BETA[3], WEIGHTS, rtol=0, atol=PRINTED)
    assert ALPHA[3].sum() == 1.0
    assert np.all(np.triu(ALPHA) == 0.0)
    assert np.all(np.triu(GAMMAS) == 0.0)
    z = 1j * np.logspace(-3, 6, 400)
    growth = [1 + x * WEIGHTS @ np.linalg.solve(np.eye(4) - x * BETA, ONE) for x in z]
    assert (
        np.max(np.abs(growth)) <= 1 + PRINTED
    )  # no growth on the imaginary axis: A-stable, as it has no left pole


# Oracle: the error estimate must not vanish for infinite stiffness, because every stiff step would be accepted then.
def test_the_error_estimate_sees_stiff_steps() -> None:
    embedded = 1 - EMBEDDED @ np.linalg.solve(BETA, ONE)
    assert 0.1 < abs(embedded) < 1.0


# Oracle: the conditions of order 3 at the fraction theta: its powers over the density of each tree.
def test_dense_output_has_order_3_everywhere() -> None:
    theta = np.linspace(0.0, 1.0, 11)
    b = dense_weights(theta) @ FULL  # of the stages K, from those of U = Gamma K
    nodes, sums = ALPHA @ ONE, BETA @ ONE
    for left, right in [
        (b @ ONE, theta),
        (b @ sums, theta**2 / 2),
        (b @ nodes**2, theta**3 / 3),
        (b @ BETA @ sums, theta**3 / 6),
    ]:
        np.testing.assert_allclose(
            left, right, rtol=0, atol=100 * PRINTED
        )  # through the inverse of a 4 x 4 matrix
    np.testing.assert_allclose(b[-1], WEIGHTS, rtol=0, atol=100 * PRINTED)


class _Pendulum(System):
    """The system u'' = -sin u - friction u' with an exact or a wrong Jacobian."""

    friction: jax.Array
    wrong: jax.Array

    def field(self, u: jax.Array) -> jax.Array:
        return jnp.stack([u[1], -jnp.sin(u[0]) - self.friction * u[1]])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        A = jax.jacfwd(self.field)(u) + self.wrong * jnp.array([[0.3, -0.2], [0.5, 0.1]])
        return (lambda b: jnp.linalg.solve(jnp.eye(2) - gamma_step * A, b)), self.field(u)

    def state(self, u: jax.Array) -> jax.Array:
        return u

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(end - embedded))


@eqx.filter_jit
def _ends(system: System, count: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return u(2) after `count` equal steps, and the embedded and midpoint values of one step of this size from 0."""
    h, start = 2.0 / count, jnp.array([1.0, 0.5])
    first = step(system, start, h)
    middle = start + jnp.asarray(_MIDDLE) @ first.stages
    end = jax.lax.fori_loop(0, count, lambda _, u: step(system, u, h).end, start)
    return end, first.embedded, middle


# Oracle: SciPy's DOP853 to 1e-13.
@pytest.mark.parametrize("wrong", [0.0, 1.0], ids=["exact Jacobian", "wrong Jacobian"])
def test_a_step_has_its_order(wrong: float) -> None:
    def field(_: float, u: ndarray) -> list[float]:
        return [u[1], -np.sin(u[0]) - 0.3 * u[1]]

    exact = solve_ivp(
        field, (0, 2), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14, dense_output=True
    ).sol
    counts = np.array([8, 16, 32, 64])
    with double_precision():
        system = _Pendulum(jnp.asarray(0.3), jnp.asarray(wrong))
        found = [[np.asarray(value) for value in _ends(system, jnp.asarray(count))] for count in counts]
    errors = np.array(
        [
            [np.max(np.abs(got - exact(t))) for got, t in zip(row, (2.0, 2.0 / n, 1.0 / n), strict=True)]
            for row, n in zip(found, counts, strict=True)
        ]
    )
    orders = np.log2(errors[:-1] / errors[1:])[-1]
    # Global order 3; one embedded step has a local error of order 3, a dense value one of order 4 (exact Jacobian).
    assert orders[0] > ORDER - 0.2
    assert orders[1] > 2.7
    if wrong == 0.0:
        assert orders[2] > 3.7
