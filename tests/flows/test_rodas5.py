"""Tests of the coefficients of RODAS5, of its step, and of the number of steps that a jump of a mirror flow takes."""

from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows._rodas5 import CURVE, DEFECT_SHARE, GAMMA, PULLS, SHARE, SHIFTS, STAGES, Rodas5
from implicitbias.flows._system import Solve, System

ONE = np.ones(STAGES)
# U = Gamma K with Gamma^-1 = 1 / gamma - C (Hairer & Wanner, Solving ODEs II, section IV.7).
FULL = np.linalg.inv(np.eye(STAGES) / GAMMA - PULLS)
ALPHA = SHIFTS @ FULL
BETA = ALPHA + FULL
WEIGHTS = np.append(SHIFTS[-1, :-1], 1.0) @ FULL
EMBEDDED = np.append(SHIFTS[-1, :-1], 0.0) @ FULL
C, B = ALPHA @ ONE, BETA @ ONE
# The coefficients are printed with 15 to 17 digits and are as large as 300; the products have several factors of them.
PRINTED = 1e-11


def conditions(b: ndarray) -> list[tuple[float, float, int]]:
    """Return both sides of the 17 order conditions of Rosenbrock methods and their orders, for the weights b."""
    return [
        (b @ ONE, 1, 1),
        (b @ B, 1 / 2, 2),
        (b @ C**2, 1 / 3, 3),
        (b @ BETA @ B, 1 / 6, 3),
        (b @ C**3, 1 / 4, 4),
        (b @ (C * (ALPHA @ B)), 1 / 8, 4),
        (b @ BETA @ C**2, 1 / 12, 4),
        (b @ BETA @ BETA @ B, 1 / 24, 4),
        (b @ C**4, 1 / 5, 5),
        (b @ (C**2 * (ALPHA @ B)), 1 / 10, 5),
        (b @ (ALPHA @ B) ** 2, 1 / 20, 5),
        (b @ (C * (ALPHA @ C**2)), 1 / 15, 5),
        (b @ (C * (ALPHA @ BETA @ B)), 1 / 30, 5),
        (b @ BETA @ C**3, 1 / 20, 5),
        (b @ BETA @ (C * (ALPHA @ B)), 1 / 40, 5),
        (b @ BETA @ BETA @ C**2, 1 / 60, 5),
        (b @ BETA @ BETA @ BETA @ B, 1 / 120, 5),
    ]


# Oracle: the order conditions of Rosenbrock methods, Hairer & Wanner, Solving ODEs II, table 7.1 of section IV.7.
def test_the_method_has_order_5_and_the_embedded_one_order_4() -> None:
    assert max(abs(left - right) for left, right, _ in conditions(WEIGHTS)) <= PRINTED
    embedded = conditions(EMBEDDED)
    assert max(abs(left - right) for left, right, order in embedded if order <= 4) <= PRINTED
    assert max(abs(left - right) for left, right, order in embedded if order == 5) > 1e-4


# Oracle: the same conditions at the fraction x: the right sides times x to the power of the order.
def test_dense_output_has_order_4() -> None:
    for x in np.linspace(0.0, 1.0, 11):
        b = (x ** np.arange(1, 5)) @ CURVE @ FULL
        rest = [abs(left - right * x**order) for left, right, order in conditions(b) if order <= 4]
        assert max(rest) <= 100 * PRINTED
    np.testing.assert_allclose(CURVE.sum(axis=0) @ FULL, WEIGHTS, rtol=0, atol=100 * PRINTED)


# Oracle: R(z) = 1 + z b^T (I - z beta)^-1 1, which is 0 at infinity and at most 1 on the imaginary axis. The embedded
# method need not be stable for oscillations, which these flows do not have.
@pytest.mark.parametrize(("weights", "axis"), [(WEIGHTS, 1j), (EMBEDDED, -1.0)], ids=["end", "embedded"])
def test_it_is_l_stable(weights: ndarray, axis: complex) -> None:
    assert abs(1 - weights @ np.linalg.solve(BETA, ONE)) <= 100 * PRINTED
    growth = [
        1 + z * weights @ np.linalg.solve(np.eye(STAGES) - z * BETA, ONE) for z in axis * np.logspace(-2, 6)
    ]
    assert np.max(np.abs(growth)) <= 1 + 100 * PRINTED


class _Pendulum(System):
    """The system u'' = -sin u - u' / 3 with its exact Jacobian."""

    friction: jax.Array

    def field(self, u: jax.Array) -> jax.Array:
        return jnp.stack([u[1], -jnp.sin(u[0]) - self.friction * u[1]])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        A = jax.jacfwd(self.field)(u)
        return (lambda b: jnp.linalg.solve(jnp.eye(2) - gamma_step * A, b)), self.field(u)

    def state(self, u: jax.Array) -> jax.Array:
        return u

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(end - embedded))


# Oracle: SciPy's DOP853 to 1e-13.
def test_a_step_has_its_order() -> None:
    def field(_: float, u: ndarray) -> list[float]:
        return [u[1], -np.sin(u[0]) - 0.3 * u[1]]

    exact = solve_ivp(field, (0, 2), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    errors = []
    with double_precision():
        system = _Pendulum(jnp.asarray(0.3))

        @jax.jit
        def end(count: jax.Array) -> jax.Array:
            def one(_: jax.Array, u: jax.Array) -> jax.Array:
                place = SimpleNamespace(u=u, memory=())
                return Rodas5().attempt(system, place, 2.0 / count, jnp.asarray(1e-4), None).end

            return jax.lax.fori_loop(0, count, one, jnp.array([1.0, 0.5]))

        errors = [np.max(np.abs(np.asarray(end(jnp.asarray(n))) - exact)) for n in (4, 8, 16)]
    assert np.log2(errors[1] / errors[2]) > 4.8


class _Exponential(_Pendulum):
    """u' = e^-u, the end of training with the exponential loss: u = ln(e^u0 + t)."""

    def field(self, u: jax.Array) -> jax.Array:
        return jnp.exp(-u)


# Oracle: the solution ln(1 + h). The two ends of a step agree at h = 15.7, where both have an error of 1.3.
def test_the_defect_sees_an_error_that_both_ends_of_a_step_have() -> None:
    sizes = np.geomspace(0.5, 20.0, 200)

    def one(h: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        place = SimpleNamespace(u=jnp.zeros(2), memory=())
        trial = Rodas5().attempt(_Exponential(jnp.zeros(())), place, h, jnp.asarray(1e-4), None)
        assert trial.corrected is not None
        return (
            trial.end[0],
            (trial.embedded - trial.end)[0] / SHARE,
            (trial.corrected - trial.end)[0] / DEFECT_SHARE,
        )

    with double_precision():
        end, apart, missing = (np.asarray(value) for value in jax.jit(jax.vmap(one))(jnp.asarray(sizes)))
    errors = np.abs(end - np.log1p(sizes))
    assert np.min(np.abs(apart) / errors) < 0.02
    assert np.all(np.abs(missing) > errors)


# Oracle: the same flow at a tight tolerance. Steps of order 3 took 25 to 38 steps a jump.
@pytest.mark.parametrize("rtol", [1e-3, 1e-4])
def test_a_jump_takes_few_steps_and_comes_at_its_time(rtol: float) -> None:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((20, 50)), rng.standard_normal(20))
    path, size = ib.saddle_path(problem), 100 * np.log(10.0)
    end = 1.02 * float(path.times[-1]) * size
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * size))
    tight, found = (ib.simulate(flow, np.zeros(50), t1=end, rtol=tol) for tol in (1e-7, rtol))
    assert found.stats.steps <= 10 * path.n_jumps
    losses = [problem.loss(w) for w in path.coefficients]
    levels = [(a + b) / 2 for a, b in pairwise(losses) if a - b > 1e-4 * losses[0]]

    def times(trajectory: ib.Trajectory) -> ndarray:
        def above(t: float, level: float) -> float:
            return float(problem.loss(trajectory.state(t)) - level)

        return np.array([brentq(above, 0.0, end, args=(level,)) for level in levels])

    np.testing.assert_allclose(times(found), times(tight), rtol=10 * rtol)
