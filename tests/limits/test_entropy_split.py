"""The canonical split among dependent columns, against routes that share no code with it."""

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.oracles.designs import dependent_columns
from tests.oracles.entropy import interpolant_at, split_by_cone, split_by_dual
from tests.oracles.exact import exact_path, floats

# Both sides solve a smooth strictly convex problem by Newton's method to rounding; |w| is about 1.
CLOSE = 1e-9


def _weights(start: ndarray, s: ndarray) -> ndarray:
    """m_i of the split for scales a_i = alpha^2, from theory 0.1: see `test_the_weights_of_a_start`."""
    size = np.where(start == 0.0, 0.5, np.abs(start))
    return np.where(start * s < 0.0, 1.0 / (4.0 * size), size)


# Oracle: dual Newton on the exact fits and boundary sets.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
def test_every_saddle_takes_the_split_of_least_entropy(kind: str) -> None:
    not_unique = 0
    for seed in range(25):
        X, y = dependent_columns(kind, seed)
        path, exact = ib.saddle_path(ib.LeastSquares(X, y)), exact_path(X, y)
        for row in np.flatnonzero(~path.unique):
            s, fit, residual = floats(exact.s)[row], floats(exact.fits)[row], y - floats(exact.fits)[row]
            flat = [i for i in exact.boundary(row) if abs(X[:, i] @ residual) < 1e-9]
            w = split_by_dual(X, fit, s, flat, np.full(len(s), 0.5))
            np.testing.assert_allclose(path.coefficients[row], w, rtol=0, atol=CLOSE * np.max(np.abs(y)))
            not_unique += 1
    assert not_unique >= 10


# Oracle: Clarabel's exponential cone. Asked for 1e-11 in the objective, whose minimum is flat: half the digits.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
def test_a_conic_solver_finds_the_same_split(kind: str) -> None:
    for seed in range(10):
        X, y = dependent_columns(kind, seed)
        path = ib.saddle_path(ib.LeastSquares(X, y))
        w = path.coefficients[-1]
        free = np.flatnonzero(w).tolist()
        if path.unique[-1] or not free:
            continue
        other = split_by_cone(X, X @ w, np.sign(w), free, np.full(len(w), 0.5))
        np.testing.assert_allclose(w, other, rtol=0, atol=1e-5)


# Oracle: by hand: sum w ln w, so equal columns share equally, and opposite ones with opposite signs.
def test_equal_columns_share_equally() -> None:
    x = np.array([1.0, -1.0, 2.0])
    path = ib.saddle_path(ib.LeastSquares(np.column_stack([x, x, -x, x]), 4 * x))
    np.testing.assert_allclose(path.coefficients[-1], [1, 1, -1, 1], rtol=1e-13)


# Oracle: by hand: with x and 2x only 2x reaches the boundary, so nothing is split.
def test_a_longer_parallel_column_takes_all() -> None:
    x = np.array([1.0, -1.0, 2.0])
    path = ib.saddle_path(ib.LeastSquares(np.column_stack([x, 2 * x]), 4 * x))
    np.testing.assert_allclose(path.coefficients[-1], [0, 2], rtol=1e-13, atol=0)
    assert path.status is ib.Status.CONVERGED


# Oracle: the end of the flow at finite alpha, theory 0.1 and 0.5, by a dual Newton with no path in it.
# Coordinates on a degenerate boundary decay like a power of alpha only: 1e-6 leaves room for them at 1e-40.
@pytest.mark.parametrize("kind", ["duplicated", "signs"])
@pytest.mark.parametrize("pretrained", [False, True])
def test_the_flow_at_tiny_alpha_ends_at_the_split(kind: str, pretrained: bool) -> None:
    not_unique = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X, _ = dependent_columns(kind, seed)
        target = rng.integers(-2, 3, size=X.shape[1]).astype(float)
        start = rng.choice([-1.5, 0.0, 0.5, 2.0], size=X.shape[1]) if pretrained else np.zeros(X.shape[1])
        path = ib.saddle_path(ib.LeastSquares(X, X @ target), start=start)
        if path.unique[-1] or not path.strictly_complementary[-1]:
            continue
        end = interpolant_at(X, X @ target, start, log_alpha=-40 * np.log(10))
        np.testing.assert_allclose(path.coefficients[-1], end, rtol=0, atol=1e-6)
        not_unique += 1
    assert not_unique >= 5


# Oracle: theory 0.1, re-derived. arcsinh(w_i / a) = arcsinh(w0_i / a) + 2 N_i, a = alpha^2, N = X^T nu, and
# arcsinh(x / a) = sign(x) ln(2|x| / a) + o(1). With L = ln(1 / alpha), nu = nu_0 L + nu_1 + o(1), s = q + X^T nu_0:
#   w0_i = 0:      ln|w_i| = ln(a / 2) + 2 s_i N_i          and s_i (X^T nu_0)_i = 1  ->  m_i = 1 / 2
#   sign kept:     ln|w_i| = ln|w0_i| + 2 s_i N_i           and (X^T nu_0)_i = 0      ->  m_i = |w0_i|
#   sign changed:  ln|w_i| = ln(a^2 / 4|w0_i|) + 2 s_i N_i  and s_i (X^T nu_0)_i = 2  ->  m_i = 1 / (4 |w0_i|)
# so ln(|w_i| / m_i) = 2 s_i x_i^T nu_1: the stationarity of sum |w_i| ln(|w_i| / m_i) - |w_i| under the fit.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
def test_the_weights_of_a_start(kind: str) -> None:
    not_unique = flipped = 0
    for seed in range(40):
        X, y = dependent_columns(kind, seed)
        start = np.random.default_rng(seed).choice([-1.5, 0.0, 0.5, 2.0], size=X.shape[1])
        path, exact = ib.saddle_path(ib.LeastSquares(X, y), start=start), exact_path(X, y, start)
        first = len(path.times) - len(exact.times)
        for row in np.flatnonzero(~path.unique):
            s, fit = floats(exact.s)[row - first], floats(exact.fits)[row - first]
            flat = [i for i in exact.boundary(row - first) if abs(X[:, i] @ (y - fit)) < 1e-9]
            w = split_by_dual(X, fit, s, flat, _weights(start, s))
            np.testing.assert_allclose(path.coefficients[row], w, rtol=0, atol=CLOSE * np.max(np.abs(y)))
            not_unique += 1
            flipped += bool(np.any(start * w < 0.0))
    assert not_unique >= 10
    assert flipped >= 1


# Oracle: the problem's own symmetry under a change of unit of y, far beyond any solver's absolute tolerance.
@pytest.mark.parametrize("unit", [1e-120, 1e-14, 1e14, 1e120])
def test_the_split_does_not_depend_on_the_unit(unit: float) -> None:
    X, y = np.array([[1.0, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]]), np.array([4, 0.5, 0])
    path = ib.saddle_path(ib.LeastSquares(X, unit * y))
    assert path.status is ib.Status.NOT_UNIQUE
    expected = unit * np.array([1.265625, 0.765625, 0.984375, 0.984375])
    np.testing.assert_allclose(path.coefficients[-1], expected, rtol=1e-12)
