"""The path with growth times: thresholds of s other than 1, against slow plain versions, rescaling and programs."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import linprog, nnls

import implicitbias as ib
from tests.oracles.naive import naive_path

# As in test_saddle_path_naive.py: cond(X_A) units of rounding on both sides.
CLOSE = 1e-8


def _data(n: int, d: int, seed: int) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return X, y, rng.uniform(0.2, 3.0, d), rng.uniform(0.2, 3.0, d)


# Oracle: slow naive version (SciPy nnls at every jump).
@pytest.mark.parametrize(("n", "d"), [(12, 5), (5, 12), (10, 30), (20, 60)])
@pytest.mark.parametrize("seed", range(4))
def test_any_thresholds(n: int, d: int, seed: int) -> None:
    X, y, plus, minus = _data(n, d, seed)
    slow = naive_path(X, y, growth=(plus, minus))
    path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=(plus, minus))
    np.testing.assert_allclose(path.times, slow.times, rtol=CLOSE)
    scale = np.max(np.abs(slow.coefficients))
    np.testing.assert_allclose(path.coefficients, slow.coefficients, rtol=0, atol=CLOSE * scale)
    np.testing.assert_allclose(path.dual, slow.s, rtol=0, atol=CLOSE)
    assert path.certificate.holds, str(path.certificate)


# Oracle: slow naive version from the same start.
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_and_a_pretrained_start(seed: int) -> None:
    X, y, plus, minus = _data(8, 14, seed)
    start = np.where(np.arange(14) % 4 == seed % 4, np.random.default_rng(seed).standard_normal(14), 0.0)
    slow = naive_path(X, y, start, (plus, minus))
    path = ib.saddle_path(ib.LeastSquares(X, y), start=start, growth_times=(plus, minus))
    np.testing.assert_allclose(path.times[1:], slow.times, rtol=CLOSE)
    np.testing.assert_allclose(path.coefficients[1:], slow.coefficients, rtol=0, atol=CLOSE)
    assert path.certificate.holds, str(path.certificate)
    claim = ib.MinL1(start=start, growth_times=(plus, minus))
    assert ib.certify(path.problem, path.coefficients[-1], claim).holds


# Oracle: w_i -> w_i / t_i turns thresholds t_i on both sides into 1.
def test_equal_thresholds_are_a_change_of_unit() -> None:
    X, y, times, _ = _data(10, 25, 0)
    plain = ib.saddle_path(ib.LeastSquares(X / times, y))
    path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=(times, times))
    np.testing.assert_allclose(path.times, plain.times, rtol=CLOSE)
    np.testing.assert_allclose(path.coefficients * times, plain.coefficients, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(path.dual / times, plain.dual, rtol=0, atol=CLOSE)


def test_one_number_for_all_halves_the_clock() -> None:
    X, y, _, _ = _data(6, 9, 0)
    plain = ib.saddle_path(ib.LeastSquares(X, y))
    path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=(0.5, 0.5))
    np.testing.assert_allclose(path.times, plain.times / 2, rtol=1e-12)
    np.testing.assert_allclose(path.coefficients, plain.coefficients, rtol=0, atol=1e-12)
    assert plain.growth_times is None
    assert path.growth_times[0].tolist() == [0.5] * 9


# Oracle: linear program in (w+, w-), HiGHS.
@pytest.mark.parametrize("seed", range(6))
def test_the_end_has_the_least_modified_norm(seed: int) -> None:
    X, y, plus, minus = _data(8, 20, seed)
    path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=(plus, minus))
    w = path.coefficients[-1]
    answer = linprog(np.concatenate([plus, minus]), A_eq=np.hstack([X, -X]), b_eq=y, bounds=(0, None))
    norm = plus @ np.maximum(w, 0.0) + minus @ np.maximum(-w, 0.0)
    assert norm == pytest.approx(answer.fun, rel=1e-8)
    claim = ib.MinL1(growth_times=(plus, minus))
    assert ib.certify(path.problem, w, claim).holds
    # Of least l1 norm is another point, and neither is taken for the other.
    other = ib.saddle_path(path.problem).coefficients[-1]
    assert not ib.certify(path.problem, other, claim).holds
    assert not ib.certify(path.problem, w, ib.MinL1()).holds


# Oracle: SciPy's non-negative least squares.
@pytest.mark.parametrize(("n", "d"), [(20, 6), (6, 20)])
def test_a_sign_that_is_never_taken(n: int, d: int) -> None:
    X, y, plus, _ = _data(n, d, 3)
    path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=(plus, np.inf))
    fit = X @ nnls(X, y)[0]
    assert np.all(path.coefficients >= 0.0)
    np.testing.assert_allclose(X @ path.coefficients[-1], fit, rtol=0, atol=1e-9)
    assert path.certificate.holds, str(path.certificate)
    assert path.status is ib.Status.CONVERGED
    assert ib.certify(path.problem, path.coefficients[-1], ib.MinL1(growth_times=(plus, np.inf))).holds
    negative = path.coefficients[-1] - np.eye(d)[0]
    assert not ib.certify(path.problem, negative, ib.MinL1(growth_times=(plus, np.inf))).holds


# Oracle: by hand; columns 0 and 1 are the same, and which share each takes depends on the network.
def test_a_split_that_growth_times_do_not_fix_is_said() -> None:
    problem = ib.LeastSquares([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], [1.0, 2.0])
    path = ib.saddle_path(problem, growth_times=(0.5, 0.5))
    assert path.status is ib.Status.NOT_RESOLVED
    np.testing.assert_allclose(problem.X @ path.coefficients[-1], [1, 2], atol=1e-12)
    assert path.certificate.holds


BAD = {
    "one array": (np.ones(3), "growth_times is ndarray.*pair"),
    "three values": ((1, 1, 1), "3 values"),
    "lengths": ((np.ones(2), 1.0), r"t_plus.*shape \(2,\).*3 columns"),
    "zero": ((1.0, [1, 0, 1]), "t_minus of growth_times is 0 at 1.*or inf if"),
    "negative": ((-1.0, 1.0), "t_plus.*-1 at 0"),
    "NaN": ((np.nan, 1.0), "t_plus.*nan at 0"),
    "text": (("soon", 1.0), "t_plus.*'soon'"),
    "tiny": ((1e-200, 1.0), "change the unit of time"),
    "numbers as text": (("1", 1.0), "t_plus.*'1'"),
    "truth": ((True, 1.0), "t_plus.*True"),
    "ragged": (([[1.0], [1.0, 2.0]], 1.0), "t_plus"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_growth_times_are_refused(case: str) -> None:
    value, words = BAD[case]
    problem = ib.LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
    for call in (
        lambda: ib.saddle_path(problem, growth_times=value),
        lambda: ib.certify(problem, np.zeros(3), ib.MinL1(growth_times=value)),
    ):
        with pytest.raises(ib.InputError, match=words):
            call()


@pytest.mark.parametrize(
    ("start", "words"), [([1.0, 0, 0], "positive at 0.*t_plus"), ([0, -1.0, 0], "negative at 1")]
)
def test_a_start_with_a_sign_that_is_never_taken_is_refused(start: list[float], words: str) -> None:
    problem, times = ib.LeastSquares(np.eye(3), [1.0, 2.0, 3.0]), ([np.inf, 1, 1], [1, np.inf, 1])
    for call in (
        lambda: ib.saddle_path(problem, start=start, growth_times=times),
        lambda: ib.certify(problem, np.zeros(3), ib.MinL1(start=start, growth_times=times)),
    ):
        with pytest.raises(ib.InputError, match=words):
            call()


# Oracle: by hand; nothing moves a coefficient on a column of zeros.
@pytest.mark.parametrize("growth", [None, (1.0, 1.0), (2.0, 3.0)])
def test_a_start_on_a_column_of_zeros_stays(growth: tuple[float, float] | None) -> None:
    X = np.random.default_rng(0).standard_normal((6, 3))
    problem = ib.LeastSquares(np.column_stack([X, np.zeros(6)]), X @ [1.0, -2.0, 0.0])
    path = ib.saddle_path(problem, start=[0, 0, 0, 1.0], growth_times=growth)
    assert path.coefficients[:, 3].tolist() == [1.0] * len(path.times)
    np.testing.assert_allclose(path.coefficients[-1][:3], [1, -2, 0], atol=1e-12)
