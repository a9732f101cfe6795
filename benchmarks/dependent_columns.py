"""One-hot columns, which depend on each other: `SaddlePathRegressor` and scikit-learn's `LassoLars`, default threads.

At most saddles of these paths the coefficients are not unique, and `SaddlePathRegressor` computes the canonical split.
`LassoLars` stops when a column depends on the active ones, and takes no sparse X.
"""

import warnings

import numpy as np
from numpy import ndarray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoLars

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

REPEATS = 25


def table(n: int, variables: int, levels: int) -> tuple[ndarray, ndarray]:
    """Return one-hot columns of some variables, and a target that depends on a tenth of the columns."""
    rng = np.random.default_rng(0)
    X = np.hstack([np.eye(levels)[rng.integers(0, levels, n)] for _ in range(variables)])
    w = np.where(rng.random(X.shape[1]) < 0.1, rng.standard_normal(X.shape[1]), 0.0)
    return X, X @ w + rng.standard_normal(n)


def excess(X: ndarray, y: ndarray, model: object) -> float:
    """Return the excess of the squared error over that of least squares, which both paths end at, relative to it."""
    residual = y - X @ model.coef_ - model.intercept_
    design = np.column_stack([X, np.ones(len(y))])
    least = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(abs(residual @ residual / (least @ least) - 1.0))


def row(name: str, X: ndarray, y: ndarray, sparse_data: bool) -> Row:
    given = sparse.csc_array(X) if sparse_data else X
    ours = lambda: ib.SaddlePathRegressor().fit(given, y)  # noqa: E731
    lars = lambda: LassoLars(alpha=0.0, max_iter=5000).fit(X, y)  # noqa: E731
    model, peer = ours(), lars()
    times = alternate([ours, lars], REPEATS)
    split = int(np.count_nonzero(~model.path_.unique))
    note = f"{split} of {model.n_jumps_ + 1} saddles are split"
    return Row(name, "LassoLars", *times, excess(X, y, model), excess(X, y, peer), note, target=0.5)


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    report(
        "dependent_columns",
        [
            row("one-hot (1000, 180)", *table(1000, 18, 10), sparse_data=False),
            row("one-hot (2000, 300), sparse", *table(2000, 30, 10), sparse_data=True),
        ],
    )


if __name__ == "__main__":
    main()
