"""The path against exact fractions, closed forms and printed numbers."""

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.oracles.exact import ExactPath, exact_path, floats
from tests.oracles.lp import largest_values

# Small integers, a dozen jumps at most: what float64 loses is a few units of rounding per jump.
CLOSE = 1e-11


def _small_design(kind: str, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([seed, len(kind)])
    n, d = int(rng.integers(2, 6)), int(rng.integers(1, 8))
    if kind == "signs":
        X = rng.choice([-1.0, 1.0], size=(n, d))
    elif kind == "one-hot":
        X = np.hstack([np.eye(k)[rng.integers(0, k, size=n)] for k in (2, 3)])
    elif kind == "sparse integer":
        X = rng.integers(-1, 2, size=(n, d)).astype(float)
    else:
        X = rng.integers(-3, 4, size=(n, d)).astype(float)
    return X, rng.integers(-4, 5, size=n).astype(float)


def _assert_same(path: ib.SaddlePath, exact: ExactPath) -> None:
    assert path.n_jumps == len(exact.times) - 1
    np.testing.assert_allclose(path.times, [float(t) for t in exact.times], rtol=CLOSE)
    fits = path.coefficients @ path.problem.X.T
    np.testing.assert_allclose(fits, floats(exact.fits), rtol=0, atol=CLOSE * np.max(np.abs(path.problem.y)))
    np.testing.assert_allclose(path.dual, floats(exact.s), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(path.losses, [float(v) for v in exact.losses], rtol=0, atol=CLOSE)
    assert [b.tolist() for b in path.equicorrelation_sets] == [
        exact.boundary(k) for k in range(len(exact.times))
    ]
    assert path.certificate.holds, str(path.certificate)


# Oracle: exact rational arithmetic and brute force over supports.
@pytest.mark.parametrize("kind", ["signs", "one-hot", "sparse integer", "integer"])
def test_times_fits_dual_and_equicorrelation_sets_are_the_exact_ones(kind: str) -> None:
    for seed in range(100):
        X, y = _small_design(kind, seed)
        _assert_same(ib.saddle_path(ib.LeastSquares(X, y)), exact_path(X, y))


# Oracle: exact rational arithmetic, from pretrained starts (theory 1.7).
@pytest.mark.parametrize("kind", ["signs", "integer"])
def test_paths_from_a_start_are_the_exact_ones(kind: str) -> None:
    for seed in range(60):
        X, y = _small_design(kind, seed)
        start = np.random.default_rng(seed).choice([-2.0, -0.5, 0.0, 0.0, 1.0], size=X.shape[1])
        path, exact = ib.saddle_path(ib.LeastSquares(X, y), start=start), exact_path(X, y, start)
        np.testing.assert_allclose(path.coefficients[0], start, rtol=1e-12)
        # Row 0 is the start; the refit follows at time 0 unless the start is it already.
        refit = path.coefficients[len(path.times) - len(exact.times) :]
        assert len(path.times) - len(exact.times) in (0, 1)
        np.testing.assert_allclose(refit @ X.T, floats(exact.fits), rtol=0, atol=CLOSE * 4)
        np.testing.assert_allclose(path.times[-len(refit) :], [float(t) for t in exact.times], rtol=CLOSE)
        np.testing.assert_allclose(path.dual[-len(refit) :], floats(exact.s), rtol=0, atol=CLOSE)
        assert path.certificate.holds, str(path.certificate)


def _flags(exact: ExactPath, X: ndarray, y: ndarray, row: int) -> tuple[bool, bool]:
    """(unique, strictly complementary) of a saddle from linear programs over its sign-feasible set."""
    s, fit = floats(exact.s)[row], floats(exact.fits)[row]
    flat = [
        i
        for i in exact.boundary(row)
        if sum(x * (b - a) for x, a, b in zip(X[:, i], fit, y, strict=True)) ** 2 < 1e-16
    ]
    if not flat:
        return True, True
    highest = largest_values(X, fit, s, flat)
    # HiGHS is asked for 1e-10; the data are small fractions, so 1e-7 separates 0 from the rest.
    mobile = [i for i in flat if highest[i] > 1e-7]
    independent = np.linalg.matrix_rank(X[:, mobile]) == len(mobile) if mobile else True
    return bool(independent), len(mobile) == len(flat)


# Oracle: linear programs for what each coefficient can be, at exact duals and fits.
@pytest.mark.parametrize("kind", ["signs", "one-hot", "sparse integer"])
def test_uniqueness_and_strict_complementarity_are_told_right(kind: str) -> None:
    for seed in range(25):
        X, y = _small_design(kind, seed)
        path, exact = ib.saddle_path(ib.LeastSquares(X, y)), exact_path(X, y)
        wanted = [_flags(exact, X, y, row) for row in range(len(exact.times))]
        assert list(zip(path.unique.tolist(), path.strictly_complementary.tolist(), strict=True)) == wanted
        expected = ib.Status.CONVERGED if wanted[-1][0] else ib.Status.NOT_UNIQUE
        assert path.status is expected


# Oracle: the printed answer of the canonical split; its entropy optimum is a fraction.
def test_the_split_among_dependent_columns_is_the_canonical_one() -> None:
    X = [[1, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]]
    path = ib.saddle_path(ib.LeastSquares(X, [4, 0.5, 0]))
    np.testing.assert_allclose(path.coefficients[-1], [1.265625, 0.765625, 0.984375, 0.984375], rtol=1e-12)
    assert path.status is ib.Status.NOT_UNIQUE
    assert path.status.ok
    # All four are non-zero: no coordinate sits on the boundary with w_i = 0.
    assert path.unique.tolist() == [True, True, False]
    assert path.strictly_complementary.tolist() == [True, True, True]


# Oracle: by hand; the stock LARS returns (2, 1, 4, -3, 6, 5) here (theory 1.12).
def test_simultaneous_hits_of_orthogonal_columns() -> None:
    path = ib.saddle_path(ib.LeastSquares(np.eye(6), [1, 1, 1, -1, 2, 2]))
    np.testing.assert_allclose(path.times, [0, 3, 6], rtol=1e-15)
    assert path.coefficients.tolist() == [[0] * 6, [0, 0, 0, 0, 2, 2], [1, 1, 1, -1, 2, 2]]
    assert path.status is ib.Status.CONVERGED


# Oracle: closed form (theory 1.9): with X^T X / n = I, coordinate i appears at 1 / |b_i| with the value b_i.
@pytest.mark.parametrize("seed", range(5))
def test_orthogonal_designs_have_a_closed_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = 12, 7
    X = np.sqrt(n) * np.linalg.qr(rng.standard_normal((n, d)))[0]
    y = rng.standard_normal(n)
    b = X.T @ y / n
    order = np.argsort(-np.abs(b))
    path = ib.saddle_path(ib.LeastSquares(X, y))
    np.testing.assert_allclose(path.times[1:], 1 / np.abs(b[order]), rtol=1e-12)
    for k in range(d + 1):
        expected = np.where(np.isin(np.arange(d), order[:k]), b, 0.0)
        np.testing.assert_allclose(path.coefficients[k], expected, rtol=1e-12, atol=1e-15)


# Oracle: numbers of theory 1.10, four digits printed (a second implementation and a simulated flow gave them).
def test_the_fixed_example_deactivates_a_coordinate() -> None:
    X = np.random.default_rng(0).standard_normal((5, 7))
    target = np.array([1.0, -2, 0, 0, 0, 0, 0])
    path = ib.saddle_path(ib.LeastSquares(X, X @ target))
    np.testing.assert_allclose(path.times, [0, 0.6582, 1.4125, 1.6725], atol=5e-5)
    assert [a.tolist() for a in path.active_sets] == [[], [5], [0, 5], [0, 1]]
    np.testing.assert_allclose(path.coefficients[1][5], -1.0171, atol=5e-5)
    np.testing.assert_allclose(path.coefficients[2][[0, 5]], [0.8353, -0.4893], atol=5e-5)
    np.testing.assert_allclose(path.coefficients[3], target, atol=1e-12)
    # Degenerate: coordinate 6 stays on the boundary at 0 once the residual is 0.
    assert path.strictly_complementary.tolist() == [True, True, True, False]


# Oracle: by hand, with a zero column, a duplicate and an opposite one.
def test_zero_duplicate_and_opposite_columns() -> None:
    x = np.array([1.0, 2.0, 2.0])
    path = ib.saddle_path(ib.LeastSquares(np.column_stack([x, np.zeros(3), x, -x]), 3 * x))
    np.testing.assert_allclose(path.times, [0, 1 / 9], rtol=1e-15)
    np.testing.assert_allclose(path.coefficients[1], [1, 0, 1, -1], rtol=1e-12, atol=0)
    assert path.equicorrelation_sets[1].tolist() == [0, 2, 3]


# Oracle: by hand: nothing to fit, nothing moves.
@pytest.mark.parametrize("X", [np.eye(3), np.zeros((3, 2))])
def test_no_signal_no_jump(X: ndarray) -> None:
    path = ib.saddle_path(ib.LeastSquares(X, np.zeros(3)))
    assert path.times.tolist() == [0]
    assert path.status is ib.Status.CONVERGED
    assert path.at(1e300).tolist() == [0.0] * X.shape[1]


# Oracle: y orthogonal to every column of small integers: the gradient is exactly 0 at w = 0.
def test_a_target_orthogonal_to_the_columns_gives_no_jump() -> None:
    path = ib.saddle_path(ib.LeastSquares([[1, 1], [1, -1], [1, 0], [-3, 0]], [1, 1, 1, 1]))
    assert path.n_jumps == 0
    np.testing.assert_allclose(path.losses, [0.5])
