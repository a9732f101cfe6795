"""The path on dense data against a slow plain implementation, however the data are given."""

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.oracles.naive import naive_path

# The oracle solves each saddle from scratch; both lose about cond(X_A) units of rounding, 1e3 ... 1e5 here.
CLOSE = 1e-8

SHAPES = [(5, 3), (12, 5), (40, 10), (5, 12), (10, 30), (20, 60), (15, 16)]


def _data(n: int, d: int, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def _assert_same(path: ib.SaddlePath, times: ndarray, coefficients: ndarray) -> None:
    assert len(path.times) == len(times)
    np.testing.assert_allclose(path.times, times, rtol=CLOSE)
    scale = np.max(np.abs(coefficients))
    np.testing.assert_allclose(path.coefficients, coefficients, rtol=0, atol=CLOSE * scale)
    assert path.certificate.holds, str(path.certificate)
    assert path.status is ib.Status.CONVERGED


# Oracle: slow naive version (SciPy nnls at every jump).
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_dense_data_of_any_shape(n: int, d: int, seed: int) -> None:
    X, y = _data(n, d, seed)
    slow = naive_path(X, y)
    path = ib.saddle_path(ib.LeastSquares(X, y))
    _assert_same(path, slow.times, slow.coefficients)
    np.testing.assert_allclose(path.dual, slow.s, rtol=0, atol=CLOSE)


# Oracle: slow naive version; fits and times, for the coefficients need not be unique.
@pytest.mark.parametrize("seed", range(8))
def test_rank_deficient_data(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 3)) @ rng.standard_normal((3, 9))
    y = rng.standard_normal(12)
    slow, path = naive_path(X, y), ib.saddle_path(ib.LeastSquares(X, y))
    np.testing.assert_allclose(path.times, slow.times, rtol=CLOSE)
    np.testing.assert_allclose(path.coefficients @ X.T, slow.coefficients @ X.T, rtol=0, atol=CLOSE)
    assert path.certificate.holds


# Oracle: slow naive version from the same start.
@pytest.mark.parametrize("seed", range(8))
def test_pretrained_starts(seed: int) -> None:
    X, y = _data(8, 14, seed)
    start = np.where(np.arange(14) % 4 == seed % 4, np.random.default_rng(seed).standard_normal(14), 0.0)
    slow, path = naive_path(X, y, start), ib.saddle_path(ib.LeastSquares(X, y), start=start)
    assert path.coefficients[0].tolist() == start.tolist()
    assert path.times[:2].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(path.times[1:], slow.times, rtol=CLOSE)
    np.testing.assert_allclose(path.coefficients[1:], slow.coefficients, rtol=0, atol=CLOSE * 10)
    assert path.certificate.holds


def _layouts(X: ndarray) -> dict[str, ndarray]:
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]))
    wide[::2, 1::3] = X
    locked = X.copy()
    locked.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(X),
        "strided view": wide[::2, 1::3],
        "reversed view": np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
        "read-only": locked,
        "big-endian": X.astype(">f8"),
    }


# Oracle: the same numbers in C order. Sums may run in another order, hence rounding and not equality.
@pytest.mark.parametrize("layout", list(_layouts(np.eye(2))))
@pytest.mark.parametrize(("n", "d"), [(9, 4), (6, 20)])
def test_memory_layout_does_not_matter(layout: str, n: int, d: int) -> None:
    X, y = _data(n, d, 3)
    plain = ib.saddle_path(ib.LeastSquares(X, y))
    path = ib.saddle_path(ib.LeastSquares(_layouts(X)[layout], _layouts(y[:, None])[layout][:, 0]))
    _assert_same(path, plain.times, plain.coefficients)


# Oracle: float32 data are numbers of float64 too; the path is that of those numbers, to float64's precision.
def test_float32_data_are_computed_in_float64() -> None:
    X, y = (array.astype(np.float32) for array in _data(10, 25, 0))
    single = ib.saddle_path(ib.LeastSquares(X, y))
    double = ib.saddle_path(ib.LeastSquares(X.astype(float), y.astype(float)))
    for name in ("times", "coefficients", "dual", "losses", "nu"):
        assert getattr(single, name).dtype == np.float64
        np.testing.assert_array_equal(getattr(single, name), getattr(double, name))


# Oracle: integers are numbers of float64 too.
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool])
def test_integer_and_boolean_data(dtype: type) -> None:
    X = np.random.default_rng(1).integers(0, 2, size=(6, 8)).astype(dtype)
    y = np.arange(6).astype(dtype)
    path = ib.saddle_path(ib.LeastSquares(X, y))
    plain = ib.saddle_path(ib.LeastSquares(X.astype(float), y.astype(float)))
    np.testing.assert_array_equal(path.coefficients, plain.coefficients)


# Oracle: the caller's arrays, before and after.
def test_the_callers_arrays_are_neither_changed_nor_shared() -> None:
    X, y = _data(6, 9, 0)
    before = X.copy(), y.copy()
    problem = ib.LeastSquares(X, y)
    ib.saddle_path(problem)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    X[:], y[:] = 0.0, 0.0
    np.testing.assert_array_equal(problem.X, before[0])
    np.testing.assert_array_equal(problem.y, before[1])


# Oracle: the same numbers without names.
def test_a_data_frame_keeps_its_names() -> None:
    X, y = _data(9, 3, 0)
    frame = pd.DataFrame(X, columns=["age", 7, ("a", "b")])
    path = ib.saddle_path(ib.LeastSquares(frame, pd.Series(y, index=range(100, 109))))
    assert path.feature_names == ("age", "7", "('a', 'b')")
    assert path.to_dataset()["feature"].values.tolist() == ["age", "7", "('a', 'b')"]
    np.testing.assert_array_equal(path.times, ib.saddle_path(ib.LeastSquares(X, y)).times)
    assert ib.saddle_path(ib.LeastSquares(X, y)).feature_names is None


# Oracle: a property of the flow (theory 1.5): s stays in [-1, 1] and the loss falls at every jump.
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_the_dual_stays_in_its_box_and_the_loss_falls(n: int, d: int) -> None:
    for seed in range(10):
        X, y = _data(n, d, seed)
        path = ib.saddle_path(ib.LeastSquares(X, y))
        # From nu itself, for `dual` is clipped. Speeds c = X^T r / n carry a rounding of 2^-52 times
        # sqrt(n) ||x_i|| (||y|| + sum ||x_j|| |w_j|) / n; nu sums them over time.
        norms = np.linalg.norm(X, axis=0)
        scale = np.linalg.norm(y) + np.max(np.abs(path.coefficients) @ norms)
        rounding = 16 * 2.0**-52 * scale / np.sqrt(n) * np.outer(path.times, norms)
        assert np.all(np.abs(path.nu @ X) <= 1.0 + rounding + 1e-15)
        assert np.all(np.diff(path.losses) < 0.0)
        assert np.all(np.diff(path.times) > 0.0)
        np.testing.assert_allclose(
            path.losses, [path.problem.loss(w) for w in path.coefficients], rtol=1e-9, atol=1e-14
        )
