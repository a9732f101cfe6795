"""The saddle path against scikit-learn's `lars_path(method="lasso")` on dense Gaussian designs."""

import numpy as np
from sklearn.linear_model import lars_path

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from implicitbias.limits import least_l1_dual

SIZES = ((200, 2000), (50, 200), (100, 1000), (1000, 50))
REPEATS = 9


def error(problem: ib.LeastSquares, w: np.ndarray, optimum: float) -> float:
    """Worse of: relative gradient of the loss, relative distance of ||w||_1 to the linear program's value."""
    certificate = ib.certify(problem, w, ib.MinL1())
    return max(certificate.residuals["stationarity"], abs(np.abs(w).sum() - optimum) / optimum)


def compare(n: int, d: int) -> Row:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    peer = lars_path(X, y, method="lasso")[2]
    fit = problem.X @ path.coefficients[-1]
    dual = least_l1_dual(problem.X, problem.column_norms, fit, np.zeros(d))
    assert dual is not None  # well-conditioned designs
    optimum = float(dual @ fit)
    ours, theirs = alternate(
        [lambda: ib.saddle_path(ib.LeastSquares(X, y)), lambda: lars_path(X, y, method="lasso")], REPEATS
    )
    note = f"{path.n_jumps} jumps / {peer.shape[1] - 1} steps"
    errors = error(problem, path.coefficients[-1], optimum), error(problem, peer[:, -1], optimum)
    return Row(f"dense Gaussian ({n}, {d})", 'lars_path(method="lasso")', ours, theirs, *errors, note)


def main() -> None:
    report("dense_gaussian", [compare(n, d) for n, d in SIZES])


if __name__ == "__main__":
    main()
