"""Tests of induced potentials against closed forms, and of what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from tests.parametrizations._computed import computed_potential

RNG = np.random.default_rng(0)
U, V, W = RNG.standard_normal((3, 2))
SINH = ib.induced_potential(jnp.sinh, U)


# Oracle (Chou, Maly, Stoger 2023): rho = sinh gives R = w arctan w - ln(1 + w^2) / 2, less <R'(w_0), w>.
def test_sinh_has_its_closed_form() -> None:
    w0 = np.sinh(U)

    def R(w: np.ndarray) -> float:
        return float(np.sum(w * np.arctan(w) - np.log1p(w**2) / 2 - np.arctan(w0) * w))

    np.testing.assert_allclose(SINH.mirror(W), np.arctan(W) - np.arctan(w0), rtol=0, atol=1e-11)
    np.testing.assert_allclose(SINH.value(W), R(W) - R(w0), rtol=0, atol=1e-11)
    np.testing.assert_allclose(SINH.inverse_mirror(SINH.mirror(W)), W, rtol=0, atol=1e-11)
    np.testing.assert_allclose(SINH.hessian_product(W, V), V / (1 + W**2), rtol=0, atol=1e-11)
    np.testing.assert_allclose(SINH.inverse_hessian_product(W, V), V * (1 + W**2), rtol=0, atol=1e-10)
    assert SINH.divergence(W, w0) == pytest.approx(SINH.value(W), rel=1e-9)


# Law: the mirror map is 0 at G(theta_0), and the Hessian of Q there is J J^T = cosh(theta_0)^2.
def test_the_start_is_the_minimum() -> None:
    np.testing.assert_allclose(SINH.mirror(np.sinh(U)), 0.0, atol=1e-13)
    np.testing.assert_allclose(
        SINH.inverse_hessian_product(np.sinh(U), np.ones(2)), np.cosh(U) ** 2, rtol=1e-11
    )


# Oracle: the hyperbolic entropy of u * v. The map of the user knows nothing of it.
def test_a_product_has_the_hyperbolic_entropy() -> None:
    mine = ib.induced_potential(lambda theta: theta[0] * theta[1], (U, V))
    known = ib.induced_potential(ib.HadamardProduct(), (U, V))
    entropy = ib.HyperbolicEntropy(np.abs(U**2 - V**2) / 2)
    np.testing.assert_allclose(known.mirror(W), entropy.mirror(W) - entropy.mirror(U * V), rtol=1e-13)
    np.testing.assert_allclose(mine.mirror(W), known.mirror(W), rtol=0, atol=1e-11)
    assert known.separable is not None
    assert repr(known.horizon()) == "L1()"


# Oracle: u^3 flows as 1/u = 1/u_0 - 3 mu, so that it leaves every bounded set at mu = 1 / (3 u_0), and w stays above 0.
@pytest.mark.parametrize("potential", [ib.induced_potential, computed_potential], ids=["closed", "computed"])
def test_the_domain_of_a_power_is_found(potential: Any) -> None:
    R = potential(lambda theta: theta**3, np.ones(1))
    np.testing.assert_allclose(R.mirror([1e-6]), [(1 - 1e2) / 3], rtol=1e-10)
    np.testing.assert_allclose(R.inverse_mirror([0.3]), [1e3], rtol=1e-10)
    assert [R.contains([w]) for w in (-1.0, 0.0, 1e-9, 1e9)] == [False, False, True, True]
    with pytest.raises(ib.InputError, match="outside the domain"):
        R.mirror([-1.0])
    with pytest.raises(ib.InputError, match=r"does not exist beyond the fraction 0\.98039"):
        R.inverse_mirror([0.34])
    with pytest.raises(ib.InputError, match="outside the range of the mirror map"):
        (0.5 * R).inverse_mirror([0.17])


def test_what_has_no_potential_is_refused_with_a_witness() -> None:
    with pytest.raises(ib.InputError, match=r"do not commute.*at theta = .*type ib\.GradientFlow"):
        ib.induced_potential(ib.MatrixProduct(), (np.ones((1, 1)), np.ones((2, 1))))
    with pytest.raises(ib.InputError, match="dG has rank 1"):
        ib.induced_potential(lambda theta: theta**2, np.array([0.0, 1.0]))


def test_equal_potentials_have_equal_fingerprints() -> None:
    assert SINH.fingerprint() == ib.induced_potential(jnp.sinh, U).fingerprint()
    assert jax.tree.leaves(SINH)


def runge_kutta(field: Any, state: np.ndarray, steps: int = 400) -> np.ndarray:
    """Return the end at time 1 of a flow, by the classical method of order 4."""
    h = 1.0 / steps
    for _ in range(steps):
        a = field(state)
        b = field(state + h / 2 * a)
        c = field(state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + field(state + h * c))
    return state


# Law: R belongs to the map and the start. Along the flow of every loss, R.mirror(w_t) = -int grad L(w_s) ds.
@pytest.mark.parametrize("slope", [lambda w: w - V, lambda w: -V * np.exp(-np.sum(V * w))])
def test_flows_of_different_losses_share_the_potential(slope: Any) -> None:
    def field(state: np.ndarray) -> np.ndarray:
        force = -slope(np.sinh(state[:2]))
        return np.concatenate([np.cosh(state[:2]) * force, force])

    end = runge_kutta(field, np.concatenate([U, np.zeros(2)]))
    np.testing.assert_allclose(SINH.mirror(np.sinh(end[:2])), end[2:], rtol=0, atol=1e-8)
