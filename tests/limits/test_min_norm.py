"""`ib.certify(problem, point, ib.MinNorm(gauge))` against closed forms, linear programs, cvxpy and SciPy."""

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse
from scipy.optimize import linprog, nnls

import implicitbias as ib
from tests.oracles.lp import least_l1

g = ib.gauges
inf = np.inf


def _data(n: int, d: int, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def _on_fit(X: ndarray, fit: ndarray, w: ndarray) -> ndarray:
    """The nearest point to w whose fit is exact up to rounding."""
    return w + np.linalg.lstsq(X, fit - X @ w, rcond=None)[0]


def _least(X: ndarray, y: ndarray, gauge: Any) -> tuple[float, ndarray]:
    """Value and minimiser by cvxpy, for X of full row rank."""
    w = cp.Variable(X.shape[1])
    problem = cp.Problem(cp.Minimize(gauge(w)), [X @ w == y])
    problem.solve(solver=cp.CLARABEL, tol_gap_rel=1e-10, tol_gap_abs=1e-10, tol_feas=1e-10)
    return float(problem.value), _on_fit(X, y, w.value)


C = np.random.default_rng(1).uniform(0.5, 2.0, 12)
# Strictly convex off the origin: an error e of the solver in w is one of e^2 in the gap.
SMOOTH = {
    "l2": (g.L2(), cp.norm2),
    "l1.5": (g.Lp(1.5), lambda w: cp.pnorm(w, 1.5)),
    "l3": (g.Lp(3), lambda w: cp.pnorm(w, 3)),
    "weighted l2": (g.Weighted(g.L2(), C), lambda w: cp.norm2(cp.multiply(C, w))),
    "two-sided l2": (
        g.Weighted(g.L2(), C, 2 * C),
        lambda w: cp.norm2(cp.multiply(C, cp.pos(w)) + cp.multiply(2 * C, cp.neg(w))),
    ),
}
POLYHEDRAL = {
    "l1": (g.L1(), cp.norm1),
    "linf": (g.LInf(), cp.norm_inf),
    "weighted l1": (g.WeightedL1(C), lambda w: cp.norm1(cp.multiply(C, w))),
    "two-sided l1": (
        g.TwoSidedL1(C, 3 * C),
        lambda w: cp.sum(cp.multiply(C, cp.pos(w)) + cp.multiply(3 * C, cp.neg(w))),
    ),
    "weighted linf": (g.Weighted(g.LInf(), C), lambda w: cp.norm_inf(cp.multiply(C, w))),
}


# Oracle: cvxpy's minimiser is accepted, another interpolant is refused with its excess as the gap.
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_smooth_gauges(name: str, seed: int) -> None:
    gauge, formula = SMOOTH[name]
    X, y = _data(5, 12, seed)
    problem = ib.LeastSquares(X, y)
    value, w = _least(X, y, formula)
    np.testing.assert_allclose(gauge.value(w), value, rtol=1e-8)
    certificate = ib.certify(problem, w, ib.MinNorm(gauge))
    assert certificate.holds, str(certificate)
    _refuses_longer(problem, gauge, w, value)


def _refuses_longer(problem: Any, gauge: Any, w: ndarray, value: float) -> None:
    null = np.linalg.svd(problem.X)[2][-1]
    for size in (1e-3, 1.0):
        longer = ib.certify(problem, w + size * null, ib.MinNorm(gauge))
        assert not longer.holds
        assert longer.residuals["stationarity"] <= longer.tolerance
        excess = 1.0 - value / gauge.value(w + size * null)
        np.testing.assert_allclose(longer.gap, excess, rtol=1e-4, atol=2e-8)


# Oracle: vertices from linear programs (HiGHS), exact up to rounding.
@pytest.mark.parametrize("name", POLYHEDRAL)
@pytest.mark.parametrize("seed", range(3))
def test_polyhedral_gauges(name: str, seed: int) -> None:
    gauge, formula = POLYHEDRAL[name]
    X, y = _data(5, 12, seed)
    w = _vertex(X, y, gauge)
    value = _least(X, y, formula)[0]
    np.testing.assert_allclose(gauge.value(w), value, rtol=1e-8)
    problem = ib.LeastSquares(X, y)
    certificate = ib.certify(problem, w, ib.MinNorm(gauge))
    assert certificate.holds, str(certificate)
    assert ib.certify(ib.LeastSquares(sparse.csr_array(X), y), w, ib.MinNorm(gauge)).holds
    _refuses_longer(problem, gauge, w, value)


def _vertex(X: ndarray, y: ndarray, gauge: Any) -> ndarray:
    """The minimiser over {X w = y} by a linear program in (w_plus, w_minus, t)."""
    d = X.shape[1]
    sides = gauge.sides.spread((d,))
    both = np.concatenate([sides.plus, sides.minus])
    equal = np.hstack([X, -X, np.zeros((len(y), 1))])
    if gauge.exponent == 1.0:
        answer = linprog(np.append(both, 0.0), A_eq=equal, b_eq=y, bounds=(0, None))
    else:
        below = np.hstack([np.diag(sides.plus), np.diag(sides.minus), -np.ones((d, 1))])
        cost = np.append(np.zeros(2 * d), 1.0)
        answer = linprog(cost, A_ub=below, b_ub=np.zeros(d), A_eq=equal, b_eq=y, bounds=(0, None))
    assert answer.status == 0
    return answer.x[:d] - answer.x[d : 2 * d]


# Oracle: MinL1, which has its own duals: the two criteria agree on right and wrong points, whatever the start.
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_min_l1_from_pretrained_starts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = _data(6, 14, seed)
    start = np.where(rng.random(14) < 0.3, rng.standard_normal(14), 0.0)
    q, problem = np.sign(start), ib.LeastSquares(X, y)
    gauge = g.TwoSidedL1(1 - q, 1 + q)
    path = ib.saddle_path(problem, start=start)
    for w in (path.coefficients[-1], least_l1(X, y, q)[1], least_l1(X, y)[1], path.coefficients[1]):
        ours = ib.certify(problem, w, ib.MinNorm(gauge))
        theirs = ib.certify(problem, w, ib.MinL1(start=start))
        assert ours.holds == theirs.holds, f"{ours}\n{theirs}"
    assert ib.certify(problem, path.coefficients[-1], ib.MinNorm(gauge)).holds


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_min_l1_for_growth_times(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = _data(6, 14, seed)
    times = rng.uniform(0.5, 2.0, 14), np.where(rng.random(14) < 0.3, inf, rng.uniform(0.5, 2.0, 14))
    problem = ib.LeastSquares(X, y)
    w = ib.saddle_path(problem, growth_times=times).coefficients[-1]
    for point in (w, 1.001 * w, least_l1(X, y)[1]):
        ours = ib.certify(problem, point, ib.MinNorm(g.TwoSidedL1(*times)))
        theirs = ib.certify(problem, point, ib.MinL1(growth_times=times))
        assert ours.holds == theirs.holds, f"{ours}\n{theirs}"
    assert ib.certify(problem, w, ib.MinNorm(g.TwoSidedL1(*times))).holds


# Oracle: SciPy's non-negative least squares: an infinite weight of negative entries bars them.
@pytest.mark.parametrize("seed", range(3))
def test_infinite_weights_restrict_the_minimisers(seed: int) -> None:
    X, y = _data(12, 5, seed)
    problem, gauge = ib.LeastSquares(X, y), g.TwoSidedL1(1.0, inf)
    w = nnls(X, y)[0]
    certificate = ib.certify(problem, w, ib.MinNorm(gauge))
    assert certificate.holds, str(certificate)
    assert "at which it is finite" in certificate.sentence
    free = np.linalg.lstsq(X, y, rcond=None)[0]
    assert np.min(free) < 0.0
    refused = ib.certify(problem, free, ib.MinNorm(gauge))
    assert not refused.holds
    assert refused.gap == inf
    # Without the weights it is the other way round.
    assert ib.certify(problem, free, ib.MinNorm(g.L1())).holds
    assert not ib.certify(problem, w, ib.MinNorm(g.L1())).holds


# Oracle: by hand: entries of weight 0 are free of cost, so that they take over what they can.
def test_zero_weights() -> None:
    problem = ib.LeastSquares([[1.0, 2.0, 0.0], [1.0, 2.0, 1.0]], [2.0, 5.0])
    criterion = ib.MinNorm(g.WeightedL1([0.0, 1.0, 1.0]))
    assert ib.certify(problem, [2.0, 0.0, 3.0], criterion).holds
    refused = ib.certify(problem, [0.0, 1.0, 3.0], criterion)
    assert not refused.holds
    np.testing.assert_allclose(refused.gap, 0.25, rtol=1e-6)
    assert ib.certify(problem, [2.0, 0.0, 3.0], ib.MinNorm(g.WeightedL1(0.0))).holds


def _completion(shape: tuple[int, int], rank: int, count: int, seed: int) -> tuple[Any, ndarray]:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    places = rng.permutation(M.size)[:count]
    rows, cols = np.unravel_index(places, shape)
    return ib.LeastSquares.entries(rows, cols, M[rows, cols], shape), M


# Oracle: cvxpy: where its least nuclear norm is that of the planted matrix, the matrix is certified, else refused.
@pytest.mark.parametrize("count", [22, 30, 36])
@pytest.mark.parametrize("seed", range(4))
def test_nuclear_norm_of_completions(count: int, seed: int) -> None:
    problem, M = _completion((7, 6), 1, count, seed)
    W = cp.Variable(M.shape)
    seen = np.zeros(M.shape)
    seen[problem.rows, problem.cols] = 1.0
    oracle = cp.Problem(cp.Minimize(cp.normNuc(W)), [cp.multiply(seen, W) == seen * M])
    oracle.solve(solver=cp.CLARABEL)
    planted = g.Nuclear().value(M)
    certificate = ib.certify(problem, M, ib.MinNorm(g.Nuclear()))
    assert certificate.holds == (oracle.value > (1 - 1e-6) * planted), str(certificate)
    np.testing.assert_allclose(certificate.gap, 1 - oracle.value / planted, rtol=1e-3, atol=1e-6)
    # Off by one hidden entry: stationary, and longer.
    other = M.copy()
    other[tuple(np.argwhere(seen == 0.0)[0])] += 0.01
    refused = ib.certify(problem, other, ib.MinNorm(g.Nuclear()))
    assert not refused.holds
    assert refused.residuals["stationarity"] <= refused.tolerance


# Oracle: by hand: hidden entries of a completion add to every norm of entries.
def test_norms_of_entries() -> None:
    problem = ib.LeastSquares.entries([0, 1], [0, 1], [3.0, -4.0], (2, 2))
    W = np.diag([3.0, -4.0])
    for gauge in (g.L1(), g.L2(), g.LInf(), g.Nuclear(), g.WeightedL1(np.ones((2, 2)))):
        assert ib.certify(problem, W, ib.MinNorm(gauge)).holds
    full = np.array([[3.0, 0.5], [0.0, -4.0]])
    assert not ib.certify(problem, full, ib.MinNorm(g.L2())).holds
    # The largest entry hides smaller ones.
    assert ib.certify(problem, full, ib.MinNorm(g.LInf())).holds


# Oracle: by hand: entries that are listed twice make dependent rows.
def test_entries_listed_twice() -> None:
    problem = ib.LeastSquares.entries([0, 0, 1], [0, 0, 1], [2.0, 4.0, 1.0], (2, 2))
    assert ib.certify(problem, np.diag([3.0, 1.0]), ib.MinNorm(g.Nuclear())).holds
    assert not ib.certify(problem, np.diag([2.0, 1.0]), ib.MinNorm(g.Nuclear())).holds


# Oracle: the least l2 norm is the pseudo-inverse, whatever the rank and however tall.
@pytest.mark.parametrize(("n", "d", "rank"), [(5, 12, 5), (12, 5, 5), (8, 10, 4), (10, 8, 3)])
def test_least_l2_norm_of_any_rank(n: int, d: int, rank: int) -> None:
    rng = np.random.default_rng([n, d])
    X = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    y = rng.standard_normal(n)
    problem, w = ib.LeastSquares(X, y), np.linalg.pinv(X) @ y
    assert ib.certify(problem, w, ib.MinNorm(g.L2())).holds
    assert not ib.certify(problem, 0.999 * w, ib.MinNorm(g.L2())).holds
    if rank < d:
        null = np.linalg.svd(X)[2][-1]
        assert not ib.certify(problem, w + 0.01 * null, ib.MinNorm(g.L2())).holds


# Oracle: theory 1.12: ties and a degenerate dual; l1 by linear programming.
@pytest.mark.parametrize("seed", range(10))
def test_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.choice([-1.0, 1.0], (6, 16))
    planted = np.zeros(16)
    planted[:2] = rng.integers(1, 4, 2)
    problem, y = ib.LeastSquares(X, X @ planted), X @ planted
    value, w = least_l1(X, y)
    assert ib.certify(problem, w, ib.MinNorm(g.L1())).holds
    planted_is_least = np.sum(planted) <= value * (1 + 1e-9)
    assert ib.certify(problem, planted, ib.MinNorm(g.L1())).holds == planted_is_least


# Oracle: the same numbers in another unit.
@pytest.mark.parametrize("unit", [1e-130, 1e-12, 1e12, 1e130])
def test_units_do_not_matter(unit: float) -> None:
    X, y = _data(6, 15, 2)
    for gauge, w in ((g.L1(), least_l1(X, y)[1]), (g.L2(), np.linalg.pinv(X) @ y)):
        for problem, point in (
            (ib.LeastSquares(X, unit * y), unit * w),
            (ib.LeastSquares(unit * X, unit * y), w),
        ):
            assert ib.certify(problem, point, ib.MinNorm(gauge)).holds
            assert not ib.certify(problem, 1.0001 * point, ib.MinNorm(gauge)).holds
            assert not ib.certify(problem, 0 * point, ib.MinNorm(gauge)).holds


def test_columns_of_other_units() -> None:
    X, y = _data(6, 15, 3)
    scales = 10.0 ** np.random.default_rng(0).uniform(-8, 8, 15)
    w = least_l1(X, y)[1]
    problem, gauge = ib.LeastSquares(X * scales, y), g.WeightedL1(scales)
    assert ib.certify(problem, w / scales, ib.MinNorm(gauge)).holds
    assert not ib.certify(problem, (w + 0.01 * np.linalg.svd(X)[2][-1]) / scales, ib.MinNorm(gauge)).holds


# Oracle: by hand: the zero vector.
def test_the_zero_vector() -> None:
    for gauge in (g.L1(), g.L2(), g.LInf()):
        criterion = ib.MinNorm(gauge)
        assert ib.certify(ib.LeastSquares(np.eye(2), [0, 0]), [0, 0], criterion).holds
        assert ib.certify(ib.LeastSquares([[1.0], [-1.0]], [1, 1]), [0], criterion).holds
        assert not ib.certify(ib.LeastSquares(np.eye(2), [1, 0]), [0, 0], criterion).holds
        assert not ib.certify(ib.LeastSquares(np.zeros((2, 2)), [1, 0]), [1, 0], criterion).holds


# Oracle: Lagrange: X^T (X A^-1 X^T)^-1 y in the inner product of A.
def test_ellipsoids() -> None:
    X, y = _data(3, 8, 0)
    B = np.random.default_rng(0).standard_normal((8, 8))
    A = B @ B.T + np.eye(8)
    problem, criterion = ib.LeastSquares(X, y), ib.MinNorm(g.Ellipsoid(A))
    w = np.linalg.solve(A, X.T) @ np.linalg.solve(X @ np.linalg.solve(A, X.T), y)
    assert ib.certify(problem, w, criterion).holds
    assert not ib.certify(problem, np.linalg.pinv(X) @ y, criterion).holds


# Oracle: the ellipsoid of A has the least norm X^T (X A^-1 X^T)^-1 y, by Lagrange; no conic form is needed.
def test_a_gauge_by_oracle() -> None:
    X, y = _data(3, 8, 0)
    B = np.random.default_rng(0).standard_normal((8, 8))
    A = B @ B.T + np.eye(8)
    gauge = g.FromOracle(
        lambda w: np.sqrt(w @ A @ w),
        lambda w: A @ w / (np.sqrt(w @ A @ w) or 1.0),
        lambda z: np.linalg.solve(A, z) / (np.sqrt(z @ np.linalg.solve(A, z)) or 1.0),
    )
    problem = ib.LeastSquares(X, y)
    w = np.linalg.solve(A, X.T) @ np.linalg.solve(X @ np.linalg.solve(A, X.T), y)
    assert ib.certify(problem, w, ib.MinNorm(gauge)).holds
    refused = ib.certify(problem, np.linalg.pinv(X) @ y, ib.MinNorm(gauge))
    assert not refused.holds
    assert refused.gap >= 1 - gauge.value(w) / gauge.value(np.linalg.pinv(X) @ y)


def test_bad_input() -> None:
    problem = ib.LeastSquares(np.eye(3), [1, 2, 3])
    for bad, words in (
        ("l1", r"gauge is 'l1'.*MinNorm\(ib\.gauges\.L1\(\)\)"),
        (g.L1, "a gauge is expected"),
    ):
        with pytest.raises(ib.InputError, match=words):
            ib.MinNorm(bad)
    with pytest.raises(ib.InputError, match="point has 2 entries"):
        ib.certify(problem, [1, 2], ib.MinNorm(g.L1()))
    with pytest.raises(ib.InputError, match=r"point has shape \(3,\), a matrix is expected by Nuclear"):
        ib.certify(problem, [1, 2, 3], ib.MinNorm(g.Nuclear()))
    with pytest.raises(ib.InputError, match=r"point has shape \(3,\), \(2,\) is expected.*WeightedL1"):
        ib.certify(problem, [1, 2, 3], ib.MinNorm(g.WeightedL1([1.0, 2.0])))
    labels = ib.Classification(np.eye(2), [1, 2])
    with pytest.raises(ib.InputError, match=r"Classification, MinNorm expects a least-squares problem"):
        ib.certify(labels, [1, 2], ib.MinNorm(g.L1()))
