"""`ib.max_margin` with a matrix w, in norms of singular values and of entries."""

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from numpy import ndarray
from scipy.linalg import block_diag

import implicitbias as ib

g = ib.gauges


def _schatten_4(W: Any) -> tuple[Any, list[Any]]:
    """The Schatten norm with p = 4 squared: the least Frobenius norm of a Y above W^T W."""
    p, q = W.shape
    block = cp.Variable((p + q, p + q), PSD=True)
    return cp.norm(block[p:, p:], "fro"), [block[:p, :p] == np.eye(p), block[:p, p:] == W]


# The horizon, and cvxpy's norm with constraints and the power of the norm that it is.
NORMS: dict[str, tuple[Any, Any, int]] = {
    "nuclear": (g.Nuclear(), lambda W: (cp.normNuc(W), []), 1),
    "spectral": (g.Spectral(), lambda W: (cp.sigma_max(W), []), 1),
    "schatten 4": (g.Schatten(4), _schatten_4, 2),
    "frobenius": (g.L2(), lambda W: (cp.norm(W, "fro"), []), 1),
    "schatten 2": (g.Schatten(2), lambda W: (cp.norm(W, "fro"), []), 1),
    "l1": ("l1", lambda W: (cp.sum(cp.abs(W)), []), 1),
    "linf": ("linf", lambda W: (cp.max(cp.abs(W)), []), 1),
    "l3": (3, lambda W: (cp.pnorm(cp.vec(W, order="C"), 3), []), 1),
}
SINGULAR: dict[str, Any] = {
    "nuclear": g.Nuclear(),
    "schatten 1.5": g.Schatten(1.5),
    "frobenius": g.Schatten(2),
    "schatten 3": g.Schatten(3),
    "schatten 10": g.Schatten(10),
    "spectral": g.Spectral(),
}
of_singular_values = pytest.mark.parametrize("name", SINGULAR)
EXPONENTS = {
    "nuclear": "l1",
    "schatten 1.5": 1.5,
    "frobenius": "l2",
    "schatten 3": 3,
    "schatten 10": 10,
    "spectral": "linf",
}


def _data(n: int, shape: tuple[int, int], seed: int, shift: float = 0.0) -> tuple[ndarray, ndarray]:
    """Random matrices with labels by a matrix of rank one."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, *shape))
    planted = np.outer(rng.standard_normal(shape[0]), rng.standard_normal(shape[1]))
    return X, np.sign(np.tensordot(X, planted, axes=2) + shift)


def _expected(X: ndarray, y: ndarray, name: str, bias: bool) -> float:
    _, formula, power = NORMS[name]
    W, b = cp.Variable(X.shape[1:]), cp.Variable()
    norm, constraints = formula(W)
    margins = cp.multiply(y, X.reshape(len(X), -1) @ cp.vec(W, order="C") + (b if bias else 0.0))
    problem = cp.Problem(cp.Minimize(norm), [margins >= 1.0, *constraints])
    problem.solve(solver=cp.CLARABEL, tol_gap_rel=1e-9, tol_gap_abs=1e-9, tol_feas=1e-9)
    return float(problem.value) ** (1.0 / power)


# Oracle: cvxpy with Clarabel, whose gap is near 1e-9.
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("n", "shape"), [(12, (3, 4)), (40, (5, 4)), (6, (6, 6))])
def test_against_cvxpy(name: str, bias: bool, n: int, shape: tuple[int, int]) -> None:
    X, y = _data(n, shape, n, 0.3 if bias else 0.0)
    problem = ib.Classification(X, y)
    limit = ib.max_margin(problem, NORMS[name][0], bias)
    assert limit.certificate.holds, str(limit.certificate)
    assert limit.certificate.gap <= 1e-11
    assert limit.point.shape == shape
    np.testing.assert_allclose(limit.value, _expected(X, y, name, bias), rtol=1e-6)
    np.testing.assert_allclose(np.min(y * limit.predict(X)), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        np.tensordot(limit.multipliers * y, X, axes=1), limit.dual, rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(np.sum(limit.dual * limit.point), limit.value, rtol=1e-9)
    if bias:
        np.testing.assert_allclose(limit.multipliers @ y, 0.0, atol=1e-9 * limit.value)
    assert ib.certify(problem, 2.0 * limit.point, ib.MaxMargin(NORMS[name][0], bias)).holds
    moved = limit.point + 0.1 * limit.value * np.eye(*shape)
    assert not ib.certify(problem, moved, ib.MaxMargin(NORMS[name][0], bias)).holds


# Oracle: by hand. With one signed matrix Z, W maximises <Z, W> over the ball.
@of_singular_values
def test_one_point(name: str) -> None:
    Z = np.array([[3.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    limit = ib.max_margin(ib.Classification(np.stack([Z, -Z]), [1, -1]), SINGULAR[name])
    np.testing.assert_allclose(limit.value, 1.0 / SINGULAR[name].polar().value(Z), rtol=1e-13)
    face = SINGULAR[name].face(Z)
    np.testing.assert_allclose(limit.point, face.point() * limit.value, atol=1e-12)
    assert limit.certificate.holds
    assert limit.status is ib.Status.CONVERGED


# Oracle: by hand. Z_1 = e_1 e_1^T and Z_2 = e_2 e_2^T need W_11 = W_22 = 1, whatever the norm.
@of_singular_values
def test_two_points(name: str) -> None:
    Z = np.zeros((2, 2, 2))
    Z[0, 0, 0], Z[1, 1, 1] = 1.0, -1.0
    limit = ib.max_margin(ib.Classification(Z, [1, -1]), SINGULAR[name])
    np.testing.assert_allclose(np.diag(limit.point), 1.0, rtol=1e-9)
    np.testing.assert_allclose(limit.value, SINGULAR[name].value(np.eye(2)), rtol=1e-10)
    assert limit.certificate.holds


# Oracle: the vector problem on the diagonals, whose margin is the same because the diagonal of W has no larger norm.
@of_singular_values
@pytest.mark.parametrize("bias", [False, True])
def test_diagonal_matrices_are_the_vector_case(name: str, bias: bool) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((9, 4))
    y = np.sign(rows @ np.array([1.0, -2.0, 0.3, 0.0]) + 0.2 * bias)
    vector = ib.max_margin(ib.Classification(rows, y), EXPONENTS[name], bias)
    limit = ib.max_margin(ib.Classification(np.stack([np.diag(x) for x in rows]), y), SINGULAR[name], bias)
    assert limit.certificate.holds, str(limit.certificate)
    np.testing.assert_allclose(limit.value, vector.value, rtol=1e-10)
    np.testing.assert_allclose(np.diag(limit.point), vector.point, atol=1e-5)


# Law: rotations from both sides move the classifier along; transposes and a change of scale too.
@of_singular_values
def test_symmetries(name: str) -> None:
    X, y = _data(10, (3, 4), 5)
    rng = np.random.default_rng(6)
    P, Q = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (3, 4))
    first = ib.max_margin(ib.Classification(X, y), SINGULAR[name])
    turned = ib.max_margin(ib.Classification(P @ X @ Q, y), SINGULAR[name])
    np.testing.assert_allclose(turned.value, first.value, rtol=1e-10)
    np.testing.assert_allclose(turned.point, P @ first.point @ Q, atol=1e-6)
    flipped = ib.max_margin(ib.Classification(np.swapaxes(X, 1, 2), y), SINGULAR[name])
    np.testing.assert_allclose(flipped.point, first.point.T, atol=1e-6)
    for scale in (1e-120, 1e100):
        scaled = ib.max_margin(ib.Classification(scale * X, y), SINGULAR[name])
        assert scaled.certificate.holds, str(scaled.certificate)
        np.testing.assert_allclose(scaled.value * scale, first.value, rtol=1e-10)
    double = ib.max_margin(ib.Classification(np.concatenate([X, X]), np.concatenate([y, y])), SINGULAR[name])
    assert double.certificate.holds, str(double.certificate)
    np.testing.assert_allclose(double.point, first.point, atol=1e-6)


# Oracle: by hand. <I, W> = tr W is at most the nuclear norm, with equality for all positive semidefinite W; and
# W_11 = 1 leaves the other singular value of W free in the spectral norm.
@pytest.mark.parametrize(
    ("gauge", "Z"), [(g.Nuclear(), np.eye(2)), (g.Spectral(), np.array([[1.0, 0.0], [0.0, 0.0]]))]
)
def test_several_solutions_are_reported(gauge: Any, Z: ndarray) -> None:
    limit = ib.max_margin(ib.Classification(np.stack([Z, -Z]), [1, -1]), gauge)
    assert limit.certificate.holds
    assert limit.status is ib.Status.NOT_UNIQUE
    np.testing.assert_allclose(limit.value, 1.0 / gauge.polar().value(Z), rtol=1e-12)


# Oracle: one and several solutions as cvxpy finds them in two random directions.
@pytest.mark.parametrize("name", ["nuclear", "spectral"])
@pytest.mark.parametrize(("n", "shape"), [(3, (3, 3)), (5, (2, 6)), (12, (3, 3))])
def test_uniqueness_against_cvxpy(name: str, n: int, shape: tuple[int, int]) -> None:
    X, y = _data(n, shape, n + 20)
    limit = ib.max_margin(ib.Classification(X, y), SINGULAR[name])
    W = cp.Variable(shape)
    margins = cp.multiply(y, X.reshape(n, -1) @ cp.vec(W, order="C"))
    inside = [margins >= 1.0, NORMS[name][1](W)[0] <= limit.value * (1.0 + 1e-5)]
    c, ends = np.random.default_rng(0).standard_normal(shape), []
    for sign in (1.0, -1.0):
        cp.Problem(cp.Minimize(sign * cp.sum(cp.multiply(c, W))), inside).solve(solver=cp.CLARABEL)
        ends.append(np.array(W.value))
    several = np.max(np.abs(ends[0] - ends[1])) > 0.05 * limit.value
    assert (limit.status is ib.Status.NOT_UNIQUE) == several


# Oracle: cvxpy, for w (d, k) of several classes.
@pytest.mark.parametrize("name", ["nuclear", "spectral", "schatten 4"])
@pytest.mark.parametrize("bias", [False, True])
def test_several_classes(name: str, bias: bool) -> None:
    rng = np.random.default_rng(7)
    X = rng.standard_normal((20, 5))
    y = np.argmax(X @ rng.standard_normal((5, 3)), axis=1)
    gauge, formula, power = NORMS[name]
    limit = ib.max_margin(ib.Classification(X, y, loss="cross_entropy"), gauge, bias)
    assert limit.certificate.holds, str(limit.certificate)
    W, b = cp.Variable((5, 3)), cp.Variable((1, 3))
    norm, constraints = formula(W)
    scores = X @ W + (np.ones((20, 1)) @ b if bias else 0.0)
    pairs = [scores[i, y[i]] - scores[i, c] >= 1.0 for i in range(20) for c in range(3) if c != y[i]]
    problem = cp.Problem(cp.Minimize(norm), [*pairs, *constraints])
    problem.solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(limit.value, float(problem.value) ** (1.0 / power), rtol=1e-6)


# Oracle: the two blocks do not interact, so that the margins are those of the vector problem of their norms.
def test_inseparable_matrices() -> None:
    X = np.stack([np.eye(2), np.eye(2), -2.0 * np.eye(2)])
    with pytest.raises(ib.InfeasibleError, match="is a convex combination of") as caught:
        ib.max_margin(ib.Classification(X, [1, -1, 1]), g.Nuclear())
    q = caught.value.combination
    np.testing.assert_allclose(np.tensordot(q * [1.0, -1.0, 1.0], X, axes=1), 0.0, atol=1e-12)


def test_block_diagonal_data() -> None:
    X, y = _data(8, (2, 3), 9)
    padded = np.stack([block_diag(x, np.zeros((1, 2))) for x in X])
    first = ib.max_margin(ib.Classification(X, y), g.Nuclear())
    limit = ib.max_margin(ib.Classification(padded, y), g.Nuclear())
    np.testing.assert_allclose(limit.value, first.value, rtol=1e-12)
    np.testing.assert_allclose(limit.point[:2, :3], first.point, atol=1e-8)
    np.testing.assert_allclose(limit.point[2:], 0.0, atol=1e-12)
