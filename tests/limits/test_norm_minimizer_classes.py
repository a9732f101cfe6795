"""`ib.norm_minimizer` on problems with a loss of margins, against programs and SciPy's optimisers."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize

import implicitbias as ib
from tests.oracles.margins import least_gauge

_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((10, 6))
Y = np.sign(X[:, 0] - X[:, 1])


def quadratic(theta: Any, X: Any) -> jax.Array:
    W, a = theta
    return ((X @ W) ** 2) @ a


def separating(seed: int = 0) -> ndarray:
    """Return weights with positive margins that are far from the largest margin."""
    w = np.zeros(6)
    for _ in range(1000):  # perceptron
        wrong = Y * (X @ w) <= 0.1
        if not wrong.any():
            return w
        w = w + Y[wrong][0] * X[wrong][0]
    raise AssertionError("the data are separable, so the perceptron must end")


# Oracle: by hand, two rows in one dimension: the least w with w x >= 1 is 1 / min(x), and q x = w.
def test_two_points_on_a_line() -> None:
    problem = ib.Classification([[2.0], [-3.0]], [1, -1])
    limit = ib.norm_minimizer(problem, [5.0])
    np.testing.assert_allclose(limit.point, [0.5], rtol=1e-12)
    np.testing.assert_allclose(limit.multipliers, [0.25, 0.0], atol=1e-12)
    assert limit.support.tolist() == [0]
    np.testing.assert_allclose([limit.value, limit.margin], [0.25, 2.0], rtol=1e-12)
    assert limit.curvature.directions == 0
    assert "It is a strict local minimum" in limit.certificate.note


# Oracle: cvxpy. For a linear model the problem is the support vector machine without intercept.
def test_a_linear_model_ends_at_the_support_vector_machine() -> None:
    problem = ib.Classification(X, Y)
    limit = ib.norm_minimizer(problem, separating())
    exact = ib.max_margin(problem, "l2")
    np.testing.assert_allclose(np.sqrt(limit.value), least_gauge(X, Y, lambda cp, w: cp.norm2(w)), rtol=1e-8)
    np.testing.assert_allclose(limit.point, exact.point, atol=1e-9)
    np.testing.assert_allclose(limit.margin, exact.margin, rtol=1e-9)
    np.testing.assert_allclose(X.T @ (Y * limit.multipliers), limit.point, atol=1e-10)
    np.testing.assert_array_equal(limit.support, exact.support)
    assert limit.certificate.holds
    np.testing.assert_allclose(limit.predict(X), X @ limit.point, rtol=1e-12)


# Oracle: cvxpy. The least ||u||^2 + ||v||^2 over u * v = w is 2 ||w||_1, so the end is the largest l1 margin.
@pytest.mark.parametrize("G", [ib.HadamardProduct(), ib.SquareDifference()], ids=["u * v", "u^2 - v^2"])
def test_diagonal_networks_end_at_the_largest_l1_margin(G: Any) -> None:
    problem = ib.Classification(X, Y, loss="exponential").reparametrize(G)
    w = separating()
    u = np.sqrt(np.abs(w) + 0.3)
    start = (u, w / u) if isinstance(G, ib.HadamardProduct) else (np.sqrt(w + 4.0), np.full(6, 2.0))
    limit = ib.norm_minimizer(problem, start)
    times = 2.0 if isinstance(G, ib.HadamardProduct) else 1.0
    np.testing.assert_allclose(limit.value, times * least_gauge(X, Y, lambda cp, w: cp.norm1(w)), rtol=1e-7)
    np.testing.assert_allclose(G(limit.point), ib.max_margin(problem.problem, "l1").point, atol=1e-8)
    assert limit.certificate.holds
    assert "degree of the model is 2" in limit.certificate.note
    assert limit.curvature.negative == 0


# Oracle: cvxpy with the nuclear norm; the rows of the problem are matrices.
def test_factored_matrices_end_at_the_largest_nuclear_margin() -> None:
    rng = np.random.default_rng(1)
    rows, y = rng.standard_normal((12, 4, 3)), np.array([1.0, -1.0] * 6)
    problem = ib.Classification(rows, y).reparametrize(ib.MatrixProduct())
    separator = np.linalg.lstsq(rows.reshape(12, 12), y, rcond=None)[0].reshape(4, 3)
    U = rng.standard_normal((4, 7))
    limit = ib.norm_minimizer(problem, (U, np.linalg.lstsq(U, separator, rcond=None)[0].T))
    W = cp.Variable((4, 3))
    margins = [y[i] * cp.trace(rows[i].T @ W) >= 1.0 for i in range(12)]
    program = cp.Problem(cp.Minimize(cp.normNuc(W)), margins)
    program.solve(solver=cp.CLARABEL, tol_gap_rel=1e-10, tol_gap_abs=1e-10, tol_feas=1e-10)
    np.testing.assert_allclose(limit.value, 2.0 * program.value, rtol=1e-7)
    assert limit.certificate.holds


# Oracle: cvxpy. The margins of three classes are f_y - f_c for each other class.
def test_three_classes_of_a_linear_model() -> None:
    scores = X @ np.random.default_rng(2).standard_normal((6, 3))
    labels = np.argmax(scores, axis=1)
    problem = ib.Classification(X, labels, loss="cross_entropy")
    start = np.linalg.lstsq(X.T @ X, X.T @ (5.0 * np.eye(3)[labels]), rcond=None)[0]
    W = np.random.default_rng(2).standard_normal((6, 3))
    limit = ib.norm_minimizer(problem, W if np.min(problem.margins(W)) > 0 else start)
    V = cp.Variable((6, 3))
    own = cp.sum(cp.multiply(X @ V, np.eye(3)[labels]), axis=1)
    others = [own[i] - X[i] @ V[:, c] >= 1.0 for i in range(10) for c in range(3) if c != labels[i]]
    program = cp.Problem(cp.Minimize(cp.sum_squares(V)), others)
    program.solve(solver=cp.CLARABEL, tol_gap_rel=1e-11, tol_gap_abs=1e-11, tol_feas=1e-11)
    np.testing.assert_allclose(limit.value, program.value, rtol=1e-8)
    np.testing.assert_allclose(limit.point, V.value, atol=1e-6)
    assert limit.multipliers.shape == (10, 3)
    assert np.all(limit.multipliers[np.arange(10), labels] == 0.0)
    assert np.all(limit.multipliers >= 0.0)


# Oracle: SciPy's SLSQP at a tight tolerance from a point beside the end.
@pytest.mark.parametrize("seed", range(3))
def test_networks_against_slsqp(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = ib.Problem(quadratic, X, Y, "logistic")
    W = rng.standard_normal((6, 15))
    a = np.linalg.lstsq((X @ W) ** 2, Y, rcond=None)[0]
    limit = ib.norm_minimizer(problem, (W, 7.0 * a))
    assert limit.certificate.holds, limit.certificate
    assert "degree of the model is 3" in limit.certificate.note
    flat = np.concatenate([leaf.ravel() for leaf in limit.point])

    def margins(theta: ndarray) -> ndarray:
        return Y * (((X @ theta[:90].reshape(6, 15)) ** 2) @ theta[90:])

    np.testing.assert_allclose(np.min(margins(flat)), 1.0, rtol=1e-10)
    np.testing.assert_allclose(np.min(margins(flat / np.linalg.norm(flat))), limit.margin, rtol=1e-10)
    active = limit.multipliers > 0.0
    np.testing.assert_allclose(margins(flat)[active], 1.0, rtol=1e-9)
    found = minimize(
        lambda theta: theta @ theta,
        flat + 1e-3 * rng.standard_normal(len(flat)),
        jac=lambda theta: 2 * theta,
        constraints={"type": "ineq", "fun": lambda theta: margins(theta) - 1.0},
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    np.testing.assert_allclose(found.fun, limit.value, rtol=1e-6)


# Oracle: the definition. A scaled KKT point is one, a point beside it is not, and the residuals say by how much.
def test_checkpoints_are_judged_at_any_scale() -> None:
    problem = ib.Problem(quadratic, X, Y, "logistic")
    W = np.random.default_rng(0).standard_normal((6, 15))
    limit = ib.norm_minimizer(problem, (W, np.linalg.lstsq((X @ W) ** 2, Y, rcond=None)[0]))
    for scale in (0.1, 30.0):
        scaled = tuple(scale * leaf for leaf in limit.point)
        assert ib.certify(problem, scaled, ib.MinParameterNorm()).holds
    beside = tuple(leaf + 1e-3 for leaf in limit.point)
    certificate = ib.certify(problem, beside, ib.MinParameterNorm())
    assert not certificate.holds
    assert 1e-5 < certificate.residuals["stationarity"] < 0.1
    assert "stationarity is" in certificate.sentence


# Oracle: SLSQP as above would need another model; here the definition, with a Jacobian by JAX. tanh is not homogeneous.
def test_a_model_that_is_not_homogeneous() -> None:
    def network(theta: Any, X: Any) -> jax.Array:
        return jnp.tanh(X @ theta[0]) @ theta[1]

    problem = ib.Problem(network, X, Y, "logistic")
    W = np.random.default_rng(3).standard_normal((6, 12))
    a = np.linalg.lstsq(np.tanh(X @ W), Y, rcond=None)[0]
    limit = ib.norm_minimizer(problem, (W, 0.4 * a))  # all margins are 0.4 at the start
    assert limit.certificate.holds, limit.certificate
    assert "not homogeneous" in limit.certificate.note
    np.testing.assert_allclose(np.min(Y * problem.predict(limit.point)), 1.0, rtol=1e-10)
    doubled = tuple(2.0 * leaf for leaf in limit.point)
    assert not ib.certify(problem, doubled, ib.MinParameterNorm()).holds
