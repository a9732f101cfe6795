"""The path on sparse, shifted, mapped and wide data: the same as on a small dense copy, at the memory of X."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from implicitbias._core.linear_maps import ShiftedMap
from tests.oracles.naive import naive_path

CLOSE = 1e-8


def _thin(n: int, d: int, seed: int, share: float = 0.3) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    X = rng.standard_normal((n, d)) * (rng.uniform(size=(n, d)) < share)
    return X, rng.standard_normal(n)


def _assert_same(path: ib.SaddlePath, slow: object) -> None:
    np.testing.assert_allclose(path.times, slow.times, rtol=CLOSE)
    scale = np.max(np.abs(slow.coefficients))
    np.testing.assert_allclose(path.coefficients, slow.coefficients, rtol=0, atol=CLOSE * scale)
    np.testing.assert_allclose(path.dual, slow.s, rtol=0, atol=CLOSE)
    assert path.certificate.holds, str(path.certificate)


# Oracle: slow naive version on the dense matrix.
@pytest.mark.parametrize(("n", "d"), [(30, 8), (20, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_sparse(n: int, d: int, seed: int) -> None:
    X, y = _thin(n, d, seed)
    _assert_same(ib.saddle_path(ib.LeastSquares(sparse.csr_array(X), y)), naive_path(X, y))


# Oracle: slow naive version on the centred matrix.
@pytest.mark.parametrize("seed", range(3))
def test_sparse_less_its_means(seed: int) -> None:
    X, y = _thin(20, 50, seed)
    centred = ShiftedMap(sparse.csr_array(X), np.ones(20), X.mean(axis=0))
    slow = naive_path(X - X.mean(axis=0), y - y.mean())
    _assert_same(ib.saddle_path(ib.LeastSquares(centred, y - y.mean())), slow)


# Oracle: slow naive version. float32 data are exact in float64.
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_mapped_files(tmp_path: Path, order: str, kind: type) -> None:
    X, y = np.random.default_rng(0).standard_normal((15, 40)).astype(kind), np.arange(15.0)
    file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", kind, X.shape, fortran_order=order == "F")
    file[:] = X
    file.flush()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    _assert_same(ib.saddle_path(ib.LeastSquares(mapped, y)), naive_path(X.astype(float), y))


# Oracle: the same columns among others that cannot matter, because they are far smaller.
def test_columns_that_are_never_looked_at_change_nothing() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 80)), rng.standard_normal(30)
    wide = np.hstack([X, 1e-6 * rng.standard_normal((30, 4000))])
    some, all_of_them = ib.saddle_path(ib.LeastSquares(X, y)), ib.saddle_path(ib.LeastSquares(wide, y))
    assert all_of_them.active_sets[-1].max() < 80
    np.testing.assert_allclose(all_of_them.times, some.times, rtol=1e-10)
    np.testing.assert_allclose(all_of_them.coefficients[:, :80], some.coefficients, rtol=0, atol=1e-10)


# Oracle: the loss under the signs has no better neighbour, and s = X^T nu stays in its box: both from X and y alone.
@pytest.mark.parametrize("correlated", [False, True])
def test_wide_data_meet_the_conditions_of_every_saddle(correlated: bool) -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60, 3000))
    if correlated:
        X += 3 * rng.standard_normal((60, 4)) @ rng.standard_normal((4, 3000))
    y = rng.standard_normal(60)
    path = ib.saddle_path(ib.LeastSquares(X, y))
    s = path.nu @ X
    assert np.max(np.abs(s)) <= 1.0 + 1e-9
    residuals = y - path.coefficients @ X.T
    for row in range(len(path.times) - 1):
        # nu moves along the residual, and something reaches its threshold exactly when the path says so.
        step = path.times[row + 1] - path.times[row]
        np.testing.assert_allclose(path.nu[row + 1] - path.nu[row], step * residuals[row] / 60, atol=1e-12)
        arrived = np.setdiff1d(path.equicorrelation_sets[row + 1], path.equicorrelation_sets[row])
        assert len(arrived) or np.any(np.sign(s[row]) != np.sign(s[row + 1]))
        np.testing.assert_allclose(np.abs(s[row + 1][arrived]), 1.0, atol=1e-9)
    speed = residuals @ X
    for row, active in enumerate(path.active_sets):
        assert np.max(np.abs(speed[row][active]), initial=0.0) <= 1e-9 * np.max(np.abs(speed[0]))


def _large(n: int, d: int, nnz: int) -> sparse.csc_array:
    rng = np.random.default_rng(0)
    each = nnz // d
    rows = rng.integers(0, n, size=(d, each))
    return sparse.csc_array(
        (rng.standard_normal(d * each), rows.ravel(), np.arange(0, d * each + 1, each)), shape=(n, d)
    )


def _peak(X: object, y: ndarray, size: int, jumps: int) -> tuple[float, ib.SaddlePath]:
    """Most memory allocated at once, in sizes of X."""
    ib.saddle_path(ib.LeastSquares(X[:, :5], y), max_jumps=1)  # the compiler's memory does not count
    tracemalloc.start()
    path = ib.saddle_path(ib.LeastSquares(X, y), max_jumps=jumps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / size, path


@pytest.mark.parametrize(
    ("n", "d", "nnz"),
    [(1000, 50_000, 500_000), pytest.param(10_000, 1_000_000, 10_000_000, marks=pytest.mark.slow)],
    ids=["small", "large"],
)
def test_sparse_data_are_walked_in_memory_of_the_order_of_x(n: int, d: int, nnz: int) -> None:
    X = _large(n, d, nnz)
    w = np.zeros(d)
    w[:: d // 5] = [3.0, -2.0, 2.0, -1.0, 1.0]
    used, path = _peak(X, X @ w, X.data.nbytes + X.indices.nbytes + X.indptr.nbytes, 20)
    assert used < 4.0
    assert path.certificate.holds
    assert set(np.flatnonzero(w)) <= set(path.active_sets[-1].tolist())


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_mapped_file_is_walked_in_a_fraction_of_its_size(tmp_path: Path, kind: type) -> None:
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", kind, (100, 80_000), fortran_order=True)
    file[:] = rng.standard_normal(file.shape, dtype=kind)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    used, path = _peak(mapped, np.asarray(mapped[:, 7], dtype=float) + 0.1, mapped.nbytes, 10)
    assert used < 0.6
    assert 7 in path.active_sets[-1]
    assert path.certificate.holds
