"""Tests of conserved quantities against laws that are known, and along simulated flows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

RNG = np.random.default_rng(0)
U, V = RNG.standard_normal((2, 2))


def relu(theta: Any, X: Any) -> Any:
    return jax.nn.relu(X @ theta["W"] + theta["b"]) @ theta["V"]


@pytest.mark.parametrize(
    ("G", "theta0", "laws"),
    [
        (ib.SquareDifference(), (U, V), ["theta[0][0]*theta[1][0]", "theta[0][1]*theta[1][1]"]),
        (lambda t: t[:1] * jnp.exp(t[1:]), U, ["theta[0]^2 - 2*theta[1]"]),  # d/dt = 2 w' e^0 - 2 w'
    ],
)
def test_laws_of_small_maps(G: Any, theta0: Any, laws: list[str]) -> None:
    found = ib.conserved_quantities(G, theta0)
    assert [str(law) for law in found.laws] == laws
    assert found.count == found.independent == found.at_start == len(laws)
    assert found.complete


# Rule (Marcotte, Gribonval, Peyre 2023): the entries of U^T U - V V^T for f = U V, here 3 with a hidden width of 2.
def test_a_linear_network_needs_brackets() -> None:
    theta = (RNG.standard_normal((2, 2)), RNG.standard_normal((2, 2)))
    found = ib.conserved_quantities(lambda t: t[0] @ t[1], theta)
    balanced = theta[0].T @ theta[0] - theta[1] @ theta[1].T
    assert found.count == 3
    assert found.complete
    np.testing.assert_allclose(
        sorted(abs(law(theta)) for law in found.laws),
        sorted(np.abs(balanced[np.triu_indices(2)])),
        rtol=1e-12,
    )


# Rule as above: 3 + 10 + 3 entries. As many equations as unknown coefficients leave 25 laws here, of which 9 are wrong.
def test_laws_hold_at_points_that_did_not_find_them() -> None:
    shapes = [(5, 2), (2, 4), (4, 2), (2, 2)]
    theta = [np.random.default_rng(0).standard_normal(shape) for shape in shapes]
    found = ib.conserved_quantities(lambda t: t[0] @ t[1] @ t[2] @ t[3], theta)
    assert found.count == found.independent == 16


# Rule: one law for each hidden unit, its incoming weights and bias squared less its outgoing weights squared. A unit
# that is open for no row is held as a whole at the start.
def test_a_relu_network_has_one_law_a_unit() -> None:
    theta = {
        "W": RNG.standard_normal((2, 3)),
        "b": np.array([0.1, -0.2, -50.0]),
        "V": RNG.standard_normal((3, 1)),
    }
    X = RNG.standard_normal((40, 2))
    problem = ib.Problem(relu, X, np.zeros((40, 1)))
    found = ib.conserved_quantities(problem, theta)
    assert found.count == found.independent == 3
    assert found.at_start == 2 + 4
    values = np.sum(theta["W"] ** 2, axis=0) + theta["b"] ** 2 - np.sum(theta["V"] ** 2, axis=1)
    np.testing.assert_allclose(
        sorted(abs(law(theta)) for law in found.laws), sorted(np.abs(values)), rtol=1e-12
    )


def test_drift_is_small_along_a_flow_and_not_along_large_steps() -> None:
    problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0]).reparametrize(ib.HadamardProduct())
    theta0 = (np.array([1.0, 0.5]), np.array([0.2, 0.1]))
    found = ib.conserved_quantities(ib.HadamardProduct(), theta0)
    flow = ib.simulate(ib.GradientFlow(problem), theta0, 5.0, rtol=1e-8)
    steps = ib.simulate(ib.GradientDescent(problem, 0.1), theta0, 5.0)
    assert found.drift(flow).max() < 1e-7
    assert found.drift(steps).max() > 1e-4
    with pytest.raises(ib.InputError, match="4 parameters are expected"):
        found.drift(
            ib.simulate(
                ib.MirrorFlow(ib.LeastSquares(np.eye(2), np.ones(2)), ib.SquaredNorm()), np.zeros(2), 1.0
            )
        )
