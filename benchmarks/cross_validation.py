"""Cross-validated regressors on wide designs: time, test error and support, compared with scikit-learn."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV, LassoLarsCV

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

FOLDS = 10
REPEATS = 3
TEST_ROWS = 1000


class Design(NamedTuple):
    name: str
    X: ndarray
    y: ndarray
    X_test: ndarray
    y_test: ndarray


def gaussian(n: int = 200, d: int = 2000) -> Design:
    """Return independent columns, with ten coefficients of size 1 to 3 and noise of a tenth of the variance."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + TEST_ROWS, d))
    signal = X[:, rng.choice(d, 10, replace=False)] @ (rng.uniform(1, 3, 10) * rng.choice([-1, 1], 10))
    y = signal + 0.33 * signal.std() * rng.standard_normal(len(X))
    return Design(f"Gaussian ({n}, {d})", X[:n], y[:n], X[n:], y[n:])


def microarray(n: int = 80, d: int = 3000) -> Design:
    """Return groups of 30 columns with correlation 0.7 and different means; y needs two columns of five groups each."""
    rng = np.random.default_rng(1)
    rows, groups = n + TEST_ROWS, d // 30
    shared = np.repeat(rng.standard_normal((rows, groups)), 30, axis=1)
    X = rng.uniform(4, 12, d) + np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.standard_normal((rows, d))
    chosen = (30 * rng.choice(groups, 5, replace=False)[:, None] + [0, 1]).ravel()
    signal = X[:, chosen] @ (rng.uniform(0.5, 1.5, 10) * np.repeat(rng.choice([-1, 1], 5), 2))
    y = signal + 0.5 * signal.std() * rng.standard_normal(rows)
    return Design(f"correlated groups ({n}, {d})", X[:n], y[:n], X[n:], y[n:])


def test_error(model: Any, design: Design) -> float:
    """Return the mean squared error on new rows, as a share of their variance."""
    return 1.0 - float(model.score(design.X_test, design.y_test))


def compare(design: Design) -> list[Row]:
    models = {
        'ours, rule="best"': ib.SaddlePathRegressorCV(cv=FOLDS),
        'ours, rule="1se"': ib.SaddlePathRegressorCV(cv=FOLDS, rule="1se"),
        "LassoLarsCV": LassoLarsCV(cv=FOLDS),
        "LassoCV": LassoCV(cv=FOLDS),
    }
    with warnings.catch_warnings():
        # The peers warn about early stops and dropped steps; only their answers are judged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds = alternate([lambda m=m: m.fit(design.X, design.y) for m in models.values()], REPEATS)
    errors = [test_error(model, design) for model in models.values()]
    supports = [int(np.count_nonzero(model.coef_)) for model in models.values()]
    return [
        Row(
            design.name,
            name,
            seconds[0],
            seconds[i],
            errors[0],
            errors[i],
            f"support {supports[0]} / {supports[i]}",
            target=None if name.startswith("ours") else 1.0,
        )
        for i, name in enumerate(models)
        if i > 0
    ]


def main() -> None:
    report("cross_validation", [row for design in (gaussian(), microarray()) for row in compare(design)])


if __name__ == "__main__":
    main()
