"""Sparse X: the saddle path, `lars_path` on a dense copy, and celer's Lasso path on the sparse matrix.

This benchmark needs celer: `pip install -c constraints.txt -e ".[bench]"`.
"""

import tracemalloc

import numpy as np
from celer import celer_path
from numpy import ndarray
from scipy import sparse
from sklearn.linear_model import lars_path

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

N, D, SHARE, JUMPS, REPEATS = 2000, 50_000, 0.005, 200, 3
GRID = 100  # penalties of celer; the default of scikit-learn


def data(n: int, d: int, share: float) -> tuple[sparse.csc_array, ndarray]:
    """Return Gaussian entries at random places; fifty columns matter, and the noise is a tenth of the signal."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((n, d), density=share, format="csc", rng=rng, data_sampler=rng.standard_normal)
    w = np.zeros(d)
    w[rng.choice(d, 50, replace=False)] = rng.choice([-1.0, 1.0], 50) * rng.uniform(1, 3, 50)
    signal = X @ w
    return X, signal + 0.1 * np.std(signal) * rng.standard_normal(n)


def kkt(X: sparse.csc_array, y: ndarray, w: ndarray, penalty: float) -> float:
    """Return the largest violation of the Lasso's conditions at this penalty, relative to the largest correlation."""
    c = X.T @ (y - X @ w) / len(y)
    on = w != 0.0
    outside = np.max(np.abs(c[~on]) - penalty, initial=0.0)
    active = np.max(np.abs(c[on] - penalty * np.sign(w[on])), initial=0.0)
    return float(max(outside, active) / np.max(np.abs(X.T @ y / len(y))))


def saddle_error(X: sparse.csc_array, y: ndarray, path: ib.SaddlePath) -> float:
    """Return the largest gradient on the active set of any saddle, relative as in `kkt`, or excess of |s_i| over 1."""
    worst = max(0.0, float(np.max(np.abs(path.nu[-1] @ X)) - 1.0))
    for active, row in zip(path.active_sets, path.coefficients_sparse, strict=True):
        residual = y - X[:, active] @ row.data
        worst = max(
            worst, float(np.max(np.abs(residual @ X[:, active]), initial=0.0) / np.max(np.abs(y @ X)))
        )
    return worst


def peak_bytes(work: object) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def large() -> Row:
    """Return the row for a million columns, compared with one product X^T y in SciPy."""
    X, y = data(10_000, 1_000_000, 0.001)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    ours = lambda: ib.saddle_path(ib.LeastSquares(X, y), max_jumps=100)  # noqa: E731
    path = ours()
    times = alternate([ours, lambda: X.T @ y], REPEATS)
    note = f"memory {peak_bytes(ours) / size:.3g} x X, {size / 2**20:.0f} MiB"
    work = f"sparse (10000, 1000000), 0.1% filled, {path.n_jumps} jumps"
    return Row(work, "one product X^T y", *times, saddle_error(X, y, path), 0.0, note)


def main() -> None:
    X, y = data(N, D, SHARE)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    ours = lambda: ib.saddle_path(ib.LeastSquares(X, y), max_jumps=JUMPS)  # noqa: E731
    path = ours()
    last = 1.0 / path.times[-1]
    penalties = np.geomspace(1.0 / path.times[1], last, GRID)
    matrix = sparse.csc_matrix(X)  # celer accepts only the older class
    lars = lambda: lars_path(X.toarray(), y, method="lasso", max_iter=JUMPS, alpha_min=last)  # noqa: E731
    celer = lambda: celer_path(matrix, y, "lasso", alphas=penalties, tol=1e-6)  # noqa: E731
    alphas, _, steps = lars()
    grid, table, _ = celer()
    times = alternate([ours, lars, celer], REPEATS)
    memory = [peak_bytes(work) / size for work in (ours, lars, celer)]
    error, work = saddle_error(X, y, path), f"sparse ({N}, {D}), {SHARE:.1%} filled, {path.n_jumps} jumps"
    note = f"memory {memory[0]:.3g} x X, theirs {{:.3g}} x X"
    report(
        "sparse_path",
        [
            Row(work, "lars_path on X.toarray()", times[0], times[1], error,
                kkt(X, y, steps[:, -1], alphas[-1]), note.format(memory[1]) + f", {len(alphas) - 1} steps"),
            Row(work, f"celer_path, {GRID} penalties", times[0], times[2], error,
                kkt(X, y, table[:, -1], grid[-1]), note.format(memory[2])),
            large(),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
