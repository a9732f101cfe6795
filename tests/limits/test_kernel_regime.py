"""`ib.kernel_regime` against cvxpy, scikit-learn, NumPy and hand computation."""

from typing import Any

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC, OneClassSVM

import implicitbias as ib
from implicitbias import predictors

_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((12, 4))
X_NEW = _RNG.standard_normal((5, 4))
Y = np.where(X[:, 0] + 0.3 * _RNG.standard_normal(12) > 0.0, 1.0, -1.0)
PARAMS = {"W": _RNG.standard_normal((4, 9)), "a": _RNG.standard_normal((9, 3))}
CLASSES = np.array([0, 1, 2] * 4)


def outputs(params: Any, X: Any) -> jax.Array:
    return jnp.tanh(X @ params["W"]) @ params["a"]


def model(params: Any, X: Any) -> jax.Array:
    return outputs(params, X)[:, 0]


def flat(tree: Any) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def jacobian(problem: ib.Problem) -> ndarray:
    return predictors.of(problem).jacobian(PARAMS).dense()


# Oracle: NumPy's pseudo-inverse, which does not use the kernel.
@pytest.mark.parametrize("max_bytes", [2**31, 100])
def test_regression_is_the_least_change_that_fits(max_bytes: int) -> None:
    targets = _RNG.standard_normal((12, 3))
    problem = ib.Problem(outputs, X, targets)
    limit = ib.kernel_regime(problem, PARAMS, max_bytes=max_bytes)
    J = jacobian(problem)
    expected = np.linalg.pinv(J) @ (targets - problem.predict(PARAMS)).ravel()
    np.testing.assert_allclose(flat(limit.point), expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(limit.value, np.linalg.norm(expected), rtol=1e-9)
    np.testing.assert_allclose(J.T @ limit.multipliers.ravel(), expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(limit.predict(X), targets, atol=1e-8)
    assert limit.certificate.holds
    assert limit.margin is None


# Oracle: a derivative by differences at new rows.
def test_predict_adds_the_predictions_at_the_parameters() -> None:
    problem = ib.Problem(model, X, Y)
    limit = ib.kernel_regime(problem, PARAMS)

    def in_numpy(step: float) -> ndarray:
        W, a = (PARAMS[name] + step * limit.point[name] for name in ("W", "a"))
        return (np.tanh(X_NEW @ W) @ a)[:, 0]

    slope = (in_numpy(1e-6) - in_numpy(-1e-6)) / 2e-6
    np.testing.assert_allclose(limit.predict(X_NEW), in_numpy(0.0) + slope, rtol=1e-7, atol=1e-8)


# Oracle: scikit-learn's kernel ridge regression.
def test_the_ridge_form_is_kernel_ridge_regression() -> None:
    problem = ib.Problem(model, X, Y)
    limit = ib.kernel_regime(problem, PARAMS, ridge=0.3)
    K, f = jacobian(problem) @ jacobian(problem).T, problem.predict(PARAMS)
    peer = KernelRidge(alpha=0.3, kernel="precomputed").fit(K, Y - f)
    np.testing.assert_allclose(limit.predict(X), f + peer.predict(K), rtol=1e-8, atol=1e-9)
    assert limit.certificate.holds
    assert not ib.certify(problem, limit.point, ib.MinTangentNorm(PARAMS, ridge=0.4)).holds


# Oracle: NumPy's least squares. The rows depend on each other, so that no h fits.
def test_a_kernel_of_deficient_rank_is_said_and_solved_in_least_squares() -> None:
    few = ib.LeastSquares(X, _RNG.standard_normal(12))
    limit = ib.kernel_regime(few, np.ones(4))
    expected = np.linalg.lstsq(X, few.y - X @ np.ones(4))[0]
    np.testing.assert_allclose(limit.point, expected, rtol=1e-9)
    assert "rank 4 and 12 rows" in limit.certificate.sentence
    assert "No h fits" in limit.certificate.sentence
    assert limit.certificate.holds
    repeated = ib.LeastSquares(np.vstack([X[:3], X[:3]]), np.tile([1.0, 2.0, 3.0], 2))
    fitted = ib.kernel_regime(repeated, np.zeros(4))
    np.testing.assert_allclose(fitted.point, np.linalg.pinv(repeated.X) @ repeated.y, rtol=1e-9)
    assert "rank 3 and 6 rows" in fitted.certificate.sentence
    assert fitted.certificate.holds


def hard_margin(rows: ndarray, C: float = np.inf, ridge: float = 0.0) -> ndarray:
    """Return the h that cvxpy finds for signed rows of the tangent features."""
    h, e = cp.Variable(rows.shape[1]), cp.Variable(len(rows), nonneg=True)
    if np.isinf(C) and ridge == 0.0:
        objective, inside = cp.sum_squares(h) / 2, [rows @ h >= 1.0]
    else:
        price = C * cp.sum(e) if ridge == 0.0 else cp.sum_squares(e) / (2 * ridge)
        objective, inside = cp.sum_squares(h) / 2 + price, [rows @ h >= 1.0 - e]
    cp.Problem(cp.Minimize(objective), inside).solve(
        solver=cp.CLARABEL, tol_gap_rel=1e-9, tol_gap_abs=1e-9, tol_feas=1e-9
    )
    return np.asarray(h.value)


@pytest.mark.parametrize(
    ("options", "max_bytes"),
    [({}, 2**31), ({}, 1200), ({"C": 0.05}, 2**31), ({"ridge": 2.0}, 2**31)],
    ids=["hard", "by columns", "soft", "ridge"],
)
def test_classification_is_the_support_vector_machine(options: dict[str, float], max_bytes: int) -> None:
    problem = ib.Problem(model, X, Y, loss="logistic")
    limit = ib.kernel_regime(problem, PARAMS, max_bytes=max_bytes, **options)
    rows = Y[:, None] * jacobian(problem)
    expected = hard_margin(rows, **options)
    np.testing.assert_allclose(flat(limit.point), expected, rtol=1e-5, atol=1e-6 * np.max(np.abs(expected)))
    assert limit.certificate.holds
    assert limit.certificate.gap <= 1e-10
    np.testing.assert_allclose(limit.multipliers @ rows, flat(limit.point), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(limit.predict(X), jacobian(problem) @ flat(limit.point), rtol=1e-8, atol=1e-9)
    assert ib.certify(problem, limit.point, ib.MinTangentNorm(PARAMS, **options)).holds
    bent = {**limit.point, "a": 1.1 * limit.point["a"]}
    assert not ib.certify(problem, bent, ib.MinTangentNorm(PARAMS, **options)).holds


def test_several_classes_have_a_margin_for_each_pair() -> None:
    problem = ib.Problem(outputs, X, CLASSES, loss="cross_entropy")
    limit = ib.kernel_regime(problem, PARAMS)
    J = jacobian(problem).reshape(12, 3, -1)
    rows = np.array([J[i, c] - J[i, j] for i, c in enumerate(CLASSES) for j in range(3) if j != c])
    np.testing.assert_allclose(flat(limit.point), hard_margin(rows), rtol=1e-4, atol=1e-5)
    assert limit.multipliers.shape == (12, 3)
    assert np.all(limit.multipliers[np.arange(12), CLASSES] == 0.0)
    assert limit.predict(X_NEW).shape == (5, 3)
    assert limit.certificate.holds


# Oracle: scikit-learn. Mirrored rows make the intercept of SVC 0; the kernel of signed rows makes the one-class machine
# with nu = 1 / n the same program. Both stop at a gap of about 1e-6.
def test_it_agrees_with_libsvm() -> None:
    rows = np.random.default_rng(3).standard_normal((60, 90))
    y = np.where(rows[:, 0] > 0.0, 1.0, -1.0)
    limit = ib.kernel_regime(ib.Classification(rows, y), np.zeros(90))
    both, labels = np.vstack([rows, -rows]), np.concatenate([y, -y])
    svc = SVC(kernel="precomputed", C=1e10, tol=1e-9).fit(both @ both.T, labels)
    scores = svc.decision_function(rows @ both.T)
    np.testing.assert_allclose(limit.predict(rows), scores, atol=1e-6)
    signed = y[:, None] * rows
    one = OneClassSVM(kernel="precomputed", nu=1 / 60, tol=1e-9).fit(1e3 * signed @ signed.T)
    q = np.zeros(60)
    q[one.support_] = one.dual_coef_[0]
    np.testing.assert_allclose(limit.multipliers / np.sum(limit.multipliers), q / np.sum(q), atol=1e-6)


# Oracle: `max_margin`, whose dual method shares no code. Nearly dependent rows and tiny margins are hard for exchanges.
@pytest.mark.parametrize(("n", "d", "seed"), [(300, 5, 0), (300, 60, 1), (120, 200, 2), (400, 399, 3)])
def test_linear_problems_have_the_largest_l2_margin(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    problem = ib.Classification(rows, np.where(rows @ w > 0.0, 1, -1))
    limit, peer = ib.kernel_regime(problem, np.zeros(d)), ib.max_margin(problem, "l2")
    assert limit.certificate.holds
    np.testing.assert_allclose(limit.margin, peer.margin, rtol=1e-9)
    np.testing.assert_allclose(limit.point, peer.point, rtol=1e-6, atol=1e-7 * np.max(np.abs(peer.point)))


# Oracle: the combination is computed from the rows.
@pytest.mark.parametrize(("n", "d"), [(6, 1), (40, 3), (300, 20)])
def test_inseparable_data_have_a_certificate(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    rows, y = rng.standard_normal((n, d)), np.resize([1.0, -1.0, -1.0], n)
    with pytest.raises(ib.InfeasibleError, match="do not separate the data") as caught:
        ib.kernel_regime(ib.Classification(rows, y), np.zeros(d))
    q = caught.value.combination
    assert np.all(q >= 0.0)
    np.testing.assert_allclose(np.sum(q), 1.0, rtol=1e-12)
    assert np.linalg.norm((q * y) @ rows) <= 1e-9
    assert caught.value.certificate.holds
    soft = ib.kernel_regime(ib.Classification(rows, y), np.zeros(d), C=1.0)
    assert soft.certificate.holds
    assert np.max(soft.multipliers) <= 1.0


# By hand: the margin of (1, m) and -(1, -m) is m.
def test_a_tiny_margin_is_not_taken_for_inseparable_data() -> None:
    limit = ib.kernel_regime(ib.Classification([[1.0, 1e-7], [1.0, -1e-7]], [1, -1]), np.zeros(2))
    np.testing.assert_allclose(limit.margin, 1e-7, rtol=1e-9)
    assert limit.certificate.holds
    # The kernel of float64 does not resolve this margin, which is said.
    lost = ib.kernel_regime(ib.Classification([[1.0, 1e-9], [1.0, -1e-9]], [1, -1]), np.zeros(2))
    assert not lost.certificate.holds
    assert lost.status.name == "NOT_CERTIFIED"


# Theory 4.5: the early limit of U U^T - V V^T from (I, I) is the symmetric matrix with 0 in entries that are not seen.
def test_the_early_limit_of_matrix_completion_fills_in_zeros() -> None:
    seen = ib.LeastSquares.entries([0, 1, 2], [1, 2, 0], [1.0, 2.0, 3.0], (3, 3))
    limit = ib.kernel_regime(seen.reparametrize(ib.MatrixDifference()), (np.eye(3), np.eye(3)))
    entries = limit.predict(([0, 1, 0, 2], [1, 0, 0, 1]))
    np.testing.assert_allclose(entries, [1.0, 1.0, 0.0, 2.0], atol=1e-12)


def test_bad_input_is_refused() -> None:
    logistic, squared = ib.Problem(model, X, Y, loss="logistic"), ib.Problem(model, X, Y)
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    with pytest.raises(ib.InputError, match="gradient of the predictions is 0"):
        ib.kernel_regime(logistic, zeros)
    with pytest.raises(ib.InputError, match="one class only"):
        ib.kernel_regime(ib.Problem(outputs, X, np.zeros(12, int), loss="cross_entropy"), PARAMS)
    with pytest.raises(ib.InputError, match="squared one, which has no margins"):
        ib.kernel_regime(squared, PARAMS, C=1.0)
    for bad in ({"C": 0.0}, {"C": "1"}, {"ridge": -1.0}, {"ridge": np.inf}, {"max_bytes": 0}):
        with pytest.raises(ib.InputError, match=f"{next(iter(bad))} is"):
            ib.kernel_regime(logistic, PARAMS, **bad)
    with pytest.raises(ib.InputError, match="leaves of shapes"):
        ib.certify(squared, {"W": np.zeros((4, 2)), "a": np.zeros((2, 3))}, ib.MinTangentNorm(PARAMS))
    with pytest.raises(ib.ImplicitBiasError, match="may be support vectors"):
        ib.kernel_regime(logistic, PARAMS, max_bytes=100)
    with pytest.raises(ib.InputError, match="limit is one of parameters"):
        ib.kernel_regime(ib.Classification(X, Y), np.zeros(4), C=1.0).save("limit.npz")


# Oracle: `max_margin`, which shares no solver with it. More features than rows make the kernel well conditioned, so
# that projected gradient steps end alone; fewer features make it singular, so that rounds of rows follow.
@pytest.mark.parametrize("features", [600, 40])
def test_many_rows_have_the_largest_margin(features: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, features))
    y = np.sign(rng.standard_normal(300)) if features > 300 else np.sign(X @ rng.standard_normal(features))
    problem = ib.Classification(X, y)
    found = ib.kernel_regime(problem, np.zeros(features))
    assert found.certificate.holds
    np.testing.assert_allclose(found.point, ib.max_margin(problem, "l2").point, atol=1e-7)
