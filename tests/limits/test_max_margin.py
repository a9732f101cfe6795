"""`ib.max_margin` against cvxpy, scikit-learn's SVM, linear programs, closed forms, and its own symmetries."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray
from scipy import sparse
from scipy.optimize import linprog
from sklearn.svm import SVC

import implicitbias as ib
from tests.laws.registry import GAUGES
from tests.oracles.margins import least_gauge, least_norm_on_face

g = ib.gauges
VECTORS = {name: case for name, case in GAUGES.items() if len(case.shape) == 1}
HORIZONS: dict[str, Any] = {"l1": "l1", "l2": "l2", "linf": "linf", "l1.2": 1.2, "l3": 3, "l10": 10}
every_horizon = pytest.mark.parametrize("horizon", list(HORIZONS.values()), ids=list(HORIZONS))


def separable(n: int, d: int, seed: int = 0, shift: float = 0.0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    X, w = rng.standard_normal((n, d)), rng.standard_normal(d)
    return X, np.where(X @ w + shift > 0.0, 1.0, -1.0)


def solved(X: Any, y: Any, horizon: Any, bias: bool = False) -> ib.Limit:
    """The limit, with the identities that hold for every one."""
    problem = ib.Classification(X, y)
    limit = ib.max_margin(problem, horizon, bias)
    assert limit.certificate.holds, str(limit.certificate)
    assert limit.certificate.gap <= 1e-10
    assert limit.status.ok
    margins = problem.margins(limit.point) + problem.y * (limit.bias or 0.0)
    assert abs(np.min(margins) - 1.0) <= 1e-8
    assert limit.margin == (1.0 / limit.value if limit.value > 0.0 else np.inf)
    assert np.all(limit.multipliers >= 0.0)
    np.testing.assert_array_equal(limit.support, np.flatnonzero(limit.multipliers))
    combination = problem.linear_map.rmatvec(problem.y * limit.multipliers)
    np.testing.assert_allclose(limit.dual, combination, atol=1e-12 * np.max(np.abs(combination)))
    np.testing.assert_allclose(np.sum(limit.multipliers), limit.value, rtol=1e-9)
    if bias:
        assert abs(problem.y @ limit.multipliers) <= 1e-10 * limit.value
    return limit


# Oracle: cvxpy with Clarabel, whose error is about 1e-8.
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", VECTORS)
def test_every_gauge_against_cvxpy(name: str, bias: bool) -> None:
    case = VECTORS[name]
    d = case.shape[0]
    X, rng = np.random.default_rng(d).standard_normal((9, d)), np.random.default_rng(2)
    # Only signs of finite weight, so that the data are separable in this gauge.
    w = case.gauge.to_domain(rng.standard_normal(d), np.zeros(d))
    y = np.where(X @ w + 0.3 * bias > 0.0, 1.0, -1.0)
    expected = least_gauge(X, y, case.formula, case.constraints, bias=bias)
    limit = solved(X, y, case.gauge, bias)
    np.testing.assert_allclose(limit.value, expected, rtol=1e-6, atol=1e-7)


# Oracle: linear programs as a user writes them.
@pytest.mark.parametrize(("n", "d"), [(8, 30), (40, 6), (20, 20), (400, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_l1_and_linf_against_linear_programs(n: int, d: int, seed: int) -> None:
    X, y = separable(n, d, seed)
    A = y[:, None] * X
    l1 = linprog(np.ones(2 * d), A_ub=-np.hstack([A, -A]), b_ub=-np.ones(n), bounds=(0, None))
    np.testing.assert_allclose(solved(X, y, "l1").value, l1.fun, rtol=1e-7)
    box = np.vstack([np.hstack([np.eye(d), -np.ones((d, 1))]), np.hstack([-np.eye(d), -np.ones((d, 1))])])
    below = np.vstack([np.hstack([-A, np.zeros((n, 1))]), box])
    linf = linprog(
        np.eye(d + 1)[-1], A_ub=below, b_ub=np.r_[-np.ones(n), np.zeros(2 * d)], bounds=(None, None)
    )
    np.testing.assert_allclose(solved(X, y, "linf").value, linf.fun, rtol=1e-7)


# Oracle: scikit-learn's SVM with an intercept, whose gap is about 1e-6.
@pytest.mark.parametrize("seed", range(3))
def test_l2_against_libsvm(seed: int) -> None:
    X, y = separable(60, 5, seed, shift=0.5)
    limit = solved(X, y, "l2", bias=True)
    svm = SVC(kernel="linear", C=1e8, tol=1e-8).fit(X, y)
    np.testing.assert_allclose(limit.point, svm.coef_[0], rtol=1e-4)
    np.testing.assert_allclose(limit.bias, svm.intercept_[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(limit.support, svm.support_[np.argsort(svm.support_)])


# Oracle: by hand. x and -x with opposite labels: the margin of w is <x, w>, so the limit is a maximiser of z = x.
@every_horizon
def test_two_opposite_points(horizon: Any) -> None:
    x = np.array([2.0, -1.0, 0.5])
    limit = solved([x, -x], [1, 0], horizon)
    gauge = ib.MaxMargin(horizon).horizon
    np.testing.assert_allclose(limit.margin, gauge.polar().value(x), rtol=1e-10)
    if limit.status is ib.Status.CONVERGED and gauge.exponent < np.inf:
        np.testing.assert_allclose(limit.point / limit.value, gauge.face(x).point(), atol=1e-5)


# Oracle: by hand. With an intercept only x - x' counts, and the midpoint is on the boundary.
@every_horizon
def test_two_points_with_an_intercept(horizon: Any) -> None:
    a, b = np.array([3.0, 1.0]), np.array([1.0, 0.0])
    limit = solved([a, b], ["yes", "no"], horizon, bias=True)
    gauge = ib.MaxMargin(horizon).horizon
    np.testing.assert_allclose(limit.margin, gauge.polar().value(a - b) / 2.0, rtol=1e-10)
    np.testing.assert_allclose(limit.point @ (a + b) / 2.0 + limit.bias, 0.0, atol=1e-9)


# Oracle: by hand, x + y = 1/2 is at equal distance of the three points of scikit-learn's issue 18606.
def test_three_points_with_a_tied_margin() -> None:
    X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [0, 1, 1]
    for horizon in HORIZONS.values():
        limit = solved(X, y, horizon, bias=True)
        np.testing.assert_allclose(limit.point, [2.0, 2.0], rtol=1e-9)
        np.testing.assert_allclose(limit.bias, -1.0, rtol=1e-9)


# Law: a permutation of rows and columns, changes of sign and of unit, and repeated rows change nothing else.
@every_horizon
@pytest.mark.parametrize("bias", [False, True])
def test_equivariance(horizon: Any, bias: bool) -> None:
    X, y = separable(25, 8, shift=0.4 * bias)
    limit = solved(X, y, horizon, bias)
    rng = np.random.default_rng(3)
    rows, columns, signs = rng.permutation(25), rng.permutation(8), rng.choice([-1.0, 1.0], 8)
    moved = solved((X * signs)[rows][:, columns], y[rows], horizon, bias)
    np.testing.assert_allclose(moved.point, (limit.point * signs)[columns], rtol=1e-6, atol=1e-9)
    for unit in (1e-130, 1e-3, 1e130):
        scaled = solved(unit * X, y, horizon, bias)
        np.testing.assert_allclose(scaled.point * unit, limit.point, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(scaled.value * unit, limit.value, rtol=1e-9)
    repeated = solved(np.vstack([X, X, X[:3]]), np.concatenate([y, y, y[:3]]), horizon, bias)
    np.testing.assert_allclose(repeated.point, limit.point, rtol=1e-6, atol=1e-9)
    flipped = solved(X, -y, horizon, bias)
    np.testing.assert_allclose(flipped.point, -limit.point, rtol=1e-6, atol=1e-9)


def test_l2_is_equivariant_under_rotations() -> None:
    X, y = separable(25, 8)
    turn = np.linalg.qr(np.random.default_rng(4).standard_normal((8, 8)))[0]
    np.testing.assert_allclose(solved(X @ turn, y, "l2").point, solved(X, y, "l2").point @ turn, atol=1e-9)


# Oracle: cvxpy's least-norm point under the value as a constraint.
@pytest.mark.parametrize(("horizon", "formula"), [("l1", "norm1"), ("linf", "norm_inf")])
def test_the_canonical_point_of_many_solutions(horizon: str, formula: str) -> None:
    X, y = separable(12, 4)
    X = np.hstack([X, X[:, :2], np.zeros((12, 1))])  # equal columns share their weight in many ways
    limit = solved(X, y, horizon)
    assert limit.status is ib.Status.NOT_UNIQUE
    assert "Several points" in limit.certificate.note
    expected = least_norm_on_face(X, y, lambda cp, w: getattr(cp, formula)(w), limit.value)
    np.testing.assert_allclose(limit.point, expected, atol=1e-4 * np.max(np.abs(expected)))
    assert np.linalg.norm(limit.point) <= np.linalg.norm(expected) * (1.0 + 1e-6)


@pytest.mark.parametrize("horizon", ["l1", "l2", "linf", 3])
def test_sparse_and_frames_give_the_dense_answer(horizon: Any) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 60)) * (rng.uniform(size=(40, 60)) < 0.3)
    y = np.where(rng.uniform(size=40) < 0.5, "a", "b")
    dense = solved(X, y, horizon)
    for other in (sparse.csr_matrix(X), sparse.coo_array(X), pd.DataFrame(X)):
        np.testing.assert_allclose(solved(other, y, horizon).point, dense.point, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(dense.predict(sparse.csr_array(X)), X @ dense.point, atol=1e-12)


# Oracle: the certificate, and a solution on all columns at once for the smaller problem.
@pytest.mark.parametrize(
    ("n", "d", "horizon"), [(50, 3000, "l1"), (3000, 20, "l1"), (3000, 20, "l2"), (3000, 20, "linf")]
)
def test_working_sets(n: int, d: int, horizon: str) -> None:
    X, y = separable(n, d)
    limit = solved(X, y, horizon)
    kept = np.union1d(limit.support, np.arange(0, n, 10))
    np.testing.assert_allclose(solved(X[kept], y[kept], horizon).point, limit.point, rtol=1e-6, atol=1e-9)
    if horizon == "l1":
        columns = np.flatnonzero(limit.point)
        np.testing.assert_allclose(solved(X[:, columns], y, horizon).value, limit.value, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(100_000, 50), (100, 100_000)])
@pytest.mark.parametrize("horizon", ["l1", "l2", "linf"])
def test_many_rows_or_columns(n: int, d: int, horizon: str) -> None:
    solved(*separable(n, d), horizon)


@pytest.mark.slow
@pytest.mark.parametrize("horizon", ["l1", "l2", "linf"])
def test_a_large_sparse_matrix(horizon: str) -> None:
    X = sparse.random_array((100_000, 200), density=0.02, rng=np.random.default_rng(0), format="csc")
    w = np.random.default_rng(1).standard_normal(200)
    score = X @ w
    kept = np.abs(score) > 0.05
    solved(X.tocsr()[kept], np.sign(score[kept]), horizon)


def test_the_criterion_judges_any_point() -> None:
    X, y = separable(30, 4, shift=0.3)
    problem = ib.Classification(X, y)
    for horizon in (1.5, "l1"):
        limit = ib.max_margin(problem, horizon, bias=True)
        assert ib.certify(problem, 7.0 * limit.point, ib.MaxMargin(horizon, bias=True)).holds
        other = limit.point + 0.01 * np.arange(4) * np.max(np.abs(limit.point))
        worse = ib.certify(problem, other, ib.MaxMargin(horizon, bias=True))
        assert not worse.holds
        # The gap is the relative loss of margin, for the best intercept of the point.
        scores = problem.X @ other
        margin = (
            (np.min(scores[y > 0]) - np.max(scores[y < 0])) / 2.0 / ib.MaxMargin(horizon).horizon.value(other)
        )
        np.testing.assert_allclose(worse.gap, 1.0 - margin * limit.value, rtol=1e-6)
    assert not ib.certify(problem, np.zeros(4), ib.MaxMargin("l2", bias=True)).holds
    assert not ib.certify(problem, -limit.point, ib.MaxMargin("l2", bias=True)).holds


def test_a_potential_stands_for_its_horizon() -> None:
    X, y = separable(20, 5)
    A = np.diag(np.arange(1.0, 6.0)) + 0.2
    pairs = [
        (ib.HyperbolicEntropy(0.1), "l1"),
        (ib.SquaredNorm(), "l2"),
        (ib.QuadraticForm(A), g.Ellipsoid(A)),
    ]
    for potential, horizon in pairs:
        np.testing.assert_array_equal(solved(X, y, potential).point, solved(X, y, horizon).point)


# Oracle: by hand. The first feature costs nothing and separates, so the margin has no bound.
def test_a_feature_without_cost_that_separates() -> None:
    limit = ib.max_margin(ib.Classification([[1.0, 3.0], [-1.0, 2.0]], [1, -1]), g.WeightedL1([0.0, 1.0]))
    assert limit.value == 0.0
    assert limit.margin == np.inf
    assert limit.certificate.holds


def test_limits_are_saved(tmp_path: Path) -> None:
    problem = ib.Classification(*separable(10, 3, shift=0.2))
    limit = ib.max_margin(problem, "l2", bias=True)
    limit.save(tmp_path / "limit.npz")
    loaded = ib.Limit.load(tmp_path / "limit.npz", like=problem)
    for name in ("point", "multipliers", "dual", "support"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(limit, name))
    assert (loaded.margin, loaded.bias, loaded.value) == (limit.margin, limit.bias, limit.value)
    assert loaded.certificate.gap == limit.certificate.gap
