"""The saddle path and scikit-learn's `lars_path(method="lasso")` on Gaussian designs and wide correlated tables."""

import numpy as np
from numpy import ndarray
from sklearn.linear_model import lars_path

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

# Rows, columns, and the ratio to reach.
GAUSSIAN = ((200, 2000, 2.0), (100, 20_000, 2.0), (200, 100_000, 1 / 0.3), (50, 200, None), (1000, 50, None))
TABLES = ((60, 1000, 1.0), (72, 7000, 1.0), (100, 4000, 1.0))
# Each run of the largest takes seconds and gigabytes.
REPEATS, FEW, LARGE = 9, 3, 10**7


def gaussian(n: int, d: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def table(n: int, d: int) -> tuple[ndarray, ndarray]:
    """Return a table like a microarray: eight common factors in all columns, which are standardised; five matter."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 8)) @ rng.standard_normal((8, d)) + rng.standard_normal((n, d))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = X[:, :5].sum(axis=1) + 0.5 * rng.standard_normal(n)
    return X, y - y.mean()


def errors(problem: ib.LeastSquares, path: ib.SaddlePath, peer: ndarray) -> tuple[float, float]:
    """Return for both ends the larger of the relative gradient and the excess of ||w||_1 over the dual bound.

    The bound <nu, X w> <= ||w'||_1 of the path's own nu holds for any w' with the same fit, once nu is feasible, which
    is checked here from X alone.
    """
    assert np.max(np.abs(path.nu[-1] @ problem.X)) <= 1.0 + 1e-9
    found = []
    for w in (path.coefficients[-1], peer):
        gradient = np.max(np.abs(problem.gradient(w)) / problem.column_norms) * problem.shape[0]
        scale = np.linalg.norm(problem.y) + problem.column_norms @ np.abs(w)
        optimum = float(path.nu[-1] @ problem.predict(w))
        found.append(max(float(gradient / scale), abs(np.abs(w).sum() - optimum) / optimum))
    return found[0], found[1]


def compare(what: str, X: ndarray, y: ndarray, target: float | None) -> Row:
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    peer = lars_path(X, y, method="lasso")[2]
    ours, theirs = alternate(
        [lambda: ib.saddle_path(ib.LeastSquares(X, y)), lambda: lars_path(X, y, method="lasso")],
        FEW if X.size > LARGE else REPEATS,
    )
    assert path.certificate.holds
    note = f"{path.n_jumps} jumps / {peer.shape[1] - 1} steps"
    n, d = X.shape
    return Row(
        f"{what} ({n}, {d})",
        'lars_path(method="lasso")',
        ours,
        theirs,
        *errors(problem, path, peer[:, -1]),
        note,
        target,
    )


def main() -> None:
    rows = [compare("dense Gaussian", *gaussian(n, d), target) for n, d, target in GAUSSIAN]
    report(
        "dense_gaussian",
        rows + [compare("correlated table", *table(n, d), target) for n, d, target in TABLES],
    )


if __name__ == "__main__":
    main()
