"""Tests of `ib.commutes` against brackets of dense Hessians, and of its verdicts for maps that are known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._fields import brackets_at, probes_for

RNG = np.random.default_rng(0)
U, V = RNG.standard_normal((2, 2, 3))
FRAME = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
DIAGONALS = RNG.standard_normal((2, 3))
# Symmetric matrices with common eigenvectors commute up to rounding errors.
FORMS = np.einsum("ij,kj,lj->kil", FRAME, DIAGONALS, FRAME)


def forms(theta: Any) -> Any:
    return jnp.einsum("kij,i,j->k", FORMS, theta, theta) / 2


def two_layers(theta: Any) -> Any:
    return jnp.tanh(theta.reshape(2, 2) @ jnp.array([[1.0, 0.5], [-0.3, 2.0]])).T @ theta[:2]


def naive(G: Any, theta: np.ndarray) -> np.ndarray:
    """Return Hess G_j grad G_i - Hess G_i grad G_j at (i, j), from dense Hessians."""
    with double_precision():
        gradients, hessians = np.asarray(jax.jacfwd(G)(theta)), np.asarray(jax.hessian(G)(theta))
    moved = np.einsum("jab,ib->ija", hessians, gradients)
    return moved - np.swapaxes(moved, 0, 1)


def test_brackets_and_measures_are_those_of_dense_hessians() -> None:
    theta = RNG.standard_normal(4)
    with double_precision():
        found = jax.tree.map(
            np.asarray, jax.jit(lambda x: brackets_at(two_layers, x, jnp.asarray(probes_for(4))))(theta)
        )
        hessians = np.asarray(jax.hessian(two_layers)(theta))
    np.testing.assert_allclose(found.values, naive(two_layers, theta), rtol=0, atol=1e-13)
    norms, sizes = np.linalg.norm(hessians, axis=(1, 2)), np.linalg.norm(found.jacobian, axis=1)
    np.testing.assert_allclose(found.hessian_norms, norms, rtol=1e-12)
    expected = np.linalg.norm(found.values[0, 1]) / (norms[1] * sizes[0] + norms[0] * sizes[1])
    np.testing.assert_allclose(found.measures[0, 1], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("G", "theta0", "proved"),
    [
        (ib.SquareDifference(), (U[0], V[0]), True),
        (ib.Coordinatewise(jnp.sinh), U[0], False),
        (forms, U[0], False),  # not exactly, because the matrices are rounded
    ],
)
def test_commuting_maps(G: Any, theta0: Any, proved: bool) -> None:
    verdict = ib.commutes(G, theta0)
    assert verdict.holds
    assert verdict.regular
    assert verdict.worst_bracket < 1e-12
    assert verdict.proved is proved
    assert not verdict.excludes_potential


def test_a_witness_is_a_bracket_that_dense_hessians_confirm() -> None:
    verdict = ib.commutes(ib.MatrixProduct(), (U, V))
    assert not verdict.holds
    assert verdict.proved
    assert verdict.excludes_potential
    left, right = verdict.witness.theta

    def G(flat: Any) -> Any:
        return (flat[:6].reshape(2, 3) @ flat[6:].reshape(2, 3).T).ravel()

    i, j = (np.ravel_multi_index(place, (2, 2)) for place in verdict.witness.pair)
    expected = naive(G, np.concatenate([left.ravel(), right.ravel()]))[i, j]
    got = np.concatenate([part.ravel() for part in verdict.witness.bracket])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_many_outputs_are_ranked_by_combinations_first() -> None:
    theta = RNG.standard_normal(160)
    verdict = ib.commutes(lambda t: jnp.append((t[:80] * t[80:])[:39], t[0] * t[1]), theta)
    assert not verdict.holds
    assert set(verdict.witness.pair) in ({0, 39}, {1, 39})


# The polynomials of w = (theta_0^2, theta_1^2 + theta_0 theta_2) do not commute, but the flows from
# theta_2 = theta_0 = 0 never leave the line on which they do.
def test_the_verdict_is_that_of_the_reachable_set() -> None:
    def G(theta: Any) -> Any:
        return jnp.stack([theta[0] ** 2, theta[1] ** 2 + theta[0] * theta[2]])

    assert ib.commutes(G, [0.0, 1.0, 0.0]).holds
    assert not ib.commutes(G, [0.5, 1.0, 0.0]).holds


def test_a_start_at_which_the_jacobian_loses_rank_is_said() -> None:
    verdict = ib.commutes(ib.HadamardProduct(), ([0.0, 1.0], [0.0, 1.0]))
    assert verdict.rank == 1
    assert "dG has rank 1" in verdict.sentence


def test_a_map_without_finite_derivatives_is_refused() -> None:
    with pytest.raises(ib.InputError, match="the Jacobian of G at theta0 is not finite"):
        ib.commutes(jnp.sqrt, [0.0, 1.0])


# By hand: the gradient of |u| is sign(u), and that of max(u, 0) + 0.01 min(u, 0) goes from 0.01 to 1 at 0.
@pytest.mark.parametrize(
    ("G", "theta0", "name"),
    [
        (jnp.abs, [1.0, 0.0], "abs"),
        (jax.nn.leaky_relu, [-0.1, 3.0], "select_n"),
        (jnp.abs, [1.0, 0.05], "abs"),
    ],
)
def test_a_jump_of_the_gradient_on_the_way_is_refused_with_its_place(G: Any, theta0: Any, name: str) -> None:
    with pytest.raises(ib.InputError, match=rf"jumps .* at theta = \[.*0\.0.* likely cause is {name}"):
        ib.commutes(G, theta0)


# u |u| has the continuous gradient 2 |u|.
def test_a_continuous_gradient_is_no_jump_but_its_operation_is_said() -> None:
    verdict = ib.commutes(lambda u: u * jnp.abs(u), [1.0, -0.05])
    assert verdict.holds
    assert verdict.kinked == ("abs",)
    assert "gradients may jump in abs" in verdict.sentence


# The derivative of logaddexp is smooth: its maximum only avoids overflow.
def test_a_smooth_function_has_no_kinked_operation() -> None:
    assert ib.commutes(jax.nn.softplus, [1.0, -0.05]).kinked == ()
