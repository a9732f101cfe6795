"""`ib.certify(problem, point, ib.MinL1())` judges right and wrong answers, whoever made them."""

import inspect
from fractions import Fraction

import numpy as np
import pytest
from numpy import ndarray
from sklearn.linear_model import Lasso, lars_path

import implicitbias as ib
from implicitbias._core.linear_maps import DenseMap
from implicitbias.limits._dual_values import exact_dual
from tests.oracles.lp import least_l1


def _data(n: int, d: int, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    return rng.standard_normal((n, d)), rng.standard_normal(n)


# Oracle: scikit-learn's LARS, right on data in general position; its end is the least l1 norm.
@pytest.mark.parametrize(("n", "d"), [(8, 20), (5, 40), (20, 6)])
@pytest.mark.parametrize("seed", range(3))
def test_the_right_answer_of_another_library_is_certified(n: int, d: int, seed: int) -> None:
    X, y = _data(n, d, seed)
    w = lars_path(X, y, method="lasso")[2][:, -1]
    certificate = ib.certify(ib.LeastSquares(X, y), w, ib.MinL1())
    assert certificate.holds, str(certificate)
    assert certificate.gap <= certificate.tolerance
    assert all(value >= 0.0 for value in certificate.residuals.values())


# Oracle: theory 1.12: LARS is wrong on ties, and says nothing.
def test_the_wrong_answer_of_another_library_is_refused() -> None:
    y = np.array([1.0, 1, 1, -1, 2, 2])
    problem = ib.LeastSquares(np.eye(6), y)
    assert not ib.certify(problem, [2.0, 1, 4, -3, 6, 5], ib.MinL1()).holds
    assert ib.certify(problem, y, ib.MinL1()).holds


# Oracle: a Lasso with a small penalty is close to the least l1 norm and not at it.
def test_a_lasso_with_a_penalty_is_refused_as_not_stationary() -> None:
    X, y = _data(8, 20, 0)
    w = Lasso(alpha=1e-4, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y).coef_
    certificate = ib.certify(ib.LeastSquares(X, y), w, ib.MinL1())
    assert not certificate.holds
    assert certificate.residuals["stationarity"] > certificate.tolerance


# Oracle: linear algebra: another interpolant is stationary, its norm larger by a known amount.
@pytest.mark.parametrize("size", [1e-7, 1e-4, 1.0])
def test_an_interpolant_that_is_longer_is_refused_with_its_gap(size: float) -> None:
    X, y = _data(6, 15, 1)
    problem = ib.LeastSquares(X, y)
    value, best = least_l1(X, y)
    null = np.linalg.svd(X)[2][-1]
    w = best + size * null
    certificate = ib.certify(problem, w, ib.MinL1())
    assert not certificate.holds
    assert certificate.residuals["stationarity"] <= certificate.tolerance
    # The gap is relative to ||w||_1 and the dual optimal, so it is the excess itself.
    longer = np.sum(np.abs(w))
    np.testing.assert_allclose(certificate.gap, (longer - value) / longer, rtol=1e-2, atol=1e-9)


# Oracle: by hand; the certificate also knows every point of a face of minimisers.
def test_every_minimiser_of_a_tie_is_certified() -> None:
    problem = ib.LeastSquares([[1, 1, -1], [2, 2, -2]], [3, 6])
    for w in ([3, 0, 0], [1, 1, -1], [0, 0, -3], [0.5, 2.5, 0]):
        assert ib.certify(problem, w, ib.MinL1()).holds
    assert not ib.certify(problem, [4, 0, 1], ib.MinL1()).holds


# Oracle: by hand: 0 is the answer exactly where y is orthogonal to the columns.
def test_the_zero_vector() -> None:
    assert ib.certify(ib.LeastSquares(np.eye(2), [0, 0]), [0, 0], ib.MinL1()).holds
    assert ib.certify(ib.LeastSquares([[1.0], [-1.0]], [1, 1]), [0], ib.MinL1()).holds
    refused = ib.certify(ib.LeastSquares(np.eye(2), [1, 0]), [0, 0], ib.MinL1())
    assert not refused.holds
    assert refused.residuals["stationarity"] == 1.0


# Oracle: by hand: a column of zeros can only lengthen w.
def test_weight_on_a_column_of_zeros_is_refused() -> None:
    problem = ib.LeastSquares([[1.0, 0.0], [1.0, 0.0]], [2.0, 2.0])
    assert ib.certify(problem, [2, 0], ib.MinL1()).holds
    certificate = ib.certify(problem, [2, 1], ib.MinL1())
    assert not certificate.holds
    np.testing.assert_allclose(certificate.gap, 1 / 3, rtol=1e-9)


# Oracle: linear programming with the signs of the start in the objective (theory 1.3).
@pytest.mark.parametrize("seed", range(6))
def test_pretrained_starts_change_the_objective(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = _data(7, 16, seed)
    start = np.where(rng.random(16) < 0.3, rng.standard_normal(16), 0.0)
    problem, criterion = ib.LeastSquares(X, y), ib.MinL1(start=start)
    path = ib.saddle_path(problem, start=start)
    w, q = path.coefficients[-1], np.sign(start)
    value, other = least_l1(X, y, q)
    np.testing.assert_allclose(np.sum(np.abs(w)) - q @ w, value, rtol=0, atol=1e-9 * np.sum(np.abs(w)))
    assert path.certificate.holds
    assert ib.certify(problem, w, criterion).holds
    assert ib.certify(problem, other, criterion).holds
    # The minimiser without a start is another point here, and not optimal for this objective.
    assert not ib.certify(problem, least_l1(X, y)[1], criterion).holds


# Oracle: a guess of the sceptic: units must not matter.
@pytest.mark.parametrize("unit", [1e-100, 1e-12, 1.0, 1e12, 1e100])
def test_units_do_not_matter(unit: float) -> None:
    X, y = _data(6, 15, 2)
    w = least_l1(X, y)[1]
    for problem, point in (
        (ib.LeastSquares(X, unit * y), unit * w),
        (ib.LeastSquares(unit * X, unit * y), w),
    ):
        assert ib.certify(problem, point, ib.MinL1()).holds
        assert not ib.certify(problem, 1.0001 * point, ib.MinL1()).holds
        assert not ib.certify(problem, 0 * point, ib.MinL1()).holds


PROBLEM = ib.LeastSquares(np.eye(3), [1, 2, 3])


@pytest.mark.parametrize(
    ("point", "word"),
    [
        ([1, 2], "2 entries"),
        ([[1, 2, 3]], "ravel"),
        ([1, 2, np.nan], "NaN"),
        ("abc", "point"),
        (None, "point"),
        (1.0, "shape"),
    ],
)
def test_bad_points_are_refused(point: object, word: str) -> None:
    with pytest.raises(ib.InputError, match=word):
        ib.certify(PROBLEM, point, ib.MinL1())


def test_a_class_for_a_criterion_is_told_apart() -> None:
    # Unwrapped: with run-time type checks on, the annotation would speak first.
    certify = inspect.unwrap(ib.certify)
    with pytest.raises(ib.InputError, match=r"MinL1 \(the class\).*ib\.MinL1\(\)"):
        certify(PROBLEM, [1, 2, 3], ib.MinL1)
    with pytest.raises(ib.InputError, match="an instance such as"):
        certify(PROBLEM, [1, 2, 3], "min l1")


def test_a_start_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ib.InputError, match=r"start has 2 entries.*3 columns"):
        ib.certify(PROBLEM, [1, 2, 3], ib.MinL1(start=[1, 0]))


def test_a_problem_that_is_none_is_refused() -> None:
    with pytest.raises(ib.InputError, match="LeastSquares"):
        ib.certify(np.eye(3), [1, 2, 3], ib.MinL1())


def test_rounding_is_no_proof() -> None:
    # Oracle: two exact interpolants by hand, of l1 norms 2 and 1.875, so that the first is no minimiser. Its dual is
    # a sum of terms of size 1e12; a bound on rounding that ignored which rows are zero once excused everything.
    small = 3e-12
    X = np.zeros((2000, 3))
    X[0], X[1] = [1.0, 1.0, 0.5], [0.0, small, -0.3 * small]
    problem = ib.LeastSquares(X, X @ [1.0, -1.0, 0.0])
    assert not ib.certify(problem, [1.0, -1.0, 0.0], ib.MinL1()).holds


def test_columns_of_zeros_are_judged() -> None:
    problem = ib.LeastSquares(np.zeros((3, 2)), [1.0, 2.0, 3.0])
    assert ib.certify(problem, [0.0, 0.0], ib.MinL1()).holds
    assert not ib.certify(problem, [1.0, 0.0], ib.MinL1()).holds


def test_exact_dual_is_the_rounded_exact_sum() -> None:
    # Oracle: fractions.
    rng = np.random.default_rng(0)
    X, parts = rng.standard_normal((7, 3)) * 10.0 ** rng.uniform(-6, 6, 3), rng.standard_normal((2, 7))
    parts[0] *= 1e9
    s, _ = exact_dual(DenseMap(X), np.zeros(3), parts, np.ones(3, dtype=bool))
    for i in range(3):
        exact = sum(Fraction(X[j, i]) * Fraction(part[j]) for part in parts for j in range(7))
        assert s[i] == float(exact)
