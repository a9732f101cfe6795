"""`ib.norm_minimizer` on problems with the squared loss, against closed forms, programs and SciPy's optimisers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize

import implicitbias as ib
from tests.oracles.lp import least_l1
from tests.oracles.matrices import least_nuclear_norm

TARGETS = [0.5, -1.0, 2.0, 0.3]
ROWS = np.random.default_rng(3).standard_normal((4, 2))


def product(theta: Any, X: Any) -> jax.Array:
    return X[:, 0] * theta[0] * theta[1]


def network(theta: Any, X: Any) -> jax.Array:
    W, b, a = theta
    return jnp.tanh(X @ W + b) @ a


def interpolating_network(seed: int, width: int = 5) -> tuple[ib.Problem, Any]:
    """Return a problem and an interpolant of it: the output weights are solved for."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((2, width)), rng.standard_normal(width)
    a = np.linalg.lstsq(np.tanh(ROWS @ W + b), TARGETS, rcond=None)[0]
    return ib.Problem(network, ROWS, TARGETS), (W, b, a)


def diagonal_start(X: ndarray, y: ndarray, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    u = rng.uniform(0.5, 2.0, X.shape[1])
    w = np.linalg.lstsq(X, y, rcond=None)[0] + 0.3 * np.linalg.svd(X)[2][len(X) :].sum(axis=0)
    return u, w / u


# Oracle: by hand, u = v = sqrt(2); the Lagrangian (u^2 + v^2)/2 - (u v - 2) has the curvature 2 along (1, -1).
def test_two_factors_of_a_number() -> None:
    problem = ib.Problem(product, np.ones((1, 1)), [2.0])
    limit = ib.norm_minimizer(problem, np.array([4.0, 0.5]))
    np.testing.assert_allclose(limit.point, np.sqrt(2.0), rtol=1e-12)
    np.testing.assert_allclose(limit.value, 4.0, rtol=1e-12)
    np.testing.assert_allclose(limit.multipliers, [1.0], rtol=1e-12)
    assert limit.certificate.holds
    assert limit.status is ib.Status.CONVERGED
    assert limit.margin is None
    assert limit.support is None
    assert (limit.curvature.directions, limit.curvature.negative, limit.curvature.zero) == (1, 0, 0)
    np.testing.assert_allclose(limit.curvature.least, 2.0, rtol=1e-9)
    assert "strict local minimum" in limit.certificate.note
    np.testing.assert_allclose(limit.predict(np.full((1, 1), 3.0)), [6.0], rtol=1e-12)


# Oracle: by hand. On a circle about 0 every point is a minimum, and no second derivative can tell.
def test_a_circle_is_degenerate() -> None:
    circle = ib.Problem(lambda theta, X: X[:, 0] * (theta @ theta), np.ones((1, 1)), [1.0])
    limit = ib.norm_minimizer(circle, np.array([0.6, 0.8]))
    np.testing.assert_allclose(limit.point, [0.6, 0.8], rtol=1e-9)
    assert (limit.curvature.directions, limit.curvature.zero) == (1, 1)
    assert "1 of 1 tangent directions have curvature 0" in limit.certificate.note


# Oracle: by hand. The nearest point of the parabola y = x^2 - 2 is not its vertex, which is a KKT point as well.
def test_a_saddle_is_a_kkt_point_but_no_minimum() -> None:
    def parabola(theta: Any, X: Any) -> jax.Array:
        return X[:, 0] * (theta[0] ** 2 - theta[1])

    problem = ib.Problem(parabola, np.ones((1, 1)), [2.0])
    vertex = ib.certify(problem, np.array([0.0, -2.0]), ib.MinParameterNorm())
    assert vertex.holds
    assert "It is not a local minimum: 1 of 1" in vertex.note
    limit = ib.norm_minimizer(problem, np.array([0.1, -1.99]))
    np.testing.assert_allclose(limit.point, [np.sqrt(1.5), -0.5], rtol=1e-10)
    assert "strict local minimum" in limit.certificate.note


# Oracle: a linear program; ||u||^2 + ||v||^2 = 2 ||w||_1 at the minimum over u * v = w. A sparse target makes the
# Jacobian lose rank at the end, because both factors of the entries off the support vanish.
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_diagonal_networks_end_at_the_least_l1_norm(seed: int, sparse: bool) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((5, 9)), rng.standard_normal(5)
    if sparse:
        y = X @ np.where(np.arange(9) < 2, [1.0, -2.0] + [0.0] * 7, 0.0)
    problem = ib.LeastSquares(X, y).reparametrize(ib.HadamardProduct())
    limit = ib.norm_minimizer(problem, diagonal_start(X, y, seed))
    value, w = least_l1(X, y)
    np.testing.assert_allclose(limit.value, 2.0 * value, rtol=1e-9)
    np.testing.assert_allclose(problem.G(limit.point), w, atol=1e-8)
    assert limit.certificate.holds
    assert limit.curvature.rank == np.count_nonzero(np.abs(w) > 1e-9)
    assert (limit.curvature.negative, limit.curvature.zero) == (0, 0)
    assert ("multipliers are not unique" in limit.certificate.note) == sparse


# Oracle: a semidefinite program; ||U||^2 + ||V||^2 = 2 ||W||_* at the minimum over U V^T = W.
def test_factored_matrices_end_at_the_least_nuclear_norm() -> None:
    rng = np.random.default_rng(0)
    target = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 6))
    rows, cols = np.nonzero(rng.random((6, 6)) < 0.6)
    problem = ib.LeastSquares.entries(rows, cols, target[rows, cols], (6, 6)).reparametrize(
        ib.MatrixProduct()
    )
    U = rng.standard_normal((6, 12))
    limit = ib.norm_minimizer(problem, (U, np.linalg.lstsq(U, target, rcond=None)[0].T))
    value, W = least_nuclear_norm(rows, cols, target[rows, cols], (6, 6))
    np.testing.assert_allclose(limit.value, 2.0 * value, rtol=1e-7)
    np.testing.assert_allclose(problem.G(limit.point), W, atol=1e-5)
    assert limit.certificate.holds
    assert limit.curvature.negative == 0
    assert limit.curvature.zero > 0  # U and V may be rotated together


# Oracle: SciPy's SLSQP at a tight tolerance from a point beside the end: it finds no smaller norm, and the same point.
@pytest.mark.parametrize("seed", range(3))
def test_networks_against_slsqp(seed: int) -> None:
    problem, start = interpolating_network(seed)
    limit = ib.norm_minimizer(problem, start)
    assert limit.certificate.holds, limit.certificate
    assert limit.value < sum(np.sum(leaf**2) for leaf in start)
    np.testing.assert_allclose(problem.predict(limit.point), TARGETS, rtol=1e-10)
    ends = np.cumsum([leaf.size for leaf in start])[:-1]
    flat = np.concatenate([leaf.ravel() for leaf in limit.point])

    def numpy_network(theta: ndarray) -> ndarray:
        W, b, a = np.split(theta, ends)
        return np.tanh(ROWS @ W.reshape(2, -1) + b) @ a - TARGETS

    beside = flat + 1e-2 * np.random.default_rng(seed).standard_normal(len(flat))
    found = minimize(
        lambda theta: theta @ theta,
        beside,
        jac=lambda theta: 2 * theta,
        constraints={"type": "eq", "fun": numpy_network},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    np.testing.assert_allclose(found.fun, limit.value, rtol=1e-7)
    np.testing.assert_allclose(found.x, flat, atol=1e-4)
    # The multipliers solve theta = J^T q with a Jacobian by differences.
    J = _differences(numpy_network, flat)
    np.testing.assert_allclose(J.T @ limit.multipliers, flat, atol=1e-7)


def _differences(function: Any, at: ndarray) -> ndarray:
    h = 1e-5
    columns = [(function(at + h * e) - function(at - h * e)) / (2 * h) for e in np.eye(len(at))]
    return np.stack(columns, axis=1)


# Oracle: the pseudoinverse, the least norm of a linear problem; two outputs.
def test_a_linear_model_of_two_outputs() -> None:
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((3, 6)), rng.standard_normal((3, 2))
    W = np.linalg.lstsq(X, Y, rcond=None)[0]
    start = W + np.linalg.svd(X)[2][3:].T @ rng.standard_normal((3, 2))
    limit = ib.norm_minimizer(ib.Problem(lambda W, X: X @ W, X, Y), start)
    np.testing.assert_allclose(limit.point, W, atol=1e-12)
    np.testing.assert_allclose(X.T @ limit.multipliers, W, atol=1e-12)
    assert limit.curvature.directions == 6
    np.testing.assert_allclose(limit.curvature.least, 1.0, rtol=1e-12)
    in_w = ib.norm_minimizer(ib.LeastSquares(X, Y[:, 0]), start[:, 0])
    np.testing.assert_allclose(in_w.point, W[:, 0], atol=1e-12)


# Oracle: the numbers without dead units. A dead ReLU has a zero row in the Jacobian's transpose and must shrink to 0.
def test_dead_units_vanish() -> None:
    def relu(theta: Any, X: Any) -> jax.Array:
        return jax.nn.relu(X @ theta[0]) @ theta[1]

    X = np.array([[1.0, 0.2], [0.5, 1.0]])
    W, a = np.array([[1.0, -1.0], [1.0, -2.0]]), np.array([1.0, 3.0])  # the second unit is dead on both rows
    problem = ib.Problem(relu, X, np.maximum(X @ W, 0.0) @ a)
    limit = ib.norm_minimizer(problem, (W, a))
    alone = ib.norm_minimizer(problem, (W[:, :1], a[:1]))
    assert limit.certificate.holds
    np.testing.assert_allclose(limit.value, alone.value, rtol=1e-12)
    assert max(np.abs(limit.point[0][:, 1]).max(), abs(limit.point[1][1])) <= 1e-12


def _with_positive_outputs(limit: ib.Limit) -> tuple[ndarray, ...]:
    signs = np.sign(limit.point[2])
    return tuple(signs * leaf for leaf in limit.point)


# Oracle: the descent with dense arrays. Products alone are used where the Jacobian does not fit into memory.
def test_products_give_the_same_point(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, start = interpolating_network(0)
    dense = ib.norm_minimizer(problem, start)
    monkeypatch.setattr("implicitbias.limits._norm_constraints._DENSE_BYTES", 8 * 20)
    by_products = ib.norm_minimizer(problem, start)
    assert by_products.certificate.holds
    np.testing.assert_allclose(by_products.value, dense.value, rtol=1e-10)
    # The two descents may end at points that differ by the signs of units, because tanh is odd.
    for a, b in zip(_with_positive_outputs(dense), _with_positive_outputs(by_products), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    certificate = ib.certify(problem, dense.point, ib.MinParameterNorm())
    assert certificate.holds, certificate


# Oracle: all curvatures from a dense matrix. For large models the least ones are found by products alone.
def test_lanczos_steps_find_the_least_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, start = interpolating_network(0, width=8)
    dense = ib.norm_minimizer(problem, start).curvature
    circle = ib.Problem(lambda theta, X: X[:, 0] * (theta @ theta), np.ones((1, 1)), [1.0])
    point = np.ones(30) / np.sqrt(30.0)
    monkeypatch.setattr("implicitbias.limits._tangent_curvature._MOST_DENSE", 0)
    few = ib.norm_minimizer(problem, start).curvature
    np.testing.assert_allclose(few.least, dense.least, rtol=1e-6)
    assert (few.directions, few.negative, few.zero, few.rank) == (28, 0, 0, 4)
    assert few.complete
    sphere = ib.norm_minimizer(circle, point)
    assert sphere.curvature.zero > 0
    assert "at least" in sphere.certificate.note
    assert "no negative curvature was found" in sphere.certificate.note


def test_too_few_steps_are_said() -> None:
    problem, start = interpolating_network(0)
    limit = ib.norm_minimizer(problem, start, max_steps=1)
    assert limit.status is ib.Status.MAX_STEPS
    assert not limit.certificate.holds
    assert not ib.certify(problem, start, ib.MinParameterNorm()).holds
    np.testing.assert_allclose(problem.predict(limit.point), TARGETS, rtol=1e-9)


def test_the_result_is_a_frozen_value(tmp_path: Any) -> None:
    problem, start = interpolating_network(0)
    limit = ib.norm_minimizer(problem, start)
    with pytest.raises(ValueError, match="read-only"):
        limit.point[0][0, 0] = 1.0
    assert limit.fingerprint() == ib.norm_minimizer(problem, start).fingerprint()
    assert "parameters" in repr(limit)
    with pytest.raises(ib.InputError, match=r"limit is one of parameters.*certificate\.save"):
        limit.save(tmp_path / "limit.npz")
    with pytest.raises(ib.InputError, match="tuple of parameters"):
        ib.plot(limit)


# Oracle: by hand. With the target 0 all parameters vanish, and the Jacobian with them.
def test_a_target_of_zero_ends_at_the_origin() -> None:
    limit = ib.norm_minimizer(ib.Problem(product, np.ones((1, 1)), [0.0]), np.array([2.0, 0.0]))
    np.testing.assert_allclose(limit.point, 0.0, atol=1e-12)
    assert limit.status is ib.Status.CONVERGED


# Oracle: by hand. At (0, 1) the subgradients of max(a, 0) + b hold a solution of the KKT conditions, but (h, 1 - h) is
# shorter. The minimum is (1/2, 1/2), which is at no kink.
def test_second_derivatives_are_not_trusted_at_kinks() -> None:
    def kinked(theta: Any, X: Any) -> jax.Array:
        return X[:, 0] * (jax.nn.relu(theta[0]) + theta[1])

    problem = ib.Problem(kinked, np.ones((1, 1)), [1.0])
    limit = ib.norm_minimizer(problem, np.array([0.0, 1.0]))
    assert "1 of 1 pre-activations of piecewise linear units are 0" in limit.certificate.note
    assert "strict local minimum" not in limit.certificate.note
    assert limit.curvature is None
    half = ib.norm_minimizer(problem, np.array([0.9, 0.1]))
    np.testing.assert_allclose(half.point, 0.5, rtol=1e-12)
    assert "strict local minimum" in half.certificate.note
